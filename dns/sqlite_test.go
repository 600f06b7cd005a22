package dns_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"lars.internal/dns"
	"lars.internal/route"
	"lars.internal/store"
)

// openSQLite returns a store in a file, without tables.
func openSQLite(t *testing.T, bad *dns.BadRows) *store.DB {
	t.Helper()
	db, err := store.Open("sqlite:"+filepath.Join(t.TempDir(), "lars.db"), store.Options{BadRow: bad.Report})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func editSQLite(t *testing.T, db *store.DB, changes ...route.Change) {
	t.Helper()
	if _, err := db.EditRoutes(context.Background(), route.Edit{Who: "test", Changes: changes}); err != nil {
		t.Fatal(err)
	}
}

func onSQLite(bad *dns.BadRows) func(*dns.Config) {
	return func(c *dns.Config) { c.BadRows = bad }
}

func TestSQLiteStore(t *testing.T) {
	bad := dns.NewBadRows(nil)
	db := openSQLite(t, bad)
	if err := db.Migrate(context.Background()); err != nil {
		t.Fatal(err)
	}
	editSQLite(t, db, route.Change{Action: route.Add, Key: k12, Hosts: []route.Host{h1, h2}})
	a, b := startLoaded(t, db, onSQLite(bad)), startLoaded(t, db, onSQLite(bad))
	p, q := dial(t, a), dial(t, b)
	for _, x := range []*peer{p, q} {
		x.ask(k12, k13)
		x.expect(k12, h1, h2)
		x.expect(k13)
	}
	editSQLite(t, db, route.Change{Action: route.Remove, Key: k12, Hosts: []route.Host{h1}})
	p.expect(k12, h2)
	q.expect(k12, h2)
	editSQLite(t, db, route.Change{Action: route.Set, Key: k12, Hosts: []route.Host{h3}})
	p.expect(k12, h3)
	q.expect(k12, h3)
	editSQLite(t, db,
		route.Change{Action: route.Remove, Key: k12, Hosts: []route.Host{h3}},
		route.Change{Action: route.Add, Key: k13, Hosts: []route.Host{h3}})
	for _, x := range []*peer{p, q} {
		x.expectBoth(answer{k12, nil}, answer{k13, []route.Host{h3}})
	}
}

func TestSQLiteTablesAbsent(t *testing.T) {
	bad := dns.NewBadRows(nil)
	db := openSQLite(t, bad)
	in := start(t, db, onSQLite(bad))
	p := dial(t, in)
	p.ask(k12)
	eventually(t, "Ready names the command that makes the tables", func() bool {
		err := in.Ready()
		return err != nil && strings.Contains(err.Error(), "db migrate")
	})
	eventually(t, "so does the log", func() bool { return in.log.count("db migrate") == 1 })
	if err := db.Migrate(context.Background()); err != nil {
		t.Fatal(err)
	}
	p.expect(k12)
	editSQLite(t, db, route.Change{Action: route.Add, Key: k12, Hosts: []route.Host{h1}})
	p.expect(k12, h1)
}
