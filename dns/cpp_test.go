package dns_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"lars.internal/dns"
	"lars.internal/route"
	"lars.internal/store"
)

// Here the other writers are those of the C++ stack, on a real database. What
// its web page does for an edit are three statements, without a transaction:
// insertRow, then announce, then setVersion.

func (d *database) insertRow(key route.Key, h route.Host) {
	d.t.Helper()
	d.exec(`INSERT INTO RouteData (modid, cmdid, serverip, serverport) VALUES (?, ?, ?, ?)`, key.Modid, key.Cmdid, h.IP, h.Port)
}

func (d *database) announce(key route.Key, version int64) {
	d.t.Helper()
	d.exec(`INSERT INTO RouteChange (modid, cmdid, version) VALUES (?, ?, ?)`, key.Modid, key.Cmdid, version)
}

func (d *database) setVersion(version int64) {
	d.t.Helper()
	d.exec(`UPDATE RouteVersion SET version = ? WHERE id = 1`, version)
}

// cppAdd is an edit of the C++ web page.
func (d *database) cppAdd(key route.Key, h route.Host, version int64) {
	d.t.Helper()
	d.insertRow(key, h)
	d.announce(key, version)
	d.setVersion(version)
}

// deleteRow is all that the C++ web page does to delete a host.
func (d *database) deleteRow(key route.Key, h route.Host) {
	d.t.Helper()
	d.exec(`DELETE FROM RouteData WHERE modid = ? AND cmdid = ? AND serverip = ? AND serverport = ?`,
		key.Modid, key.Cmdid, h.IP, h.Port)
}

// consume does what a C++ dns does when it has pushed.
func (d *database) consume() {
	d.t.Helper()
	d.exec(`DELETE FROM RouteChange WHERE version <= (SELECT version FROM RouteVersion WHERE id = 1)`)
}

// quickly reloads so often that a test may wait for it.
func quickly(c *dns.Config) { c.ReloadInterval = 50 * time.Millisecond }

// The original's edit is three statements. It is pushed after the last one,
// whatever happens in between.
func TestDefect21ThreeStatements(t *testing.T) {
	d := sharedDatabase(t)
	d.edit(set(k12, h1))
	in := d.serveLoaded(nil)
	p := dial(t, in)
	p.ask(k12, k13)
	p.expect(k12, h1)
	p.expect(k13)
	next := d.version() + 1

	d.insertRow(k12, h2)
	in.awaitPolls(t)
	p.expectSilence()
	d.announce(k12, next)
	in.awaitPolls(t)
	p.expectSilence()
	d.setVersion(next)
	p.expect(k12, h1, h2)
}

// One of our edits comes between the statements of a C++ one. Neither is lost,
// whichever version the C++ page took. Where it sets the version back to the
// one before, nothing but the reload shows that there was an edit.
func TestDefect21EditsInterleaved(t *testing.T) {
	for _, tt := range []struct {
		name   string
		above  int64 // version of the C++ edit, compared to ours
		change func(*dns.Config)
	}{
		{"above ours", 1, nil},
		{"the same", 0, nil},
		{"below ours", -1, quickly},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := sharedDatabase(t)
			// Far ahead of the clock, so that the test knows the next version.
			ours := time.Now().Unix() + 1_000_000
			d.setVersion(ours - 1)
			p := dial(t, d.serveLoaded(tt.change))
			p.ask(k12, k13)
			p.expect(k12)
			p.expect(k13)

			d.insertRow(k12, h1)
			d.announce(k12, ours+tt.above)
			if got := d.edit(set(k13, h3)); int64(got) != ours {
				t.Fatalf("our edit has version %d, want %d", got, ours)
			}
			d.setVersion(ours + tt.above)
			p.expectBoth(answer{k12, []route.Host{h1}}, answer{k13, []route.Host{h3}})
		})
	}
}

// The original's web page deletes a row and tells nobody.
func TestDefect18CppDelete(t *testing.T) {
	d := sharedDatabase(t)
	d.edit(set(k12, h1, h2), set(k13, h3))
	p := dial(t, d.serveLoaded(quickly))
	p.ask(k12, k13)
	p.expect(k12, h1, h2)
	p.expect(k13, h3)
	d.deleteRow(k12, h1)
	p.expect(k12, h2)
	d.deleteRow(k13, h3)
	p.expect(k13)
	d.edit(remove(k12, h2)) // ours is told at once
	p.expect(k12)
}

// The original announces only where a host was moved to. Ours announces both
// at once; after a move by the C++ page the reload finds the other.
func TestDefect19Moves(t *testing.T) {
	d := sharedDatabase(t)
	d.edit(set(k12, h1, h2), set(k13, h3))
	still, reloading := dial(t, d.serveLoaded(nil)), dial(t, d.serveLoaded(quickly))
	for _, p := range []*peer{still, reloading} {
		p.ask(k12, k13)
		p.expect(k12, h1, h2)
		p.expect(k13, h3)
	}
	d.edit(remove(k12, h1), add(k13, h1))
	for _, p := range []*peer{still, reloading} {
		p.expectBoth(answer{k12, []route.Host{h2}}, answer{k13, []route.Host{h1, h3}})
	}
	next := d.version() + 1
	d.exec(`UPDATE RouteData SET cmdid = ? WHERE serverip = ?`, k13.Cmdid, h2.IP)
	d.announce(k13, next)
	d.setVersion(next)
	still.expect(k13, h1, h2, h3)
	reloading.expectBoth(answer{k12, nil}, answer{k13, []route.Host{h1, h2, h3}})
}

// The original's version is the second of the edit. Our edits within a second
// have versions of their own; of two C++ ones the reload finds the second.
func TestDefect20EditsWithinASecond(t *testing.T) {
	d := sharedDatabase(t)
	now := time.Now()
	d.editor = d.open(store.Options{QueryTimeout: patience, Now: func() time.Time { return now }})
	still, reloading := d.serveLoaded(nil), d.serveLoaded(quickly)
	p, q := dial(t, still), dial(t, reloading)
	for _, x := range []*peer{p, q} {
		x.ask(k12)
		x.expect(k12)
	}
	for _, h := range []route.Host{h1, h2, h3} {
		d.edit(set(k12, h))
		p.expect(k12, h)
		q.expect(k12, h)
	}
	next := d.version() + 1
	d.cppAdd(k12, h1, next)
	p.expect(k12, h1, h3)
	q.expectFinally(k12, h1, h3)
	d.cppAdd(k12, h2, next)
	q.expect(k12, h1, h2, h3)
}

// The original advances its version before it has loaded, so what it fails to
// load is never pushed.
func TestDefect22TableAway(t *testing.T) {
	d := sharedDatabase(t)
	before := d.edit(set(k12, h1))
	in := d.serveLoaded(nil)
	p := dial(t, in)
	p.ask(k12)
	p.expect(k12, h1)
	d.exec(`RENAME TABLE RouteData TO Away`)
	d.exec(`UPDATE Away SET serverip = ?`, h2.IP)
	d.announce(k12, int64(before+1))
	d.setVersion(int64(before + 1))
	in.awaitGrowth(t, "lars_dns_poll_errors_total", 2)
	if v := in.value(t, "lars_dns_version"); v != int(before) {
		t.Errorf("version %d after a load that failed, want %d", v, before)
	}
	p.ask(k12)
	p.expect(k12, h1)
	d.exec(`RENAME TABLE Away TO RouteData`)
	p.expect(k12, h2)
}

// A C++ dns beside ours deletes change rows at once. Every edit of ours is
// pushed all the same, and none needs a full load. Of a C++ edit whose row is
// gone a full load tells.
func TestDefect23CppDNSBeside(t *testing.T) {
	d := sharedDatabase(t)
	in := d.serveLoaded(nil)
	p := dial(t, in)
	p.ask(k12)
	p.expect(k12)
	ctx, stop := context.WithCancel(t.Context())
	var beside sync.WaitGroup
	beside.Go(func() {
		for ctx.Err() == nil {
			// Losing against an edit is its own trouble.
			d.raw.ExecContext(ctx, `DELETE FROM RouteChange WHERE version <= (SELECT version FROM RouteVersion WHERE id = 1)`)
		}
	})
	for port := range uint16(50) {
		h := route.Host{IP: h1.IP, Port: 1000 + port}
		d.edit(set(k12, h))
		p.expect(k12, h)
	}
	stop()
	beside.Wait()
	if n := in.value(t, `lars_dns_load_seconds_count{kind="full"}`); n != 1 {
		t.Errorf("%d full loads, want the one at the start", n)
	}

	next := d.version() + 1
	d.insertRow(k12, h1)
	d.setVersion(next) // its change row is gone before we look
	p.expect(k12, route.Host{IP: h1.IP, Port: 1049}, h1)
	d.edit(set(k12, h2))
	p.expect(k12, h2)
}

// Several C++ edits and several of ours between two looks, with a C++ dns at
// work: all are in what is pushed next.
func TestDefect23ManyEditsBetweenTwoLooks(t *testing.T) {
	d := sharedDatabase(t)
	m := &meter{gate: make(chan struct{})}
	in := d.serve(func(c *dns.Config) { c.Store, c.QueryTimeout = m, time.Minute })
	in.awaitLoaded(t)
	p := dial(t, in)
	p.ask(k12, k13)
	p.expect(k12)
	p.expect(k13)
	d.edit(set(k12, h1))
	d.cppAdd(k12, h2, d.version()+1)
	d.consume()
	d.edit(set(k13, h1))
	d.edit(add(k13, h3))
	d.consume()
	close(m.gate)
	p.expectBoth(answer{k12, []route.Host{h1, h2}}, answer{k13, []route.Host{h1, h3}})
}

// A C++ writer whose clock is an hour behind sets the version back.
func TestVersionSetBackByCppWriter(t *testing.T) {
	d := sharedDatabase(t)
	d.edit(set(k12, h1))
	p := dial(t, d.serveLoaded(nil))
	p.ask(k12, k13)
	p.expect(k12, h1)
	p.expect(k13)
	back := d.version() - 3600
	d.cppAdd(k13, h3, back)
	p.expect(k13, h3)
	d.cppAdd(k12, h2, back+1)
	p.expect(k12, h1, h2)
	d.edit(set(k13, h1))
	p.expect(k13, h1)
}
