package agent

import (
	"log/slog"
	"sync/atomic"
	"time"

	"lars.internal/engine"
	"lars.internal/lb"
	"lars.internal/reactor"
	"lars.internal/route"
)

const (
	// trialPause is the least time between two log lines about a host that is
	// ejected and put on trial again and again, as a dead host is every 15 s.
	trialPause = 10 * time.Minute

	// maxTrials bounds the hosts for which that is remembered.
	maxTrials = 1024
)

// events log what happens to hosts, away from the loops that serve programs: a
// log may be slow. Events without a line are counted, and the next line has
// their number.
type events struct {
	// Immutable after newEvents.
	engine *engine.Engine
	clock  func() time.Duration
	log    *slog.Logger
	queue  *reactor.Queue[struct{}] // of length 1: full means that take is due already

	// Owned by the loop goroutine.
	quota  *quota
	told   uint64                    // of dropped
	batch  []engine.Event            // of the present turn
	trials map[hostKey]time.Duration // when the last line of a host on trial was written

	dropped atomic.Uint64
}

// hostKey identifies a host of a service.
type hostKey struct {
	key  route.Key
	host route.Host
}

// newEvents returns events that are logged on this loop.
func newEvents(cfg *Config, e *engine.Engine, loop *reactor.Loop) *events {
	ev := &events{engine: e, clock: cfg.Clock, log: cfg.Log, quota: newQuota(), trials: make(map[hostKey]time.Duration)}
	ev.queue = reactor.NewQueue(loop, 1, func([]struct{}) { ev.take() })
	return ev
}

// wake says that the engine has events. It may be called from any goroutine.
func (e *events) wake() {
	_ = e.queue.Put(struct{}{}) // fails if one waits already, or after the end
}

// unlogged returns how many events have no line.
func (e *events) unlogged() uint64 { return e.dropped.Load() + e.engine.Counters().LostEvents }

func (e *events) take() {
	e.batch = e.engine.TakeEvents(e.batch[:0])
	for i := range e.batch {
		ev, now := &e.batch[i], e.clock()
		if e.repeats(ev, now) || !e.quota.take(now) {
			e.dropped.Add(1)
			continue
		}
		e.write(ev)
	}
}

// repeats reports whether the event is one of a host that goes on trial and is
// ejected again and again, about which a line was written not long ago.
func (e *events) repeats(ev *engine.Event, now time.Duration) bool {
	h := hostKey{ev.Key, ev.Host}
	at, tried := e.trials[h]
	switch {
	case ev.Kind == lb.Reinstated:
		delete(e.trials, h)
		return false
	case tried && now-at < trialPause:
		return true
	case ev.Kind == lb.OnTrial:
		if len(e.trials) >= maxTrials {
			clear(e.trials)
		}
		e.trials[h] = now
	}
	return false
}

func (e *events) write(ev *engine.Event) {
	args := []any{"service", ev.Key, "host", ev.Host, "reason", ev.Why(), "succeeded", ev.TotalSucc, "failed", ev.TotalErr}
	if dropped := e.dropped.Load(); dropped > e.told {
		args = append(args, "not_logged", dropped-e.told)
		e.told = dropped
	}
	e.log.Info("agent: host "+ev.Kind.String(), args...)
}
