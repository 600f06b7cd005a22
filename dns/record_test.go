package dns_test

import (
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"lars.internal/dns"
	"lars.internal/route"
	"lars.internal/store"
)

// sqliteDatabase returns a migrated SQLite database.
func sqliteDatabase(t *testing.T) *database {
	t.Helper()
	file := filepath.Join(t.TempDir(), "lars.db")
	raw, err := sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(20000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	d := &database{t: t, dsn: "sqlite:" + file, raw: raw}
	d.editor = d.open(store.Options{QueryTimeout: patience})
	d.migrate()
	return d
}

// eachDatabase runs a test on SQLite and on MariaDB.
func eachDatabase(t *testing.T, test func(d *database)) {
	t.Run("sqlite", func(t *testing.T) { test(sqliteDatabase(t)) })
	t.Run("mariadb", func(t *testing.T) { test(sharedDatabase(t)) })
}

// stepped is a service that looks for edits only when the test says so.
type stepped struct {
	*instance
	looks chan struct{}
}

func (d *database) serveStepped() *stepped {
	d.t.Helper()
	m := &meter{gate: make(chan struct{})}
	in := d.serveLoaded(func(c *dns.Config) { c.Store, c.QueryTimeout = m, time.Minute })
	return &stepped{in, m.gate}
}

// look lets the service look for edits twice: the first look may have begun
// before what the test did.
func (s *stepped) look() {
	s.looks <- struct{}{}
	s.looks <- struct{}{}
}

// fullLoads returns how many full loads have ended.
func (in *instance) fullLoads(t *testing.T) int {
	t.Helper()
	return in.value(t, `lars_dns_load_seconds_count{kind="full"}`)
}

// An edit by the page of the C++ stack takes the Unix second for its version.
// In a second in which another edit was made, the version does not tell that
// there was one: it was pushed by the next reload, after 8 to 10 s.
func TestFinding56PageEditWithTheVersionOfAnother(t *testing.T) {
	eachDatabase(t, func(d *database) {
		first := int64(d.edit(set(k12, h1)))
		in := d.serveStepped()
		p := dial(d.t, in.instance)
		p.ask(k12, k13)
		p.expect(k12, h1)
		p.expect(k13)
		d.cppAdd(k13, h3, first)
		in.look()
		p.expect(k13, h3)
		d.cppAdd(k13, h2, first)
		in.look()
		p.expect(k13, h2, h3)
		if n := in.fullLoads(d.t); n != 1 {
			d.t.Errorf("%d full loads, want the one at the start", n)
		}
	})
}

// A burst of our edits runs the version ahead of the clock. Each edit by the
// page then sets it back, and each cost a full load.
func TestFinding56PageEditsBehindABurst(t *testing.T) {
	eachDatabase(t, func(d *database) {
		in := d.serveStepped()
		p := dial(d.t, in.instance)
		p.ask(k12, k13)
		p.expect(k12)
		p.expect(k13)
		for i := range int64(3) {
			for port := range uint16(5) { // up to five versions ahead
				d.edit(set(k12, route.Host{IP: h1.IP, Port: 1000 + uint16(i)*10 + port}))
			}
			in.look()
			p.expectFinally(k12, route.Host{IP: h1.IP, Port: 1004 + uint16(i)*10}) // the burst may come in parts
			d.cppAdd(k13, route.Host{IP: h3.IP, Port: 2000 + uint16(i)}, d.version()-2)
			in.look()
			if got := p.next(); got.Key != k13 || len(got.Hosts) != int(i)+1 {
				d.t.Fatalf("pushed %v, want %d hosts of %v", got, i+1, k13)
			}
		}
		if n := in.fullLoads(d.t); n != 1 {
			d.t.Errorf("%d full loads, want the one at the start", n)
		}
	})
}

// The page sets the version back between two looks, right after an edit of
// ours. Both are pushed.
func TestFinding56PageHidesOurEdit(t *testing.T) {
	eachDatabase(t, func(d *database) {
		before := int64(d.edit(set(k12, h1)))
		in := d.serveStepped()
		p := dial(d.t, in.instance)
		p.ask(k12, k13)
		p.expect(k12, h1)
		p.expect(k13)
		d.edit(set(k12, h2))
		d.cppAdd(k13, h3, before)
		in.look()
		p.expectBoth(answer{k12, []route.Host{h2}}, answer{k13, []route.Host{h3}})
	})
}

// A C++ dns beside ours deletes the change rows that it has pushed, while the
// page and lars edit within the same seconds: 4 of 15 edits came late. All are
// pushed by looks alone.
func TestFinding56MixedEditsBesideADeletingCppDNS(t *testing.T) {
	eachDatabase(t, func(d *database) {
		in := d.serveStepped()
		p := dial(d.t, in.instance)
		p.ask(k12, k13)
		p.expect(k12)
		p.expect(k13)
		var page []route.Host
		for i := range uint16(15) {
			h := route.Host{IP: h1.IP, Port: 1000 + i}
			if i%3 == 0 {
				d.edit(set(k12, h))
				in.look()
				p.expect(k12, h)
			} else {
				page = append(page, h)
				d.cppAdd(k13, h, time.Now().Unix())
				in.look()
				p.expect(k13, page...)
			}
			if i%4 == 0 {
				d.consume()
			}
			if i%5 == 0 {
				in.look() // at what is left
			}
		}
	})
}

// RouteData is emptied on a real database, and accepted later.
func TestFinding17OnRealDatabase(t *testing.T) {
	eachDatabase(t, func(d *database) {
		var all []route.Change
		for key, hosts := range fleet(10) {
			all = append(all, set(key, hosts...))
		}
		d.edit(all...)
		in, other := d.serveLoaded(quickly), d.serveLoaded(quickly)
		p := dial(d.t, in)
		p.ask(k50)
		p.expect(k50, h1, h2)
		d.exec(`DELETE FROM RouteData`)
		expectHeld(d.t, in, "20")
		expectHeld(d.t, other, "20")
		p.ask(k12)
		p.expect(k12)
		d.edit(set(k12, h3)) // edits are served meanwhile
		p.expect(k12, h3)
		p.ask(k50)
		p.expect(k50, h1, h2)
		if _, err := d.editor.AcceptRoutes(d.t.Context(), "ann", ""); err != nil {
			d.t.Fatal(err)
		}
		p.expect(k50)
		for _, x := range []*instance{in, other} {
			eventually(d.t, "the service is ready", func() bool { return x.Ready() == nil })
		}
	})
}
