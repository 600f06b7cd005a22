package dns_test

import (
	"testing"
	"time"

	"lars.internal/dns"
	"lars.internal/larspb"
	"lars.internal/route"
)

// Rows 1 and 24 stand in churn_test.go.

// The original aborts on an assertion when a frame announces an empty body.
func TestDefect02EmptyBody(t *testing.T) {
	store := newFakeStore()
	store.edit(services{{}: {h1}})
	p := dial(t, startLoaded(t, store, nil))
	frame := make([]byte, larspb.HeaderSize)
	larspb.PutHeader(frame, larspb.IDGetRouteRequest, 0)
	p.send(frame)
	p.expect(route.Key{}, h1)
	store.edit(services{{}: {h2}})
	p.expect(route.Key{}, h2)
}

// The original's web page deletes a row without a change record: nobody is
// told. The reload finds it; edits with a record are told at once.
func TestDefect18DeletedHostIsPushed(t *testing.T) {
	store := newFakeStore()
	store.edit(services{k12: {h1, h2, h3}})
	p := dial(t, startLoaded(t, store, often))
	p.ask(k12)
	p.expect(k12, h1, h2, h3)
	store.edit(services{k12: {h1, h2}})
	p.expect(k12, h1, h2)
	store.scribble(services{k12: {h1}})
	p.expect(k12, h1)
}

// The original announces only the service that a host was moved to.
func TestDefect19MoveAnnouncesBoth(t *testing.T) {
	store := newFakeStore()
	store.edit(services{k12: {h1}})
	in := startLoaded(t, store, nil)
	from, to := dial(t, in), dial(t, in)
	from.ask(k12)
	from.expect(k12, h1)
	to.ask(k13)
	to.expect(k13)
	store.edit(services{k12: nil, k13: {h1}})
	from.expect(k12)
	to.expect(k13, h1)
}

// The original's version is the second of the edit: of two edits in one
// second, the second is not seen as a new version.
func TestDefect20TwoEditsWithinASecond(t *testing.T) {
	store := newFakeStore()
	p := dial(t, startLoaded(t, store, nil))
	p.ask(k12)
	p.expect(k12)
	store.edit(services{k12: {h1}})
	p.expect(k12, h1)
	store.edit(services{k12: {h2}})
	p.expect(k12, h2)
}

// The original's edit is three statements. A look in between sees rows
// without their change record. What is read too early is no harm, and what is
// recorded is read again.
func TestDefect21HalfAnEdit(t *testing.T) {
	store := newFakeStore()
	p := dial(t, startLoaded(t, store, often))
	p.ask(k12)
	p.expect(k12)
	store.scribble(services{k12: {h1}})
	p.expect(k12, h1)
	store.edit(services{k12: {h1}, k13: {h1}})
	p.ask(k13)
	p.expectFinally(k13, h1)
}

// The original advances its version before it loads, publishes the old table
// when the load fails, and deletes the changes.
func TestDefect22AdvanceOnlyAfterGoodLoad(t *testing.T) {
	for _, method := range []string{"Changed", "RoutesOf"} {
		t.Run(method, func(t *testing.T) {
			store := newFakeStore()
			store.edit(services{k12: {h1}})
			in := startLoaded(t, store, nil)
			p := dial(t, in)
			p.ask(k12)
			p.expect(k12, h1)
			store.setFault(errStore, method)
			store.edit(services{k12: {h2}})
			store.await(t, method, 3)
			if v := in.metric(t, "lars_dns_version"); v != "101" {
				t.Errorf("version %s after a load that failed, want 101", v)
			}
			p.ask(k12)
			p.expect(k12, h1)
			store.setFault(nil, method)
			p.expect(k12, h2)
			in.awaitMetric(t, "lars_dns_version", "102")
		})
	}
}

// The original deletes the change rows that it has pushed, so a second dns on
// the same database never sees them. Ours copes with such a neighbour.
func TestDefect23ChangesDeletedByNeighbour(t *testing.T) {
	store := newFakeStore()
	in := startLoaded(t, store, nil)
	p := dial(t, in)
	p.ask(k12)
	p.expect(k12)
	store.do(func(f *fakeStore) {
		f.version += 2
		f.put(services{k12: {h1}})
		f.changes[f.version] = []route.Key{k13} // the row of the version before is gone
	})
	p.expect(k12, h1)
}

// The original answers from an empty map before its first load, which wipes
// the service in the agent.
func TestDefect25NoAnswerBeforeLoad(t *testing.T) {
	store := newFakeStore()
	store.edit(services{k12: {h1}})
	gate := make(chan struct{})
	store.do(func(f *fakeStore) { f.loadGate = gate })
	in := start(t, store, nil)
	p := dial(t, in)
	p.ask(k12)
	in.awaitMetric(t, "lars_dns_lookups_held_total", "1")
	close(gate)
	p.expect(k12, h1) // the first thing that comes
}

// The original reads the whole table on each change. Ours asks for what
// changed.
func TestDefect36CostOfAnEdit(t *testing.T) {
	store := newFakeStore()
	all := services{}
	for i := range 5000 {
		all[route.Key{Modid: 9, Cmdid: int32(i)}] = []route.Host{h1}
	}
	store.edit(all)
	p := dial(t, startLoaded(t, store, func(c *dns.Config) { c.ReloadInterval = time.Hour }))
	p.ask(k12)
	p.expect(k12)
	for _, h := range []route.Host{h1, h2, h3} {
		store.edit(services{k12: {h}})
		p.expect(k12, h)
	}
	store.do(func(f *fakeStore) {
		if f.asked != 3 || f.calls["Load"] != 1 {
			t.Errorf("3 edits read %d services and loaded all %d times; want 3 and 1", f.asked, f.calls["Load"])
		}
	})
}
