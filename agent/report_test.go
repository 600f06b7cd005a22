package agent

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"lars.internal/route"
)

// lines is a log that a test reads.
type lines struct {
	mu  sync.Mutex // guards everything below
	buf bytes.Buffer
}

func newLines() *lines { return new(lines) }

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// count returns how many lines hold a text.
func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for line := range strings.Lines(l.buf.String()) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// total returns all calls that the newest results tell of.
func (r *fakeReporter) total(key route.Key) (succ, err uint64) {
	for _, h := range r.latest(key) {
		succ += h.TotalSucc
		err += h.TotalErr
	}
	return succ, err
}

// counted waits until the reporter has been told of so many calls.
func (s *system) counted(key route.Key, succ, err uint64) {
	s.t.Helper()
	eventually(s.t, "the calls are reported", func() bool {
		gotSucc, gotErr := s.reporter.total(key)
		return gotSucc == succ && gotErr == err
	})
}

func TestReportsArrive(t *testing.T) {
	s := startSystem(t, nil)
	s.dns.set(key12, hostsN(2)...)
	p := s.program(0)
	p.served(key12)
	start := time.Now().Unix()
	p.report(key12, hostN(9), true) // a host that is not there
	for i := range 40 {
		p.report(key12, hostN(0), i%20 > 0)
	}
	s.counted(key12, 38, 2)
	if n := s.engine.Counters().ReportsUnknown; n != 1 {
		t.Errorf("%d reports of unknown hosts are counted, want 1", n)
	}
	for _, m := range s.reporter.reports() {
		if len(m.Results) != 2 {
			t.Errorf("%d results, want all hosts of the service", len(m.Results))
		}
		if ts := int64(m.Ts); ts < start || ts > time.Now().Unix() {
			t.Errorf("ts %d", ts)
		}
	}
}

// An ejected host is reported as such.
func TestOverloadIsReported(t *testing.T) {
	s := startSystem(t, nil)
	s.dns.set(key12, hostsN(2)...)
	p := s.program(0)
	p.served(key12)
	for range 15 {
		p.report(key12, hostN(0), false)
	}
	s.counted(key12, 0, 15)
	latest := s.reporter.latest(key12)
	if !latest[hostN(0)].Overload || latest[hostN(1)].Overload {
		t.Errorf("results %v", latest)
	}
}

// In the original the caller is what the host name stands for, which is the
// same 127.0.1.1 on many machines. Here it is the address from which the agent
// reaches the report service, or the one that is configured.
func TestDefect29Caller(t *testing.T) {
	for name, c := range map[string]struct {
		configured netip.Addr
		want       netip.Addr
	}{
		"outgoing":   {netip.Addr{}, loopback},
		"configured": {netip.MustParseAddr("192.168.7.9"), netip.MustParseAddr("192.168.7.9")},
	} {
		t.Run(name, func(t *testing.T) {
			s := startSystem(t, func(cfg *Config) { cfg.Caller = c.configured })
			s.dns.set(key12, hostN(0))
			p := s.program(0)
			p.served(key12)
			p.report(key12, hostN(0), true)
			s.counted(key12, 1, 0)
			b := c.want.As4()
			want := int32(b[0])<<24 | int32(b[1])<<16 | int32(b[2])<<8 | int32(b[3])
			if got := s.reporter.reports()[0].Caller; got != want {
				t.Errorf("caller %#x, want %#x", got, want)
			}
		})
	}
}

// The original loses what it sends while it is not connected. Here what is
// reported while no report service is there arrives afterwards, once for each
// service, and nothing of it is lost.
func TestDefect30ReporterAway(t *testing.T) {
	s := startSystem(t, nil)
	s.dns.set(key12, hostN(0))
	p := s.program(0)
	p.served(key12)
	s.reporter.stop()
	eventually(t, "the agent notices", func() bool { return !s.reports.link.connected.Load() })
	for range 500 {
		p.report(key12, hostN(0), true)
		p.getHost(key12)
	}
	eventually(t, "all is counted", func() bool { return s.engine.Counters().Reports == 500 })
	if n := s.engine.WaitingAll(); n != 1 {
		t.Errorf("%d services are in line, want 1", n)
	}
	s.reporter.start()
	s.counted(key12, 500, 0)
	if n := len(s.reporter.reports()); n != 1 {
		t.Errorf("%d messages, want the newest state alone", n)
	}
}

// What was sent just before a connection ended may have been lost, so it is
// sent again.
func TestLastReportsAreRepeated(t *testing.T) {
	s := startSystem(t, nil)
	s.dns.set(key12, hostN(0))
	p := s.program(0)
	p.served(key12)
	p.report(key12, hostN(0), true)
	s.counted(key12, 1, 0)
	before := len(s.reporter.reports())
	s.reporter.hangUp()
	eventually(t, "it is reported again", func() bool { return len(s.reporter.reports()) > before })
	s.counted(key12, 1, 0)
}

// A service with more hosts than a message holds is reported in several.
func TestLongReportIsSplit(t *testing.T) {
	const n = 4000
	s := startSystem(t, nil)
	s.dns.set(key12, hostsN(n)...)
	p := s.program(0)
	p.served(key12)
	p.report(key12, hostN(n-1), true)
	s.counted(key12, 1, 0)
	eventually(t, "all hosts are reported", func() bool { return len(s.reporter.latest(key12)) == n })
}

// The last reports are sent when the agent ends.
func TestLastFlush(t *testing.T) {
	s := startSystem(t, func(c *Config) { c.ReportInterval = time.Hour })
	s.dns.set(key12, hostN(0))
	p := s.program(0)
	p.served(key12)
	for range 7 {
		p.report(key12, hostN(0), true)
	}
	p.getHost(key12) // the reports before it are counted
	eventually(t, "a report service is there", func() bool { return s.reports.client.Conn() != nil })
	s.stop()
	s.counted(key12, 7, 0)
}

// Many services are reported over several turns of the loop.
func TestManyServicesAreReported(t *testing.T) {
	const n = 5000
	s := startSystem(t, nil)
	s.dns.setMute(true)
	p := s.program(0)
	for i := range n {
		key := route.Key{Modid: 1, Cmdid: int32(i)}
		s.engine.Restore(key, route.Of(hostsN(2)...), 0, 0)
		s.observe(key, hostN(1), true, 0)
	}
	p.getHost(key12)
	eventually(t, "all are reported", func() bool { return len(s.reporter.reports()) == n })
	if d := s.engine.WaitingAll(); d != 0 {
		t.Errorf("%d services are still in line", d)
	}
}

// The original prints per request, per pick and per host.
func TestDefect38NoLogPerRequest(t *testing.T) {
	log := newLines()
	s := startSystem(t, func(c *Config) { c.Log = log.logger() })
	s.dns.set(key12, hostsN(3)...)
	p := s.program(0)
	p.served(key12)
	eventually(t, "both connections are told", func() bool { return log.count("connected to") == 2 })
	before := log.count("")
	for range 500 {
		h, _ := p.getHost(key12)
		p.report(key12, h, true)
		p.getHost(route.Key{Modid: 99})
		p.write([]byte("garbage"))
		p.getRoute(key12, 1)
	}
	if n := log.count(""); n != before {
		t.Errorf("%d lines for requests:\n%s", n-before, log.buf.String())
	}
	for range 15 {
		p.report(key12, hostN(0), false)
	}
	eventually(t, "the ejection is told", func() bool { return log.count("host ejected") == 1 })
	if log.count("service=1/2 host="+hostN(0).String()) != 1 {
		t.Errorf("the line names neither service nor host:\n%s", log.buf.String())
	}
}

// A flapping host costs a bounded number of lines, and the rest is counted.
func TestEventsAreBounded(t *testing.T) {
	clock, log := newFakeClock(), newLines()
	s := startSystem(t, func(c *Config) { c.Clock, c.Log = clock.read, log.logger() })
	s.dns.set(key12, hostN(0))
	p := s.program(0)
	p.served(key12)
	flap := func(times int) {
		for range times {
			for i := range 30 {
				p.report(key12, hostN(0), i >= 15)
			}
			p.getHost(key12)
		}
	}
	flap(50)
	e := s.events
	eventually(t, "all events are taken", func() bool { return e.dropped.Load() == 100-linesPerSecond })
	if n := log.count("host "); n != linesPerSecond {
		t.Errorf("%d lines for 100 events of one second", n)
	}
	clock.advance(time.Second)
	flap(1)
	eventually(t, "the rest is told", func() bool { return log.count("not_logged=80") == 1 })
}

// Serve ends in bounded time though the report service reads nothing.
func TestStopWithFrozenReporter(t *testing.T) {
	hold := make(chan struct{})
	p := startPeerHolding(t, hold)
	defer close(hold)
	dns := startDNS(t)
	dns.setMute(true)
	a, err := New(Config{
		DNS:      Peers{Addrs: []string{dns.addr.String()}},
		Reporter: Peers{Addrs: []string{p.addr.String()}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Serve(ctx) }() // ended by cancel, awaited below
	const services = 20_000
	for i := range services {
		a.engine.Restore(volumeKey(i), route.Of(hostsN(20)...), 0, 0)
	}
	eventually(t, "reports pile up", func() bool {
		for i := range services {
			a.observe(volumeKey(i), hostN(1), true, 0)
		}
		conn := a.reports.client.Conn()
		return conn != nil && conn.Pending() > highWater/2
	})
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(testTimeout):
		t.Error("Serve did not return")
	}
}
