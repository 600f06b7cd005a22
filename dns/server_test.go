package dns_test

import (
	"context"
	"math"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"lars.internal/dns"
	"lars.internal/larspb"
	"lars.internal/reactor"
	"lars.internal/route"
)

func TestAnswers(t *testing.T) {
	ends := route.Key{Modid: math.MinInt32, Cmdid: math.MaxInt32}
	store := newFakeStore()
	store.edit(services{k12: {h2, h1}, ends: {h3}, {}: {h1}})
	p := dial(t, startLoaded(t, store, nil))
	for _, tt := range []struct {
		key  route.Key
		want []route.Host
	}{
		{k12, []route.Host{h1, h2}},
		{ends, []route.Host{h3}},
		{k13, nil},
		{route.Key{}, []route.Host{h1}},
	} {
		p.ask(tt.key)
		p.expect(tt.key, tt.want...)
	}
	p.ask(k12, k13, k12)
	p.expect(k12, h1, h2)
	p.expect(k13)
	p.expect(k12, h1, h2)
}

func TestHeldUntilLoaded(t *testing.T) {
	store := newFakeStore()
	store.edit(services{k12: {h1}})
	store.setFault(errStore, "Look", "Load")
	in := start(t, store, nil)
	p, q := dial(t, in), dial(t, in)
	p.ask(k12)
	q.ask(k13)
	in.awaitMetric(t, "lars_dns_lookups_held_total", "2")
	store.await(t, "Load", 2)
	if err := in.Ready(); err == nil || !strings.Contains(err.Error(), "no routes yet") || !strings.Contains(err.Error(), errStore.Error()) {
		t.Errorf("Ready() = %v, want that no routes are there, and why", err)
	}
	store.setFault(nil, "Look", "Load")
	p.expect(k12, h1)
	q.expect(k13)
	in.awaitLoaded(t)
}

func TestPush(t *testing.T) {
	store := newFakeStore()
	store.edit(services{k12: {h1}, k13: {h3}})
	in := startLoaded(t, store, nil)
	p, q := dial(t, in), dial(t, in)
	p.ask(k12)
	p.expect(k12, h1)
	q.ask(k12, k13)
	q.expect(k12, h1)
	q.expect(k13, h3)

	store.edit(services{k12: {h1, h2}})
	p.expect(k12, h1, h2)
	q.expect(k12, h1, h2)

	store.edit(services{k13: nil})
	q.expect(k13)

	store.edit(services{k13: {h2}})
	q.expect(k13, h2)
	p.ask(k13) // it heard nothing of the service that it did not ask for
	p.expect(k13, h2)
}

func TestPushOnlyWhatDiffers(t *testing.T) {
	store := newFakeStore()
	store.edit(services{k12: {h1}})
	in := startLoaded(t, store, nil)
	p := dial(t, in)
	p.ask(k12)
	p.expect(k12, h1)
	store.edit(services{k12: {h1}})
	in.awaitMetric(t, "lars_dns_version", "102")
	p.ask(k13)
	p.expect(k13)
}

func TestMovePushesBoth(t *testing.T) {
	store := newFakeStore()
	store.edit(services{k12: {h1, h2}, k13: {h3}})
	p := dial(t, startLoaded(t, store, nil))
	p.ask(k12, k13)
	p.expect(k12, h1, h2)
	p.expect(k13, h3)
	store.edit(services{k12: {h1}, k13: {h2, h3}})
	p.expectBoth(answer{k12, []route.Host{h1}}, answer{k13, []route.Host{h2, h3}})
}

func TestBurstArrivesInTheEnd(t *testing.T) {
	store := newFakeStore()
	in := startLoaded(t, store, nil)
	p := dial(t, in)
	p.ask(k12)
	p.expect(k12)
	for port := range 1000 {
		store.edit(services{k12: {{IP: 1, Port: uint16(port + 1)}}})
	}
	p.expectFinally(k12, route.Host{IP: 1, Port: 1000})
}

func TestManyServicesPushedToOne(t *testing.T) {
	const n = 3000 // more than a turn of the loop pushes
	store := newFakeStore()
	before, after, keys := services{}, services{}, []route.Key{}
	for i := range n {
		key := route.Key{Modid: 7, Cmdid: int32(i)}
		keys, before[key], after[key] = append(keys, key), []route.Host{h1}, []route.Host{h2}
	}
	store.edit(before)
	p := dial(t, startLoaded(t, store, nil))
	p.ask(keys...)
	for _, key := range keys {
		p.expect(key, h1)
	}
	store.edit(after)
	seen := map[route.Key]bool{}
	for range n {
		a := p.next()
		if len(a.Hosts) != 1 || a.Hosts[0] != h2 || seen[a.Key] {
			t.Fatalf("pushed %v, seen %v", a, seen[a.Key])
		}
		seen[a.Key] = true
	}
}

func TestBrokenMessageEndsConnection(t *testing.T) {
	store := newFakeStore()
	in := startLoaded(t, store, nil)
	p, q := dial(t, in), dial(t, in)
	frame := make([]byte, larspb.HeaderSize)
	larspb.PutHeader(frame, larspb.IDGetRouteRequest, 1)
	p.send(append(frame, 0xff))
	p.expectEnd()
	in.awaitMetric(t, "lars_dns_bad_messages_total", "1")
	q.ask(k12)
	q.expect(k12)
}

func TestSubscriptionLimit(t *testing.T) {
	store := newFakeStore()
	store.edit(services{k12: {h1}, k13: {h1}})
	in := startLoaded(t, store, func(c *dns.Config) { c.MaxSubscriptions = 1 })
	p := dial(t, in)
	p.ask(k12, k13, k12)
	p.expect(k12, h1)
	p.expect(k13, h1)
	p.expect(k12, h1)
	store.edit(services{k12: {h2}, k13: {h2}})
	p.expect(k12, h2)
	p.expectSilence()
	in.awaitMetric(t, "lars_dns_subscriptions", "1")
	in.awaitMetric(t, "lars_dns_lookups_unsubscribed_total", "2")
}

// A request over the limit cannot wait for the first load. The connection ends
// then, so that the agent asks again.
func TestSubscriptionLimitBeforeLoad(t *testing.T) {
	store := newFakeStore()
	store.setFault(errStore, "Load")
	in := start(t, store, func(c *dns.Config) { c.MaxSubscriptions = 1 })
	p := dial(t, in)
	p.ask(k12, k13)
	p.expectEnd()
	p.conn.Close()
	in.awaitMetric(t, "lars_dns_connections", "0")
	in.awaitMetric(t, "lars_dns_subscriptions", "0")
}

func TestConnectionLimit(t *testing.T) {
	in := startLoaded(t, newFakeStore(), func(c *dns.Config) { c.Reactor.MaxConns = 1 })
	p := dial(t, in)
	p.ask(k12)
	p.expect(k12)
	dial(t, in).expectEnd()
	in.awaitMetric(t, `lars_dns_connections_refused_total{reason="limit"}`, "1")
	p.ask(k12)
	p.expect(k12)
}

func TestLongRouteIsCut(t *testing.T) {
	store := newFakeStore()
	long := make([]route.Host, 5000)
	for i := range long {
		long[i] = route.Host{IP: 0xC0A80000 + uint32(i), Port: 7777}
	}
	store.edit(services{k12: long})
	in := startLoaded(t, store, nil)
	p := dial(t, in)
	p.ask(k12)
	if n := len(p.next().Hosts); n < 3500 || n >= 5000 {
		t.Errorf("%d hosts in the answer, want what one frame holds", n)
	}
	store.edit(services{k12: long[1:]})
	p.next()
	in.awaitMetric(t, "lars_dns_services_cut", "1")
	if n := in.log.count("too long for one frame"); n != 1 {
		t.Errorf("%d log lines about it, want 1", n)
	}
	store.edit(services{k12: {h1}})
	p.expect(k12, h1)
	in.awaitMetric(t, "lars_dns_services_cut", "0")
}

func TestTwoServicesOnOneStore(t *testing.T) {
	store := newFakeStore()
	a, b := startLoaded(t, store, nil), startLoaded(t, store, nil)
	p, q := dial(t, a), dial(t, b)
	for _, x := range []*peer{p, q} {
		x.ask(k12)
		x.expect(k12)
	}
	store.edit(services{k12: {h1}})
	p.expect(k12, h1)
	q.expect(k12, h1)
	p.conn.Close()
	a.stop()
	store.edit(services{k12: {h2}})
	q.expect(k12, h2)
}

func TestServeReturnsWhenPortIsTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	addr := netip.MustParseAddrPort(taken.Addr().String())
	service, err := dns.New(dns.Config{
		Store:   newFakeStore(),
		Reactor: reactor.ServerConfig{Addr: addr},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := service.Serve(context.Background()); err == nil || !strings.Contains(err.Error(), addr.String()) {
		t.Errorf("Serve() = %v, want an error that names %v", err, addr)
	}
}

// After New and Listen without Serve nothing released the port: a program that
// failed to start its next part had to exit.
func TestFinding14ClosedWithoutServe(t *testing.T) {
	server, err := dns.New(dns.Config{Store: newFakeStore(), Reactor: loopback(0)})
	if err != nil {
		t.Fatal(err)
	}
	server.Close() // before Listen it has nothing to release
	if server, err = dns.New(dns.Config{Store: newFakeStore(), Reactor: loopback(0)}); err != nil {
		t.Fatal(err)
	}
	if err := server.Listen(); err != nil {
		t.Fatal(err)
	}
	addr := server.Addr()
	server.Close()
	server.Close()
	again, err := net.Listen("tcp", addr.String())
	if err != nil {
		t.Fatalf("the port is still taken after Close: %v", err)
	}
	again.Close()
}

// Close ends Serve at once, although a peer keeps its connection open.
func TestFinding14ClosedWhileServing(t *testing.T) {
	in := startLoaded(t, newFakeStore(), nil)
	p := dial(t, in)
	p.ask(k12)
	p.expect(k12)
	in.Close()
	in.Close()
	p.expectEnd()
	in.stop()
}

// One peer that does not close its connection made a stop take 5 s. What was
// accepted is answered, and the stop is over.
func TestFinding50StopDoesNotWaitForAPeer(t *testing.T) {
	store := newFakeStore()
	store.edit(services{k12: {h1}})
	in := startLoaded(t, store, nil)
	p := dial(t, in)
	p.ask(k12)
	p.expect(k12, h1)
	start := time.Now()
	in.stop()
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("the stop took %v", took)
	}
	p.expectEnd()
}

// loopback returns where to listen: a port of this machine, 0 for a free one.
func loopback(port uint16) reactor.ServerConfig {
	return reactor.ServerConfig{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port), Loops: 2, MaxConns: 1000}
}

func TestNewRejects(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  dns.Config
		want string
	}{
		{"no store", dns.Config{}, "no Store"},
		{"negative duration", dns.Config{Store: newFakeStore(), PollInterval: -time.Second}, "negative"},
		{"negative subscriptions", dns.Config{Store: newFakeStore(), MaxSubscriptions: -1}, "MaxSubscriptions"},
		{"little output", dns.Config{Store: newFakeStore(), MaxOutput: 1000}, "MaxOutput"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := dns.New(tt.cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("New() error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestBadRowsNamesEachOnce(t *testing.T) {
	var j journal
	bad := dns.NewBadRows(j.log())
	for range 3 {
		bad.Report("RouteData", "7", "port 0")
		bad.Report("RouteHost", "7", "weight 0")
	}
	if j.count("row of RouteData skipped\" id=7") != 1 || j.count("row of RouteHost skipped\" id=7") != 1 {
		t.Errorf("log: %s, want each row once", &j.lines)
	}
	in := startLoaded(t, newFakeStore(), func(c *dns.Config) { c.BadRows = bad })
	in.awaitMetric(t, "lars_dns_bad_rows_total", "6")
}
