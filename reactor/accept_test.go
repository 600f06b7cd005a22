package reactor

import (
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// refusals returns a refuse hook and the channel of what it was told.
type refusal struct {
	peer   netip.AddrPort
	reason error
}

func refusals(n int) (func(netip.AddrPort, error), <-chan refusal) {
	c := make(chan refusal, n)
	return func(peer netip.AddrPort, reason error) { c <- refusal{peer, reason} }, c
}

// The original keeps connections in an array of maxConn + 3 places, indexed by
// descriptor: descriptors beyond it are written out of bounds.
func TestDefect10LimitIsExactForAnyDescriptor(t *testing.T) {
	for range 300 {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
	}
	const limit = 3
	onRefuse, refused := refusals(1)
	s := serve(t, ServerConfig{Loops: 2, MaxConns: limit, OnRefuse: onRefuse})
	var in []*peer
	for range limit {
		p := dialPeer(t, s.Addr())
		p.send(1, "in")
		p.want(2, "in")
		in = append(in, p)
	}

	out := dialPeer(t, s.Addr())
	out.wantEOF()
	want := refusal{netip.MustParseAddrPort(out.LocalAddr().String()), ErrMaxConns}
	if got := await(t, refused, "refuse hook"); got != want {
		t.Errorf("refused %v, want %v", got, want)
	}
	if n := s.Conns(); n != limit {
		t.Errorf("Conns() = %d, want %d", n, limit)
	}

	in[0].Close()
	eventually(t, "a place is free", func() bool { return s.Conns() == limit-1 })
	next := dialPeer(t, s.Addr())
	next.send(1, "next")
	next.want(2, "next")
}

func TestLimitHoldsUnderChurn(t *testing.T) {
	const limit = 5
	var now, most atomic.Int64
	s := serve(t, ServerConfig{
		Loops: 3, MaxConns: limit,
		OnStart: func(*Conn) {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
		},
		OnClose: func(*Conn, error) { now.Add(-1) },
	})
	var dialers sync.WaitGroup
	for range 10 {
		dialers.Go(func() {
			for range 40 {
				p := dialPeer(t, s.Addr())
				p.Write(frame(1, "hello"))
				p.next() // an answer or the end, whichever comes
				p.Close()
			}
		})
	}
	dialers.Wait()
	if most.Load() > limit {
		t.Errorf("%d connections at a time, want at most %d", most.Load(), limit)
	}
	eventually(t, "all are gone", func() bool { return s.Conns() == 0 && now.Load() == 0 })
}

// In the original, a connection that its peer gave up before it was accepted
// ends the process.
func TestDefect11PeersThatGiveUpBeforeAccept(t *testing.T) {
	s := newServer(t, ServerConfig{})
	for range 20 {
		dialPeer(t, s.Addr()).reset()
	}
	p := dialPeer(t, s.Addr())
	p.send(1, "still there")
	done := goServe(s, t.Context())
	p.want(2, "still there")
	p.Close()
	s.Close()
	if err := await(t, done, "return of Serve"); err != nil {
		t.Error(err)
	}
}

// A listener that fails for good must neither spin nor take the connections
// with it.
func TestListenerThatFailsDoesNotSpin(t *testing.T) {
	s := serve(t, ServerConfig{})
	p := dialPeer(t, s.Addr())
	p.send(1, "before")
	p.want(2, "before")
	l := s.Loops()[0]
	onLoop(t, l, func() { unix.Shutdown(s.acceptor.fd, unix.SHUT_RDWR) })

	before := l.Stats().Wakeups
	rested := make(chan struct{})
	onLoop(t, l, func() { l.After(3*acceptRest, func() { close(rested) }) })
	await(t, rested, "timer")
	if n := l.Stats().Wakeups - before; n > 50 {
		t.Errorf("%d wake-ups while the listener is out of order", n)
	}
	p.send(1, "after")
	p.want(2, "after")
}

// The original never moves the index of its thread pool: all connections are
// on thread 0.
func TestDefect34ConnectionsSpreadOverLoops(t *testing.T) {
	for name, spread := range map[string]Spread{"least connections": LeastConns, "round robin": RoundRobin} {
		t.Run(name, func(t *testing.T) {
			const loops, each = 4, 5
			s := serve(t, ServerConfig{Loops: loops, Spread: spread})
			for range loops * each {
				p := dialPeer(t, s.Addr())
				p.send(1, "in")
				p.want(2, "in")
			}
			for i, l := range s.Loops() {
				if n := l.Stats().Opened; n != each {
					t.Errorf("loop %d has %d connections, want %d", i, n, each)
				}
			}
		})
	}
}

func TestLeastConnsFillsTheGap(t *testing.T) {
	s := serve(t, ServerConfig{Loops: 3})
	var peers []*peer
	open := func() *peer {
		p := dialPeer(t, s.Addr())
		p.send(1, "in")
		p.want(2, "in")
		return p
	}
	for range 9 {
		peers = append(peers, open())
	}
	for i := 1; i < 9; i += 3 { // those of the second loop
		peers[i].Close()
	}
	eventually(t, "three are gone", func() bool { return s.Conns() == 6 })
	for range 3 {
		open()
	}
	for i, want := range []uint64{3, 6, 3} {
		if n := s.Loops()[i].Stats().Opened; n != want {
			t.Errorf("loop %d got %d connections, want %d", i, n, want)
		}
	}
}

// The original allows one TCP server a process, and does not link with two
// UDP objects.
func TestDefect17SeveralServersAndClientsInOneProcess(t *testing.T) {
	for i := range 3 {
		body := numbered(i)
		own := NewRouter[*Conn]()
		own.Handle(1, func(c *Conn, _ []byte) { c.Send(2, []byte(body)) })
		s := serve(t, ServerConfig{Router: own, Loops: 2})
		for range 2 {
			answer := make(chan string, 1)
			r := NewRouter[*Conn]()
			r.Handle(2, func(_ *Conn, b []byte) { answer <- string(b) })
			connect(t, ClientConfig{
				Addrs: []netip.AddrPort{s.Addr()}, Router: r,
				OnStart: func(c *Conn) { c.Send(1, nil) },
			})
			if got := await(t, answer, "answer"); got != body {
				t.Errorf("server %d answered %q, want %q", i, got, body)
			}
		}
	}
}

func TestServerOverIPv6(t *testing.T) {
	s := serve(t, ServerConfig{Addr: ipv6Loopback(t)})
	answer := make(chan string, 1)
	r := NewRouter[*Conn]()
	r.Handle(2, func(c *Conn, b []byte) { answer <- c.RemoteAddr().String() })
	connect(t, ClientConfig{
		Addrs: []netip.AddrPort{s.Addr()}, Router: r,
		OnStart: func(c *Conn) { c.Send(1, nil) },
	})
	if got, want := await(t, answer, "answer"), s.Addr().String(); got != want {
		t.Errorf("connected to %s, want %s", got, want)
	}
}

// ipv6Loopback skips the test on a machine without IPv6, but never in CI.
func ipv6Loopback(t *testing.T) netip.AddrPort {
	t.Helper()
	addr := netip.MustParseAddrPort("[::1]:0")
	fd, err := listenTCP(addr)
	if err == nil {
		closeFD(fd)
		return addr
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("CI needs IPv6: %v", err)
	}
	t.Skipf("no IPv6 here: %v", err)
	return addr
}

// A listener on [::] takes both families; programs that compare addresses
// with networks of IPv4 must find plain IPv4 addresses.
func TestDualStackListenerTellsPlainIPv4(t *testing.T) {
	ipv6Loopback(t)
	remote := make(chan netip.AddrPort, 1)
	s := serve(t, ServerConfig{
		Addr:    netip.MustParseAddrPort("[::]:0"),
		OnStart: func(c *Conn) { remote <- c.RemoteAddr() },
	})
	p := dialPeer(t, netip.AddrPortFrom(loopback.Addr(), s.Addr().Port()))
	want := netip.MustParseAddrPort(p.LocalAddr().String())
	if got := await(t, remote, "start hook"); got != want {
		t.Errorf("peer is %v, want %v", got, want)
	}
}

func TestListenOnAPortInUse(t *testing.T) {
	first := newServer(t, ServerConfig{})
	second, err := NewServer(ServerConfig{Addr: first.Addr(), Router: echoes()})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Listen(); err == nil {
		t.Error("two servers listen on one port")
	}
	if err := second.Serve(t.Context()); err == nil {
		t.Error("Serve without a port returned nil")
	}
	first.Close()
	if err := second.Listen(); err != nil {
		t.Errorf("the port is not free after Close: %v", err)
	}
	second.Close()
}

// The original reads what it does not understand as 0 and divides by it.
func TestDefect16ServerConfigIsChecked(t *testing.T) {
	r := echoes()
	cases := map[string]ServerConfig{
		"no router":                {Addr: loopback},
		"no address":               {Router: r},
		"negative loops":           {Addr: loopback, Router: r, Loops: -1},
		"negative limit":           {Addr: loopback, Router: r, MaxConns: -1},
		"negative limit per peer":  {Addr: loopback, Router: r, MaxPerAddr: -1},
		"negative pool":            {Addr: loopback, Router: r, MaxUnproven: -1},
		"proof without a pool":     {Addr: loopback, Router: r, AwaitProof: true},
		"negative frame":           {Addr: loopback, Router: r, Conn: ConnConfig{MaxFrame: -1}},
		"frame beyond all buffers": {Addr: loopback, Router: r, Conn: ConnConfig{MaxFrame: 1 << 26}},
		"low above high":           {Addr: loopback, Router: r, Conn: ConnConfig{HighWater: 10, LowWater: 11}},
		"high above the hard cap":  {Addr: loopback, Router: r, Conn: ConnConfig{HighWater: 1 << 20, HardCap: 1 << 19}},
		"hard cap beyond buffers":  {Addr: loopback, Router: r, Conn: ConnConfig{HardCap: 1 << 27}},
	}
	for name, cfg := range cases {
		t.Run(name, func(t *testing.T) {
			if _, err := NewServer(cfg); err == nil {
				t.Errorf("NewServer(%+v) returned no error", cfg)
			}
		})
	}
	if s, err := NewServer(ServerConfig{Addr: loopback, Router: r}); err != nil || len(s.Loops()) == 0 {
		t.Errorf("NewServer with defaults: %d loops, %v", len(s.Loops()), err)
	}
}

func TestPanicOfTheRefuseHook(t *testing.T) {
	s := serve(t, ServerConfig{MaxConns: 1, OnRefuse: func(netip.AddrPort, error) { panic("refuse") }})
	in := dialPeer(t, s.Addr())
	in.send(1, "in")
	in.want(2, "in")
	dialPeer(t, s.Addr()).wantEOF()
	in.send(1, "still in")
	in.want(2, "still in")
	if n := s.Loops()[0].Stats().Panics; n != 1 {
		t.Errorf("%d panics counted, want 1", n)
	}
}

// A rest of the listener that ends after it was closed must not open the
// reserve again.
func TestRestEndsAfterTheListenerClosed(t *testing.T) {
	s := newServer(t, ServerConfig{})
	a := s.acceptor
	closeFD(a.reserve)
	a.reserve = -1
	a.resting = true
	s.Close()
	a.resume()
	if a.reserve >= 0 {
		t.Errorf("the closed listener opened descriptor %d", a.reserve)
		closeFD(a.reserve)
	}
}
