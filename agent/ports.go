package agent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"lars.internal/engine"
	"lars.internal/larspb"
	"lars.internal/lb"
	"lars.internal/reactor"
	"lars.internal/route"
)

// freePortTries is how often three free ports in a row are looked for.
const freePortTries = 100

// ports are the UDP side of an agent: they take the requests of programs and
// answer them. handlers run on the loop of the port that got the request; all
// ports share the engine.
type ports struct {
	// Immutable after newPorts.
	engine  *engine.Engine
	clock   func() time.Duration
	pull    func(route.Key) // the route is to be pulled; must not block
	changed func()          // the engine has events; must not block
	asked   func()          // balancers want probes; must not block
	tickets tickets

	broken atomic.Uint64 // bodies that are no message
	void   atomic.Uint64 // reports with a ticket that counts as none, and ignored calls without one

	servers atomic.Pointer[[Ports]*reactor.UDPServer] // nil until listen
}

// listen binds the ports, all or none.
func (p *ports) listen(ip netip.Addr, port int) error {
	for range freePortTries {
		err := p.bind(ip, port)
		if port != 0 || !errors.Is(err, unix.EADDRINUSE) {
			return err
		}
	}
	return fmt.Errorf("agent: found no %d free UDP ports in a row on %v: set [agent] port", Ports, ip)
}

// bind binds three ports in a row, port being the first; 0 is a free one.
func (p *ports) bind(ip netip.Addr, port int) error {
	var servers [Ports]*reactor.UDPServer
	router := p.router()
	for i := range servers {
		s, err := bindPort(netip.AddrPortFrom(ip, uint16(port)), router)
		if err != nil {
			closeAll(servers[:i])
			return err
		}
		servers[i] = s
		port = int(s.Addr().Port()) + 1
		if port > 65535 && i+1 < Ports {
			closeAll(servers[:i+1])
			return fmt.Errorf("agent: UDP port %d is the last one: %w", port-1, unix.EADDRINUSE)
		}
	}
	p.servers.Store(&servers)
	return nil
}

func bindPort(addr netip.AddrPort, router *reactor.Router[*reactor.Packet]) (*reactor.UDPServer, error) {
	s, err := reactor.NewUDPServer(reactor.UDPConfig{Addr: addr, Router: router})
	if err != nil {
		return nil, fmt.Errorf("agent: %w", err)
	}
	if err := s.Listen(); err != nil {
		return nil, fmt.Errorf("agent: %w: choose another [agent] ip or port, or stop what listens there", err)
	}
	return s, nil
}

func closeAll(servers []*reactor.UDPServer) {
	for _, s := range servers {
		s.Close()
	}
}

// addrs returns the addresses that are bound, nil if none are.
func (p *ports) addrs() []netip.AddrPort {
	servers := p.servers.Load()
	if servers == nil {
		return nil
	}
	var addrs []netip.AddrPort
	for _, s := range servers {
		addrs = append(addrs, s.Addr())
	}
	return addrs
}

// serve answers on all ports until ctx is done. When one fails, all end.
func (p *ports) serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	var errs [Ports]error
	for i, s := range p.servers.Load() {
		wg.Go(func() { // ended by ctx, awaited below
			errs[i] = s.Serve(ctx)
			cancel()
		})
	}
	wg.Wait()
	return errors.Join(errs[:]...)
}

// router leads each message to its handler. A body that is no message, or a
// reply that cannot be sent, gets no answer.
func (p *ports) router() *reactor.Router[*reactor.Packet] {
	r := reactor.NewRouter[*reactor.Packet]()
	r.Handle(larspb.IDGetHostRequest, func(pkt *reactor.Packet, body []byte) {
		if b, ok := p.getHost(pkt.Buffer(), body); ok {
			_ = pkt.Reply(larspb.IDGetHostResponse, b) // always fits
		}
	})
	r.Handle(larspb.IDReportRequest, func(_ *reactor.Packet, body []byte) { p.report(body) })
	r.Handle(larspb.IDAPIGetRouteRequest, func(pkt *reactor.Packet, body []byte) {
		if b, ok := p.getRoute(pkt.Buffer(), body); ok {
			_ = pkt.Reply(larspb.IDAPIGetRouteResponse, b) // is cut to fit
		}
	})
	return r
}

// getHost answers a GetHostRequest. The answer is appended to dst.
func (p *ports) getHost(dst, body []byte) ([]byte, bool) {
	var q larspb.HostQuery
	if q.Parse(body) != nil {
		p.broken.Add(1)
		return dst, false
	}
	key, now := route.Key{Modid: q.Modid, Cmdid: q.Cmdid}, p.clock()
	host, _, verdict, pull := p.engine.Pick(key, avoided(&q), now)
	if pull {
		p.pull(key)
	}
	a := larspb.HostAnswer{Seq: q.Seq, Modid: q.Modid, Cmdid: q.Cmdid, Retcode: int32(codeOf(verdict))}
	if verdict == lb.Picked {
		a.HasHost, a.IP, a.Port = true, int32(host.IP), int32(host.Port)
		if q.Level > 0 {
			a.Ticket = p.tickets.issue(now)
		}
	}
	return a.Append(dst), true
}

// avoided returns the host that a program does not want again; the zero Host if
// there is none, or none that can be called.
func avoided(q *larspb.HostQuery) route.Host {
	if !q.HasAvoid || q.AvoidPort < 1 || q.AvoidPort > 65535 {
		return route.Host{}
	}
	return route.Host{IP: uint32(q.AvoidIP), Port: uint16(q.AvoidPort)}
}

// codeOf returns the return code that stands for a verdict.
func codeOf(v lb.Verdict) larspb.RetCode {
	switch v {
	case lb.Picked:
		return larspb.RetCode_RET_SUCC
	case lb.Overloaded:
		return larspb.RetCode_RET_OVERLOAD
	}
	return larspb.RetCode_RET_NOEXIST
}

// getRoute answers an API GetRouteRequest. The answer is appended to dst.
func (p *ports) getRoute(dst, body []byte) ([]byte, bool) {
	var q larspb.RouteQuery
	if q.Parse(body) != nil {
		p.broken.Add(1)
		return dst, false
	}
	key := route.Key{Modid: q.Modid, Cmdid: q.Cmdid}
	r, cut, pull := p.engine.Interest(key, p.clock())
	if pull {
		p.pull(key)
	}
	a := larspb.RouteAnswer{Key: key, Seq: q.Seq, Truncated: cut}
	if q.Level > 0 {
		a.Hosts, a.Settings, a.Level = r.Hosts, r.Settings, larspb.Level
	} else {
		a.Hosts = route.WithoutDrained(r.Hosts) // the program does not know weights
	}
	return a.Append(dst, larspb.MaxDatagramBody), true
}

// report takes a ReportRequest. A host that cannot exist is not looked up.
func (p *ports) report(body []byte) {
	var r larspb.CallReport
	if r.Parse(body) != nil || !r.HasHost || r.Port < 1 || r.Port > 65535 {
		p.broken.Add(1)
		return
	}
	key, now := route.Key{Modid: r.Modid, Cmdid: r.Cmdid}, p.clock()
	host := route.Host{IP: uint32(r.IP), Port: uint16(r.Port)}
	outcome := outcomeOf(&r, p.tickets.read(r.Ticket, now), now)
	if outcome.Ticket == 0 && (r.Ticket != 0 || outcome.Kind == lb.KindIgnored) {
		p.void.Add(1)
	}
	if outcome.Ticket == 0 && outcome.Kind == lb.KindIgnored {
		return // it may never have been picked
	}
	effect := p.engine.Observe(key, host, outcome, now)
	if effect&lb.Changed != 0 {
		p.changed()
	}
	if effect&lb.Asked != 0 {
		p.asked()
	}
}

// outcomeOf returns what a report says. Whether the call worked is what the return
// code says, as ever; the kind is only how it failed, or that the call is not to
// be judged.
func outcomeOf(r *larspb.CallReport, ticket lb.Ticket, now time.Duration) lb.Outcome {
	o := lb.Outcome{Ticket: ticket, Latency: min(time.Duration(r.LatencyUS)*time.Microsecond, since(ticket, now))}
	switch {
	case r.Kind == larspb.Kind_KIND_IGNORED:
		o.Kind = lb.KindIgnored
	case r.Retcode == 0:
		o.OK = 1
	default:
		o.Failed, o.Kind = 1, kindOf(r.Kind)
	}
	return o
}

// kindOf returns how a call failed, unknown for what is no kind.
func kindOf(k larspb.Kind) lb.Kind {
	switch k {
	case larspb.Kind_KIND_REFUSED:
		return lb.KindRefused
	case larspb.Kind_KIND_TIMEOUT:
		return lb.KindTimeout
	case larspb.Kind_KIND_ERROR:
		return lb.KindError
	case larspb.Kind_KIND_OVERLOADED:
		return lb.KindOverloaded
	}
	return lb.KindUnknown
}

// overflow returns the number of datagrams that the kernel dropped because they
// came faster than they were taken.
func (p *ports) overflow() uint64 {
	var sum uint64
	if servers := p.servers.Load(); servers != nil {
		for _, s := range servers {
			sum += s.Overflow()
		}
	}
	return sum
}

// receiveErrors returns how often receiving datagrams failed.
func (p *ports) receiveErrors() uint64 {
	var sum uint64
	if servers := p.servers.Load(); servers != nil {
		for _, s := range servers {
			sum += s.Loop().Stats().ReceiveErrors
		}
	}
	return sum
}

// garbage returns the number of datagrams and messages that were dropped
// because they are not valid.
func (p *ports) garbage() uint64 {
	sum := p.broken.Load()
	if servers := p.servers.Load(); servers != nil {
		for _, s := range servers {
			stats := s.Loop().Stats()
			sum += stats.Dropped + stats.MessagesUnknown + stats.Panics
		}
	}
	return sum
}
