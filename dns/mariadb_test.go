package dns_test

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"testing"
	"time"

	"lars.internal/dns"
	"lars.internal/internal/testdb"
	"lars.internal/route"
	"lars.internal/store"
)

// database is a MariaDB database with the tables, and those who write to it.
// The server that tests share is ended by its guard, after the test binary.
type database struct {
	*testdb.Server
	t      *testing.T
	dsn    string    // that open uses
	editor *store.DB // what the admin uses
	raw    *sql.DB   // what C++ peers and hands do
}

// sharedDatabase is for tests that leave the server alone.
func sharedDatabase(t *testing.T) *database {
	t.Helper()
	return newDatabase(t, testdb.MariaDB(t))
}

// ownDatabase is for tests that do something to the server.
func ownDatabase(t *testing.T) *database {
	t.Helper()
	return newDatabase(t, testdb.StartMariaDB(t))
}

func newDatabase(t *testing.T, server *testdb.Server) *database {
	t.Helper()
	d := &database{Server: server, t: t, dsn: server.DSN(), raw: server.DB()}
	d.editor = d.open(store.Options{QueryTimeout: patience})
	d.migrate()
	return d
}

// in returns the database for a part of the test.
func (d *database) in(t *testing.T) *database {
	part := *d
	part.t = t
	return &part
}

func (d *database) open(options store.Options) *store.DB {
	d.t.Helper()
	db, err := store.Open(d.dsn, options)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { db.Close() })
	return db
}

func (d *database) migrate() {
	d.t.Helper()
	if err := d.editor.Migrate(d.t.Context()); err != nil {
		d.t.Fatal(err)
	}
}

// serve runs a service on the database, as its main does. change may be nil.
func (d *database) serve(change func(*dns.Config)) *instance {
	d.t.Helper()
	return start(d.t, nil, func(c *dns.Config) {
		c.PollInterval = 10 * time.Millisecond
		if change != nil {
			change(c)
		}
		c.BadRows = dns.NewBadRows(c.Log)
		options := store.Options{Logger: c.Log, BadRow: c.BadRows.Report, QueryTimeout: c.QueryTimeout, DialTimeout: c.QueryTimeout}
		var db dns.Store = d.open(options)
		if m, ok := c.Store.(*meter); ok {
			m.Store, db = db, m
		}
		c.Store = db
	})
}

// serveLoaded is serve, and waits for the first load.
func (d *database) serveLoaded(change func(*dns.Config)) *instance {
	d.t.Helper()
	in := d.serve(change)
	in.awaitLoaded(d.t)
	return in
}

// edit does what the admin does, and returns the version.
func (d *database) edit(changes ...route.Change) uint64 {
	d.t.Helper()
	result, err := d.editor.EditRoutes(d.t.Context(), route.Edit{Who: "test", Changes: changes})
	if err != nil {
		d.t.Fatal(err)
	}
	return result.Version
}

// exec does what a C++ peer or a hand does.
func (d *database) exec(query string, args ...any) {
	d.t.Helper()
	if _, err := d.raw.ExecContext(d.t.Context(), query, args...); err != nil {
		d.t.Fatalf("%s: %v", query, err)
	}
}

// number returns the one number of a query.
func (d *database) number(query string, args ...any) (n int64) {
	d.t.Helper()
	if err := d.raw.QueryRowContext(d.t.Context(), query, args...).Scan(&n); err != nil {
		d.t.Fatalf("%s: %v", query, err)
	}
	return n
}

func (d *database) version() int64 {
	d.t.Helper()
	return d.number(`SELECT version FROM RouteVersion WHERE id = 1`)
}

func set(key route.Key, hosts ...route.Host) route.Change {
	return route.Change{Action: route.Set, Key: key, Hosts: hosts}
}

func add(key route.Key, hosts ...route.Host) route.Change {
	return route.Change{Action: route.Add, Key: key, Hosts: hosts}
}

func remove(key route.Key, hosts ...route.Host) route.Change {
	return route.Change{Action: route.Remove, Key: key, Hosts: hosts}
}

// value returns a metric as a number.
func (in *instance) value(t *testing.T, name string) int {
	t.Helper()
	v, err := strconv.ParseFloat(in.metric(t, name), 64)
	if err != nil {
		t.Fatal(err)
	}
	return int(v)
}

// awaitGrowth returns when a metric has grown by n from now on.
func (in *instance) awaitGrowth(t *testing.T, name string, n int) {
	t.Helper()
	want := in.value(t, name) + n
	eventually(t, fmt.Sprintf("%s is %d", name, want), func() bool { return in.value(t, name) >= want })
}

// awaitPolls returns when a look at the store has begun and ended after now.
func (in *instance) awaitPolls(t *testing.T) {
	t.Helper()
	in.awaitGrowth(t, "lars_dns_polls_total", 2)
}

// awaitRecovery returns when the log tells of the end of each outage that it
// tells of.
func (in *instance) awaitRecovery(t *testing.T, what string) {
	t.Helper()
	eventually(t, what+" works again", func() bool {
		return in.log.count(what+" failed") == in.log.count(what+" works again")
	})
}

// meter counts the calls of a Store and may hold back looks.
type meter struct {
	dns.Store

	gate chan struct{} // Look waits for a value if not nil

	mu    sync.Mutex // guards everything below
	calls map[string]int
	asked []route.Key // that Hosts was asked for
}

func (m *meter) count(method string, keys ...route.Key) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.calls == nil {
		m.calls = make(map[string]int)
	}
	m.calls[method]++
	m.asked = append(m.asked, keys...)
}

// reset returns what was counted and starts anew.
func (m *meter) reset() (calls map[string]int, asked []route.Key) {
	m.mu.Lock()
	defer m.mu.Unlock()
	calls, asked = maps.Clone(m.calls), m.asked
	clear(m.calls)
	m.asked = nil
	return calls, asked
}

func (m *meter) Look(ctx context.Context) (route.Mark, error) {
	if m.gate != nil {
		select {
		case <-m.gate:
		case <-ctx.Done():
			return route.Mark{}, ctx.Err()
		}
	}
	m.count("Look")
	return m.Store.Look(ctx)
}

func (m *meter) Load(ctx context.Context, into route.Sink) (route.Mark, error) {
	m.count("Load")
	return m.Store.Load(ctx, into)
}

func (m *meter) Changed(ctx context.Context, after, upTo route.Mark) (route.Changes, error) {
	m.count("Changed")
	return m.Store.Changed(ctx, after, upTo)
}

func (m *meter) RoutesOf(ctx context.Context, keys []route.Key) (map[route.Key]route.Route, error) {
	m.count("RoutesOf", keys...)
	return m.Store.RoutesOf(ctx, keys)
}
