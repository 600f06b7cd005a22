package agent

import (
	"testing"
	"time"

	"lars.internal/larspb"
	"lars.internal/route"
)

// The volume that a report service has to be spared: 50,000 reports of 100
// services with 10 hosts each, of which 5 go out of rotation and come back.
const (
	volumeServices = 100
	volumeHosts    = 10
	volumeRounds   = 50 // reports of each host

	volumeReports = volumeServices * volumeHosts * volumeRounds

	// A sick host fails in the first half of every 30 calls: of 50 calls 30
	// fail, twice it is ejected and once brought back.
	sickHosts  = 5
	volumeErr  = volumeServices * sickHosts * 30
	volumeSucc = volumeReports - volumeErr
)

func volumeKey(i int) route.Key { return route.Key{Modid: 7, Cmdid: int32(i)} }

// volumeOK is the result of the n-th call of a host.
func volumeOK(host, n int) bool { return host >= sickHosts || n%30 >= 15 }

// serveVolume gives the agent the services.
func (s *system) serveVolume(p *program) {
	s.t.Helper()
	for i := range volumeServices {
		s.dns.set(volumeKey(i), hostsN(volumeHosts)...)
		p.served(volumeKey(i))
	}
}

// reportVolume sends the reports. The agent answers a question after each
// round of a service, so no datagram finds the port's buffer full.
func (p *program) reportVolume() {
	p.t.Helper()
	for n := range volumeRounds {
		for i := range volumeServices {
			for h := range volumeHosts {
				p.report(volumeKey(i), hostN(h), volumeOK(h, n))
			}
			p.getHost(volumeKey(i))
		}
	}
}

// volume is what a report service was told of all services.
type volume struct{ succ, err, totalSucc, totalErr uint64 }

func (v *volume) add(r *larspb.HostCallResult) {
	v.succ += uint64(r.Succ)
	v.err += uint64(r.Err)
	v.totalSucc += r.TotalSucc
	v.totalErr += r.TotalErr
}

// newest sums the newest results of all hosts.
func (r *fakeReporter) newest() (v volume) {
	for i := range volumeServices {
		for _, h := range r.latest(volumeKey(i)) {
			v.add(h)
		}
	}
	return v
}

// The original makes a message with every host of the service of each report,
// and resets the counts of a window in the call that reports it. Here 50,000
// reports within an interval are 100 messages, and the counts of the windows
// add up to what was reported, whatever was ejected and brought back.
func TestDefect35OneMessagePerService(t *testing.T) {
	clock := newFakeClock()
	s := startSystem(t, func(c *Config) { c.ReportInterval, c.Clock = time.Hour, clock.read })
	p := s.program(0)
	s.serveVolume(p)
	p.reportVolume()
	c := s.engine.Counters()
	if c.Reports != volumeReports || c.Ejected != volumeServices*sickHosts*2 || c.Reinstated != volumeServices*sickHosts {
		t.Errorf("totals %+v", c)
	}
	eventually(t, "a report service is there", func() bool { return s.reports.client.Conn() != nil })
	s.stop() // reports what there is
	eventually(t, "the reports arrive", func() bool { return len(s.reporter.reports()) >= volumeServices })
	if n := len(s.reporter.reports()); n != volumeServices {
		t.Errorf("%d messages, want one for each of %d services", n, volumeServices)
	}
	want := volume{volumeSucc, volumeErr, volumeSucc, volumeErr}
	if got := s.reporter.newest(); got != want {
		t.Errorf("reported is %+v, want %+v", got, want)
	}
}

// Over many intervals it stays at one message for each service and interval,
// and the totals arrive.
func TestDefect35OneMessagePerInterval(t *testing.T) {
	const interval = 50 * time.Millisecond
	clock, start := newFakeClock(), time.Now()
	s := startSystem(t, func(c *Config) { c.ReportInterval, c.Clock = interval, clock.read })
	p := s.program(0)
	s.serveVolume(p)
	p.reportVolume()
	eventually(t, "the totals arrive", func() bool {
		v := s.reporter.newest()
		return v.totalSucc == volumeSucc && v.totalErr == volumeErr
	})
	messages, intervals := len(s.reporter.reports()), int(time.Since(start)/interval)
	if messages > intervals*volumeServices {
		t.Errorf("%d messages of %d services in %d intervals", messages, volumeServices, intervals)
	}
}

// While the report service is away for a minute under traffic, what is kept
// for it does not grow. When it is back it gets the newest state of each
// service, once.
func TestDefect30ReporterAwayForAMinute(t *testing.T) {
	clock := newFakeClock()
	s := startSystem(t, func(c *Config) { c.Clock = clock.read })
	s.serveVolume(s.program(0))
	s.reporter.stop()
	eventually(t, "the agent notices", func() bool { return !s.reports.link.connected.Load() })
	for n := range 60 {
		clock.advance(time.Second)
		for i := range volumeServices {
			for h := range volumeHosts {
				s.observe(volumeKey(i), hostN(h), volumeOK(h, n), clock.read())
			}
		}
		if kept := s.engine.WaitingAll(); kept != volumeServices {
			t.Fatalf("after %d s %d things are kept for %d services", n+1, kept, volumeServices)
		}
	}
	s.observe(volumeKey(3), hostN(0), false, clock.read())
	s.reporter.start()
	eventually(t, "all services are reported", func() bool { return len(s.reporter.reports()) >= volumeServices })
	if n := len(s.reporter.reports()); n != volumeServices {
		t.Errorf("%d messages, want the newest state of %d services alone", n, volumeServices)
	}
	for i := range volumeServices {
		s.checkNewest(volumeKey(i))
	}
}

// checkNewest compares what was reported last with what the agent holds.
func (s *system) checkNewest(key route.Key) {
	s.t.Helper()
	latest := s.reporter.latest(key)
	for h := range volumeHosts {
		state := s.hostState(key, hostN(h))
		got := latest[hostN(h)]
		if got == nil || got.TotalSucc != state.TotalSucc || got.TotalErr != state.TotalErr || got.Overload != state.Ejected {
			s.t.Errorf("service %v, host %v: reported is %v, the agent holds %+v", key, hostN(h), got, state)
		}
	}
}

// A report service that is connected and reads nothing costs one connection's
// output and one report of each service, and no more.
func TestFrozenReporterIsBounded(t *testing.T) {
	hold := make(chan struct{})
	frozen := startPeerHolding(t, hold)
	defer close(hold)
	s := startSystem(t, func(c *Config) { c.Reporter.Addrs[0] = frozen.addr.String() })
	const services, hosts = 2000, 50
	s.dns.setMute(true)
	for i := range services {
		s.engine.Restore(volumeKey(i), route.Of(hostsN(hosts)...), 0, 0)
	}
	most := 0
	eventually(t, "a report of each service is under way", func() bool {
		for i := range services {
			s.observe(volumeKey(i), hostN(1), true, s.cfg.Clock())
		}
		conn := s.reports.client.Conn()
		if conn == nil {
			return false
		}
		most = max(most, conn.Pending())
		return s.engine.InFlight() >= services
	})
	sent := s.reports.sent.Load()
	for range 20 {
		for i := range services {
			s.observe(volumeKey(i), hostN(1), true, s.cfg.Clock())
		}
		if kept := s.engine.WaitingAll(); kept > services {
			t.Fatalf("%d things are kept for %d services", kept, services)
		}
		if conn := s.reports.client.Conn(); conn != nil {
			most = max(most, conn.Pending())
		}
	}
	if limit := highWater + larspb.HeaderSize + larspb.MaxBody; most > limit {
		t.Errorf("%d bytes waited for the connection, %d messages were sent before; want at most %d", most, sent, limit)
	}
}

// At a stop more waits than the connection takes at once.
func TestStopReportsAllThatWaits(t *testing.T) {
	const services = 500
	dns, reporter := startDNS(t), startReporter(t)
	a, err := New(Config{
		DNS:            Peers{Addrs: []string{dns.addr.String()}},
		Reporter:       Peers{Addrs: []string{reporter.addr.String()}},
		ReportInterval: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	a.reports.lastMark = 10_000
	stop := serve(t, a)
	eventually(t, "the agent is connected", func() bool { return a.reports.link.connected.Load() })
	for i := range services {
		key := route.Key{Modid: int32(i), Cmdid: 9}
		a.engine.Restore(key, route.Of(hostsN(10)...), 0, 0)
		a.observe(key, hostN(0), true, 0)
	}
	stop()
	eventually(t, "all have arrived", func() bool { return len(reporter.reports()) == services })
}
