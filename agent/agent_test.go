package agent

import (
	"context"
	"errors"
	"math"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"lars.internal/larspb"
	"lars.internal/lb/classic"
	"lars.internal/route"
)

// The original indexes with (modid + cmdid) % 3 before the array. Here
// any pair works, on each port.
func TestDefect12EveryPortServesEveryService(t *testing.T) {
	s := startSystem(t, nil)
	keys := []route.Key{
		{},
		{Modid: 1, Cmdid: 2},
		{Modid: -1, Cmdid: -1},
		{Modid: -5, Cmdid: 3},
		{Modid: math.MaxInt32, Cmdid: math.MaxInt32},
		{Modid: math.MinInt32, Cmdid: math.MinInt32},
		{Modid: math.MinInt32, Cmdid: -1},
	}
	for i, key := range keys {
		s.dns.set(key, hostN(i))
	}
	for port := range Ports {
		p := s.program(port)
		for i, key := range keys {
			if h := p.served(key); h != hostN(i) {
				t.Errorf("port %d, service %v: host %v", port, key, h)
			}
			if m := p.getRoute(key, 9); len(m.Host) != 1 || m.Modid != key.Modid || m.Cmdid != key.Cmdid {
				t.Errorf("port %d, service %v: route %v", port, key, m)
			}
		}
	}
	for _, key := range keys {
		if n := s.dns.pulls(key); n != 1 {
			t.Errorf("service %v: %d pulls, want 1 for all ports", key, n)
		}
	}
}

func TestEjectAndBringBack(t *testing.T) {
	s := startSystem(t, nil)
	s.dns.set(key12, hostsN(2)...)
	p := s.program(0)
	p.served(key12)
	for range 15 {
		p.report(key12, hostN(0), false)
	}
	picks := make(map[route.Host]int)
	for range 110 {
		h, _ := p.getHost(key12)
		picks[h]++
	}
	if picks[hostN(0)] != 10 || picks[hostN(1)] != 100 {
		t.Errorf("picks %v, want ten probes of the ejected host", picks)
	}
	for range 15 {
		p.report(key12, hostN(0), true)
	}
	clear(picks)
	for range 100 {
		h, _ := p.getHost(key12)
		picks[h]++
	}
	if picks[hostN(0)] != 50 {
		t.Errorf("picks %v after the host came back, want half each", picks)
	}
	c := s.engine.Counters()
	if c.Ejected != 1 || c.Reinstated != 1 || c.Reports != 30 {
		t.Errorf("totals %+v", c)
	}
}

func TestAllHostsEjected(t *testing.T) {
	s := startSystem(t, nil)
	s.dns.set(key12, hostN(0))
	p := s.program(0)
	p.served(key12)
	for range 15 {
		p.report(key12, hostN(0), false)
	}
	codes := make(map[larspb.RetCode]int)
	for range 110 {
		_, code := p.getHost(key12)
		codes[code]++
	}
	if codes[succ] != 10 || codes[larspb.RetCode_RET_OVERLOAD] != 100 {
		t.Errorf("answers %v, want ten probes and OVERLOAD", codes)
	}
}

// A route that does not fit one datagram is never answered by the
// original. Here it is cut, and says so.
func TestDefect32LongRouteIsCut(t *testing.T) {
	s := startSystem(t, nil)
	s.dns.setMute(true)
	p := s.program(0)
	now := s.cfg.Clock()
	for n, want := range map[int]int{1: 1, 100: 100, 10_000: 65_000 / 13} {
		key := route.Key{Modid: int32(n), Cmdid: 1}
		s.engine.Restore(key, route.Of(hostsN(n)...), now, now)
		m := p.getRoute(key, 77)
		if m.Seq != 77 {
			t.Errorf("%d hosts: seq %d", n, m.Seq)
		}
		if m.Truncated != (n == 10_000) || len(m.Host) < want || len(m.Host) > n {
			t.Errorf("%d hosts: answer with %d, truncated %v", n, len(m.Host), m.Truncated)
		}
	}
}

func TestPortInUse(t *testing.T) {
	s := startSystem(t, nil)
	for _, addr := range s.Addrs() {
		if addr.Port() > 65536-Ports {
			continue // no agent begins there
		}
		a, err := New(Config{Port: int(addr.Port())})
		if err != nil {
			t.Fatal(err)
		}
		err = a.Listen()
		if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), addr.String()) || !strings.Contains(err.Error(), "[agent]") {
			t.Errorf("port %d in use: %v", addr.Port(), err)
		}
		if err := a.Serve(context.Background()); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("Serve with port %d in use: %v", addr.Port(), err)
		}
		if a.Addr().IsValid() || a.Addrs() != nil {
			t.Errorf("addresses %v of an agent that is not bound", a.Addrs())
		}
	}
}

// Nothing is half bound: when the third port is taken, the first two are free
// again.
func TestListenAllOrNothing(t *testing.T) {
	third, first := thirdPort(t)
	b, err := New(Config{Port: int(first.Port())})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Listen(); !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), third.String()) {
		t.Fatalf("listen with the third port in use: %v", err)
	}
	for i := range uint16(2) {
		addr := netip.AddrPortFrom(loopback, first.Port()+i)
		conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(addr))
		if err != nil {
			t.Errorf("port %v is still taken: %v", addr, err)
			continue
		}
		conn.Close()
	}
}

// thirdPort takes a port after two free ones until the test ends, and returns
// it and the first of the three.
func thirdPort(t *testing.T) (third, first netip.AddrPort) {
	t.Helper()
	eventually(t, "three ports are free", func() bool {
		a, err := New(Config{})
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Listen(); err != nil {
			t.Fatal(err)
		}
		first, third = a.Addr(), a.Addrs()[2]
		a.Close()
		conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(third))
		if err != nil {
			return false // somebody took it meanwhile
		}
		t.Cleanup(func() { conn.Close() })
		return true
	})
	return third, first
}

// The original's UDP threads start before its queues exist. Here a
// request that is there before Serve is answered and pulled like any other.
func TestDefect05RequestBeforeServe(t *testing.T) {
	dns, reporter := startDNS(t), startReporter(t)
	dns.set(key12, hostN(0))
	a, err := New(Config{
		DNS:      Peers{Addrs: []string{dns.addr.String()}},
		Reporter: Peers{Addrs: []string{reporter.addr.String()}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Ready(); err == nil {
		t.Error("ready before Serve")
	}
	if err := a.Listen(); err != nil {
		t.Fatal(err)
	}
	p := newProgram(t, a, 0)
	p.tell(larspb.IDGetHostRequest, larspb.HostQuery{Modid: 1, Cmdid: 2}.Append(nil))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Serve(ctx) }() // ended by cancel, awaited below
	if _, err := p.receive(larspb.IDGetHostResponse); err != nil {
		t.Error(err)
	}
	p.served(key12)
	if err := a.Serve(ctx); err == nil {
		t.Error("Serve may be called twice")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// The original listens on 0.0.0.0.
func TestDefect41LoopbackByDefault(t *testing.T) {
	a, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Listen(); err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for i, addr := range a.Addrs() {
		if !addr.Addr().IsLoopback() || addr.Port() != a.Addr().Port()+uint16(i) {
			t.Errorf("port %d is %v", i, addr)
		}
	}
}

// Random and broken datagrams get no answer and do no harm.
func TestGarbage(t *testing.T) {
	s := startSystem(t, nil)
	s.dns.set(key12, hostN(0))
	p, vandal := s.program(0), s.program(0)
	p.served(key12)
	long := make([]byte, 1000)
	for i := range long {
		long[i] = byte(i * 7)
	}
	garbage := [][]byte{
		{}, {1}, long, long[:8],
		{4, 0, 0, 0, 1, 0, 0, 0},                   // length too large
		{4, 0, 0, 0, 0xff, 0xff, 0xff, 0xff},       // negative length
		{4, 0, 0, 0, 1, 0, 0, 0, 0xff},             // no protobuf
		{6, 0, 0, 0, 2, 0, 0, 0, 0x08, 0x80},       // cut varint
		{7, 0, 0, 0, 2, 0, 0, 0, 0x0b, 0x01},       // group
		{99, 0, 0, 0, 0, 0, 0, 0},                  // unknown id
		{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0},       // negative id
		{6, 0, 0, 0, 2, 0, 0, 0, 0x08, 0x01},       // report without a host
		{6, 0, 0, 0, 4, 0, 0, 0, 0x1a, 2, 0x08, 1}, // report of port 0
	}
	const rounds = 20
	for range rounds {
		for _, g := range garbage {
			vandal.write(g)
		}
		if h, code := p.getHost(key12); code != succ || h != hostN(0) {
			t.Fatalf("beside garbage: %v %v", h, code)
		}
	}
	vandal.conn.SetReadDeadline(time.Now().Add(time.Millisecond))
	if n, err := vandal.conn.Read(vandal.buf); err == nil {
		t.Errorf("garbage was answered with %x", vandal.buf[:n])
	}
	eventually(t, "garbage is counted", func() bool { return s.ports.garbage() == uint64(rounds*len(garbage)) })
}

func TestMaxServicesOverUDP(t *testing.T) {
	s := startSystem(t, func(c *Config) { c.MaxServices = 10 })
	p := s.program(0)
	for i := range 50 {
		key := route.Key{Modid: int32(i), Cmdid: 1}
		s.dns.set(key, hostN(i))
		p.served(key)
	}
	if n := s.engine.Len(); n != 10 {
		t.Errorf("%d services, want 10", n)
	}
	first := route.Key{Modid: 0, Cmdid: 1}
	if _, code := p.getHost(first); code != noExist {
		t.Errorf("the first service was not forgotten: %v", code)
	}
	p.served(first)
}

func TestNewRefuses(t *testing.T) {
	bad := classic.DefaultConfig()
	bad.ErrRate = 2
	for name, c := range map[string]struct {
		cfg  Config
		want string
	}{
		"port":    {Config{Port: 65534}, "65533"},
		"policy":  {Config{Policy: "none"}, "none"},
		"balance": {Config{Balance: bad}, "err_rate"},
		"caller":  {Config{Caller: netip.MustParseAddr("::1")}, "IPv4"},
		"most":    {Config{MaxServices: -1}, "max_services"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := New(c.cfg); err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "agent: ") {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}
