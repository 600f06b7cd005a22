package agent

import (
	"log/slog"
	"sync/atomic"
	"time"

	"lars.internal/lb"
	"lars.internal/reactor"
	"lars.internal/route"
)

const (
	// eventQueue is how many changes of hosts may wait to be logged.
	eventQueue = 1024

	// eventsPerSecond bounds the lines about hosts, so that flapping hosts do
	// not fill a disk.
	eventsPerSecond = 20
)

// event is a host that was ejected or brought back.
type event struct {
	key    route.Key
	host   route.Host
	change lb.Change
}

// events log what happens to hosts, away from the loops that serve programs:
// a log may be slow. What there is no room or no line for is counted, and the
// next line tells how much it was.
type events struct {
	// Immutable after newEvents.
	routes *routes
	clock  func() time.Duration
	log    *slog.Logger
	queue  *reactor.Queue[event]

	// Owned by the loop goroutine.
	second time.Duration // start of the second that is counted
	lines  int           // in this second
	told   uint64        // of dropped

	dropped atomic.Uint64
}

// newEvents returns events that are logged on this loop.
func newEvents(cfg *Config, routes *routes, loop *reactor.Loop) *events {
	e := &events{routes: routes, clock: cfg.Clock, log: cfg.Log, second: longAgo}
	e.queue = reactor.NewQueue(loop, eventQueue, e.take)
	return e
}

// put hands an event over. It may be called from any goroutine.
func (e *events) put(key route.Key, host route.Host, change lb.Change) {
	if e.queue.Put(event{key, host, change}) != nil {
		e.dropped.Add(1)
	}
}

func (e *events) take(batch []event) {
	for i := range batch {
		if e.allowed(e.clock()) {
			e.write(&batch[i])
		} else {
			e.dropped.Add(1)
		}
	}
}

// allowed tells whether one more line may be written in this second.
func (e *events) allowed(now time.Duration) bool {
	if now-e.second >= time.Second {
		e.second, e.lines = now, 0
	}
	e.lines++
	return e.lines <= eventsPerSecond
}

func (e *events) write(ev *event) {
	args := []any{"service", ev.key, "host", ev.host}
	if s, ok := e.routes.hostState(ev.key, ev.host); ok {
		args = append(args, "succeeded", s.TotalSucc, "failed", s.TotalErr, "ejected", s.Ejected, "reinstated", s.Reinstated)
	}
	if dropped := e.dropped.Load(); dropped > e.told {
		args = append(args, "not_logged", dropped-e.told)
		e.told = dropped
	}
	e.log.Info("host "+ev.change.String(), args...)
}
