package task_test

import (
	"context"
	"errors"
	"testing"

	"lars.internal/internal/task"
)

func TestStopEndsTheFunctionAndReturnsItsError(t *testing.T) {
	ended := errors.New("ended")
	started := make(chan bool)
	failed := 0
	p := task.Start(t.Context(), func(ctx context.Context) error {
		close(started)
		<-ctx.Done()
		return ended
	}, func() { failed++ })
	<-started
	for range 2 {
		if err := p.Stop(); err != ended {
			t.Errorf("Stop returned %v, want %v", err, ended)
		}
	}
	if failed != 1 {
		t.Errorf("the failure was told %d times, want 1", failed)
	}
}

func TestWaitLetsTheFunctionEndByItself(t *testing.T) {
	p := task.Start(t.Context(), func(ctx context.Context) error { return ctx.Err() }, func() { t.Error("no failure was to be told") })
	if err := p.Wait(); err != nil {
		t.Errorf("Wait returned %v, want nil", err)
	}
}
