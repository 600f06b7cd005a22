package agent_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"lars.internal/agent"
	"lars.internal/client"
	"lars.internal/dns"
	"lars.internal/larspb"
	"lars.internal/reactor"
	"lars.internal/reporter"
	"lars.internal/route"
	"lars.internal/store"
)

// cppReadSize is what a C++ agent reads at a time.
const cppReadSize = 64 << 10

// cppAgent is the connection of a C++ agent to a dns service. It reads once and
// takes what came for whole frames.
type cppAgent struct {
	t    *testing.T
	conn net.Conn

	mu     sync.Mutex // guards everything below
	frames map[route.Key]frame
}

func startCppAgent(t *testing.T, addr netip.AddrPort) *cppAgent {
	t.Helper()
	conn, err := net.Dial("tcp4", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	a := &cppAgent{t: t, conn: conn, frames: make(map[route.Key]frame)}
	var wg sync.WaitGroup
	wg.Go(a.read) // ended by the cleanup, which waits
	t.Cleanup(func() {
		conn.Close()
		wg.Wait()
	})
	return a
}

func (a *cppAgent) read() {
	buf := make([]byte, cppReadSize)
	for {
		n, err := a.conn.Read(buf)
		if err != nil {
			return
		}
		for in := buf[:n]; len(in) > 0; {
			size := larspb.HeaderSize
			if len(in) >= size {
				size += int(binary.LittleEndian.Uint32(in[4:]))
			}
			if size > len(in) {
				a.t.Errorf("a read of %d bytes ends in the middle of a frame of %d", n, size)
				return
			}
			a.take(slices.Clone(in[:size]))
			in = in[size:]
		}
	}
}

func (a *cppAgent) take(f frame) {
	var m larspb.GetRouteResponse
	if f.id() != larspb.IDGetRouteResponse || proto.Unmarshal(f.body(), &m) != nil {
		a.t.Errorf("the C++ agent got %x", []byte(f))
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.frames[route.Key{Modid: m.Modid, Cmdid: m.Cmdid}] = f
}

func (a *cppAgent) write(f []byte) {
	a.t.Helper()
	if _, err := a.conn.Write(f); err != nil {
		a.t.Fatal(err)
	}
}

func (a *cppAgent) pull(key route.Key) {
	a.t.Helper()
	a.write(request(a.t, larspb.IDGetRouteRequest, &larspb.GetRouteRequest{Modid: key.Modid, Cmdid: key.Cmdid}))
}

func (a *cppAgent) newest(key route.Key) frame {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.frames[key]
}

// has waits until the newest frame of a service holds these hosts, in any
// order, and nothing else.
func (a *cppAgent) has(key route.Key, hosts ...route.Host) {
	a.t.Helper()
	eventually(a.t, key.String()+" has its hosts", func() bool {
		f := a.newest(key)
		return f != nil && bytes.Equal(inOrder(a.t, f), inOrder(a.t, routeFrame(a.t, key, hosts)))
	})
}

// inOrder returns the frame with its hosts in order. A field that C++ peers do
// not know is an error.
func inOrder(t *testing.T, f frame) []byte {
	t.Helper()
	var m larspb.GetRouteResponse
	if err := proto.Unmarshal(f.body(), &m); err != nil {
		t.Fatal(err)
	}
	if m.Seq != 0 || m.Truncated || len(m.ProtoReflect().GetUnknown()) > 0 {
		t.Errorf("a C++ agent is told %v", &m)
	}
	slices.SortFunc(m.Host, func(a, b *larspb.HostInfo) int {
		return route.Host{IP: uint32(a.Ip), Port: uint16(a.Port)}.Compare(route.Host{IP: uint32(b.Ip), Port: uint16(b.Port)})
	})
	return request(t, larspb.IDGetRouteResponse, &m)
}

// services are a dns and a report service of this project on one database.
type services struct {
	t        *testing.T
	db       *store.DB
	dns      *dns.Server
	reporter *reporter.Server
}

func startServices(t *testing.T, now func() time.Time) *services {
	t.Helper()
	db, err := store.Open("sqlite:"+filepath.Join(t.TempDir(), "lars.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	free := reactor.ServerConfig{Addr: netip.MustParseAddrPort("127.0.0.1:0"), Loops: 2}
	s := &services{t: t, db: db}
	if s.dns, err = dns.New(dns.Config{Reactor: free, Store: db, PollInterval: 5 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	if s.reporter, err = reporter.New(reporter.Config{Reactor: free, Sink: db, Now: now}); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{s.dns.Listen(), s.reporter.Listen()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	background(t, s.dns.Serve)
	background(t, s.reporter.Serve)
	return s
}

// set makes hosts the hosts of each service, in one edit.
func (s *services) set(hosts []route.Host, keys ...route.Key) {
	s.t.Helper()
	edit := route.Edit{Who: "test"}
	for _, key := range keys {
		edit.Changes = append(edit.Changes, route.Change{Action: route.Set, Key: key, Hosts: hosts})
	}
	if _, err := s.db.EditRoutes(s.t.Context(), edit); err != nil {
		s.t.Fatal(err)
	}
}

// A C++ agent and the dns service of this project: each answer and each push
// arrives in one piece, also from bursts, and holds what the captured ones hold.
func TestCppAgentAndDNS(t *testing.T) {
	vector := captured(t)
	s := startServices(t, nil)
	s.set([]route.Host{far, near}, key12)
	a := startCppAgent(t, s.dns.Addr())

	a.write(vector("GetRouteRequest 1/2"))
	a.has(key12, far, near)
	if got, want := inOrder(t, a.newest(key12)), inOrder(t, vector("GetRouteResponse 1/2 with two hosts")); !bytes.Equal(got, want) {
		t.Errorf("answer %x, want %x", got, want)
	}
	s.set([]route.Host{near}, key12)
	a.has(key12, near)
	s.set(nil, key12)
	a.has(key12)

	const many = 300
	var keys []route.Key
	for i := range many {
		keys = append(keys, route.Key{Modid: 5, Cmdid: int32(i)})
		a.pull(keys[i])
	}
	for _, key := range keys {
		a.has(key)
	}
	for _, hosts := range [][]route.Host{{far}, {far, near}, {near}} {
		s.set(hosts, keys...)
		for _, key := range keys {
			a.has(key, hosts...)
		}
	}

	var most []route.Host
	for i := range route.MaxHosts {
		most = append(most, route.Host{IP: 0xC0A80000 + uint32(i), Port: 7777})
	}
	s.set(most, keys[0])
	a.has(keys[0], most...)
}

// A C++ agent and the report service of this project: captured reports, one by
// one and several in a write, end in the table.
func TestCppAgentAndReporter(t *testing.T) {
	vector := captured(t)
	s := startServices(t, func() time.Time { return time.Unix(1795344240, 0) }) // soon after the capture
	conn, err := net.Dial("tcp4", s.reporter.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	row := func(h route.Host) (row route.CallStatus) {
		rows, err := s.db.Status(context.Background(), &key12, 0)
		if err != nil {
			t.Fatal(err)
		}
		if i := slices.IndexFunc(rows, func(r route.CallStatus) bool { return r.Host == h }); i >= 0 {
			return rows[i]
		}
		return row
	}
	want := route.CallStatus{Key: key12, Host: far, Caller: 127<<24 | 1, Time: 1795344234}
	success, failure := vector("ReportStatusRequest after one success"), vector("ReportStatusRequest after one failure")
	for _, frames := range [][]byte{success, failure, slices.Concat(failure, success), slices.Concat(success, success, failure)} {
		if _, err := conn.Write(frames); err != nil {
			t.Fatal(err)
		}
		want.Err = 0
		if bytes.HasSuffix(frames, failure) {
			want.Err = 1
		}
		eventually(t, "the row is stored", func() bool { return row(far) == want })
		if got := row(near); got.Host != near || got.Succ != 0 || got.Err != 0 {
			t.Errorf("row %+v of the host that was not called", got)
		}
	}
}

// A C++ program, an agent, a dns and a report service of this project.
func TestCppProgramAmongServices(t *testing.T) {
	vector := captured(t)
	s := startServices(t, nil)
	s.set([]route.Host{far}, key12)
	a, _ := startAgent(t, agent.Config{
		DNS:      agent.Peers{Addrs: []string{s.dns.Addr().String()}},
		Reporter: agent.Peers{Addrs: []string{s.reporter.Addr().String()}},
	})
	p := startCppProgram(t, a)
	eventually(t, "1/2 is served", func() bool {
		return bytes.Equal(p.ask(key12, vector("API_GetRouteRequest 1/2")), vector("API_GetRouteResponse 1/2 with one host"))
	})
	if got, want := p.ask(key12, vector("GetHostRequest seq 0, 1/2")), vector("GetHostResponse seq 0, 1/2, success"); !bytes.Equal(got, want) {
		t.Errorf("host %x, want %x", got, want)
	}
	p.tell(key12, vector("ReportRequest 1/2 success"))
	eventually(t, "the call is stored", func() bool {
		rows, err := s.db.Status(t.Context(), &key12, 0)
		if err != nil {
			t.Fatal(err)
		}
		return len(rows) == 1 && rows[0].Host == far && rows[0].Succ == 1
	})
}

// The agent of a client is stopped and started under load. Calls fail with the
// documented error alone, and the same client works again, from the agent's
// snapshot at once.
func TestClientOutlivesAgent(t *testing.T) {
	dns := startCppDNS(t, map[route.Key][]route.Host{key12: {far}})
	cfg := agent.Config{
		DNS:      agent.Peers{Addrs: []string{dns.addrPort().String()}},
		Reporter: agent.Peers{Addrs: []string{startCppReporter(t).addrPort().String()}},
		Snapshot: filepath.Join(t.TempDir(), "routes"),
	}
	a, stop := startAgent(t, cfg)
	cfg.Port = int(a.Addr().Port())
	c, err := client.New(client.Config{Agent: a.Addr().String(), Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	eventually(t, "1/2 is registered", func() bool { return c.Register(t.Context(), 1, 2) == nil })

	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	var worked, failed atomic.Int64
	for range 8 {
		wg.Go(func() {
			for ctx.Err() == nil {
				switch err := c.Do(ctx, 1, 2, callFar(t)); {
				case err == nil:
					worked.Add(1)
				case errors.Is(err, client.ErrAgent):
					failed.Add(1)
				case ctx.Err() == nil:
					t.Errorf("a call failed with %v", err)
				}
			}
		})
	}
	grows := func(what string, n *atomic.Int64) {
		t.Helper()
		before := n.Load()
		eventually(t, what, func() bool { return n.Load() >= before+100 })
	}
	grows("calls work", &worked)
	for range 2 {
		stop()
		grows("calls fail", &failed)
		dns.stop() // the snapshot has to do
		_, stop = startAgent(t, cfg)
		grows("calls work again", &worked)
		dns.start()
	}
}

// callFar is a call of the one host that there is.
func callFar(t *testing.T) func(context.Context, netip.AddrPort) error {
	return func(_ context.Context, addr netip.AddrPort) error {
		if addr != far.AddrPort() {
			t.Errorf("called %v, want %v", addr, far)
		}
		return nil
	}
}
