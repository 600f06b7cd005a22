package e2e_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lars.internal/internal/testdb"
	"lars.internal/route"
	"lars.internal/store"
)

// TestCluster holds the tests on a cluster of databases, so that they share
// it. Each repairs first what the one before has left broken.
func TestCluster(t *testing.T) {
	cluster := testdb.StartCluster(t)
	bin := build(t)
	for _, c := range []struct {
		name string
		test func(w *world, c *testdb.Cluster)
	}{
		{"concurrent editors on two nodes", testEditorsOnTwoNodes},
		{"page edits beside a C++ dns", testFinding56OnCluster},
		{"a node is killed and comes back", testNodeKilled},
		{"a node is killed under editors", testNodeKilledUnderEditors},
		{"a node hangs", testNodeFrozen},
		{"a minority is left", testMinority},
	} {
		t.Run(c.name, func(t *testing.T) {
			mine := cluster.For(t)
			c.test(newWorld(t, bin, mine.DSN()), mine)
		})
	}
}

// on returns the same world as it looks to programs that have the nodes of the
// cluster in another order.
func (w *world) on(dsn string) *world {
	other := *w
	other.dsn = dsn
	return &other
}

// testNodeKilled: dns and lars use node 0 until it dies. All is edited and
// pushed by way of the others, and again by node 0 when it is back.
func testNodeKilled(w *world, c *testdb.Cluster) {
	w.start()
	w.on(c.DSN(1)).lars("route", "set", "1/1", hostA.String())
	w.hasRoute(hostA)
	c.Kill(0)
	w.on(c.DSN(2)).lars("route", "add", "1/1", hostB.String())
	w.hasRoute(hostA, hostB)
	w.lars("route", "add", "1/1", hostC.String())
	w.hasRoute(hostA, hostB, hostC)
	w.report(hostA, nil, "idle")
	w.reported(hostA, "idle", func(r row) bool { return r.Succ >= 20 && !r.Ejected })

	c.Heal()
	w.on(c.DSN(0)).lars("route", "remove", "1/1", hostB.String())
	w.hasRoute(hostA, hostC)
}

// testNodeFrozen: the node that dns and lars use accepts and never answers.
func testNodeFrozen(w *world, c *testdb.Cluster) {
	w.start()
	c.Freeze(0)
	w.lars("route", "add", "1/1", hostC.String())
	w.hasRoute(hostA, hostB, hostC)
	c.Thaw(0)
	c.Heal()
	w.on(c.DSN(0)).lars("route", "remove", "1/1", hostA.String())
	w.hasRoute(hostB, hostC)
}

// testMinority: the one node that is left takes nothing, since it cannot know
// what the others do. Everybody goes on with what he has.
func testMinority(w *world, c *testdb.Cluster) {
	w.start()
	c.Kill(0, 1)
	db := open(w.t, c.DSN())
	// It takes the node some seconds to notice that it is alone.
	eventually(w.t, "the store says why it does not work", func() bool {
		_, err := db.Version(w.t.Context())
		return err != nil && strings.Contains(err.Error(), "not yet prepared")
	})
	r := execute(w.t, w.bin, "lars", w.environ(), "route", "add", "1/1", hostC.String())
	wantFailure(w.t, r, 1, "majority")

	w.agent.kill()
	w.startAgent() // knows nothing but what dns still has
	w.served(1, 1)
	w.hasRoute(hostA, hostB)

	c.Heal()
	w.lars("route", "add", "1/1", hostC.String())
	w.hasRoute(hostA, hostB, hostC)
}

// testEditorsOnTwoNodes: editors of one service on two nodes get in each
// other's way all the time, and a watcher on the third sees all that they do.
func testEditorsOnTwoNodes(w *world, c *testdb.Cluster) {
	const edits = 20
	w.start()
	watcher := follow(w.t, c.DSN(2))
	before := conflicts(w.t, c)
	results := edit(w.t, []string{c.DSN(0), c.DSN(1)}, edits, func() {})
	if conflicts(w.t, c) == before {
		w.t.Error("there was no conflict: the test shows nothing")
	}
	checkEdits(w.t, c, results)
	for n, r := range results {
		if !r.Changed {
			w.t.Errorf("edit %d says that it changed nothing", n)
		}
		if n%edits > 0 && r.Version <= results[n-1].Version {
			w.t.Errorf("an editor made version %d after %d", r.Version, results[n-1].Version)
		}
	}
	watcher.sees(len(results))
	w.hasRoute(edited(len(results))...)
}

// testFinding56OnCluster: the page of the C++ stack, lars and a C++ dns that
// deletes change rows work on different nodes, whose ids interleave, within the
// same seconds. lars-dns pushes every edit without reading all routes again.
func testFinding56OnCluster(w *world, c *testdb.Cluster) {
	w.startDNS("-dns.reload_interval", "24h")
	w.startReporter()
	w.startAgent()
	w.served(1, 1)
	hosts := []netip.AddrPort{hostA, hostB}
	for n := range 12 {
		h := editedHost(n)
		if n%3 == 0 {
			w.on(c.DSN(2)).lars("route", "add", "1/1", h.String())
		} else {
			pageEdit(w.t, c.DB(1+n%2), h)
		}
		hosts = append(hosts, h.AddrPort())
		slices.SortFunc(hosts, netip.AddrPort.Compare)
		w.hasRoute(hosts...)
		if n%2 == 0 {
			execSQL(w.t, c.DB(1), `DELETE FROM RouteChange WHERE version <= (SELECT version FROM RouteVersion WHERE id = 1)`)
		}
	}
}

// pageEdit adds a host to 1/1 as the page of the C++ stack does: in three
// statements, with the Unix second for its version.
func pageEdit(t *testing.T, db *sql.DB, h route.Host) {
	t.Helper()
	now := time.Now().Unix()
	execSQL(t, db, `INSERT INTO RouteData (modid, cmdid, serverip, serverport) VALUES (1, 1, ?, ?)`, h.IP, h.Port)
	execSQL(t, db, `INSERT INTO RouteChange (modid, cmdid, version) VALUES (1, 1, ?)`, now)
	execSQL(t, db, `UPDATE RouteVersion SET version = ? WHERE id = 1`, now)
}

func execSQL(t *testing.T, db *sql.DB, query string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// testNodeKilledUnderEditors: the node dies while half of the editors work on
// it. All of them go on with the next.
func testNodeKilledUnderEditors(w *world, c *testdb.Cluster) {
	w.start()
	watcher := follow(w.t, c.DSN(0, 1, 2))
	results := edit(w.t, []string{c.DSN(0, 1, 2), c.DSN(1, 2, 0)}, 10, func() { c.Kill(0) })
	checkEdits(w.t, c, results)
	watcher.sees(len(results))
	w.hasRoute(edited(len(results))...)
}

const editorsPerNode = 4

// edit lets editors work on each of the nodes, each of whom makes a number of
// edits that add one host to 1/1, and one to a service of its own. half is
// called when half of them are through. It returns the results, in the order
// of the hosts.
func edit(t *testing.T, dsns []string, edits int, half func()) []route.EditResult {
	t.Helper()
	editors := len(dsns) * editorsPerNode
	results := make([]route.EditResult, editors*edits)
	var done atomic.Int64
	reached := make(chan struct{})
	var wg sync.WaitGroup
	for e := range editors {
		db := open(t, dsns[e%len(dsns)])
		wg.Go(func() {
			for i := range edits {
				n := e*edits + i
				var err error
				if results[n], err = db.EditRoutes(t.Context(), addition(n)); err != nil {
					t.Errorf("edit %d of %v: %v", n, db, err)
				}
				if done.Add(1) == int64(len(results)/2) {
					close(reached)
				}
			}
		})
	}
	<-reached
	half()
	wg.Wait()
	return results
}

// addition is the edit with a number.
func addition(n int) route.Edit {
	host := []route.Host{editedHost(n)}
	return route.Edit{Who: fmt.Sprint("editor ", n), Changes: []route.Change{
		{Action: route.Add, Key: route.Key{Modid: 1, Cmdid: 1}, Hosts: host},
		{Action: route.Add, Key: ownKey(n), Hosts: host},
	}}
}

func editedHost(n int) route.Host { return route.Host{IP: 0x0A020000 + uint32(n), Port: 7000} }

func ownKey(n int) route.Key { return route.Key{Modid: 2, Cmdid: int32(n)} }

// edited are all hosts of 1/1 after a number of edits.
func edited(n int) []netip.AddrPort {
	hosts := []netip.AddrPort{hostA, hostB}
	for i := range n {
		hosts = append(hosts, editedHost(i).AddrPort())
	}
	slices.SortFunc(hosts, netip.AddrPort.Compare)
	return hosts
}

// checkEdits checks that the database holds every edit once, that no two of
// them happened at a time, and that the results tell the truth.
func checkEdits(t *testing.T, c *testdb.Cluster, results []route.EditResult) {
	t.Helper()
	announced := make(map[uint64]int) // edits by version
	scan(t, c, `SELECT version, cmdid FROM RouteChange WHERE modid = 2`, func(version, _ uint64) { announced[version]++ })
	if len(announced) != len(results) {
		t.Errorf("%d edits are announced under %d versions", len(results), len(announced))
	}
	for version, edits := range announced {
		if edits != 1 {
			t.Errorf("version %d announces %d edits", version, edits)
		}
	}
	for n, r := range results {
		if r.Changed && announced[r.Version] == 0 {
			t.Errorf("nothing announces version %d of edit %d", r.Version, n)
		}
	}
	var last uint64
	scan(t, c, `SELECT DISTINCT version, previous FROM RouteAudit ORDER BY version`, func(version, previous uint64) {
		if last != 0 && previous != last {
			t.Errorf("version %d was made of %d, while it was %d", version, previous, last)
		}
		last = version
	})
	if newest, err := open(t, c.DSN(1)).Version(t.Context()); err != nil || newest != last {
		t.Errorf("the version is %d, %v, want that of the last edit, %d", newest, err, last)
	}
}

// scan calls row for each row of a query that gives two numbers.
func scan(t *testing.T, c *testdb.Cluster, query string, row func(a, b uint64)) {
	t.Helper()
	rows, err := c.DB(1).Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var a, b uint64
		if err := rows.Scan(&a, &b); err != nil {
			t.Fatal(err)
		}
		row(a, b)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}

// conflicts returns how often transactions of two nodes have got in each
// other's way so far.
func conflicts(t *testing.T, c *testdb.Cluster) int {
	t.Helper()
	sum := 0
	for node := range testdb.ClusterSize {
		for _, name := range []string{"wsrep_local_cert_failures", "wsrep_local_bf_aborts"} {
			var n int
			if err := c.DB(node).QueryRow("SHOW STATUS LIKE '"+name+"'").Scan(&name, &n); err != nil {
				t.Fatal(err)
			}
			sum += n
		}
	}
	return sum
}

// follower watches the routes the way dns does, without ever loading all.
type follower struct {
	t    *testing.T
	db   *store.DB
	stop context.CancelFunc
	done chan struct{} // closed when the follower has ended

	mu    sync.Mutex // guards everything below
	hosts map[route.Key][]route.Host
}

// follow starts a follower, which the end of the test stops and awaits.
func follow(t *testing.T, dsn string) *follower {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	f := &follower{t: t, db: open(t, dsn), stop: stop, done: make(chan struct{}), hosts: make(map[route.Key][]route.Host)}
	mark, err := f.db.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(f.done)
		f.run(ctx, mark)
	}()
	t.Cleanup(func() {
		stop()
		<-f.done
	})
	return f
}

func (f *follower) run(ctx context.Context, mark route.Mark) {
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
		newest, err := f.poll(ctx, mark)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, route.ErrHistoryGone):
			f.t.Errorf("the history from %v to %v is not complete: %v", mark, newest, err)
			return
		case err == nil:
			mark = newest
		}
	}
}

// poll takes in what changed after mark.
func (f *follower) poll(ctx context.Context, mark route.Mark) (route.Mark, error) {
	newest, err := f.db.Look(ctx)
	if err != nil {
		return newest, err
	}
	changes, err := f.db.Changed(ctx, mark, newest)
	if err != nil {
		return newest, err
	}
	hosts, err := f.db.Hosts(ctx, changes.Keys)
	if err != nil {
		return newest, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for k, h := range hosts {
		f.hosts[k] = h
	}
	return newest, nil
}

// sees waits until the follower has every edit.
func (f *follower) sees(edits int) {
	f.t.Helper()
	eventually(f.t, "the watcher sees every edit", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		for n := range edits {
			if !slices.Equal(f.hosts[ownKey(n)], []route.Host{editedHost(n)}) {
				return false
			}
		}
		return len(f.hosts[route.Key{Modid: 1, Cmdid: 1}]) == len(edited(edits))
	})
}

func open(t *testing.T, dsn string) *store.DB {
	t.Helper()
	db, err := store.Open(dsn, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}
