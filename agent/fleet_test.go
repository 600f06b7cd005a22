package agent_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"lars.internal/agent"
	"lars.internal/larspb"
	"lars.internal/route"
)

// testTimeout is how long a test waits for what must happen.
const testTimeout = 30 * time.Second

// The hosts of the captured frames.
var (
	key12 = route.Key{Modid: 1, Cmdid: 2}
	far   = mustHost("192.168.1.113:7777")
	near  = mustHost("10.0.0.1:8080")
)

func mustHost(s string) route.Host {
	h, err := route.ParseHost(s)
	if err != nil {
		panic(err)
	}
	return h
}

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

// captured returns the frames of C++ peers by their names. A name that is not
// there ends the test.
func captured(t *testing.T) func(name string) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []struct {
		Name  string
		Frame string `json:"frame_hex"`
	}
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	return func(name string) []byte {
		t.Helper()
		for _, v := range list {
			if v.Name == name {
				frame, err := hex.DecodeString(v.Frame)
				if err != nil {
					t.Fatal(err)
				}
				return frame
			}
		}
		t.Fatalf("no frame %q", name)
		return nil
	}
}

// frame is one frame of a stream, header included.
type frame []byte

func (f frame) id() int32    { return int32(binary.LittleEndian.Uint32(f)) }
func (f frame) body() []byte { return f[larspb.HeaderSize:] }

// cppServer is a C++ server. take gets each frame on the goroutine of its
// connection and returns the answer, which is sent in one write.
type cppServer struct {
	t    *testing.T
	addr string
	take func(conn net.Conn, f frame) []byte

	mu    sync.Mutex // guards everything below
	ln    net.Listener
	conns map[net.Conn]bool

	wg sync.WaitGroup // the goroutines of listener and connections
}

func startCppServer(t *testing.T, take func(net.Conn, frame) []byte) *cppServer {
	t.Helper()
	s := &cppServer{t: t, addr: "127.0.0.1:0", take: take}
	s.start()
	t.Cleanup(s.stop)
	return s
}

// start listens, the second time on the address of the first.
func (s *cppServer) start() {
	s.t.Helper()
	eventually(s.t, "the server listens", func() bool {
		ln, err := net.Listen("tcp4", s.addr)
		if err != nil {
			return false
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ln, s.addr, s.conns = ln, ln.Addr().String(), make(map[net.Conn]bool)
		s.wg.Go(func() { s.accept(ln) }) // ended by stop, which waits
		return true
	})
}

func (s *cppServer) accept(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.ln != ln {
			conn.Close()
		} else {
			s.conns[conn] = true
			s.wg.Go(func() { s.serve(conn) })
		}
		s.mu.Unlock()
	}
}

func (s *cppServer) serve(conn net.Conn) {
	defer conn.Close()
	for {
		f := make(frame, larspb.HeaderSize)
		if _, err := io.ReadFull(conn, f); err != nil {
			return
		}
		f = append(f, make([]byte, binary.LittleEndian.Uint32(f[4:]))...)
		if _, err := io.ReadFull(conn, f.body()); err != nil {
			return
		}
		if answer := s.take(conn, f); answer != nil {
			conn.Write(answer) // a connection that is gone is no failure of the test
		}
	}
}

func (s *cppServer) stop() {
	s.mu.Lock()
	if s.ln != nil {
		s.ln.Close()
		s.ln = nil
	}
	for conn := range s.conns {
		conn.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

func (s *cppServer) addrPort() netip.AddrPort { return netip.MustParseAddrPort(s.addr) }

// cppDNS is the C++ dns: it knows one message, and an empty body, of which the
// original dies, ends the test.
type cppDNS struct {
	*cppServer

	mu    sync.Mutex // guards everything below
	table map[route.Key][]route.Host
	pulls map[route.Key][]frame
	subs  map[route.Key][]net.Conn
}

func startCppDNS(t *testing.T, table map[route.Key][]route.Host) *cppDNS {
	t.Helper()
	d := &cppDNS{table: table, pulls: make(map[route.Key][]frame), subs: make(map[route.Key][]net.Conn)}
	d.cppServer = startCppServer(t, d.lookup)
	return d
}

func (d *cppDNS) lookup(conn net.Conn, f frame) []byte {
	var q larspb.GetRouteRequest
	if f.id() != larspb.IDGetRouteRequest || len(f.body()) == 0 || proto.Unmarshal(f.body(), &q) != nil {
		d.t.Errorf("the C++ dns got %x", []byte(f))
		return nil
	}
	key := route.Key{Modid: q.Modid, Cmdid: q.Cmdid}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pulls[key] = append(d.pulls[key], f)
	if !slices.Contains(d.subs[key], conn) {
		d.subs[key] = append(d.subs[key], conn)
	}
	return routeFrame(d.t, key, d.table[key])
}

// routeFrame is a GetRouteResponse as the C++ dns writes it.
func routeFrame(t *testing.T, key route.Key, hosts []route.Host) []byte {
	m := &larspb.GetRouteResponse{Modid: key.Modid, Cmdid: key.Cmdid}
	for _, h := range hosts {
		m.Host = append(m.Host, larspb.NewHostInfo(h.AddrPort()))
	}
	b, err := larspb.AppendFrame(nil, larspb.IDGetRouteResponse, m)
	if err != nil {
		t.Error(err)
	}
	return b
}

// push changes the route of a service and writes a frame to its subscribers.
func (d *cppDNS) push(key route.Key, f []byte, hosts ...route.Host) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.table[key] = hosts
	for _, conn := range d.subs[key] {
		conn.Write(f) // a connection that is gone is no failure of the test
	}
}

func (d *cppDNS) pulled(key route.Key) []frame {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.pulls[key])
}

// cppReporter is the C++ report service: it knows one message.
type cppReporter struct {
	*cppServer

	mu   sync.Mutex // guards everything below
	rows map[route.Key]map[route.Host]*larspb.HostCallResult
}

func startCppReporter(t *testing.T) *cppReporter {
	t.Helper()
	r := &cppReporter{rows: make(map[route.Key]map[route.Host]*larspb.HostCallResult)}
	r.cppServer = startCppServer(t, r.store)
	return r
}

func (r *cppReporter) store(_ net.Conn, f frame) []byte {
	var m larspb.ReportStatusRequest
	if f.id() != larspb.IDReportStatusRequest || len(f.body()) == 0 || proto.Unmarshal(f.body(), &m) != nil || m.Ts == 0 {
		r.t.Errorf("the C++ report service got %x", []byte(f))
		return nil
	}
	key := route.Key{Modid: m.Modid, Cmdid: m.Cmdid}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rows[key] == nil {
		r.rows[key] = make(map[route.Host]*larspb.HostCallResult)
	}
	for _, h := range m.Results {
		r.rows[key][route.Host{IP: uint32(h.Ip), Port: uint16(h.Port)}] = h
	}
	return nil
}

// says reports whether the newest row of a host has these counts.
func (r *cppReporter) says(key route.Key, h route.Host, succ, err uint32) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	row := r.rows[key][h]
	return row != nil && row.Succ == succ && row.Err == err
}

// cppProgram is a C++ program: a socket for each port of the agent, of which a
// service uses the one that the sum of its ids leads to.
type cppProgram struct {
	t     *testing.T
	conns [agent.Ports]net.Conn
}

func startCppProgram(t *testing.T, a *agent.Agent) *cppProgram {
	t.Helper()
	p := &cppProgram{t: t}
	for i, addr := range a.Addrs() {
		conn, err := net.Dial("udp4", addr.String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		p.conns[i] = conn
	}
	return p
}

func (p *cppProgram) tell(key route.Key, f []byte) {
	p.t.Helper()
	if _, err := p.conns[(key.Modid+key.Cmdid)%agent.Ports].Write(f); err != nil {
		p.t.Fatal(err)
	}
}

// ask sends a frame and returns the datagram that comes back.
func (p *cppProgram) ask(key route.Key, f []byte) frame {
	p.t.Helper()
	p.tell(key, f)
	conn, buf := p.conns[(key.Modid+key.Cmdid)%agent.Ports], make([]byte, 80<<10)
	conn.SetReadDeadline(time.Now().Add(testTimeout))
	n, err := conn.Read(buf)
	if err != nil {
		p.t.Fatal(err)
	}
	if n < larspb.HeaderSize || int(binary.LittleEndian.Uint32(buf[4:])) != n-larspb.HeaderSize {
		p.t.Fatalf("answer %x", buf[:n])
	}
	return buf[:n]
}

// route is what the original's get_route returns.
func (p *cppProgram) route(key route.Key, question []byte) (hosts []route.Host) {
	p.t.Helper()
	f := p.ask(key, question)
	var m larspb.GetRouteResponse
	if f.id() != larspb.IDAPIGetRouteResponse || proto.Unmarshal(f.body(), &m) != nil || m.Modid != key.Modid || m.Cmdid != key.Cmdid {
		p.t.Fatalf("answer %x", []byte(f))
	}
	if m.Seq != 0 || m.Truncated {
		p.t.Errorf("a C++ program is told %v", &m)
	}
	for _, h := range m.Host {
		hosts = append(hosts, route.Host{IP: uint32(h.Ip), Port: uint16(h.Port)})
	}
	return hosts
}

func request(t *testing.T, id int32, m proto.Message) []byte {
	t.Helper()
	b, err := larspb.AppendFrame(nil, id, m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// startAgent serves an agent until stop is called or the test ends.
func startAgent(t *testing.T, cfg agent.Config) (a *agent.Agent, stop func()) {
	t.Helper()
	cfg.ReportInterval = 10 * time.Millisecond
	a, err := agent.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the ports are free", func() bool { return a.Listen() == nil })
	return a, background(t, a.Serve)
}

// background runs a service until stop is called or the test ends.
func background(t *testing.T, serve func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- serve(ctx) }() // ended by stop, which waits
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("Serve: %v", err)
			}
		case <-time.After(testTimeout):
			t.Error("Serve did not return")
		}
	})
	t.Cleanup(stop)
	return stop
}

// An agent of this project among C++ peers, with the frames that were captured
// from them.
func TestAgentAmongCppPeers(t *testing.T) {
	vector := captured(t)
	key73, key300, none := route.Key{Modid: 7, Cmdid: 3}, route.Key{Modid: 300, Cmdid: 70000}, route.Key{}
	worker := mustHost("10.0.0.1:65535")
	dns := startCppDNS(t, map[route.Key][]route.Host{key12: {far}, key73: {near}, key300: {worker}, none: {near}})
	reporter := startCppReporter(t)
	a, _ := startAgent(t, agent.Config{
		DNS:      agent.Peers{Addrs: []string{dns.addrPort().String()}},
		Reporter: agent.Peers{Addrs: []string{reporter.addrPort().String()}},
	})
	eventually(t, "the agent is connected", func() bool { return len(dns.pulled(route.Key{Modid: math.MinInt32, Cmdid: math.MaxInt32})) > 0 })
	p := startCppProgram(t, a)

	// reg_init, get_host and get_route, byte for byte.
	registered := func(key route.Key, question []byte, hosts ...route.Host) {
		t.Helper()
		eventually(t, key.String()+" is registered", func() bool { return slices.Equal(p.route(key, question), hosts) })
	}
	registered(key12, vector("API_GetRouteRequest 1/2"), far)
	if got, want := dns.pulled(key12), levelled(vector("GetRouteRequest 1/2")); len(got) != 1 || !bytes.Equal(got[0], want) {
		t.Errorf("pulls %x, want one %x", got, want)
	}
	if got, want := p.ask(key12, vector("API_GetRouteRequest 1/2")), vector("API_GetRouteResponse 1/2 with one host"); !bytes.Equal(got, want) {
		t.Errorf("route %x, want %x", got, want)
	}
	if got, want := p.ask(key12, vector("GetHostRequest seq 0, 1/2")), vector("GetHostResponse seq 0, 1/2, success"); !bytes.Equal(got, want) {
		t.Errorf("host %x, want %x", got, want)
	}
	registered(key300, vector("API_GetRouteRequest 300/70000"), worker)
	eventually(t, "7/3 is served", func() bool {
		var m larspb.GetHostResponse
		f := p.ask(key73, vector("GetHostRequest seq 3, 7/3"))
		if f.id() != larspb.IDGetHostResponse || proto.Unmarshal(f.body(), &m) != nil || m.Seq != 3 {
			t.Fatalf("answer %x", []byte(f))
		}
		return m.Retcode == 0 && m.Host.GetPort() == 8080
	})

	// Service 0/0, whose pull has no field to fill, and one that nobody has.
	registered(none, request(t, larspb.IDAPIGetRouteRequest, &larspb.GetRouteRequest{}), near)
	unknown := route.Key{Modid: 99, Cmdid: 99}
	if hosts := p.route(unknown, request(t, larspb.IDAPIGetRouteRequest, &larspb.GetRouteRequest{Modid: 99, Cmdid: 99})); len(hosts) != 0 {
		t.Errorf("the service that nobody has: %v", hosts)
	}

	// A captured push.
	dns.push(key12, vector("GetRouteResponse 1/2 with two hosts"), far, near)
	registered(key12, vector("API_GetRouteRequest 1/2"), far, near)

	// Reports.
	p.tell(key300, vector("ReportRequest 300/70000 failure"))
	p.tell(key12, vector("ReportRequest 1/2 success"))
	eventually(t, "the reports arrive", func() bool {
		return reporter.says(key300, worker, 0, 1) && reporter.says(key12, far, 1, 0) && reporter.says(key12, near, 0, 0)
	})

	// Both services end and come back: each service is pulled again, in the
	// same bytes, and the reports of the time between arrive.
	pulls := len(dns.pulled(key12))
	dns.stop()
	reporter.stop()
	p.tell(key12, vector("ReportRequest 1/2 success"))
	p.ask(key12, vector("GetHostRequest seq 0, 1/2"))
	dns.start()
	reporter.start()
	for _, key := range []route.Key{key12, key73, key300, none, unknown} {
		eventually(t, key.String()+" is pulled again", func() bool {
			got := dns.pulled(key)
			return len(got) > 1 && bytes.Equal(got[0], got[len(got)-1])
		})
	}
	eventually(t, "1/2 is pulled by the new connection", func() bool { return len(dns.pulled(key12)) > pulls })
	eventually(t, "the new report arrives", func() bool { return reporter.says(key12, far, 2, 0) })
}

// levelled returns a captured GetRouteRequest with the field that an agent of this
// project adds and a C++ dns skips: level (12) is 1.
func levelled(frame []byte) []byte {
	frame = append(slices.Clone(frame), 0x60, 1)
	frame[4] += 2
	return frame
}
