package reporter

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"lars.internal/internal/outage"
	"lars.internal/reactor"
	"lars.internal/route"
)

const (
	// batchRows is how many rows one call of the sink gets at most. A statement of
	// so many rows is cheap per row already, and new reports are merged meanwhile.
	batchRows = 500

	// stuckAfter is how long nothing may be stored for rows that are locked before
	// that counts as an outage: then it is the table that is locked.
	stuckAfter = 30 * time.Second

	// pingEvery is how long the sink may go unused before it is asked for a sign
	// of life.
	pingEvery = 5 * time.Second
)

// thread is a storing thread: a backlog, into which the loops of the
// connections merge reports, and an event loop that stores it in batches and on
// which the calls of the sink block.
type thread struct {
	// Immutable after newThread.
	cfg   *Config
	sink  Sink
	count *counts
	heard *atomic.Bool // the sink has answered, or failed, at least once
	loop  *reactor.Loop
	pings bool // this thread looks after the sink while nothing comes

	mu        sync.Mutex // guards everything below, up to the next blank line
	backlog   *backlog
	reports   int                // that are to be acknowledged
	parked    map[*peer]struct{} // connections that are not read until there is room
	scheduled bool               // store is certain to run without being asked for

	// Owned by the loop goroutine; while the loop does not run, by Serve.
	ctx      context.Context // done: no time is left to store anything
	outage   *outage.User
	delayed  []batch // were taken and are not stored, in the order in which they are due
	refused  *refusedRows
	timer    *reactor.Timer // runs store
	failures int            // calls of the sink in a row that it did not answer
	until    time.Time      // nothing is tried before, while failures > 0
	answered time.Time      // when the sink last answered
	stored   time.Time      // when it last stored a batch, or no lock was in the way
	closing  bool
}

// batch is rows that are stored by one call of the sink.
type batch struct {
	entries []*entry
	due     time.Time // not to be tried before
	tries   int       // that met a lock
}

func newThread(cfg *Config, count *counts, outage *outage.Outage, heard *atomic.Bool) *thread {
	return &thread{
		cfg: cfg, sink: cfg.Sink, count: count, heard: heard, loop: reactor.NewLoop(cfg.Log),
		backlog: newBacklog(), parked: make(map[*peer]struct{}),
		outage: outage.User(), refused: newRefusedRows(count, cfg.Log),
	}
}

// put merges the rows of one report into the backlog. r is its receipt, nil for
// a report that is not acknowledged. Without room, put takes nothing and returns false: p is
// resumed when there is. A report that is not acknowledged always finds room, at
// the cost of older ones of its kind. put is safe from any goroutine.
func (t *thread) put(rows []route.CallStatus, r *receipt, p *peer) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r != nil && t.loaded(1) {
		t.parked[p] = struct{}{}
		return false
	}
	for _, row := range rows {
		if r == nil && !t.makeRoom(row) {
			continue
		}
		if t.backlog.put(row, r) {
			t.count.merged.Inc()
		}
	}
	if r != nil {
		t.reports++
	}
	if !t.scheduled {
		t.scheduled = true
		t.loop.Post(t.store) // a loop that has ended stores nothing any more
	}
	return true
}

// loaded reports whether the thread has as much to do as it may, or 1/parts of
// it.
func (t *thread) loaded(parts int) bool {
	b := t.backlog
	return max(b.len(), b.links) >= max(t.cfg.MaxRows/parts, 1) || t.reports >= max(t.cfg.QueueSize/parts, 1)
}

// makeRoom drops the oldest row without a receipt if the backlog has no room for
// row. It returns false if there is none.
func (t *thread) makeRoom(row route.CallStatus) bool {
	if t.backlog.has(&row) || t.backlog.len() < t.cfg.MaxRows {
		return true
	}
	t.count.backlogFull.Inc()
	return t.backlog.dropOldest()
}

// forget gives up the place of a connection that has ended.
func (t *thread) forget(p *peer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.parked, p)
}

// load returns how many reports and rows are not settled.
func (t *thread) load() (reports, rows int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.reports, t.backlog.len()
}

// run runs the thread until ctx is done, or until all is stored after finish.
func (t *thread) run(ctx context.Context) error {
	t.ctx = ctx
	t.loop.Post(t.store)
	return t.loop.Run(ctx)
}

// finish lets run end once all that was put is stored. It is safe from any
// goroutine.
func (t *thread) finish() {
	t.loop.Post(func() { // a loop that has ended is what is wanted
		t.closing = true
		t.until = time.Time{} // what waits for its next try has it now
		t.store()
	})
}

// store makes one call of the sink, if it is time for one, and plans the next.
func (t *thread) store() {
	t.schedule(false)
	if t.ctx.Err() != nil {
		return // the loop is about to end
	}
	if now := time.Now(); !now.Before(t.until) {
		if b, ok := t.next(now); ok {
			t.attempt(b)
		} else if t.pings && !t.closing && len(t.delayed) == 0 && (t.failures > 0 || now.Sub(t.answered) >= pingEvery) {
			t.ping()
		}
	}
	t.plan()
}

func (t *thread) schedule(certain bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.scheduled = certain
}

// next returns what is to be stored now: what is due of what met trouble before,
// else what has waited longest.
func (t *thread) next(now time.Time) (batch, bool) {
	if len(t.delayed) > 0 && !now.Before(t.delayed[0].due) {
		b := t.delayed[0]
		t.delayed = t.delayed[1:]
		return b, true
	}
	if len(t.delayed) == 0 {
		t.stored = now
	}
	t.mu.Lock()
	taken := t.backlog.take(batchRows)
	t.mu.Unlock()
	taken = t.dropRefused(taken, now)
	return batch{entries: taken}, len(taken) > 0
}

// plan sees to it that store runs when there is something to do.
func (t *thread) plan() {
	if t.timer != nil {
		t.timer.Stop()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	switch wait := t.wait(now); {
	case t.ctx.Err() != nil:
	case t.until.After(now):
		t.scheduled = true // rows that come meanwhile have to wait, too
		t.timer = t.loop.After(t.until.Sub(now), t.store)
	case t.backlog.waiting() > 0 || wait == 0:
		t.scheduled = true
		t.loop.Post(t.store)
	case t.closing && len(t.delayed) == 0:
		t.loop.Stop()
	case wait > 0:
		t.timer = t.loop.After(wait, t.store)
	}
}

// wait returns how long it is until there is something to do even if nothing
// comes, negative for ever.
func (t *thread) wait(now time.Time) time.Duration {
	if len(t.delayed) > 0 {
		return max(t.delayed[0].due.Sub(now), 0)
	}
	if t.pings && !t.closing {
		return max(t.answered.Add(pingEvery).Sub(now), 0)
	}
	return -1
}

// attempt makes one call of the sink with the newest rows of a batch.
func (t *thread) attempt(b batch) {
	t.mu.Lock()
	rows := t.backlog.rows(b.entries)
	t.mu.Unlock()
	ignored, err := t.upsert(rows)
	if err != nil {
		t.count.upsertErrors.Inc()
	}
	switch {
	case err == nil:
		t.answers()
		t.count.rows.Add(float64(len(rows) - ignored))
		t.count.ignored.Add(float64(ignored))
		t.settle(b.entries)
	case t.ctx.Err() != nil: // no time is left
	case errors.Is(err, route.ErrRowRefused):
		t.answers()
		t.sift(b, err)
	case errors.Is(err, route.ErrRowLocked):
		t.answered, t.until, t.failures = time.Now(), time.Time{}, 0
		if t.answered.Sub(t.stored) >= stuckAfter {
			t.outage.Failed(err)
		}
		t.postpone(b, err)
	default:
		t.giveBack(b.entries)
		t.fails(err)
	}
}

// upsert calls the sink. A panic is a failure like any other: the rows are kept.
func (t *thread) upsert(rows []route.CallStatus) (ignored int, err error) {
	ctx, cancel := context.WithTimeout(t.ctx, t.cfg.QueryTimeout)
	defer cancel()
	defer t.recovered(&err)
	t.count.upserts.Inc()
	start := time.Now()
	defer func() { t.count.upsertSeconds.Observe(time.Since(start).Seconds()) }()
	return t.sink.UpsertStatus(ctx, rows)
}

func (t *thread) recovered(err *error) {
	if p := recover(); p != nil {
		t.cfg.Log.Error("reporter: panic of the sink", "panic", p, "stack", string(debug.Stack()))
		*err = fmt.Errorf("the sink panicked: %v", p)
	}
}

// ping asks the sink for a sign of life.
func (t *thread) ping() {
	err := t.askSink()
	switch {
	case err == nil:
		t.answers()
	case t.ctx.Err() == nil:
		t.fails(err)
	}
}

func (t *thread) askSink() (err error) {
	ctx, cancel := context.WithTimeout(t.ctx, t.cfg.QueryTimeout)
	defer cancel()
	defer t.recovered(&err)
	return t.sink.PingStatus(ctx)
}

// settle ends a batch that is stored, or never will be, gives the receipts that
// it completes, and lets the parked connections go on if there is room again.
func (t *thread) settle(entries []*entry) {
	t.mu.Lock()
	receipts := t.backlog.settle(entries)
	t.reports -= len(receipts)
	var parked []*peer
	if !t.loaded(2) {
		for p := range t.parked {
			parked = append(parked, p)
		}
		clear(t.parked)
	}
	t.mu.Unlock()

	for _, r := range receipts {
		r.give(t.count)
	}
	for _, p := range parked {
		p.resume()
	}
}

func (t *thread) giveBack(entries []*entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.backlog.giveBack(entries)
}

// answers notes that the sink works, whatever it said of a row.
func (t *thread) answers() {
	t.answered, t.until, t.failures = time.Now(), time.Time{}, 0
	t.stored = t.answered
	t.outage.Worked()
	t.heard.Store(true)
}

// fails notes that the sink does not answer, and when to try again.
func (t *thread) fails(err error) {
	t.outage.Failed(err)
	t.heard.Store(true)
	t.until = time.Now().Add(t.pause(t.failures))
	t.failures++
}

// delay puts a batch in line after those that are due no later.
func (t *thread) delay(b batch) {
	at, _ := slices.BinarySearchFunc(t.delayed, b, func(d, b batch) int {
		if d.due.After(b.due) {
			return 1
		}
		return -1
	})
	t.delayed = slices.Insert(t.delayed, at, b)
}

// pause returns how long to wait after so many failures before. The random part
// keeps the threads from coming back to a database in trouble all at once.
func (t *thread) pause(failures int) time.Duration {
	wait := t.cfg.RetryMax
	if failures < 32 && t.cfg.RetryMin<<failures < wait {
		wait = t.cfg.RetryMin << failures
	}
	return wait - time.Duration(float64(wait)/2*rand.Float64())
}
