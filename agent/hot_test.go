package agent

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lars.internal/larspb"
	"lars.internal/lb"
	"lars.internal/route"
)

// hotPorts returns the handlers over services 1/0 .. 1/(n-1) with so many
// hosts, of which some are ejected, balanced by policy classic.
func hotPorts(t testing.TB, services, hosts, ejected int) *ports {
	return hotPortsOf(t, "classic", services, hosts, ejected)
}

func hotPortsOf(t testing.TB, policy string, services, hosts, ejected int) *ports {
	t.Helper()
	cfg := Config{Policy: policy}
	cfg.setDefaults()
	e := newEngine(&cfg)
	start := time.Now()
	p := &ports{
		engine:  e,
		clock:   func() time.Duration { return time.Since(start) },
		pull:    func(key route.Key) { t.Errorf("service %v is pulled", key) },
		changed: func() {},
		asked:   func() {},
		tickets: newTickets(1 << 60),
	}
	for i := range services {
		key := route.Key{Modid: 1, Cmdid: int32(i)}
		e.Restore(key, route.Of(hostsN(hosts)...), 0, 0)
		for h := range ejected {
			for range 15 {
				e.Observe(key, hostN(h), lb.Outcome{Failed: 1}, 0)
			}
		}
	}
	return p
}

func getHostBody(cmdid int) []byte {
	return larspb.HostQuery{Seq: 7, Modid: 1, Cmdid: int32(cmdid)}.Append(nil)
}

func reportBody(cmdid int, h route.Host, retcode int32) []byte {
	return larspb.CallReport{Modid: 1, Cmdid: int32(cmdid), HasHost: true, IP: int32(h.IP), Port: int32(h.Port), Retcode: retcode}.Append(nil)
}

// The handlers of the three messages allocate nothing, whatever the policy, for
// programs with tickets and without, for services with and without hosts, and for
// garbage.
func TestHandlersDoNotAllocate(t *testing.T) {
	for _, policy := range []string{"classic", "adaptive"} {
		t.Run(policy, func(t *testing.T) { testHandlersDoNotAllocate(t, hotPortsOf(t, policy, 10, 5, 1)) })
	}
}

func testHandlersDoNotAllocate(t *testing.T, p *ports) {
	p.pull = func(route.Key) {}
	buf := make([]byte, 0, larspb.MaxDatagramBody)
	p.getHost(buf, getHostBody(77)) // from now on a service without hosts
	i := 0
	for name, handle := range map[string]func(){
		"GetHost":        func() { p.getHost(buf, getHostBody1) },
		"GetHost, none":  func() { p.getHost(buf, getHostBody77) },
		"GetRoute":       func() { p.getRoute(buf, getRouteBody1) },
		"Report":         func() { i++; p.report(reportBodies[i%2]) },
		"Report, nobody": func() { p.report(reportBody77) },
		"ticket":         func() { p.getHost(buf, getHostLevelled); i++; p.report(reportsTold[i%len(reportsTold)]) },
		"garbage":        func() { p.getHost(buf, garbageBody); p.getRoute(buf, garbageBody); p.report(garbageBody) },
	} {
		if n := testing.AllocsPerRun(1000, handle); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

var (
	getHostBody1  = getHostBody(1)
	getHostBody77 = getHostBody(77)
	getRouteBody1 = larspb.RouteQuery{Modid: 1, Cmdid: 1, Seq: 9}.Append(nil)
	reportBodies  = [][]byte{reportBody(1, hostN(2), 0), reportBody(1, hostN(2), 1)}
	reportBody77  = reportBody(77, hostN(2), 1)

	getHostLevelled = larspb.HostQuery{Modid: 1, Cmdid: 1, Level: 1, HasAvoid: true, AvoidIP: int32(hostN(1).IP), AvoidPort: int32(hostN(1).Port)}.Append(nil)
	reportsTold     = [][]byte{
		reportTold(larspb.CallReport{Ticket: newTickets(1 << 60).issue(0), LatencyUS: 900}),
		reportTold(larspb.CallReport{Ticket: newTickets(1 << 60).issue(0), Retcode: 1, Kind: larspb.Kind_KIND_REFUSED}),
		reportTold(larspb.CallReport{Ticket: newTickets(1 << 60).issue(0), Kind: larspb.Kind_KIND_IGNORED}),
	}
	garbageBody = []byte{0x08}
)

// reportTold returns a report of service 1/1 by a program that knows tickets.
func reportTold(r larspb.CallReport) []byte {
	r.Modid, r.Cmdid, r.HasHost, r.IP, r.Port = 1, 1, true, int32(hostN(2).IP), int32(hostN(2).Port)
	return r.Append(nil)
}

// The whole way through the reactor allocates nothing either.
func TestUDPDoesNotAllocate(t *testing.T) {
	s := startSystem(t, func(c *Config) { c.ReportInterval = time.Hour })
	s.dns.set(key12, hostsN(5)...)
	p := s.program(0)
	p.served(key12)
	frame := func(id int32, body []byte) []byte {
		f := make([]byte, larspb.HeaderSize)
		larspb.PutHeader(f, id, len(body))
		return append(f, body...)
	}
	ask := frame(larspb.IDGetHostRequest, larspb.HostQuery{Seq: 1, Modid: 1, Cmdid: 2}.Append(nil))
	tell := frame(larspb.IDReportRequest, larspb.CallReport{Modid: 1, Cmdid: 2, HasHost: true, IP: int32(hostN(1).IP), Port: int32(hostN(1).Port)}.Append(nil))
	n := testing.AllocsPerRun(500, func() {
		p.conn.Write(tell)
		p.conn.Write(ask)
		if _, err := p.conn.Read(p.buf); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations for a report and a pick", n)
	}
}

// forEachShape runs f for services small and large, with none, one and half of
// their hosts ejected, by each policy.
func forEachShape(b *testing.B, f func(b *testing.B, p *ports, hosts int)) {
	for _, policy := range []string{"classic", "adaptive"} {
		b.Run(policy, func(b *testing.B) { forEachSize(b, policy, f) })
	}
}

func forEachSize(b *testing.B, policy string, f func(b *testing.B, p *ports, hosts int)) {
	for _, hosts := range []int{1, 5, 50, 500} {
		for _, ejected := range slices.Compact([]int{0, min(1, hosts-1), hosts / 2}) {
			b.Run(fmt.Sprintf("hosts=%d/ejected=%d", hosts, ejected), func(b *testing.B) {
				p := hotPortsOf(b, policy, 100, hosts, ejected)
				p.pull = func(route.Key) {}
				b.ReportAllocs()
				f(b, p, hosts)
			})
		}
	}
}

// BenchmarkDecision is the agent's share of a GetHost: find the service, lock,
// pick, unlock.
func BenchmarkDecision(b *testing.B) {
	forEachShape(b, func(b *testing.B, p *ports, _ int) {
		for b.Loop() {
			p.engine.Pick(route.Key{Modid: 1, Cmdid: 7}, route.Host{}, time.Hour)
		}
	})
}

// BenchmarkDecisionMany walks over all services, so none is the last one that
// was asked for.
func BenchmarkDecisionMany(b *testing.B) {
	for _, services := range []int{100, 10_000, 100_000} {
		b.Run(fmt.Sprintf("services=%d", services), func(b *testing.B) {
			p := hotPorts(b, services, 5, 0)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				p.engine.Pick(route.Key{Modid: 1, Cmdid: int32(i)}, route.Host{}, time.Second)
				if i++; i == services {
					i = 0
				}
			}
		})
	}
}

// BenchmarkDecisionParallel has each processor decide for services of its own.
func BenchmarkDecisionParallel(b *testing.B) {
	p := hotPorts(b, 100, 5, 0)
	var next atomic.Int32
	b.RunParallel(func(pb *testing.PB) {
		key := route.Key{Modid: 1, Cmdid: next.Add(1)}
		for pb.Next() {
			p.engine.Pick(key, route.Host{}, time.Second)
		}
	})
}

// BenchmarkClock is what it costs to look at the time once.
func BenchmarkClock(b *testing.B) {
	p := hotPorts(b, 1, 1, 0)
	for b.Loop() {
		p.clock()
	}
}

// BenchmarkPair is what a GetHost and a Report cost besides the system calls.
func BenchmarkPair(b *testing.B) {
	forEachShape(b, func(b *testing.B, p *ports, hosts int) {
		buf := make([]byte, 0, larspb.MaxDatagramBody)
		ask, tell := getHostBody(7), reportBody(7, hostN(hosts-1), 0)
		for b.Loop() {
			p.getHost(buf, ask)
			p.report(tell)
		}
	})
}

// BenchmarkUDP is a GetHost in lock-step, client included.
func BenchmarkUDP(b *testing.B) {
	a, err := New(Config{})
	if err != nil {
		b.Fatal(err)
	}
	if err := a.Listen(); err != nil {
		b.Fatal(err)
	}
	a.engine.Restore(key12, route.Of(hostsN(5)...), 0, 0)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { a.Serve(ctx) }) // ended by cancel, awaited below
	conn, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(a.Addr()))
	if err != nil {
		b.Fatal(err)
	}
	body := larspb.HostQuery{Seq: 7, Modid: 1, Cmdid: 2}.Append(nil)
	frame := make([]byte, larspb.HeaderSize)
	larspb.PutHeader(frame, larspb.IDGetHostRequest, len(body))
	frame = append(frame, body...)
	answer := make([]byte, 1024)
	b.ReportAllocs()
	for b.Loop() {
		conn.Write(frame)
		if _, err := conn.Read(answer); err != nil {
			b.Fatal(err)
		}
	}
	conn.Close()
	cancel()
	wg.Wait()
}
