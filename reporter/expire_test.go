package reporter

import (
	"context"
	"errors"
	"testing"
	"time"
)

// Rows of hosts that had left the route stayed in the table for ever. They are
// removed in steps, beside the storing threads.
func TestFinding29OldRowsAreRemovedInSteps(t *testing.T) {
	sink := newSink()
	left := 2*expireRows + 7
	var kept []time.Duration
	sink.doExpire = func(keep time.Duration, limit int) (int, error) {
		kept = append(kept, keep)
		n := min(left, limit)
		left -= n
		return n, nil
	}
	release := sink.hold() // storing hangs meanwhile
	defer release()
	r := start(t, Config{Sink: sink, Threads: 1, Retention: 36 * time.Hour})
	send(t, r.dial(), status(noon, 1, hostA))
	sink.awaitCall(t)
	r.awaitMetric("lars_reporter_rows_expired_total", 2*expireRows+7)
	sink.mu.Lock()
	defer sink.mu.Unlock()
	if len(kept) != 3 || kept[0] != 36*time.Hour {
		t.Errorf("steps with retentions %v, want three of 36h", kept)
	}
}

// Without the right to remove rows, everything else goes on.
func TestFinding29AFailureIsNoOutage(t *testing.T) {
	sink := newSink()
	sink.doExpire = func(time.Duration, int) (int, error) { return 0, errors.New("DELETE command denied") }
	r := start(t, Config{Sink: sink})
	r.await("the line of it", func() bool { return r.log.count("DELETE command denied") == 1 })
	send(t, r.dial(), status(noon, 1, hostA))
	r.await("the row", func() bool { row, ok := sink.get(rowA); return ok && row.Succ == 1 })
	if err := r.Ready(); err != nil {
		t.Errorf("not ready: %v", err)
	}
	if wait := r.expireOnce(context.Background(), r.outage.User()); wait != expireEvery {
		t.Errorf("the next try is after %v, want %v", wait, expireEvery)
	}
}
