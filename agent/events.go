package agent

import (
	"log/slog"
	"sync/atomic"
	"time"

	"lars.internal/engine"
	"lars.internal/lb"
	"lars.internal/lb/policy"
	"lars.internal/reactor"
	"lars.internal/route"
)

const (
	// trialPause is the least time between two log lines about a host that is
	// ejected and put on trial again and again, as a dead host is every 15 s.
	trialPause = 10 * time.Minute

	// recovered is how long a host that answered calls is in rotation after a
	// trial until its next ejection is news again.
	recovered = time.Minute

	// maxTrials bounds the hosts for which that is remembered.
	maxTrials = 1024

	// maxExplained is the most hosts of a service whose ejections are explained:
	// that takes time in proportion to their number.
	maxExplained = 256
)

// events log what happens to hosts, away from the loops that serve programs: a
// log may be slow. Events without a line are counted, and the next line has
// their number.
type events struct {
	// Immutable after newEvents.
	engine *engine.Engine
	checks *settingsCheck
	clock  func() time.Duration
	log    *slog.Logger
	queue  *reactor.Queue[struct{}] // of length 1: full means that take is due already

	// Owned by the loop goroutine.
	quota  *quota
	told   uint64         // of dropped
	batch  []engine.Event // of the present turn
	trials map[hostKey]onTrial

	dropped atomic.Uint64
}

// hostKey identifies a host of a service.
type hostKey struct {
	key  route.Key
	host route.Host
}

// onTrial is a host that came back although no call had succeeded.
type onTrial struct {
	told time.Duration // when the last line of it was written
	back time.Duration // when it came back last
	succ uint64        // calls that had succeeded then
}

// newEvents returns events that are logged on this loop.
func newEvents(cfg *Config, e *engine.Engine, checks *settingsCheck, loop *reactor.Loop) *events {
	ev := &events{engine: e, checks: checks, clock: cfg.Clock, log: cfg.Log, quota: newQuota(), trials: make(map[hostKey]onTrial)}
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
// ejected again and again, about which a line was written not long ago. One that
// has worked for a while since is not such a host.
func (e *events) repeats(ev *engine.Event, now time.Duration) bool {
	h := hostKey{ev.Key, ev.Host}
	t, tried := e.trials[h]
	worked := tried && now-t.back >= recovered && ev.TotalSucc > t.succ
	switch {
	case ev.Kind == lb.Reinstated, ev.Kind == lb.Ejected && worked:
		delete(e.trials, h)
		return false
	case ev.Kind == lb.OnTrial:
		repeats := tried && now-t.told < trialPause
		if !repeats {
			t.told = now
		}
		if !tried && len(e.trials) >= maxTrials {
			clear(e.trials)
		}
		e.trials[h] = onTrial{told: t.told, back: now, succ: ev.TotalSucc}
		return repeats
	}
	return tried && now-t.told < trialPause
}

func (e *events) write(ev *engine.Event) {
	args := []any{"service", ev.Key, "host", ev.Host, "reason", ev.Why(), "succeeded", ev.TotalSucc, "failed", ev.TotalErr}
	if why := e.why(ev); why != "" {
		args = append(args, "why", why)
	}
	if dropped := e.dropped.Load(); dropped > e.told {
		args = append(args, "not_logged", dropped-e.told)
		e.told = dropped
	}
	e.log.Info("agent: host "+ev.Kind.String(), args...)
}

// why returns the sentence about an ejection by policy adaptive; "" if the host is in
// rotation again. Other events say all with their reason.
func (e *events) why(ev *engine.Event) string {
	if ev.Kind != lb.Ejected {
		return ""
	}
	h, settings, ok := e.engine.ExplainHost(ev.Key, ev.Host, maxExplained)
	own := e.checks.of(settings)
	if !ok || !h.Ejected || own.Policy != policy.Adaptive {
		return ""
	}
	return own.Words(&h, e.clock(), time.Now()).Why
}
