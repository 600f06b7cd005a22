package reporter

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"lars.internal/internal/backoff"
	"lars.internal/internal/outage"
	"lars.internal/reactor"
	"lars.internal/route"
)

// batchRows is how many rows one call of the sink gets at most. A statement of
// so many rows is cheap per row already, and new reports are merged in between.
const batchRows = 500

// thread is a storing thread: an event loop behind a queue of reports, on which
// the calls of the sink block. While one call runs, reports gather in the queue;
// after it they are merged, and the next call takes what is left.
type thread struct {
	// Immutable after newThread.
	cfg    *Config
	sink   Sink
	count  *counts
	outage *outage.User
	pauses backoff.Policy
	loop   *reactor.Loop
	queue  *reactor.Queue[[]route.CallStatus]

	queued  atomic.Int64 // rows in queue
	waiting atomic.Int64 // rows in backlog, for whoever looks from outside

	// Owned by the loop goroutine; while the loop does not run, by Serve.
	ctx       context.Context // done: no time is left to store anything
	backlog   *backlog
	scheduled bool // write is certain to run: it is posted, or retry is pending
	retry     *reactor.Timer
	failures  int // calls of the sink in a row that failed
	closing   bool
}

func newThread(cfg *Config, count *counts, outage *outage.Outage) *thread {
	t := &thread{
		cfg: cfg, sink: cfg.Sink, count: count, outage: outage.User(),
		// The random part keeps the threads from coming back to a database in
		// trouble all at once.
		pauses: backoff.Policy{Min: cfg.RetryMin, Max: cfg.RetryMax, Spread: 0.5},
		loop:   reactor.NewLoop(cfg.Log), backlog: newBacklog(cfg.MaxRows),
	}
	t.queue = reactor.NewQueue(t.loop, cfg.QueueSize, t.take)
	return t
}

// put hands over the rows of one report. It is safe from any goroutine and
// fails with reactor.ErrQueueFull or reactor.ErrLoopClosed.
func (t *thread) put(rows []route.CallStatus) error {
	n := int64(len(rows))
	if t.queued.Add(n)-n >= int64(t.cfg.MaxRows) {
		t.queued.Add(-n)
		return reactor.ErrQueueFull
	}
	err := t.queue.Put(rows)
	if err != nil {
		t.queued.Add(-n)
	}
	return err
}

// run runs the thread until ctx is done, or until all is stored after finish.
func (t *thread) run(ctx context.Context) error {
	t.ctx = ctx
	return t.loop.Run(ctx)
}

// finish lets run end once all that was put is stored. It is safe from any
// goroutine.
func (t *thread) finish() {
	t.loop.Post(func() { // a loop that has ended is what is wanted
		t.closing = true
		if t.retry != nil && t.retry.Stop() {
			t.scheduled = false // what waits for its next try has it now
		}
		t.schedule()
	})
}

// take merges a batch of reports into the backlog.
func (t *thread) take(reports [][]route.CallStatus) {
	for _, rows := range reports {
		t.queued.Add(-int64(len(rows)))
		for _, row := range rows {
			t.keep(row)
		}
	}
	t.waiting.Store(int64(t.backlog.len()))
	t.schedule()
}

func (t *thread) keep(row route.CallStatus) {
	switch t.backlog.put(row) {
	case merged:
		t.count.merged.Inc()
	case full:
		t.count.backlogFull.Inc()
	}
}

// schedule makes write run after the queue's next batch.
func (t *thread) schedule() {
	if !t.scheduled {
		t.scheduled = true
		t.loop.Post(t.write) // a loop that has ended writes nothing any more
	}
}

// write stores one batch of rows and sees to the next.
func (t *thread) write() {
	t.scheduled = false
	if t.ctx.Err() != nil {
		return // the loop is about to end
	}
	if rows := t.backlog.head(batchRows); len(rows) > 0 {
		if err := t.upsert(rows); err != nil {
			t.failed(err)
			return
		}
		t.stored(len(rows))
	}
	switch {
	case t.backlog.len() > 0:
		t.schedule()
	case t.closing:
		t.loop.Stop()
	}
}

// upsert calls the sink. A panic is a failure like any other: the rows are kept.
func (t *thread) upsert(rows []route.CallStatus) (err error) {
	ctx, cancel := context.WithTimeout(t.ctx, t.cfg.QueryTimeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			t.cfg.Log.Error("reporter: panic of the sink", "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("the sink panicked: %v", p)
		}
	}()
	t.count.upserts.Inc()
	start := time.Now()
	defer func() { t.count.upsertSeconds.Observe(time.Since(start).Seconds()) }()
	return t.sink.UpsertStatus(ctx, rows)
}

func (t *thread) stored(rows int) {
	t.count.rows.Add(float64(rows))
	t.backlog.remove(rows)
	t.waiting.Store(int64(t.backlog.len()))
	t.failures = 0
	t.outage.Worked()
}

// failed keeps the rows for another try, unless there is no time for one.
func (t *thread) failed(err error) {
	t.count.upsertErrors.Inc()
	if t.ctx.Err() != nil {
		return
	}
	t.outage.Failed(err)
	t.scheduled = true
	t.retry = t.loop.After(t.pauses.After(t.failures), t.write)
	t.failures++
}
