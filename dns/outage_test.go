package dns_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lars.internal/dns"
)

// soon makes a service give up a database that hangs.
func soon(c *dns.Config) {
	c.QueryTimeout = time.Second
	c.ReloadInterval = 50 * time.Millisecond
}

// outages are the ways in which a whole database is away.
var outages = []struct {
	name     string
	from, to func(*database)
}{
	{"stopped", func(d *database) { d.Stop() }, func(d *database) { d.Start() }},
	{"killed", func(d *database) { d.Kill() }, func(d *database) { d.Start() }},
	{"hanging", func(d *database) { d.Freeze() }, func(d *database) { d.Thaw() }},
}

// The database goes away in mid-run and comes back.
func TestDatabaseOutage(t *testing.T) {
	all := ownDatabase(t)
	for _, o := range outages {
		t.Run(o.name, func(t *testing.T) {
			d := all.in(t)
			d.edit(set(k12, h1), set(k13, h3))
			in := d.serveLoaded(soon)
			p := dial(t, in)
			p.ask(k12)
			p.expect(k12, h1)

			o.from(d)
			in.awaitMetric(t, "lars_dns_store_up", "0")
			lines := in.log.count("dns: store failed")
			in.awaitGrowth(t, "lars_dns_poll_errors_total", 2)
			in.awaitGrowth(t, "lars_dns_load_errors_total", 1)
			p.ask(k12, k13)
			p.expect(k12, h1)
			p.expect(k13, h3)
			if err := in.Ready(); err != nil {
				t.Errorf("Ready() = %v for a service with good routes", err)
			}
			if n := in.log.count("dns: store failed") - lines; n != 0 || lines == 0 {
				t.Errorf("%d lines when the outage began and %d more later, want 1 and 0", lines, n)
			}

			o.to(d)
			d.edit(set(k12, h2))
			p.expect(k12, h2)
			in.awaitMetric(t, "lars_dns_store_up", "1")
			in.awaitRecovery(t, "dns: store")
			in.awaitRecovery(t, "dns: reload of all routes")
		})
	}
}

// The database is away when the service starts, and there is no snapshot: an
// agent that asks waits, and gets the right answer.
func TestDatabaseAbsentAtStart(t *testing.T) {
	all := ownDatabase(t)
	for _, o := range outages {
		t.Run(o.name, func(t *testing.T) {
			d := all.in(t)
			d.edit(set(k12, h1), set(k13))
			o.from(d)
			in := d.serve(soon)
			p, q := dial(t, in), dial(t, in)
			p.ask(k12)
			q.ask(k13)
			in.awaitMetric(t, "lars_dns_lookups_held_total", "2")
			in.awaitGrowth(t, "lars_dns_load_errors_total", 1)
			if err := in.Ready(); err == nil || !strings.Contains(err.Error(), "no routes yet") {
				t.Errorf("Ready() = %v, want that there are no routes yet", err)
			}
			o.to(d)
			p.expect(k12, h1)
			q.expect(k13)
			d.edit(set(k13, h3))
			q.expect(k13, h3)
			if err := in.Ready(); err != nil {
				t.Errorf("Ready() = %v after the load", err)
			}
		})
	}
}

// With a snapshot the service answers at once, says how old that is, and
// pushes what is different when the database is back.
func TestDatabaseAbsentAtStartWithSnapshot(t *testing.T) {
	all := ownDatabase(t)
	for _, o := range outages {
		t.Run(o.name, func(t *testing.T) {
			d := all.in(t)
			d.edit(set(k12, h1), set(k13, h3))
			path := filepath.Join(t.TempDir(), "routes")
			keep := func(c *dns.Config) { soon(c); c.Snapshot = path }
			first := d.serveLoaded(keep)
			first.stop()
			d.edit(set(k12, h2))

			o.from(d)
			in := d.serve(keep)
			p := dial(t, in)
			p.ask(k12, k13)
			p.expect(k12, h1)
			p.expect(k13, h3)
			in.awaitGrowth(t, "lars_dns_load_errors_total", 1)
			if err := in.Ready(); err != nil {
				t.Errorf("Ready() = %v for a service with routes", err)
			}
			if s := in.Stale(); !strings.Contains(s, "known to be right ") {
				t.Errorf("Stale() = %q, want the age of the snapshot", s)
			}
			if n := in.log.count("answering from a snapshot"); n != 1 {
				t.Errorf("%d lines say that the routes are old, want 1", n)
			}
			if up := in.metric(t, "lars_dns_store_up"); up != "0" {
				t.Errorf("store_up is %s", up)
			}

			o.to(d)
			p.expect(k12, h2) // alone: k13 is as it was
			p.expectSilence()
			in.awaitLoaded(t)
			d.edit(set(k13))
			p.expect(k13)
		})
	}
}
