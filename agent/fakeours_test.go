package agent

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"lars.internal/larspb"
	"lars.internal/route"
)

// oursServer is a dns or report service of this project that a test makes hang:
// its kernel goes on taking what comes, and nothing is answered.
type oursServer struct {
	*peer
	hanging atomic.Bool
	reading sync.RWMutex // locked by a test: nothing is read
	pings   atomic.Int64

	mu      sync.Mutex // guards everything below
	met     map[net.Conn]bool
	zone    string // of the last pull
	hellos  []*larspb.Hello
	hosts   map[route.Key][]route.Host
	gone    []route.Key                   // unsubscribed
	reports []*larspb.ReportStatusRequest // acknowledged
	pulled  map[route.Key]int
}

func startOurs(t testing.TB) *oursServer {
	t.Helper()
	s := &oursServer{met: make(map[net.Conn]bool), hosts: make(map[route.Key][]route.Host), pulled: make(map[route.Key]int)}
	s.peer = startPeer(t, s.received)
	return s
}

func (s *oursServer) received(conn net.Conn, id int32, body []byte) {
	s.reading.RLock()
	defer s.reading.RUnlock()
	if s.hanging.Load() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch id {
	case larspb.IDGetRouteRequest:
		q := parse(s.t, body, new(larspb.GetRouteRequest))
		s.meet(conn, q.Level)
		s.zone = q.Zone
		key := route.Key{Modid: q.Modid, Cmdid: q.Cmdid}
		s.pulled[key]++
		answer := responseOf(key, s.hosts[key])
		answer.Level = q.Level
		write(s.t, conn, larspb.IDGetRouteResponse, answer)
	case larspb.IDReportStatusRequest:
		m := parse(s.t, body, new(larspb.ReportStatusRequest))
		s.meet(conn, m.Level)
		s.reports = append(s.reports, m)
		write(s.t, conn, larspb.IDReportAck, &larspb.ReportAck{Run: m.Run, Number: m.Number})
	case larspb.IDUnsubscribe:
		u := parse(s.t, body, new(larspb.Unsubscribe))
		s.gone = append(s.gone, route.Key{Modid: u.Modid, Cmdid: u.Cmdid})
	case larspb.IDPing:
		s.pings.Add(1)
		write(s.t, conn, larspb.IDPong, parse(s.t, body, new(larspb.Pong)))
	case larspb.IDHello:
		s.hellos = append(s.hellos, parse(s.t, body, new(larspb.Hello)))
	default:
		s.t.Errorf("got message %d", id)
	}
}

// meet greets an agent once per connection.
func (s *oursServer) meet(conn net.Conn, level uint32) {
	if level > 0 && !s.met[conn] {
		s.met[conn] = true
		write(s.t, conn, larspb.IDHello, &larspb.Hello{Level: 1, Role: "test"})
	}
}

func parse[M proto.Message](t testing.TB, body []byte, m M) M {
	if len(body) == 0 || proto.Unmarshal(body, m) != nil {
		t.Errorf("body %x is no %T", body, m)
	}
	return m
}

func write(t testing.TB, conn net.Conn, id int32, m proto.Message) {
	frame, err := larspb.AppendFrame(nil, id, m)
	if err != nil {
		t.Error(err)
	}
	conn.Write(frame) // a connection that is gone is no failure of the test
}

// set changes the hosts without a push.
func (s *oursServer) set(key route.Key, hosts ...route.Host) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hosts[key] = hosts
}

// total returns the newest totals of a service.
func (s *oursServer) total(key route.Key) (succ, err uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.reports {
		if m.Modid == key.Modid && m.Cmdid == key.Cmdid {
			succ, err = m.Results[0].TotalSucc, m.Results[0].TotalErr
		}
	}
	return succ, err
}

// countOf returns how many reports of a service were acknowledged.
func (s *oursServer) countOf(key route.Key) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.reports {
		if m.Modid == key.Modid && m.Cmdid == key.Cmdid {
			n++
		}
	}
	return n
}

// hasten makes an agent that does not run yet notice a server that hangs within
// a second.
func hasten(a *Agent) {
	for _, l := range []*link{a.dns.link, a.reports.link} {
		l.signInterval, l.pingAfter, l.pongWait = 50*time.Millisecond, 200*time.Millisecond, 600*time.Millisecond
	}
}

// startHastened runs an agent whose signs of life come at short intervals.
func startHastened(t testing.TB, dns, reporters []netip.AddrPort, change func(*Config)) *system {
	t.Helper()
	cfg := Config{ReportInterval: 10 * time.Millisecond, Random: func() float64 { return 0 }}
	for _, a := range dns {
		cfg.DNS.Addrs = append(cfg.DNS.Addrs, a.String())
	}
	for _, a := range reporters {
		cfg.Reporter.Addrs = append(cfg.Reporter.Addrs, a.String())
	}
	if change != nil {
		change(&cfg)
	}
	a, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	hasten(a)
	s := &system{Agent: a, t: t}
	s.stop = serve(t, a)
	return s
}

// acknowledged reports results of a host until they are acknowledged by one of
// the report services, and returns how many. The first report may count as
// arrived, as with a C++ report service, before a busy machine gets to
// acknowledge it.
func (s *system) acknowledged(p *program, by ...*oursServer) (results uint64) {
	s.t.Helper()
	eventually(s.t, "a report is acknowledged", func() bool {
		p.report(key12, hostN(0), true)
		results++
		return s.reports.acked.Load() > 0
	})
	eventually(s.t, "all results are acknowledged", func() bool {
		var most uint64
		for _, r := range by {
			n, _ := r.total(key12)
			most = max(most, n)
		}
		return most == results && s.engine.InFlight() == 0 && s.engine.WaitingAll() == 0
	})
	return results
}
