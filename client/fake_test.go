package client

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"lars.internal/larspb"
	"lars.internal/route"
)

var key12 = route.Key{Modid: 1, Cmdid: 2}

// testTimeout is how long a test waits for what must happen.
const testTimeout = 30 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// request is what the fake agent received.
type request struct {
	port    int // 0 to 2
	id      int32
	key     route.Key
	seq     uint32
	level   uint32
	avoid   netip.AddrPort    // of a question for a host
	host    netip.AddrPort    // of a report
	retcode int32             // of a report
	report  larspb.CallReport // all of a report
	frame   []byte
	reply   func(frame []byte)
}

// fakeAgent stands for an agent on three ports. serve runs on a goroutine for
// each, until its socket is closed.
type fakeAgent struct {
	t     testing.TB
	first netip.AddrPort
	serve func(port int, conn *net.UDPConn)

	conns [ports]*net.UDPConn
	wg    sync.WaitGroup // the goroutines that serve
}

// startAgent starts an agent of which handle decides what comes back; it runs
// on the goroutine of the port.
func startAgent(t testing.TB, handle func(request)) *fakeAgent {
	t.Helper()
	return startServing(t, func(port int, conn *net.UDPConn) {
		buf := make([]byte, maxDatagram)
		for {
			size, from, err := conn.ReadFromUDPAddrPort(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				continue
			}
			r := parseRequest(t, append([]byte(nil), buf[:size]...))
			r.port = port
			r.reply = func(frame []byte) { conn.WriteToUDPAddrPort(frame, from) }
			handle(r)
		}
	})
}

// startServing listens on three consecutive free ports until the test ends.
func startServing(t testing.TB, serve func(port int, conn *net.UDPConn)) *fakeAgent {
	t.Helper()
	f := &fakeAgent{t: t, serve: serve}
	for range 100 {
		free, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		f.first = free.LocalAddr().(*net.UDPAddr).AddrPort()
		free.Close()
		if f.listen() == nil {
			t.Cleanup(f.stop)
			return f
		}
	}
	t.Fatal("no three consecutive free ports")
	return nil
}

// listen takes the three ports, all or none.
func (f *fakeAgent) listen() error {
	var conns [ports]*net.UDPConn
	for i := range conns {
		addr := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(f.first.Port()) + i}
		conn, err := net.ListenUDP("udp4", addr)
		if err != nil {
			for _, c := range conns[:i] {
				c.Close()
			}
			return err
		}
		conns[i] = conn
	}
	f.conns = conns
	for i, conn := range conns {
		f.wg.Go(func() { f.serve(i, conn) })
	}
	return nil
}

// stop closes the ports and waits for the goroutines.
func (f *fakeAgent) stop() {
	for _, c := range f.conns {
		c.Close()
	}
	f.wg.Wait()
}

// restart takes the same ports again.
func (f *fakeAgent) restart() {
	f.t.Helper()
	deadline := time.Now().Add(testTimeout)
	for f.listen() != nil {
		if time.Now().After(deadline) {
			f.t.Fatalf("the ports from %v on are not free", f.first)
		}
	}
}

func parseRequest(t testing.TB, frame []byte) request {
	id, body, err := larspb.ParseFrame(frame)
	if err != nil {
		t.Errorf("the client sent %x: %v", frame, err)
	}
	r := request{id: id, frame: frame}
	switch id {
	case larspb.IDGetHostRequest:
		var q larspb.HostQuery
		err = q.Parse(body)
		r.key, r.seq, r.level = route.Key{Modid: q.Modid, Cmdid: q.Cmdid}, q.Seq, q.Level
		if q.HasAvoid {
			r.avoid = netip.AddrPortFrom(larspb.AddrOf(q.AvoidIP), uint16(q.AvoidPort))
		}
	case larspb.IDAPIGetRouteRequest:
		var q larspb.RouteQuery
		err = q.Parse(body)
		r.key, r.seq, r.level = route.Key{Modid: q.Modid, Cmdid: q.Cmdid}, q.Seq, q.Level
	case larspb.IDReportRequest:
		var q larspb.CallReport
		err = q.Parse(body)
		r.key, r.retcode = route.Key{Modid: q.Modid, Cmdid: q.Cmdid}, q.Retcode
		r.host, r.report = netip.AddrPortFrom(larspb.AddrOf(q.IP), uint16(q.Port)), q
	default:
		t.Errorf("the client sent message %d", id)
	}
	if err != nil {
		t.Errorf("the client sent %x: %v", frame, err)
	}
	return r
}

// answer is the frame that gives r this code and, on success, this host.
func (r request) answer(code larspb.RetCode, host string) []byte {
	return r.ticketed(code, host, 0)
}

// ticketed is the answer with a ticket.
func (r request) ticketed(code larspb.RetCode, host string, ticket uint64) []byte {
	a := larspb.HostAnswer{Seq: r.seq, Modid: r.key.Modid, Cmdid: r.key.Cmdid, Retcode: int32(code), Ticket: ticket}
	if host != "" {
		ap := netip.MustParseAddrPort(host)
		a.HasHost, a.IP, a.Port = true, larspb.IPOf(ap.Addr()), int32(ap.Port())
	}
	return hostFrame(a)
}

func hostFrame(a larspb.HostAnswer) []byte {
	b := a.Append(make([]byte, larspb.HeaderSize))
	larspb.PutHeader(b, larspb.IDGetHostResponse, len(b)-larspb.HeaderSize)
	return b
}

// routes is the frame that gives r these hosts.
func (r request) routes(hosts ...string) []byte {
	return routeFrame(r.routeMessage(hosts...))
}

func (r request) routeMessage(hosts ...string) *larspb.GetRouteResponse {
	m := &larspb.GetRouteResponse{Modid: r.key.Modid, Cmdid: r.key.Cmdid, Seq: r.seq}
	for _, h := range hosts {
		m.Host = append(m.Host, larspb.NewHostInfo(netip.MustParseAddrPort(h)))
	}
	return m
}

func routeFrame(m *larspb.GetRouteResponse) []byte {
	b, err := larspb.AppendFrame(nil, larspb.IDAPIGetRouteResponse, m)
	if err != nil {
		panic(err)
	}
	return b
}

// newClient returns a client of the fake agent that waits long enough for a
// busy machine.
func (f *fakeAgent) newClient(timeout time.Duration) *Client {
	f.t.Helper()
	return newTestClient(f.t, Config{Agent: f.first.String(), Timeout: timeout})
}

func newTestClient(t testing.TB, cfg Config) *Client {
	t.Helper()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// testContext ends a test that hangs.
func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 2*testTimeout)
	t.Cleanup(cancel)
	return ctx
}

// receive returns the next value of ch.
func receive[T any](t testing.TB, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(testTimeout):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// wantHost fails the test unless GetHost of 1/2 returns this address.
func wantHost(t testing.TB, c *Client, want string) {
	t.Helper()
	addr, err := c.GetHost(testContext(t), 1, 2)
	if err != nil || addr.String() != want {
		t.Fatalf("GetHost = %v, %v; want %v", addr, err, want)
	}
}
