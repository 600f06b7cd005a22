package agent

import (
	"log/slog"
	"sync/atomic"
	"time"

	"lars.internal/engine"
	"lars.internal/reactor"
)

// eventsPerSecond bounds the lines about hosts, so that flapping hosts do not
// fill a disk.
const eventsPerSecond = 20

// events log what happens to hosts, away from the loops that serve programs: a
// log may be slow. What there is no line for is counted, and the next line says
// how much it was.
type events struct {
	// Immutable after newEvents.
	engine *engine.Engine
	clock  func() time.Duration
	log    *slog.Logger
	queue  *reactor.Queue[struct{}] // of length 1: full means that take is due already

	// Owned by the loop goroutine.
	second time.Duration  // start of the second that is counted
	lines  int            // in this second
	told   uint64         // of dropped
	batch  []engine.Event // of the present turn

	dropped atomic.Uint64
}

// newEvents returns events that are logged on this loop.
func newEvents(cfg *Config, e *engine.Engine, loop *reactor.Loop) *events {
	ev := &events{engine: e, clock: cfg.Clock, log: cfg.Log, second: engine.LongAgo}
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
		if e.allowed(e.clock()) {
			e.write(&e.batch[i])
		} else {
			e.dropped.Add(1)
		}
	}
}

// allowed reports whether one more line may be written in this second.
func (e *events) allowed(now time.Duration) bool {
	if now-e.second >= time.Second {
		e.second, e.lines = now, 0
	}
	e.lines++
	return e.lines <= eventsPerSecond
}

func (e *events) write(ev *engine.Event) {
	args := []any{"service", ev.Key, "host", ev.Host, "reason", ev.Why(), "succeeded", ev.TotalSucc, "failed", ev.TotalErr}
	if dropped := e.dropped.Load(); dropped > e.told {
		args = append(args, "not_logged", dropped-e.told)
		e.told = dropped
	}
	e.log.Info("agent: host "+ev.Kind.String(), args...)
}
