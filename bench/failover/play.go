package main

import (
	"context"
	"fmt"
	"strconv"
	"syscall"
	"time"

	"lars.internal/sim"
)

// play makes happen what the scenario says, from the moment start on. A step is
// done at its time even if one before it takes long.
func (y *system) play(ctx context.Context, s *sim.Scenario, start time.Time) error {
	done := make(chan error, len(s.Steps)*hosts)
	count := 0
	for _, step := range s.Steps {
		if err := sleepUntil(ctx, start.Add(step.At)); err != nil {
			return err
		}
		for host := step.From; host <= step.To; host++ {
			count++
			go func() { // play waits for it; at most as long as await
				done <- y.change(ctx, y.backends[host], &step)
			}()
		}
	}
	var failed error
	for range count {
		if err := <-done; err != nil {
			failed = err
		}
	}
	return failed
}

// change makes one step happen to one host.
func (y *system) change(ctx context.Context, b *backend, step *sim.Step) error {
	switch step.Change {
	case sim.Dies:
		b.kill()
		return nil
	case sim.Dark:
		return y.stage.space.cut()
	case sim.Hangs:
		return b.signal(syscall.SIGSTOP)
	case sim.Errors:
		return b.get(ctx, errorsPath+strconv.FormatFloat(step.Value, 'g', -1, 64))
	case sim.Slow:
		return b.get(ctx, slowPath+strconv.FormatFloat(step.Value, 'g', -1, 64))
	case sim.Heals:
		return y.heal(ctx, b)
	}
	return fmt.Errorf("step at %v: no process can do %v", step.At, step.Change)
}

// heal undoes what may have happened to a host: it is dead, or cut, or stopped.
func (y *system) heal(ctx context.Context, b *backend) error {
	if b.cmd.ProcessState != nil {
		return b.start(ctx)
	}
	if b.space != nil {
		_ = b.space.heal() // fails unless it is cut
	}
	return b.signal(syscall.SIGCONT)
}

func sleepUntil(ctx context.Context, at time.Time) error {
	select {
	case <-time.After(time.Until(at)):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
