package reporter

import (
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"

	"lars.internal/larspb"
	"lars.internal/reactor"
)

// The original takes an 8-byte frame with an empty body for a broken one.
func TestDefect2EmptyBody(t *testing.T) {
	r := start(t, Config{})
	c := r.dial()
	for range 100 {
		if _, err := c.Write([]byte{3, 0, 0, 0, 0, 0, 0, 0}); err != nil {
			t.Fatal(err)
		}
	}
	send(t, c, status(noon, 1, hostA))
	r.awaitRow(rowA, 1)
	r.awaitMetric("lars_reporter_reports_total", 101)
}

// The original divides by db_thread_cnt without a look at it, and its loops
// race on the index that goes round.
func TestDefect14(t *testing.T) {
	t.Run("no storing thread", func(t *testing.T) {
		if _, err := New(Config{Sink: newSink(), Threads: -1}); err == nil || !strings.Contains(err.Error(), "1..64") {
			t.Errorf("error %v, want one that says 1..64", err)
		}
	})
	t.Run("many connections at once", func(t *testing.T) {
		r := start(t, Config{Threads: 5, Reactor: reactor.ServerConfig{Loops: 4}})
		const agents, reports = 16, 100
		var sending sync.WaitGroup
		for a := range uint32(agents) {
			c := r.dial()
			sending.Go(func() { sendAs(t, c, a+1, reports) })
		}
		sending.Wait()
		for a := range uint32(agents) {
			r.awaitRow(rowID{key, hostA, a + 1}, reports)
		}
		r.awaitMetric("lars_reporter_reports_total", agents*reports)
	})
}

// sendAs sends reports of one caller within one second, the successes counting
// up to n.
func sendAs(t *testing.T, c net.Conn, caller uint32, n int) {
	var frames []byte
	for i := range n {
		m := status(noon, uint32(i)+1, hostA)
		m.Caller = int32(caller)
		var err error
		if frames, err = larspb.AppendFrame(frames, larspb.IDReportStatusRequest, m); err != nil {
			t.Error(err)
			return
		}
	}
	if _, err := c.Write(frames); err != nil {
		t.Error(err)
	}
}

// The original deals reports out to its storing threads in turn and looks at no
// timestamp, so an older report may overwrite a newer one.
func TestDefect28(t *testing.T) {
	t.Run("reports of one agent stay in order", func(t *testing.T) {
		r := start(t, Config{Threads: 8})
		const reports = 2000
		sendAs(t, r.dial(), localhost, reports) // all in one second: order alone decides
		r.awaitRow(rowA, reports)
		history := r.sink.history[rowA]
		for i := 1; i < len(history); i++ {
			if history[i].Succ <= history[i-1].Succ {
				t.Fatalf("%d was written after %d", history[i].Succ, history[i-1].Succ)
			}
		}
	})
	t.Run("an older report does not overwrite a newer", func(t *testing.T) {
		r := start(t, Config{Threads: 8})
		const reports = 500
		conns := []net.Conn{r.dial(), r.dial(), r.dial()}
		for _, i := range rand.Perm(reports) { // succ tells the age
			send(t, conns[i%len(conns)], status(noon-reports+uint32(i), uint32(i), hostA))
		}
		r.awaitMetric("lars_reporter_reports_total", reports)
		r.awaitRow(rowA, reports-1)
	})
	t.Run("a clock that ran ahead hides nothing", func(t *testing.T) {
		r := start(t, Config{})
		c := r.dial()
		send(t, c, status(noon+86400*365, 1, hostA))
		r.awaitRow(rowA, 1)
		send(t, c, status(noon, 2, hostA))
		r.awaitRow(rowA, 2)
	})
}

// The original makes one statement for each host of each report and lets the
// reports that wait pile up: 670 MB within a minute of 5,000 calls a second.
func TestDefect35(t *testing.T) {
	r := start(t, Config{Threads: 1, QueueSize: 50_000})
	release := r.sink.hold()
	defer release()
	c := r.dial()
	send(t, c, status(noon, 0, hostB))
	r.sink.awaitCall(t)
	const reports, hosts = 10_000, 5
	for i := range uint32(reports) {
		send(t, c, status(noon, i+1, manyHosts(hosts)...))
	}
	r.awaitMetric("lars_reporter_reports_total", reports+1)
	release()
	for _, h := range manyHosts(hosts) {
		r.awaitRow(rowID{key, h, localhost}, reports)
	}
	if n := r.metric("lars_reporter_upserts_total"); n > 10 {
		t.Errorf("%d statements for %d rows, want a few", n, reports*hosts)
	}
	r.awaitMetric(`lars_reporter_backlog_rows{thread="0"}`, 0)
}
