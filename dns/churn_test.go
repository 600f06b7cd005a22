package dns_test

import (
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"lars.internal/dns"
	"lars.internal/route"
)

// editor edits n services of modid 1 at full speed until ctx is done. Each has
// one host, whose port is the cmdid plus 1,000.
func editor(ctx context.Context, store *fakeStore, n int) {
	for i := uint32(1); ctx.Err() == nil; i++ {
		cmdid := int32(i % uint32(n))
		store.edit(services{{Modid: 1, Cmdid: cmdid}: {{IP: i, Port: uint16(1000 + cmdid)}}})
		if i%16 == 0 {
			store.Look(ctx) // let the others to the lock
		}
	}
}

// churner connects, asks for some of the n services, reads a little, and goes, over
// and over. A route that it did not ask for on this connection is an error.
func churner(t *testing.T, addr string, rounds, n int) {
	for range rounds {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Errorf("connect: %v", err)
			return
		}
		p := &peer{t, conn}
		asked := make(map[route.Key]bool)
		for range 1 + rand.IntN(4) {
			key := route.Key{Modid: 1, Cmdid: int32(rand.IntN(n))}
			asked[key] = true
			p.ask(key)
		}
		for range rand.IntN(6) {
			a, err := p.read()
			if err != nil {
				t.Errorf("read: %v", err)
				break
			}
			if !asked[a.Key] || len(a.Hosts) > 1 || len(a.Hosts) == 1 && a.Hosts[0].Port != uint16(1000+a.Key.Cmdid) {
				t.Errorf("got %v, asked for %v", a, asked)
			}
		}
		if rand.IntN(2) == 0 {
			conn.(*net.TCPConn).SetLinger(0) // a reset instead of an orderly end
		}
		conn.Close()
	}
}

// The original erases the iterator of its subscribers and advances it then: it
// dies of the first push after a route change. Here connections subscribe and
// go, in order and by reset, while pushes to them are under way.
func TestDefect01PushUnderChurn(t *testing.T) {
	const n = 8 // services
	store := newFakeStore()
	in := startLoaded(t, store, func(c *dns.Config) { c.PollInterval = time.Millisecond })
	ctx, cancel := context.WithCancel(context.Background())
	var editing, churning sync.WaitGroup
	editing.Go(func() { editor(ctx, store, n) })
	for range 8 {
		churning.Go(func() { churner(t, in.Addr().String(), 100, n) })
	}
	churning.Wait()
	cancel()
	editing.Wait()
	in.awaitMetric(t, "lars_dns_connections", "0")
	in.awaitMetric(t, "lars_dns_subscriptions", "0")
}

// The original keys subscriptions by descriptor and keeps them when the
// connection ends, so the connection that gets the descriptor next is sent
// routes that he never asked for. churner checks the same under load.
func TestDefect24SubscriptionsEndWithConnection(t *testing.T) {
	store := newFakeStore()
	in := startLoaded(t, store, func(c *dns.Config) { c.Reactor.Loops = 1 })
	for range 20 {
		old := dial(t, in)
		old.ask(k12)
		old.next()
		old.conn.Close()
		in.awaitMetric(t, "lars_dns_connections", "0")

		next := dial(t, in) // has the descriptor of old in the service
		next.ask(k13)
		next.expect(k13)
		version := in.metric(t, "lars_dns_version")
		store.edit(services{k12: {{IP: rand.Uint32() | 1, Port: 1}}})
		eventually(t, "the edit is in", func() bool { return in.metric(t, "lars_dns_version") != version })
		next.ask(k13)
		next.expect(k13)
		next.conn.Close()
		in.awaitMetric(t, "lars_dns_connections", "0")
	}
}

func bigRoute(n int) []route.Host {
	hosts := make([]route.Host, 3000) // about 45 KB
	for i := range hosts {
		hosts[i] = route.Host{IP: uint32(n)<<16 + uint32(i) + 1, Port: 7777}
	}
	return hosts
}

// slowReader returns a peer whose kernel takes little for it, and who has
// asked for a service with a route of many bytes. Still less would make TCP
// itself slow.
func slowReader(t *testing.T, in *instance) *peer {
	p := dial(t, in)
	if err := p.conn.(*net.TCPConn).SetReadBuffer(128 << 10); err != nil {
		t.Fatal(err)
	}
	p.ask(k12)
	return p
}

func TestSlowReaderIsClosedAndHarmsNobody(t *testing.T) {
	store := newFakeStore()
	store.edit(services{k12: bigRoute(0)})
	in := startLoaded(t, store, func(c *dns.Config) {
		c.MaxOutput = 256 << 10
		c.StallTimeout = 200 * time.Millisecond
		c.Reactor.Loops = 1
	})
	slowReader(t, in)
	good := dial(t, in)
	good.ask(k12)
	good.expectFinally(k12, bigRoute(0)...)
	for n := 1; in.metric(t, "lars_dns_slow_readers_closed_total") == "0"; n++ {
		store.edit(services{k12: bigRoute(n % 1000)})
		good.expectFinally(k12, bigRoute(n%1000)...)
	}
	in.awaitMetric(t, "lars_dns_connections", "1")
	in.awaitMetric(t, "lars_dns_subscriptions", "1")
}

// A reader that is slow, but reads, gets the last state without having been
// sent all those before it, and nothing is lost of the other services.
func TestSlowReaderCatchesUp(t *testing.T) {
	store := newFakeStore()
	store.edit(services{k12: bigRoute(0), k13: {h1}})
	in := startLoaded(t, store, func(c *dns.Config) { c.MaxOutput = 256 << 10 })
	slow := slowReader(t, in)
	slow.ask(k13)
	eventually(t, "both are subscribed", func() bool { return in.metric(t, "lars_dns_subscriptions") == "2" })
	edits := 0
	for in.metric(t, "lars_dns_routes_delayed_total") == "0" {
		edits++
		version := in.metric(t, "lars_dns_version")
		store.edit(services{k12: bigRoute(edits % 1000)})
		eventually(t, "the edit is in", func() bool { return in.metric(t, "lars_dns_version") != version })
	}
	store.edit(services{k12: {h2}, k13: {h3}})
	done := map[route.Key]bool{}
	for !done[k12] || !done[k13] {
		a := slow.next()
		done[a.Key] = len(a.Hosts) == 1 && (a.Key == k12 && a.Hosts[0] == h2 || a.Key == k13 && a.Hosts[0] == h3)
	}
	in.awaitMetric(t, "lars_dns_slow_readers_closed_total", "0")
}
