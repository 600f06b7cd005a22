package dns_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lars.internal/dns"
	"lars.internal/route"
)

// fleet returns services 5/0, 5/1, ... with two hosts each.
func fleet(n int) services {
	all := make(services)
	for i := range int32(n) {
		all[route.Key{Modid: 5, Cmdid: i}] = []route.Host{h1, h2}
	}
	return all
}

// emptied returns the same services without hosts.
func emptied(n int) services {
	all := fleet(n)
	for key := range all {
		all[key] = nil
	}
	return all
}

var k50 = route.Key{Modid: 5}

// expectHeld waits until a load is held back, and checks how the service says so.
func expectHeld(t *testing.T, in *instance, hosts string) {
	t.Helper()
	in.awaitMetric(t, "lars_dns_held_back_hosts", hosts)
	if err := in.Ready(); err == nil || !strings.Contains(err.Error(), "lars route accept") {
		t.Errorf("Ready() = %v, want the command that takes the load", err)
	}
	eventually(t, "one line says so", func() bool { return in.log.count("a load is held back") == 1 })
}

// RouteData is emptied by hand, by a restore or by a wrong script: at the next
// reload every agent lost all hosts.
func TestFinding17EmptiedTableIsHeldBack(t *testing.T) {
	store := newFakeStore()
	store.edit(fleet(10))
	store.edit(services{k12: {h3}})
	in := startLoaded(t, store, often)
	p := dial(t, in)
	p.ask(k50, k12)
	p.expect(k50, h1, h2)
	p.expect(k12, h3)
	store.scribble(emptied(10))
	expectHeld(t, in, "20")
	store.await(t, "Load", 3)
	p.expectSilence()
	p.ask(k50)
	p.expect(k50, h1, h2)

	// An operator's own edit is served meanwhile.
	store.edit(services{k50: {h3}})
	p.expect(k50, h3)
	store.edit(services{k12: nil})
	p.expect(k12)
	if in.Ready() == nil {
		t.Error("the edit has ended the holding")
	}

	store.scribble(fleet(10)) // the rows are restored
	p.expect(k50, h1, h2)
	in.awaitMetric(t, "lars_dns_held_back_hosts", "0")
	if err := in.Ready(); err != nil {
		t.Errorf("Ready() = %v after the rows are back", err)
	}
}

// What an edit removes is served, however much it is, also if a reload sees it
// first.
func TestFinding17EditThatEmptiesAllIsServed(t *testing.T) {
	store := newFakeStore()
	store.edit(fleet(10))
	in := startLoaded(t, store, often)
	p := dial(t, in)
	p.ask(k50)
	p.expect(k50, h1, h2)
	store.setFault(errStore, "Look")
	store.await(t, "Look", 1)
	store.edit(emptied(10))
	store.await(t, "Load", 2) // they have read what no look has seen
	store.setFault(nil, "Look")
	p.expect(k50)
	store.await(t, "Load", 2)
	if in.metric(t, "lars_dns_loads_held_back_total") != "0" || in.Ready() != nil {
		t.Errorf("an edit was held back: %v", in.Ready())
	}
}

func TestFinding17SmallAndPartialLossesAreServed(t *testing.T) {
	for _, tt := range []struct {
		name       string
		have, lose int // services of two hosts each
	}{
		{"all of nine hosts and fewer", 4, 4},
		{"a share that is allowed", 40, 12},
	} {
		t.Run(tt.name, func(t *testing.T) {
			store := newFakeStore()
			store.edit(fleet(tt.have))
			in := startLoaded(t, store, often)
			p := dial(t, in)
			p.ask(k50)
			p.expect(k50, h1, h2)
			store.scribble(emptied(tt.lose))
			p.expect(k50)
			if n := in.metric(t, "lars_dns_loads_held_back_total"); n != "0" {
				t.Errorf("%s loads held back", n)
			}
		})
	}
}

func TestFinding17AcceptedByAnOperator(t *testing.T) {
	store := newFakeStore()
	store.edit(fleet(10))
	in, other := startLoaded(t, store, often), startLoaded(t, store, often)
	p := dial(t, in)
	p.meet(k50)
	p.route()
	store.scribble(emptied(10))
	expectHeld(t, in, "20")
	expectHeld(t, other, "20")
	store.accept()
	if r := p.route(); len(r.Host) != 0 || !r.Removed {
		t.Errorf("push after the command is %v, want that the hosts were removed", r)
	}
	for _, x := range []*instance{in, other} {
		eventually(t, "the service is ready", func() bool { return x.Ready() == nil })
		x.awaitMetric(t, "lars_dns_services", "0")
	}
	// The command is good for once.
	store.edit(fleet(10))
	p.route()
	store.scribble(emptied(10))
	in.awaitMetric(t, "lars_dns_loads_held_back_total", "2")
}

func TestFinding17ServedWhenUnchangedForLong(t *testing.T) {
	store := newFakeStore()
	store.edit(fleet(10))
	in := startLoaded(t, store, func(c *dns.Config) { often(c); c.AcceptAfter = 300 * time.Millisecond })
	p := dial(t, in)
	p.ask(k50)
	p.expect(k50, h1, h2)
	start := time.Now()
	store.scribble(emptied(10))
	p.expect(k50)
	if took := time.Since(start); took < 300*time.Millisecond {
		t.Errorf("served after %v, want it to be held back for 300 ms", took)
	}
	eventually(t, "the service is ready", func() bool { return in.Ready() == nil })
	if n := in.log.count("no load is held back any more"); n != 1 {
		t.Errorf("%d lines about the end, want 1", n)
	}
}

// The table was emptied while dns was down: its snapshot is what is served.
func TestFinding17EmptiedWhileDown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "routes")
	store := newFakeStore()
	store.edit(fleet(10))
	startLoaded(t, store, keepAt(path)).stop()
	store.scribble(emptied(10))
	store.edit(services{k12: {h3}})
	in := start(t, store, func(c *dns.Config) { keepAt(path)(c); often(c) })
	p := dial(t, in)
	expectHeld(t, in, "20")
	p.ask(k50, k12)
	p.expect(k50, h1, h2)
	p.expect(k12, h3) // it is on record
	p.ask(k13)
	p.expect(k13)
	store.edit(services{k13: {h1}})
	p.expect(k13, h1)
	store.accept()
	p.expect(k50)
	eventually(t, "the service is ready", func() bool { return in.Ready() == nil && in.Stale() == "" })
}

// The routes were accepted, and emptied later, both while dns was down. The
// acceptance counted for whatever was stored when dns came back.
func TestFinding17AcceptanceCoversNoLaterAccident(t *testing.T) {
	path := filepath.Join(t.TempDir(), "routes")
	store := newFakeStore()
	store.edit(fleet(10))
	startLoaded(t, store, keepAt(path)).stop()
	store.accept()
	store.scribble(emptied(10))
	in := start(t, store, func(c *dns.Config) { keepAt(path)(c); often(c) })
	p := dial(t, in)
	expectHeld(t, in, "20")
	p.ask(k50)
	p.expect(k50, h1, h2)
	store.accept() // this one has seen it
	p.expect(k50)
	eventually(t, "the service is ready", func() bool { return in.Ready() == nil })
}

// A version that went back demands a load. That one is held back, too.
func TestFinding17RestoreOfAnEmptyDump(t *testing.T) {
	store := newFakeStore()
	store.edit(fleet(10))
	in := startLoaded(t, store, nil)
	p := dial(t, in)
	p.ask(k50)
	p.expect(k50, h1, h2)
	store.do(func(f *fakeStore) {
		f.version = 3
		f.put(emptied(10))
	})
	expectHeld(t, in, "20")
	store.edit(services{k50: {h3}})
	p.expect(k50, h3)
}

// The same state gave two answers: a dns that had lost the database was ready,
// and the same dns restarted from its snapshot was not, so that a rolling
// restart took it out.
func TestFinding20SnapshotIsReady(t *testing.T) {
	path := filepath.Join(t.TempDir(), "routes")
	store := newFakeStore()
	store.edit(services{k12: {h1}})
	first := startLoaded(t, store, keepAt(path))
	store.setFault(errStore, "Look", "Load")
	for _, in := range []*instance{first, nil} {
		if in == nil {
			first.stop()
			in = start(t, store, keepAt(path))
		}
		eventually(t, "the trouble is said beside", func() bool { return strings.Contains(in.Stale(), errStore.Error()) })
		if err := in.Ready(); err != nil {
			t.Errorf("Ready() = %v for a service with routes", err)
		}
		in.awaitMetric(t, "lars_dns_stale", "1")
		in.awaitMetric(t, "lars_dns_store_up", "0")
		dial(t, in).ask(k12)
	}
}

// The right to read RouteData is taken away: looks go well, loads do not, and
// store_up stayed 1.
func TestFinding54FailedLoadShows(t *testing.T) {
	store := newFakeStore()
	store.edit(services{k12: {h1}})
	in := startLoaded(t, store, often)
	store.setFault(errStore, "Load", "RoutesOf")
	in.awaitMetric(t, "lars_dns_store_up", "0")
	store.await(t, "Look", 5)
	in.awaitMetric(t, "lars_dns_store_up", "0")
	if s := in.Stale(); !strings.Contains(s, errStore.Error()) {
		t.Errorf("Stale() = %q, want the reason", s)
	}
	store.setFault(nil, "Load", "RoutesOf")
	in.awaitMetric(t, "lars_dns_store_up", "1")
	in.awaitLoaded(t)
}

// A change of a route left no line in the log, even at debug.
func TestFinding36EachChangeHasALine(t *testing.T) {
	store := newFakeStore()
	store.edit(services{k12: {h1}})
	in := startLoaded(t, store, often)
	if n := in.log.count("route changed"); n != 0 {
		t.Errorf("%d lines after the first load, want none", n)
	}
	store.edit(services{k12: {h2, h3}})
	eventually(t, "the line is there", func() bool { return in.log.count("route changed") == 1 })
	for _, want := range []string{"service=1/2", `added="192.168.1.114:7777 192.168.1.115:7777"`, "removed=192.168.1.113:7777", "version=102"} {
		if !strings.Contains(in.log.text(), want) {
			t.Errorf("no %s in: %s", want, in.log.text())
		}
	}
	store.scribble(services{k13: {h1}})
	eventually(t, "a change by hand has a line", func() bool { return in.log.count("service=1/3") == 1 })
	many := fleet(500)
	store.edit(many)
	in.awaitMetric(t, "lars_dns_services", "502")
	eventually(t, "the lines are limited", func() bool { return in.value(t, "lars_dns_unlogged_changes_total") >= 390 })
	if n := in.log.count("route changed"); n < 50 || n > 150 {
		t.Errorf("%d lines at info, want about 100", n)
	}
}
