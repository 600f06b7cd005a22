package reporter

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"lars.internal/route"
)

// holds returns an error for calls that have one of the hosts among their rows.
func holds(err error, hosts ...route.Host) func([]route.CallStatus) error {
	return func(rows []route.CallStatus) error {
		for _, row := range rows {
			if slices.Contains(hosts, row.Host) {
				return fmt.Errorf("statement of %d rows: %w", len(rows), err)
			}
		}
		return nil
	}
}

// One row that the database refused stopped its thread: the same batch was tried
// for ever.
func TestFinding52ARefusedRowIsSetAside(t *testing.T) {
	r := start(t, Config{Threads: 1})
	r.sink.refuse(holds(route.ErrRowRefused, hostA))
	a := r.agent()
	hosts := slices.Insert(manyHosts(1000), 10, hostA) // not alone in its batch
	a.awaitAcks(a.report(status(noon, 1, hosts...)))
	if got := r.sink.len(); got != 1000 {
		t.Errorf("%d rows stored, want all but one", got)
	}
	calls := r.metric("lars_reporter_upserts_total")
	a.awaitAcks(a.report(status(noon+1, 2, append(manyHosts(3), hostA)...)))
	if n := r.metric("lars_reporter_upserts_total") - calls; n != 1 {
		t.Errorf("%d calls for the successor of a refused row, want 1 for the others", n)
	}
	r.awaitMetric(`lars_reporter_rows_dropped_total{reason="refused"}`, 2)
	if n := r.log.count("which is left out"); n != 1 || r.log.count(hostA.String()) != 1 {
		t.Errorf("%d lines of a refused row, want one that names it:\n%s", n, r.log.buf.String())
	}
	if err := r.Ready(); err != nil {
		t.Errorf("not ready for a row that is refused: %v", err)
	}
}

// A row is asked about again after a while, in case the table has been
// mended.
func TestFinding52ARefusalIsForgotten(t *testing.T) {
	now := time.Now()
	r := newRefusedRows(start(t, Config{}).count, start(t, Config{}).cfg.Log)
	row := route.CallStatus{Key: key, Host: hostA, Caller: localhost}
	r.add(row, errors.New("no"), now)
	if !r.has(rowA, now.Add(refuseFor-1)) || r.has(rowA, now.Add(refuseFor)) || r.has(rowID{host: hostB}, now) {
		t.Error("the row is set aside for too long, for too short, or another is")
	}
	for i := range uint32(2 * maxRefused) {
		row.Caller = i
		r.add(row, errors.New("no"), now)
	}
	if len(r.until) != maxRefused || r.named != maxNamed {
		t.Errorf("%d rows remembered and %d named, want %d and %d", len(r.until), r.named, maxRefused, maxNamed)
	}
	// Those of before took the places for good: each later row cost its batch some
	// twenty calls at every report.
	row.Caller, now = 2*maxRefused, now.Add(refuseFor)
	r.add(row, errors.New("no"), now)
	if !r.has(rowOf(&row), now) || len(r.until) > maxRefused {
		t.Errorf("a new row is not remembered beside %d that are asked about again", len(r.until))
	}
}

// A row that another transaction holds stopped all rows of its thread.
func TestFinding52ALockedRowStopsItselfAlone(t *testing.T) {
	r := start(t, Config{Threads: 1, RetryMin: time.Millisecond, RetryMax: 5 * time.Millisecond})
	r.sink.refuse(holds(route.ErrRowLocked, hostA))
	a := r.agent()
	number := a.report(status(noon, 1, append(manyHosts(1000), hostA)...))
	r.await("all rows but the locked one", func() bool { return r.sink.len() == 1000 })
	a.awaitAcks(a.report(status(noon, 1, hostB)))
	newer := a.report(status(noon+1, 2, hostA))
	a.wantSilence()
	if err := r.Ready(); err != nil {
		t.Errorf("not ready for a row that is locked: %v", err)
	}
	r.sink.refuse(nil)
	a.awaitAcks(number, newer)
	r.awaitRow(rowA, 2)
	if n := r.log.count("another transaction holds a row"); n == 0 || n > 3 {
		t.Errorf("%d lines of the lock, want one for each batch:\n%s", n, r.log.buf.String())
	}
}

// While nothing came, a database that was away showed nowhere.
func TestFinding51TheDatabaseIsAskedWhileNothingComes(t *testing.T) {
	sink := newSink()
	sink.doPing = func() error { return errAway }
	r := start(t, Config{Sink: sink, Threads: 2})
	r.await("loss", func() bool { return errors.Is(r.Ready(), errAway) })
	r.awaitMetric("lars_reporter_store_up", 0)
	sink.mu.Lock()
	sink.doPing = nil
	sink.mu.Unlock()
	r.await("readiness", func() bool { return r.Ready() == nil })
	r.awaitMetric("lars_reporter_store_up", 1)
	if lost, regained := r.log.count(lostLine), r.log.count(regainedLine); lost != 1 || regained != 1 {
		t.Errorf("%d lines of loss and %d of return, want one each:\n%s", lost, regained, r.log.buf.String())
	}
}

// A database that has answered, and is lost while no agent reports anything, was
// taken for there.
func TestFinding51AnIdleDatabaseIsAskedAgain(t *testing.T) {
	r := start(t, Config{Threads: 1})
	r.await("readiness", func() bool { return r.Ready() == nil })
	r.sink.mu.Lock()
	r.sink.doPing = func() error { return errAway }
	r.sink.mu.Unlock()
	r.await("loss", func() bool { return errors.Is(r.Ready(), errAway) })
}

// With the database away and nothing to store, a stop asked for signs of life until
// FlushTimeout was over.
func TestStopWithoutRowsDoesNotWaitForTheDatabase(t *testing.T) {
	sink := newSink()
	sink.doPing = func() error { return errAway }
	r := start(t, Config{Sink: sink, Threads: 2, FlushTimeout: time.Hour})
	r.await("loss", func() bool { return errors.Is(r.Ready(), errAway) })
	done := make(chan error, 1)
	go func() { done <- r.stop() }() // ends with the test
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("Serve: %v", err)
		}
	case <-time.After(deadline):
		sink.mu.Lock()
		sink.doPing = nil // or the clean-up waits for an hour
		sink.mu.Unlock()
		t.Errorf("the stop takes more than %v", deadline)
	}
}

// When it is not one row but the table that is held, the server has to say so.
func TestFinding52ALockedTableShows(t *testing.T) {
	r := start(t, Config{Threads: 1})
	r.await("readiness", func() bool { return r.Ready() == nil })
	locked := fmt.Errorf("statement: %w", route.ErrRowLocked)
	r.sink.refuse(func([]route.CallStatus) error { return locked })
	a := r.agent()
	number := a.report(status(noon, 1, hostA, hostB))
	r.await("the lock", func() bool { return r.log.count("another transaction holds a row") > 0 })
	done := make(chan bool)
	r.threads[0].loop.Post(func() { r.threads[0].stored = time.Now().Add(-stuckAfter); close(done) })
	<-done
	r.await("loss", func() bool { return errors.Is(r.Ready(), route.ErrRowLocked) })
	r.sink.refuse(nil)
	a.awaitAcks(number)
	r.await("readiness", func() bool { return r.Ready() == nil })
}
