package store

import (
	"database/sql"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"lars.internal/internal/testdb"
	"lars.internal/route"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { testdb.Main(m) }

// env is a database under test.
type env struct {
	*testing.T
	dsn   string
	raw   *sql.DB // what others do to the database
	clock *clock
	bad   *badRows
}

// eachDialect runs a test against every database, on an empty one.
func eachDialect(t *testing.T, test func(*env)) {
	run := func(name string, make func(*testing.T) (string, *sql.DB)) {
		t.Run(name, func(t *testing.T) {
			// The check comes after the clean-ups, which close everything.
			ignore := goleak.IgnoreCurrent()
			t.Cleanup(func() { goleak.VerifyNone(t, ignore) })
			dsn, raw := make(t)
			test(&env{T: t, dsn: dsn, raw: raw, clock: &clock{now: 1_700_000_000}, bad: new(badRows)})
		})
	}
	run("sqlite", func(t *testing.T) (string, *sql.DB) {
		path := filepath.Join(t.TempDir(), "lars ?#%.db") // a path may hold anything
		src := source{dialect: sqliteDialect, path: path}
		if err := createSQLite(src); err != nil {
			t.Fatal(err)
		}
		raw, err := openSQLite(src, time.Minute, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { raw.Close() })
		return "sqlite:" + path, raw
	})
	run("mariadb", func(t *testing.T) (string, *sql.DB) {
		s := testdb.MariaDB(t)
		return s.DSN(), s.DB()
	})
}

// open opens the database as it is.
func (e *env) open() *DB {
	e.Helper()
	db, err := Open(e.dsn, Options{Now: e.clock.read, BadRow: e.bad.add, QueryTimeout: 30 * time.Second})
	if err != nil {
		e.Fatal(err)
	}
	e.Cleanup(func() { db.Close() })
	return db
}

// migrated opens the database and makes its tables.
func (e *env) migrated() *DB {
	e.Helper()
	db := e.open()
	if err := db.Migrate(e.Context()); err != nil {
		e.Fatal(err)
	}
	return db
}

// exec does what a C++ peer or a hand does.
func (e *env) exec(query string, args ...any) {
	e.Helper()
	if _, err := e.raw.ExecContext(e.Context(), query, args...); err != nil {
		e.Fatalf("%s: %v", query, err)
	}
}

// number returns the one number of a query.
func (e *env) number(query string, args ...any) int64 {
	e.Helper()
	var n int64
	if err := e.raw.QueryRowContext(e.Context(), query, args...).Scan(&n); err != nil {
		e.Fatalf("%s: %v", query, err)
	}
	return n
}

// edit makes an edit that has to succeed.
func (e *env) edit(db *DB, changes ...route.Change) route.EditResult {
	e.Helper()
	r, err := db.EditRoutes(e.Context(), route.Edit{Who: "tester", Changes: changes})
	if err != nil {
		e.Fatal(err)
	}
	return r
}

func (e *env) version(db *DB) uint64 {
	e.Helper()
	v, err := db.Version(e.Context())
	if err != nil {
		e.Fatal(err)
	}
	return v
}

func (e *env) look(db *DB) route.Mark {
	e.Helper()
	mark, err := db.Look(e.Context())
	if err != nil {
		e.Fatal(err)
	}
	return mark
}

// load returns all routes as a table.
func (e *env) load(db *DB) *route.Table {
	e.Helper()
	services := make(route.Routes)
	mark, err := db.Load(e.Context(), services.Sink())
	if err != nil {
		e.Fatal(err)
	}
	return route.NewTable(mark.Version, services)
}

func (e *env) wantError(err, want error) {
	e.Helper()
	if !errors.Is(err, want) {
		e.Fatalf("got error %v, want %v", err, want)
	}
}

func (e *env) want(what string, got, want any) {
	e.Helper()
	if got != want {
		e.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

// clock is a clock that the test sets.
type clock struct {
	mu  sync.Mutex // guards now
	now int64      // Unix seconds
}

func (c *clock) read() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Unix(c.now, 0)
}

func (c *clock) set(now int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}

// badRows collects the rows that were skipped.
type badRows struct {
	mu      sync.Mutex // guards reasons
	reasons []string
}

func (b *badRows) add(table, id, reason string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reasons = append(b.reasons, table+" "+id+": "+reason)
}

// Short forms of services and hosts.
func key(modid, cmdid int32) route.Key { return route.Key{Modid: modid, Cmdid: cmdid} }

func host(n uint32) route.Host { return route.Host{IP: 0x0A000000 + n, Port: 7777} }

func add(k route.Key, hosts ...route.Host) route.Change {
	return route.Change{Action: route.Add, Key: k, Hosts: hosts}
}

func set(k route.Key, hosts ...route.Host) route.Change {
	return route.Change{Action: route.Set, Key: k, Hosts: hosts}
}

func remove(k route.Key, hosts ...route.Host) route.Change {
	return route.Change{Action: route.Remove, Key: k, Hosts: hosts}
}

// emptied drops every table of the database.
func (e *env) emptied() {
	e.Helper()
	for _, name := range []string{"RouteData", "RouteVersion", "RouteChange", "ServerCallStatus",
		"ModIDConfig", "CmdIDConfig", "RouteAudit", "RouteHost", "ServiceSetting", versionTable, "lars_lock"} {
		e.exec(`DROP TABLE IF EXISTS ` + name)
	}
}
