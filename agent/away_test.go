package agent

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"lars.internal/engine"
	"lars.internal/larspb"
	"lars.internal/route"
)

// An hour without a dns service under traffic: picks go on, and each service is
// pulled once per update_timeout, not once per request.
func TestPullsWithoutDNSAreBounded(t *testing.T) {
	const services, asks = 50, 10
	clock, log := newFakeClock(), newLines()
	s := startSystem(t, func(c *Config) { c.Clock, c.Log = clock.read, log.logger() })
	s.dns.stop()
	eventually(t, "the agent notices", func() bool { return !s.Agent.dns.link.connected.Load() })
	tried := make(map[route.Key]int)
	ports := &ports{engine: s.engine, clock: clock.read, pull: func(key route.Key) {
		tried[key]++
		s.Agent.dns.pull(key)
	}}
	known := func(i int) route.Key { return route.Key{Modid: 1, Cmdid: int32(i)} }
	unknown := func(i int) route.Key { return route.Key{Modid: 2, Cmdid: int32(i)} }
	for i := range services {
		s.engine.Restore(known(i), route.Of(hostsN(3)...), clock.read(), clock.read())
	}
	for range 1200 {
		clock.advance(3 * time.Second)
		for i := range services * asks {
			ports.ask(t, known(i%services), succ)
			ports.ask(t, unknown(i%services), noExist)
		}
	}
	most := int(time.Hour / s.cfg.UpdateTimeout)
	for i := range services {
		for _, key := range []route.Key{known(i), unknown(i)} {
			if n := tried[key]; n < most/2 || n > most {
				t.Errorf("service %v was pulled %d times by %d questions, want at most %d", key, n, 1200*asks, most)
			}
		}
	}
	if n := log.count("no connection to dns service"); n > 1 {
		t.Errorf("%d lines about attempts that failed", n)
	}
}

// ask asks for a host and checks the code of the answer.
func (p *ports) ask(t *testing.T, key route.Key, want larspb.RetCode) {
	t.Helper()
	var a larspb.HostAnswer
	b, ok := p.getHost(nil, larspb.HostQuery{Modid: key.Modid, Cmdid: key.Cmdid}.Append(nil))
	if !ok || a.Parse(b) != nil || a.Retcode != int32(want) {
		t.Fatalf("service %v: answer %+v, want %v", key, a, want)
	}
}

// All services are pulled anew on a connection start, a fiftieth at a time.
func TestRenewalIsSpreadOverASecond(t *testing.T) {
	const services = 5000
	s := startSystem(t, nil)
	s.dns.set(key12, hostN(0))
	s.program(0).served(key12) // by a connection that can be hung up
	s.dns.setMute(true)
	for i := range services - 1 {
		s.engine.Restore(route.Key{Modid: 5, Cmdid: int32(i)}, route.Of(hostsN(1)...), 0, 0)
	}
	s.dns.hangUp()
	var times []time.Duration
	eventually(t, "all are pulled", func() bool {
		times = times[:0]
		for _, key := range s.engine.Keys() {
			if state, _ := s.engine.Explain(key); state.State == engine.StatePulling {
				times = append(times, state.Pulled)
			}
		}
		return len(times) == services
	})
	slices.Sort(times)
	if span := times[services-1] - times[0]; span < 900*time.Millisecond {
		t.Errorf("all services were pulled within %v", span)
	}
	const tenth = services / 10
	for i := range services - 2*tenth {
		if took := times[i+2*tenth] - times[i]; took < 100*time.Millisecond {
			t.Fatalf("a fifth of the services was pulled within %v", took)
		}
	}
	eventually(t, "the last pull arrives", func() bool { return s.dns.pulls(route.Key{Modid: 5, Cmdid: services - 2}) == 1 })
}

func TestNextReporterTakesOver(t *testing.T) {
	second := startReporter(t)
	s := startSystem(t, func(c *Config) { c.Reporter.Addrs = append(c.Reporter.Addrs, second.addr.String()) })
	s.dns.set(key12, hostN(0))
	p := s.program(0)
	p.served(key12)
	p.report(key12, hostN(0), true)
	s.counted(key12, 1, 0)
	s.reporter.stop()
	p.report(key12, hostN(0), true)
	eventually(t, "the second report service is told", func() bool {
		n, _ := second.total(key12)
		return n == 2
	})
}

// The original's TCP client takes whatever a read returns for whole frames.
// Here answers that come byte by byte are put together.
func TestDefect06AnswerByteByByte(t *testing.T) {
	answer, err := larspb.AppendFrame(nil, larspb.IDGetRouteResponse, responseOf(key12, hostsN(3)))
	if err != nil {
		t.Fatal(err)
	}
	dns := startPeer(t, func(conn net.Conn, _ int32, _ []byte) {
		for i := range answer {
			conn.Write(answer[i : i+1]) // a connection that is gone is no failure of the test
		}
	})
	s := startSystem(t, func(c *Config) { c.DNS.Addrs = []string{dns.addr.String()} })
	p := s.program(0)
	p.served(key12)
	if m := p.getRoute(key12, 0); len(m.Host) != 3 {
		t.Errorf("route %v", m)
	}
}

// The original tries to connect once. Here services that come up long after the
// agent are found.
func TestDefect07ServicesComeUpLater(t *testing.T) {
	dns, reporter := startDNS(t), startReporter(t)
	dns.set(key12, hostN(0))
	dns.stop()
	reporter.stop()
	s := &system{t: t, dns: dns, reporter: reporter}
	failed := newLines()
	s.Agent, s.stop = startAgent(t, func(c *Config) {
		c.DNS.Addrs, c.Reporter.Addrs = []string{dns.addr.String()}, []string{reporter.addr.String()}
		c.ReportInterval, c.Log = 10*time.Millisecond, failed.logger()
	})
	p := s.program(0)
	if _, code := p.getHost(key12); code != noExist {
		t.Errorf("without a dns service: %v", code)
	}
	eventually(t, "both attempts failed", func() bool { return failed.count("still trying") == 2 })
	dns.start()
	reporter.start()
	p.served(key12)
	p.report(key12, hostN(0), true)
	s.counted(key12, 1, 0)
}

// The original keeps its buffers across a reconnect, so that half a frame may
// begin the new connection. Here connections end again and again under load,
// and the peers, which end the test over anything that is no whole message of
// theirs, get all.
func TestDefect08ReconnectsUnderLoad(t *testing.T) {
	s := startSystem(t, func(c *Config) { c.ReportInterval = time.Millisecond })
	p := s.program(0)
	const rounds, services = 20, 50
	for round := range rounds {
		for i := range services {
			key := route.Key{Modid: int32(round), Cmdid: int32(i)}
			s.dns.set(key, hostN(i))
			p.getHost(key)
			p.report(key, hostN(i), true)
		}
		s.dns.hangUp()
		s.reporter.hangUp()
	}
	for i := range rounds * services {
		p.served(route.Key{Modid: int32(i / services), Cmdid: int32(i % services)})
	}
	last := route.Key{Modid: rounds - 1, Cmdid: services - 1}
	p.report(last, hostN(services-1), true)
	eventually(t, "the report arrives", func() bool {
		n, _ := s.reporter.total(last)
		return n > 0
	})
}

// A push that is cut by the end of its connection changes nothing, and the
// next connection does not go on with it.
func TestDefect08CutPush(t *testing.T) {
	s := startSystem(t, nil)
	s.dns.set(key12, hostN(0))
	p := s.program(0)
	p.served(key12)
	body, err := proto.Marshal(responseOf(key12, hostsN(9)))
	if err != nil {
		t.Fatal(err)
	}
	cut := make([]byte, larspb.HeaderSize)
	larspb.PutHeader(cut, larspb.IDGetRouteResponse, len(body))
	cut = append(cut, body[:len(body)-1]...)
	s.dns.peer.mu.Lock()
	for conn := range s.dns.conns {
		conn.Write(cut) // a connection that is gone is no failure of the test
		conn.Close()
	}
	s.dns.peer.mu.Unlock()
	eventually(t, "the route is pulled again", func() bool { return s.dns.pulls(key12) == 2 })
	if m := p.getRoute(key12, 0); len(m.Host) != 1 {
		t.Errorf("route %v, want the one before the push that was cut", m)
	}
	s.dns.push(key12, hostsN(2)...)
	eventually(t, "the next push counts", func() bool { return len(p.getRoute(key12, 0).Host) == 2 })
}

// [dnsserver] addrs and [reporter] addrs took numbers alone, so a service could
// not move.
func TestFinding44AgentTakesHostNames(t *testing.T) {
	name := func(addr netip.AddrPort) []string { return []string{fmt.Sprintf("localhost:%d", addr.Port())} }
	dns, reporter := startDNS(t), startReporter(t)
	dns.set(key12, hostN(0))
	a, _ := startAgent(t, func(c *Config) { c.DNS.Addrs, c.Reporter.Addrs = name(dns.addr), name(reporter.addr) })
	newProgram(t, a, 0).served(key12)
	eventually(t, "the report service is connected", func() bool { return a.reports.link.connected.Load() })
}
