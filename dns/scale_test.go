package dns_test

import (
	"fmt"
	"testing"
	"time"

	"lars.internal/dns"
	"lars.internal/route"
)

// startCrowded runs a service with as many subscribers of k12 as a machine may
// have agents, or as many as this process may have connections.
func startCrowded(t *testing.T, store *fakeStore, poll time.Duration) (*instance, *crowd, int) {
	t.Helper()
	if testing.Short() {
		t.Skip("ten thousand connections")
	}
	const spare = 500
	n := int(roomFor(t, 2*10_000+spare)-spare) / 2
	in := startLoaded(t, store, func(c *dns.Config) {
		c.Reactor.MaxConns = n + spare
		c.PollInterval = poll
		c.MaxOutput = 256 << 10
		c.StallTimeout = time.Hour
	})
	c := newCrowd(t, in, n, k12)
	c.await(k12, h1)
	return in, c, n
}

// Ten thousand connections hold the service that changes: all get each change
// once, and of a burst the last state, in far fewer pushes than edits.
func TestTenThousandSubscribers(t *testing.T) {
	store := newFakeStore()
	store.edit(services{k12: {h1}})
	in, crowd, n := startCrowded(t, store, 100*time.Millisecond)
	if got := in.value(t, "lars_dns_subscriptions"); got != n {
		t.Errorf("%d subscriptions, want %d", got, n)
	}
	store.edit(services{k12: {h1, h2}})
	crowd.await(k12, h1, h2)
	if crowd.frames != 2*n {
		t.Errorf("%d frames for an answer and a push to %d connections", crowd.frames, n)
	}

	const edits = 1000
	for port := range uint16(edits) {
		store.edit(services{k12: {{IP: 1, Port: port + 1}}})
	}
	crowd.await(k12, route.Host{IP: 1, Port: edits})
	if pushes := crowd.frames - 2*n; pushes > n*edits/10 {
		t.Errorf("%d pushes to %d connections for %d edits", pushes, n, edits)
	}
	crowd.close()
	in.awaitMetric(t, "lars_dns_connections", "0")
	in.awaitMetric(t, "lars_dns_subscriptions", "0")
}

// Among ten thousand some subscribers read nothing at all. They are sent less
// and less, and the others get everything.
func TestTenThousandAndSomeWhoNeverRead(t *testing.T) {
	store := newFakeStore()
	store.edit(services{k12: {h1}, k13: bigRoute(0)})
	in, crowd, n := startCrowded(t, store, 2*time.Millisecond)
	const idle = 10
	for range idle {
		p := slowReader(t, in)
		p.ask(k13)
	}
	eventually(t, "all are subscribed", func() bool { return in.value(t, "lars_dns_subscriptions") == n+2*idle })
	for i := 1; in.value(t, "lars_dns_routes_delayed_total") < idle; i++ {
		if i > 1000 {
			t.Fatal("45 MB went to somebody who reads nothing")
		}
		version := in.metric(t, "lars_dns_version")
		store.edit(services{k13: bigRoute(i)})
		eventually(t, "the edit is in", func() bool { return in.metric(t, "lars_dns_version") != version })
	}
	for _, h := range []route.Host{h2, h3} {
		store.edit(services{k12: {h}})
		crowd.await(k12, h)
	}
	if got := in.value(t, "lars_dns_connections"); got != n+idle {
		t.Errorf("%d connections, want %d: nobody has to go yet", got, n+idle)
	}
}

// A thousand edits of one service between two looks at a real database are
// one push, of the last state, from one question for one service.
func TestBurstOnRealDatabase(t *testing.T) {
	d := sharedDatabase(t)
	m := &meter{gate: make(chan struct{})}
	in := d.serve(func(c *dns.Config) { c.Store, c.QueryTimeout = m, time.Minute })
	in.awaitLoaded(t)
	p := dial(t, in)
	p.ask(k12)
	p.expect(k12)
	m.reset()
	var last route.Host
	for port := range uint16(1000) {
		last = route.Host{IP: h1.IP, Port: 1000 + port}
		d.edit(set(k12, last))
	}
	close(m.gate)
	p.expect(k12, last)
	p.expectSilence()
	calls, asked := m.reset()
	if calls["Changed"] != 1 || calls["RoutesOf"] != 1 || calls["Load"] != 0 || fmt.Sprint(asked) != fmt.Sprint([]route.Key{k12}) {
		t.Errorf("calls %v for services %v, want one of Changed and one of Hosts for %v", calls, asked, k12)
	}
}

// The cost of an edit does not depend on how many routes there are: the same
// calls, for the same services, and about as many rows read by the database.
func TestDefect36CostOfAnEditOnRealDatabase(t *testing.T) {
	edits := []struct {
		name    string
		changes []route.Change
		rows    int64 // that the database may read for it: twice what it was seen to read
	}{
		{"one service", []route.Change{add(k12, h1)}, 40},
		{"a hundred services", addToMany(100), 2000},
	}
	for _, hosts := range []int{10_000, 100_000} {
		t.Run(fmt.Sprintf("%d hosts", hosts), func(t *testing.T) {
			d := ownDatabase(t)
			d.exec(`INSERT INTO RouteData (modid, cmdid, serverip, serverport)
				SELECT 7, seq DIV 5, 167772160 + seq, 7777 FROM seq_1_to_` + fmt.Sprint(hosts))
			m := &meter{gate: make(chan struct{})}
			in := d.serve(func(c *dns.Config) { c.Store, c.QueryTimeout = m, time.Minute })
			in.awaitMetric(t, "lars_dns_hosts", fmt.Sprint(hosts))
			for _, e := range edits {
				d.edit(e.changes...)
				m.reset()
				before := d.rowsRead()
				m.gate <- struct{}{}
				in.awaitMetric(t, "lars_dns_version", fmt.Sprint(d.version()))
				if rows := d.rowsRead() - before; rows > e.rows {
					t.Errorf("%s: the database has read %d rows, want at most %d", e.name, rows, e.rows)
				}
				calls, asked := m.reset()
				if calls["Changed"] != 1 || calls["RoutesOf"] != 1 || calls["Load"] != 0 || len(asked) != len(e.changes) {
					t.Errorf("%s: calls %v for %d services, want one of Changed and of Hosts for %d",
						e.name, calls, len(asked), len(e.changes))
				}
			}
		})
	}
}

// addToMany adds a host to n services.
func addToMany(n int) []route.Change {
	var changes []route.Change
	for i := range n {
		changes = append(changes, add(route.Key{Modid: 7, Cmdid: int32(i)}, h1))
	}
	return changes
}

// rowsRead returns how many rows the server has read since it was started, for
// whatever reason.
func (d *database) rowsRead() int64 {
	d.t.Helper()
	return d.number(`SELECT SUM(VARIABLE_VALUE) FROM information_schema.GLOBAL_STATUS
		WHERE VARIABLE_NAME LIKE 'Handler\_read\_%'`)
}
