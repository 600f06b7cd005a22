package agent

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"lars.internal/engine"
	"lars.internal/larspb"
	"lars.internal/lb"
	"lars.internal/route"
)

// testTimeout is how long a test waits for what must happen.
const testTimeout = 30 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// eventually waits for a condition.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(testTimeout)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("did not happen in %v: %s", testTimeout, what)
		}
	}
}

// fakeClock is a monotonic clock that a test sets.
type fakeClock struct{ now atomic.Int64 }

func newFakeClock() *fakeClock {
	c := new(fakeClock)
	c.advance(time.Hour)
	return c
}

func (c *fakeClock) read() time.Duration     { return time.Duration(c.now.Load()) }
func (c *fakeClock) advance(d time.Duration) { c.now.Add(int64(d)) }

// peer is a TCP service of which a test decides what it does with each frame.
// received runs on the goroutine of the connection.
type peer struct {
	t        testing.TB
	addr     netip.AddrPort
	received func(conn net.Conn, id int32, body []byte)

	mu    sync.Mutex // guards everything below
	ln    net.Listener
	conns map[net.Conn]bool

	wg sync.WaitGroup // the goroutines of listener and connections
}

func startPeer(t testing.TB, received func(net.Conn, int32, []byte)) *peer {
	t.Helper()
	p := &peer{t: t, received: received, conns: make(map[net.Conn]bool), addr: netip.MustParseAddrPort("127.0.0.1:0")}
	p.start()
	t.Cleanup(p.stop)
	return p
}

// startPeerHolding starts a peer that reads one message of each connection and
// then nothing until hold is closed.
func startPeerHolding(t testing.TB, hold <-chan struct{}) *peer {
	return startPeer(t, func(net.Conn, int32, []byte) { <-hold })
}

// start listens, the second time on the address of the first.
func (p *peer) start() {
	p.t.Helper()
	var ln net.Listener
	eventually(p.t, "the peer listens", func() (ok bool) {
		var err error
		ln, err = net.Listen("tcp4", p.addr.String())
		return err == nil
	})
	p.addr = ln.Addr().(*net.TCPAddr).AddrPort()
	p.mu.Lock()
	p.ln = ln
	p.mu.Unlock()
	p.wg.Go(func() { // ended by stop, which waits
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			p.accept(ln, conn)
		}
	})
}

func (p *peer) accept(ln net.Listener, conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ln != ln {
		conn.Close()
		return
	}
	p.conns[conn] = true
	p.wg.Go(func() { p.read(conn) })
}

func (p *peer) read(conn net.Conn) {
	defer func() {
		conn.Close()
		p.mu.Lock()
		delete(p.conns, conn)
		p.mu.Unlock()
	}()
	var header [larspb.HeaderSize]byte
	for {
		if _, err := io.ReadFull(conn, header[:]); err != nil {
			return
		}
		body := make([]byte, binary.LittleEndian.Uint32(header[4:]))
		if _, err := io.ReadFull(conn, body); err != nil {
			return
		}
		p.received(conn, int32(binary.LittleEndian.Uint32(header[:])), body)
	}
}

// hangUp closes all connections.
func (p *peer) hangUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		conn.Close()
	}
}

// stop closes all and waits for the goroutines.
func (p *peer) stop() {
	p.mu.Lock()
	if p.ln != nil {
		p.ln.Close()
		p.ln = nil
	}
	p.mu.Unlock()
	p.hangUp()
	p.wg.Wait()
}

// send writes a frame to all connections in one write each.
func (p *peer) send(id int32, m proto.Message) {
	p.t.Helper()
	frame, err := larspb.AppendFrame(nil, id, m)
	if err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		conn.Write(frame) // a connection that is gone is no failure of the test
	}
}

// fakeDNS is a dns service with a table that a test changes.
type fakeDNS struct {
	*peer

	mu     sync.Mutex // guards everything below
	table  map[route.Key][]route.Host
	mute   bool // answers nothing
	pulled map[route.Key]int
}

func startDNS(t testing.TB) *fakeDNS {
	t.Helper()
	d := &fakeDNS{table: make(map[route.Key][]route.Host), pulled: make(map[route.Key]int)}
	d.peer = startPeer(t, d.received)
	return d
}

func (d *fakeDNS) received(conn net.Conn, id int32, body []byte) {
	var q larspb.GetRouteRequest
	if id != larspb.IDGetRouteRequest || len(body) == 0 || proto.Unmarshal(body, &q) != nil {
		d.t.Errorf("dns got message %d with body %x", id, body)
		return
	}
	key := route.Key{Modid: q.Modid, Cmdid: q.Cmdid}
	d.mu.Lock()
	d.pulled[key]++
	mute, hosts := d.mute, d.table[key]
	d.mu.Unlock()
	if mute {
		return
	}
	frame, err := larspb.AppendFrame(nil, larspb.IDGetRouteResponse, responseOf(key, hosts))
	if err != nil {
		d.t.Error(err)
		return
	}
	conn.Write(frame) // a connection that is gone is no failure of the test
}

func responseOf(key route.Key, hosts []route.Host) *larspb.GetRouteResponse {
	m := &larspb.GetRouteResponse{Modid: key.Modid, Cmdid: key.Cmdid, Removed: len(hosts) == 0}
	for _, h := range hosts {
		m.Host = append(m.Host, &larspb.HostInfo{Ip: int32(h.IP), Port: int32(h.Port)})
	}
	return m
}

// set changes the table without a push.
func (d *fakeDNS) set(key route.Key, hosts ...route.Host) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.table[key] = hosts
}

// push changes the table and tells all connections.
func (d *fakeDNS) push(key route.Key, hosts ...route.Host) {
	d.set(key, hosts...)
	d.send(larspb.IDGetRouteResponse, responseOf(key, hosts))
}

func (d *fakeDNS) setMute(v bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mute = v
}

func (d *fakeDNS) pulls(key route.Key) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.pulled[key]
}

// fakeReporter keeps what it is told.
type fakeReporter struct {
	*peer

	mu       sync.Mutex // guards everything below
	messages []*larspb.ReportStatusRequest
}

func startReporter(t testing.TB) *fakeReporter {
	t.Helper()
	r := new(fakeReporter)
	r.peer = startPeer(t, func(_ net.Conn, id int32, body []byte) {
		m := new(larspb.ReportStatusRequest)
		if id != larspb.IDReportStatusRequest || proto.Unmarshal(body, m) != nil {
			t.Errorf("reporter got message %d with body %x", id, body)
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.messages = append(r.messages, m)
	})
	return r
}

func (r *fakeReporter) reports() []*larspb.ReportStatusRequest {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*larspb.ReportStatusRequest(nil), r.messages...)
}

// latest returns the newest result of each host of a service.
func (r *fakeReporter) latest(key route.Key) map[route.Host]*larspb.HostCallResult {
	results := make(map[route.Host]*larspb.HostCallResult)
	for _, m := range r.reports() {
		if m.Modid == key.Modid && m.Cmdid == key.Cmdid {
			for _, h := range m.Results {
				results[route.Host{IP: uint32(h.Ip), Port: uint16(h.Port)}] = h
			}
		}
	}
	return results
}

// system is an agent between a fake dns and a fake report service.
type system struct {
	*Agent
	t        testing.TB
	dns      *fakeDNS
	reporter *fakeReporter
	stop     func() // ends the agent and waits
}

// startSystem starts all three and waits until they are connected. change may
// be nil.
func startSystem(t testing.TB, change func(*Config)) *system {
	t.Helper()
	s := &system{t: t, dns: startDNS(t), reporter: startReporter(t)}
	s.Agent, s.stop = startAgent(t, func(c *Config) {
		c.DNS.Addrs = []string{s.dns.addr.String()}
		c.Reporter.Addrs = []string{s.reporter.addr.String()}
		if change != nil {
			change(c)
		}
	})
	eventually(t, "the agent is connected", func() bool {
		return s.Agent.dns.link.connected.Load() && s.reports.link.connected.Load()
	})
	return s
}

// startAgent serves an agent until stop is called or the test ends.
func startAgent(t testing.TB, change func(*Config)) (*Agent, func()) {
	t.Helper()
	cfg := Config{
		Policy:         "classic", // its steps are exact; a test of another one names it
		ReportInterval: 10 * time.Millisecond,
		Random:         func() float64 { return 0 }, // the services in the order of Addrs
	}
	change(&cfg)
	a, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return a, serve(t, a)
}

// serve serves an agent until stop is called or the test ends.
func serve(t testing.TB, a *Agent) (stop func()) {
	t.Helper()
	if err := a.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Serve(ctx) }() // ended by stop, which waits
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Serve: %v", err)
			}
		case <-time.After(testTimeout):
			t.Error("Serve did not return")
		}
	})
	t.Cleanup(stop)
	return stop
}

// hostN returns the n-th of many hosts.
func hostN(n int) route.Host {
	return route.Host{IP: 0x0a000001 + uint32(n/1000), Port: uint16(1000 + n%1000)}
}

func hostsN(n int) []route.Host {
	var hosts []route.Host
	for i := range n {
		hosts = append(hosts, hostN(i))
	}
	return hosts
}

const (
	succ    = larspb.RetCode_RET_SUCC
	noExist = larspb.RetCode_RET_NOEXIST
)

var key12 = route.Key{Modid: 1, Cmdid: 2}

// testEngine returns the engine of an agent with policy classic.
func testEngine() *engine.Engine {
	cfg := Config{Policy: "classic"}
	cfg.setDefaults()
	return newEngine(&cfg)
}

// observe counts a call as a port does.
func (a *Agent) observe(key route.Key, host route.Host, ok bool, now time.Duration) {
	o := lb.Outcome{OK: 1}
	if !ok {
		o = lb.Outcome{Failed: 1}
	}
	a.engine.Observe(key, host, o, now)
}

// hostState returns what the agent holds of one host.
func (a *Agent) hostState(key route.Key, host route.Host) engine.HostState {
	s, _ := a.engine.Explain(key)
	for _, h := range s.Hosts {
		if h.Host == host {
			return h
		}
	}
	return engine.HostState{}
}
