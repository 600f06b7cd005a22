package reporter

import (
	"context"
	"errors"
	"testing"
	"time"
)

var errAway = errors.New("the database is away")

const (
	lostLine     = "call statistics cannot be stored"
	regainedLine = "call statistics are stored again"
)

func TestNewestWins(t *testing.T) {
	r := start(t, Config{Threads: 1})
	release := r.sink.hold()
	defer release()
	c := r.dial()
	send(t, c, status(noon, 1, hostB))
	r.sink.awaitCall(t) // what follows is merged
	send(t, c, status(noon-10, 2, hostA), status(noon, 3, hostA), status(noon, 4, hostA), status(noon-1, 5, hostA))
	r.awaitMetric("lars_reporter_reports_total", 5)
	release()
	r.awaitRow(rowA, 4)
	if n := len(r.sink.history[rowA]); n != 1 {
		t.Errorf("the row was written %d times, want once", n)
	}
	if n := r.metric("lars_reporter_rows_merged_total"); n != 3 {
		t.Errorf("%d rows merged, want 3", n)
	}
}

func TestStoreAwayAndBack(t *testing.T) {
	r := start(t, Config{Threads: 3})
	r.sink.behave(func(context.Context) error { return errAway })
	c := r.dial()
	const reports = 50
	for i := range uint32(reports) {
		m := status(noon+i, i, hostA, hostB)
		other := status(noon+i, i, hostA)
		other.Modid = int32(i) + 100 // other services, so all threads are at it
		send(t, c, m, other)
	}
	r.awaitMetric("lars_reporter_reports_total", 2*reports)
	for range 5 {
		r.sink.awaitCall(t) // it is tried again and again
	}
	r.await("loss by all threads", func() bool { return r.outage.Failing() == 3 })
	if err := r.Ready(); !errors.Is(err, errAway) {
		t.Errorf("Ready: %v, want the cause", err)
	}
	if r.sink.len() != 0 || r.metric("lars_reporter_store_up") != 0 {
		t.Error("rows got through, or the store counts as up")
	}
	r.sink.behave(nil)
	r.awaitRow(rowA, reports-1)
	r.await("all rows", func() bool { return r.sink.len() == reports+2 })
	r.await("readiness", func() bool { return r.Ready() == nil })
	if lost, regained := r.log.count(lostLine), r.log.count(regainedLine); lost != 1 || regained != 1 {
		t.Errorf("%d lines of loss and %d of return, want one each:\n%s", lost, regained, r.log.buf.String())
	}
}

func TestBacklogIsBoundedWhileTheStoreIsAway(t *testing.T) {
	r := start(t, Config{Threads: 1, MaxRows: 3})
	r.sink.behave(func(context.Context) error { return errAway })
	c := r.dial()
	hosts := manyHosts(5)
	send(t, c, status(noon, 1, hosts[:3]...))
	r.sink.awaitCall(t)
	send(t, c, status(noon, 2, hosts[3:]...))
	r.awaitMetric(`lars_reporter_rows_dropped_total{reason="backlog_full"}`, 2)
	r.awaitMetric(`lars_reporter_backlog_rows{thread="0"}`, 3)
	r.sink.behave(nil)
	r.awaitMetric("lars_reporter_rows_written_total", 3)
}

func TestHangingStore(t *testing.T) {
	r := start(t, Config{Threads: 1, QueryTimeout: 10 * time.Millisecond})
	r.sink.behave(func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
	c := r.dial()
	send(t, c, status(noon, 1, hostA))
	r.await("loss", func() bool { return errors.Is(r.Ready(), context.DeadlineExceeded) })
	send(t, c, status(noon+1, 2, hostA))
	r.awaitMetric("lars_reporter_rows_merged_total", 1)
	r.sink.behave(nil)
	r.awaitRow(rowA, 2)
}

func TestPanicOfTheSinkLosesNothing(t *testing.T) {
	r := start(t, Config{Threads: 1})
	r.sink.behave(func(context.Context) error { panic("a fault of the sink") })
	c := r.dial()
	send(t, c, status(noon, 1, hostA))
	r.await("the panic in the log", func() bool { return r.log.count("a fault of the sink") > 0 })
	r.sink.behave(nil)
	r.awaitRow(rowA, 1)
}

func TestShutdownStoresWhatWasAccepted(t *testing.T) {
	r := start(t, Config{Threads: 3})
	release := r.sink.hold()
	defer release()
	c := r.dial()
	const services = 200
	for i := range int32(services) {
		m := status(noon, uint32(i), manyHosts(10)...)
		m.Modid = i
		send(t, c, m)
	}
	r.awaitMetric("lars_reporter_reports_total", services)
	c.Close()
	stopped := make(chan error, 1)
	go func() { stopped <- r.stop() }() // ends by release, awaited below
	r.await("the end of serving", func() bool { return r.Ready() != nil })
	release()
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	if got := r.sink.len(); got != services*10 {
		t.Errorf("%d rows stored, want %d", got, services*10)
	}
	if n := r.metric(`lars_reporter_rows_dropped_total{reason="shutdown"}`); n != 0 {
		t.Errorf("%d rows counted as lost", n)
	}
}

func TestShutdownTriesAgainAtOnce(t *testing.T) {
	r := start(t, Config{Threads: 1, RetryMin: time.Hour, RetryMax: time.Hour})
	r.sink.behave(func(context.Context) error { return errAway })
	c := r.dial()
	send(t, c, status(noon, 9, hostA))
	r.await("loss", func() bool { return errors.Is(r.Ready(), errAway) })
	r.sink.behave(nil)
	c.Close()
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if row, _ := r.sink.get(rowA); row.Succ != 9 {
		t.Errorf("row %+v, want 9 successes", row)
	}
}

func TestShutdownEndsWhileTheStoreHangs(t *testing.T) {
	for name, do := range map[string]func(context.Context) error{
		"hangs": func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		"fails": func(context.Context) error { return errAway },
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, Config{Threads: 2, FlushTimeout: 50 * time.Millisecond, QueryTimeout: time.Hour})
			r.sink.behave(do)
			c := r.dial()
			send(t, c, status(noon, 1, hostA))
			r.sink.awaitCall(t)
			send(t, c, status(noon, 2, manyHosts(7)...))
			r.awaitMetric("lars_reporter_reports_total", 2)
			c.Close()
			if err := r.stop(); err != nil {
				t.Fatal(err)
			}
			// manyHosts(7) begins with another port of hostA's address, so no row is shared.
			if n := r.metric(`lars_reporter_rows_dropped_total{reason="shutdown"}`); n != 8 {
				t.Errorf("%d rows counted as lost, want 8", n)
			}
			if r.log.count("stopped before all call statistics were stored\" rows=8") != 1 {
				t.Errorf("no line of what is lost in\n%s", r.log.buf.String())
			}
		})
	}
}

func TestSeveralReportersInOneProcess(t *testing.T) {
	reporters := []*running{start(t, Config{}), start(t, Config{}), start(t, Config{})}
	for i, r := range reporters {
		c := r.dial()
		send(t, c, status(noon, uint32(i)+1, hostA))
		c.Close()
	}
	for i, r := range reporters {
		r.awaitRow(rowA, uint32(i)+1)
		if n := r.metric("lars_reporter_reports_total"); n != 1 {
			t.Errorf("reporter %d counts %d reports, want its own", i, n)
		}
	}
	if err := reporters[0].stop(); err != nil {
		t.Fatal(err)
	}
	send(t, reporters[1].dial(), status(noon, 50, hostA))
	reporters[1].awaitRow(rowA, 50)
}

// The backlog's rows are handed to the sink as they are, so what it gets has
// each row once, also after many merges and retries.
func TestBatchesHoldEachRowOnce(t *testing.T) {
	r := start(t, Config{Threads: 1})
	c := r.dial()
	hosts := manyHosts(1200)
	for i := range uint32(10) {
		send(t, c, status(noon+i, i, hosts...))
	}
	for _, h := range hosts {
		r.awaitRow(rowID{key, h, localhost}, 9)
	}
	for id, history := range r.sink.history {
		for i := 1; i < len(history); i++ {
			if history[i].Time <= history[i-1].Time {
				t.Fatalf("row %v: second %d written after %d", id, history[i].Time, history[i-1].Time)
			}
		}
	}
}
