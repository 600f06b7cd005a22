package dns_test

import (
	"testing"
	"time"

	"lars.internal/dns"
	"lars.internal/route"
)

func often(c *dns.Config) { c.ReloadInterval = 5 * time.Millisecond }

func TestVersionBackwards(t *testing.T) {
	store := newFakeStore()
	store.edit(services{k12: {h1}})
	in := startLoaded(t, store, nil)
	p := dial(t, in)
	p.ask(k12, k13)
	p.expect(k12, h1)
	p.expect(k13)
	store.do(func(f *fakeStore) {
		f.version = 50
		f.put(services{k12: {h2}, k13: {h3}})
	})
	p.expectBoth(answer{k12, []route.Host{h2}}, answer{k13, []route.Host{h3}})
	store.edit(services{k12: {h3}}) // version 51: changes tell again
	p.expect(k12, h3)
	in.awaitMetric(t, "lars_dns_version", "51")
}

func TestHistoryGone(t *testing.T) {
	store := newFakeStore()
	store.edit(services{k12: {h1}})
	p := dial(t, startLoaded(t, store, nil))
	p.ask(k12)
	p.expect(k12, h1)
	store.do(func(f *fakeStore) {
		f.version += 10
		f.put(services{k12: {h2}})
	})
	p.expect(k12, h2)
	store.edit(services{k12: {h3}})
	p.expect(k12, h3)
}

func TestReloadFindsRowsWrittenByHand(t *testing.T) {
	store := newFakeStore()
	store.edit(services{k12: {h1}})
	p := dial(t, startLoaded(t, store, often))
	p.ask(k12, k13)
	p.expect(k12, h1)
	p.expect(k13)
	store.scribble(services{k12: {h1, h2}})
	p.expect(k12, h1, h2)
	store.scribble(services{k13: {h3}})
	p.expect(k13, h3)
	store.scribble(services{k12: nil})
	p.expect(k12)
}

// A reload that read its rows before an edit ends after it. It must not bring
// the old route back, and must still bring what it found elsewhere.
func TestReloadOvertakenByEdit(t *testing.T) {
	store := newFakeStore()
	store.edit(services{k12: {h1}})
	in := startLoaded(t, store, often)
	p := dial(t, in)
	p.ask(k12, k13)
	p.expect(k12, h1)
	p.expect(k13)

	gate := make(chan struct{})
	store.do(func(f *fakeStore) {
		f.loadGate = gate
		f.put(services{k13: {h3}})
	})
	loads := store.count("Load")
	store.awaitCount(t, "Load", loads+1) // it has read, and waits at the gate
	store.scribble(services{k13: {h1, h3}})
	gate <- struct{}{}
	p.expect(k13, h3)
	store.awaitCount(t, "Load", loads+2)
	store.edit(services{k12: {h2}})
	p.expect(k12, h2)
	gate <- struct{}{}
	p.expect(k13, h1, h3)
	p.expectSilence()
	close(gate)
}

// The version goes back while a reload runs: what that reload has read is of
// before, so only the next one counts.
func TestVersionBackwardsDuringReload(t *testing.T) {
	store := newFakeStore()
	store.edit(services{k12: {h1}})
	in := startLoaded(t, store, often)
	p := dial(t, in)
	p.ask(k12, k13)
	p.expect(k12, h1)
	p.expect(k13)

	gate := make(chan struct{})
	store.do(func(f *fakeStore) { f.loadGate = gate })
	loads := store.count("Load")
	store.awaitCount(t, "Load", loads+1) // it has read, and waits at the gate
	store.scribble(services{k13: {h3}})
	gate <- struct{}{}
	store.awaitCount(t, "Load", loads+2)
	store.do(func(f *fakeStore) {
		f.version = 50
		f.put(services{k12: {h2}, k13: nil})
	})
	store.await(t, "Look", 1)
	gate <- struct{}{}
	gate <- struct{}{}
	p.expect(k12, h2)
	p.expectSilence()
	close(gate)
}

func TestEditsArriveWhileReloadRuns(t *testing.T) {
	store := newFakeStore()
	in := startLoaded(t, store, often)
	p := dial(t, in)
	p.ask(k12)
	p.expect(k12)
	gate := make(chan struct{})
	store.do(func(f *fakeStore) { f.loadGate = gate })
	store.await(t, "Load", 1)
	for _, h := range []route.Host{h1, h2, h3} {
		store.edit(services{k12: {h}})
		p.expect(k12, h)
	}
	close(gate)
}

func TestStoreTroubleKeepsAnswering(t *testing.T) {
	for _, tt := range []struct {
		name  string
		begin func(*fakeStore)
		end   func(*fakeStore)
	}{
		{"fails", func(f *fakeStore) { f.fail["Look"], f.fail["Load"] = errStore, errStore },
			func(f *fakeStore) { clear(f.fail) }},
		{"hangs", func(f *fakeStore) { f.hang = true }, func(f *fakeStore) { f.hang = false }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			store := newFakeStore()
			store.edit(services{k12: {h1}})
			in := startLoaded(t, store, func(c *dns.Config) { c.QueryTimeout = 20 * time.Millisecond })
			p := dial(t, in)
			p.ask(k12)
			p.expect(k12, h1)
			store.do(tt.begin)
			store.await(t, "Look", 3)
			in.awaitMetric(t, "lars_dns_store_up", "0")
			p.ask(k12)
			p.expect(k12, h1)
			if err := in.Ready(); err != nil {
				t.Errorf("Ready() = %v for a service with good routes", err)
			}
			store.edit(services{k12: {h2}})
			store.do(tt.end)
			p.expect(k12, h2)
			in.awaitMetric(t, "lars_dns_store_up", "1")
			if n := in.log.count("dns: store failed"); n != 1 {
				t.Errorf("%d lines about the failure, want 1", n)
			}
			eventually(t, "the log says that the store is back",
				func() bool { return in.log.count("dns: store works again") == 1 })
		})
	}
}

func TestStoreHangsAtStart(t *testing.T) {
	store := newFakeStore()
	store.edit(services{k12: {h1}})
	store.do(func(f *fakeStore) { f.hang = true })
	in := start(t, store, func(c *dns.Config) { c.QueryTimeout = 10 * time.Millisecond })
	p := dial(t, in)
	p.ask(k12)
	store.await(t, "Load", 2)
	store.do(func(f *fakeStore) { f.hang = false })
	p.expect(k12, h1)
}

func TestFailedReloadKeepsChangesComing(t *testing.T) {
	store := newFakeStore()
	in := startLoaded(t, store, often)
	p := dial(t, in)
	p.ask(k12)
	p.expect(k12)
	store.setFault(errStore, "Load")
	store.await(t, "Load", 3)
	store.edit(services{k12: {h1}})
	p.expect(k12, h1)
	if n := in.log.count("reload of all routes failed"); n != 1 {
		t.Errorf("%d lines about the failure, want 1", n)
	}
}
