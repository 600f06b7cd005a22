package agent

import (
	"net/netip"
	"testing"
	"time"

	"lars.internal/larspb"
	"lars.internal/reactor"
	"lars.internal/route"
)

// A report service that hung (its kernel goes on acknowledging) was never left,
// and what was reported to it was lost when it was killed.
func TestFinding02HungReporterIsLeftAndNothingIsLost(t *testing.T) {
	dns, first, second := startOurs(t), startOurs(t), startOurs(t)
	dns.set(key12, hostN(0))
	s := startHastened(t, []netip.AddrPort{dns.addr}, []netip.AddrPort{first.addr, second.addr}, nil)
	p := s.program(0)
	p.served(key12)
	results := s.acknowledged(p, first, second)
	first.hanging.Store(true)
	for range 5 {
		p.report(key12, hostN(0), true)
	}
	eventually(t, "the second report service has all results", func() bool { n, _ := second.total(key12); return n == results+5 })
	if s.reports.again.Load() == 0 {
		t.Error("no report was counted as returned")
	}
	eventually(t, "all is acknowledged", func() bool { return s.engine.InFlight() == 0 && s.engine.WaitingAll() == 0 })
}

// The only report service hangs, takes new connections as a kernel does, and is
// killed. It is expected to be one that acknowledges, so nothing counts as
// arrived.
func TestFinding02OnlyReporterHangs(t *testing.T) {
	dns, reporter := startOurs(t), startOurs(t)
	dns.set(key12, hostN(0))
	s := startHastened(t, []netip.AddrPort{dns.addr}, []netip.AddrPort{reporter.addr}, nil)
	p := s.program(0)
	p.served(key12)
	results := s.acknowledged(p, reporter)
	acked := s.reports.acked.Load()
	reporter.hanging.Store(true)
	for i := range 3 { // connections that are taken and left again
		before := s.reports.again.Load()
		p.report(key12, hostN(0), true)
		eventually(t, "a connection is left", func() bool { return s.reports.again.Load() > before })
		if n := s.reports.acked.Load(); n != acked {
			t.Errorf("after round %d: %d reports acknowledged, want %d", i, n, acked)
		}
	}
	reporter.stop()
	reporter.hanging.Store(false)
	reporter.start()
	eventually(t, "all results are stored", func() bool { n, _ := reporter.total(key12); return n == results+3 })
}

// A report service of this project was replaced by one of the C++ stack, at the
// same address. What was sent to it until it was no longer expected to be ours
// stayed in flight for ever: nothing of these services was reported any more.
func TestFinding02ReporterThatIsNoLongerOurs(t *testing.T) {
	dns, reporter, clock := startDNS(t), startReporter(t), newFakeClock()
	dns.set(key12, hostN(0))
	a, err := New(Config{
		DNS: Peers{Addrs: []string{dns.addr.String()}}, Reporter: Peers{Addrs: []string{reporter.addr.String()}},
		ReportInterval: 10 * time.Millisecond, Clock: clock.read,
	})
	if err != nil {
		t.Fatal(err)
	}
	a.reports.link.ours[reporter.addr] = clock.read()
	s := &system{Agent: a, t: t, dns: dns, reporter: reporter, stop: serve(t, a)}
	p := s.program(0)
	p.served(key12)
	p.report(key12, hostN(0), true)
	s.counted(key12, 1, 0)
	if n := s.engine.InFlight(); n != 1 {
		t.Fatalf("%d reports in flight, want 1: an acknowledgement is expected", n)
	}
	clock.advance(oursFor)
	p.report(key12, hostN(0), true)
	s.counted(key12, 2, 0)
}

// A client with as many servers as are remembered forgot all others at each
// message of one.
func TestFinding02RememberedServersAreNotForgotten(t *testing.T) {
	dns, reporter := startOurs(t), startOurs(t)
	dns.set(key12, hostN(0))
	cfg := Config{DNS: Peers{Addrs: []string{dns.addr.String()}}, Reporter: Peers{Addrs: []string{reporter.addr.String()}}, ReportInterval: 10 * time.Millisecond}
	a, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ours := a.reports.link.ours
	ours[reporter.addr] = 0
	for i := 1; i < maxOurs; i++ {
		ours[netip.AddrPortFrom(loopback, uint16(i))] = a.cfg.Clock()
	}
	s := &system{Agent: a, t: t, stop: serve(t, a)}
	p := s.program(0)
	p.served(key12)
	p.report(key12, hostN(0), true)
	eventually(t, "it is acknowledged", func() bool { return s.reports.acked.Load() == 1 })
	s.stop()
	if len(ours) != maxOurs {
		t.Errorf("%d servers are remembered, want %d", len(ours), maxOurs)
	}
}

// Results that a report service has acknowledged are not sent again.
func TestAcknowledgedReportsAreNotRepeated(t *testing.T) {
	dns, reporter := startOurs(t), startOurs(t)
	dns.set(key12, hostN(0))
	other := route.Key{Modid: 3, Cmdid: 4}
	dns.set(other, hostN(1))
	s := startHastened(t, []netip.AddrPort{dns.addr}, []netip.AddrPort{reporter.addr}, nil)
	p := s.program(0)
	p.served(key12)
	p.served(other)
	s.acknowledged(p, reporter)
	want := reporter.countOf(key12)
	reporter.hangUp()
	eventually(t, "the agent notices", func() bool { return !s.reports.link.connected.Load() })
	p.report(other, hostN(1), true)
	eventually(t, "the next connection reports", func() bool { return reporter.countOf(other) > 0 })
	if n := reporter.countOf(key12); n != want {
		t.Errorf("%d reports of the acknowledged service, want %d as before", n, want)
	}
}

// A dns service that hung was noticed only when a pull stayed unanswered for 45 s,
// so pushes were missed meanwhile.
func TestFinding02HungDNSIsLeft(t *testing.T) {
	first, second, reporter := startOurs(t), startOurs(t), startOurs(t)
	first.set(key12, hostN(1))
	second.set(key12, hostN(2))
	s := startHastened(t, []netip.AddrPort{first.addr, second.addr}, []netip.AddrPort{reporter.addr}, nil)
	p := s.program(0)
	if h := p.served(key12); h != hostN(1) {
		t.Fatalf("host %v, want that of the first dns", h)
	}
	eventually(t, "an idle dns is pinged", func() bool { return first.pings.Load() > 1 })
	first.hanging.Store(true)
	eventually(t, "the second dns is asked", func() bool { h, _ := p.getHost(key12); return h == hostN(2) })
	first.mu.Lock()
	defer first.mu.Unlock()
	if len(first.hellos) != 1 || first.hellos[0].Role != "agent" || first.hellos[0].Level != larspb.Level {
		t.Errorf("greeted with %v, want one hello of an agent", first.hellos)
	}
}

// The first dns hung at the start of an agent and the second was well: programs
// were told of no such service for 46 s, and the agent said it was ready.
func TestFinding03DNSThatHangsAtTheStartIsLeft(t *testing.T) {
	first, second, reporter := startOurs(t), startOurs(t), startOurs(t)
	second.set(key12, hostN(2))
	first.hanging.Store(true)
	second.hanging.Store(true)
	a, stop := startAgent(t, func(c *Config) {
		c.DNS.Addrs = []string{first.addr.String(), second.addr.String()}
		c.Reporter.Addrs = []string{reporter.addr.String()}
	})
	defer stop()
	eventually(t, "the agent is connected", func() bool { return a.dns.link.connected.Load() })
	if err := a.Ready(); err == nil {
		t.Error("ready with a connection and without an answer")
	}
	second.hanging.Store(false)
	start := time.Now()
	newProgram(t, a, 0).served(key12)
	if took := time.Since(start); took > 4*time.Second { // 2 s, and as much for a busy machine
		t.Errorf("served after %v, want 2s", took)
	}
	if err := a.Ready(); err != nil {
		t.Error(err)
	}
}

// The same for a new service on a running agent.
func TestFinding03NewServiceOnARunningAgent(t *testing.T) {
	first, second, reporter := startDNS(t), startDNS(t), startReporter(t)
	other := route.Key{Modid: 3, Cmdid: 4}
	first.set(key12, hostN(1))
	second.set(key12, hostN(1))
	second.set(other, hostN(2))
	a, _ := startAgent(t, func(c *Config) {
		c.DNS.Addrs = []string{first.addr.String(), second.addr.String()}
		c.Reporter.Addrs = []string{reporter.addr.String()}
	})
	p := newProgram(t, a, 0)
	p.served(key12)
	first.setMute(true)
	start := time.Now()
	p.served(other)
	if took := time.Since(start); took > 4*time.Second {
		t.Errorf("served after %v, want 2s", took)
	}
	if h, code := p.getHost(key12); code != succ || h != hostN(1) {
		t.Errorf("the service of before: %v %v", h, code)
	}
}

// An agent that evicted a service stayed subscribed to it as long as the
// connection lasted.
func TestFinding18EvictedServiceIsUnsubscribed(t *testing.T) {
	dns, reporter := startOurs(t), startOurs(t)
	keys := []route.Key{{Modid: 1, Cmdid: 1}, {Modid: 1, Cmdid: 2}, {Modid: 1, Cmdid: 3}}
	for i, key := range keys {
		dns.set(key, hostN(i))
	}
	s := startHastened(t, []netip.AddrPort{dns.addr}, []netip.AddrPort{reporter.addr}, func(c *Config) { c.MaxServices = 2 })
	p := s.program(0)
	for _, key := range keys {
		p.served(key)
	}
	eventually(t, "the first service is unsubscribed", func() bool {
		dns.mu.Lock()
		defer dns.mu.Unlock()
		for _, key := range dns.gone {
			if key == keys[0] {
				return true
			}
		}
		return false
	})
	dns.mu.Lock()
	defer dns.mu.Unlock()
	for _, key := range dns.gone {
		if key == keys[1] || key == keys[2] {
			t.Errorf("%v is unsubscribed and in use", key)
		}
	}
}

// C++ servers get the ids that they know, however long they are silent; the fakes
// end the test over any other.
func TestCppServersGetNoPing(t *testing.T) {
	dns, reporter := startDNS(t), startReporter(t)
	dns.set(key12, hostN(0))
	s := startHastened(t, []netip.AddrPort{dns.addr}, []netip.AddrPort{reporter.addr}, nil)
	p := s.program(0)
	p.served(key12)
	p.report(key12, hostN(0), true)
	eventually(t, "the result is reported", func() bool { return len(reporter.reports()) > 0 })
	start := s.cfg.Clock()
	looked := func(c *reactor.Client, l *link) (at time.Duration) {
		done := make(chan time.Duration, 1)
		if c.Loop().Post(func() { done <- l.looked }) != nil {
			t.Fatal("the loop has ended")
		}
		return <-done
	}
	long := 2 * (s.reports.link.pingAfter + s.reports.link.pongWait)
	eventually(t, "both were silent for long", func() bool {
		return looked(s.reports.client, s.reports.link)-start > long && looked(s.Agent.dns.client, s.Agent.dns.link)-start > long
	})
	if s.reports.again.Load() > 0 || !s.reports.link.connected.Load() || !s.Agent.dns.link.connected.Load() {
		t.Error("a C++ server was left for its silence")
	}
}

// At a stop the agent waits for what is under way, and says what did not arrive.
func TestFinding13StopWaitsForAcknowledgements(t *testing.T) {
	dns, reporter := startOurs(t), startOurs(t)
	dns.set(key12, hostN(0))
	log := newLines()
	s := startHastened(t, []netip.AddrPort{dns.addr}, []netip.AddrPort{reporter.addr}, func(c *Config) { c.Log = log.logger() })
	p := s.program(0)
	p.served(key12)
	s.acknowledged(p, reporter)
	reporter.hanging.Store(true)
	p.report(key12, hostN(0), true)
	eventually(t, "a report is under way", func() bool { return s.engine.InFlight() == 1 })
	s.stop()
	if n := log.count("agent: stopped before all call results had arrived"); n != 1 {
		t.Errorf("%d lines about what did not arrive, want 1", n)
	}
}

// A report service whose database hangs reads no more. Its agents dropped nothing,
// but it did: the newest. Now it shows signs of life, agents merge what is
// counted, and all of it arrives.
func TestFinding13ReporterThatDoesNotReadLosesNothing(t *testing.T) {
	dns, reporter := startOurs(t), startOurs(t)
	dns.set(key12, hostN(0))
	s := startHastened(t, []netip.AddrPort{dns.addr}, []netip.AddrPort{reporter.addr}, nil)
	p := s.program(0)
	p.served(key12)
	results := s.acknowledged(p, reporter)
	before := s.reports.sent.Load()

	reporter.reading.Lock()
	const calls = 500
	start := time.Now()
	for i := range calls {
		p.report(key12, hostN(0), true)
		p.getHost(key12)
		if i%10 == 0 {
			reporter.send(larspb.IDPong, &larspb.Pong{Number: 1})
		}
	}
	eventually(t, "it was paused for long", func() bool {
		reporter.send(larspb.IDPong, &larspb.Pong{Number: 1})
		return time.Since(start) > 2*(s.reports.link.pingAfter+s.reports.link.pongWait)
	})
	if n := s.reports.sent.Load() - before; n > 1 {
		t.Errorf("%d reports of one service were sent to a report service that does not read, want 1", n)
	}
	if !s.reports.link.connected.Load() || s.reports.again.Load() > 0 {
		t.Error("a report service that shows signs of life was left")
	}
	reporter.reading.Unlock()
	eventually(t, "all results are stored", func() bool { n, _ := reporter.total(key12); return n == calls+results })
}

// What was on its way to a C++ report service when the network was cut was
// repeated only if the agent noticed within a minute: the minute was counted
// back from then.
func TestFinding46RepeatedFromTheLastProvenContact(t *testing.T) {
	hold := make(chan struct{})
	frozen, second := startPeerHolding(t, hold), startReporter(t)
	defer close(hold)
	clock := newFakeClock()
	s := startSystem(t, func(c *Config) {
		c.Clock = clock.read
		c.Reporter.Addrs = []string{frozen.addr.String(), second.addr.String()}
	})
	const services, hosts = 2000, 50
	s.dns.setMute(true)
	// The kernel of the peer's machine took the first report, and no process read it.
	s.engine.Restore(key12, route.Of(hostsN(1)...), 0, 0)
	s.observe(key12, hostN(0), true, s.cfg.Clock())
	eventually(t, "the first report counts as arrived", func() bool {
		return s.reports.sent.Load() == 1 && s.engine.InFlight() == 0
	})
	for i := range services {
		s.engine.Restore(volumeKey(i), route.Of(hostsN(hosts)...), 0, 0)
	}
	calls := uint64(0)
	eventually(t, "a report of each service is under way", func() bool {
		calls++
		for i := range services {
			s.observe(volumeKey(i), hostN(1), true, s.cfg.Clock())
		}
		return s.engine.InFlight() >= services
	})
	clock.advance(2 * time.Minute)
	frozen.hangUp()
	eventually(t, "what counted as arrived within the minute before is repeated", func() bool {
		n, _ := second.total(key12)
		return n == 1
	})
	for i := range services {
		eventually(t, "all results arrive at the second report service", func() bool {
			n, _ := second.total(volumeKey(i))
			return n == calls
		})
	}
}
