package engine

import (
	"slices"
	"testing"
	"time"

	"lars.internal/lb"
	"lars.internal/route"
)

// wantHosts checks the hosts of a service.
func wantHosts(t *testing.T, e *Engine, key route.Key, now time.Duration, want []route.Host) {
	t.Helper()
	if got, _, _ := e.Interest(key, now); !slices.Equal(route.HostsOf(got.Hosts), want) {
		t.Errorf("at %v: hosts %v, want %v", now, got, want)
	}
}

// After a fail-over to a dns service that serves an old snapshot, hosts that had
// been removed came back. An older answer of a stale table is ignored now; any
// other answer is taken.
func TestFinding16OlderStaleAnswerIsIgnored(t *testing.T) {
	tests := []struct {
		name  string
		r     Route
		taken bool
	}{
		{"older and stale", Route{Version: 6, Stale: true}, false},
		{"older", Route{Version: 6}, true},
		{"equal and stale", Route{Version: 7, Stale: true}, true},
		{"newer and stale", Route{Version: 8, Stale: true}, true},
		{"no version", Route{}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := testEngine(0)
			e.pick(key12, time.Hour)
			e.Update(key12, Route{Hosts: route.Of(hostsN(1)...).Hosts, Version: 7}, time.Hour)
			tt.r.Hosts = route.Of(hostsN(3)...).Hosts
			o := e.Update(key12, tt.r, time.Hour+time.Second)
			if o.Outdated == tt.taken || o.Changed != tt.taken {
				t.Errorf("outcome %+v", o)
			}
			wantHosts(t, e, key12, time.Hour+time.Second, hostsN(map[bool]int{true: 3, false: 1}[tt.taken]))
		})
	}
	e := testEngine(0)
	e.pick(key12, time.Hour)
	e.Update(key12, Route{Hosts: route.Of(hostsN(1)...).Hosts, Version: 7}, time.Hour)
	e.Update(key12, Route{Removed: true, Version: 8}, time.Hour)
	e.Update(key12, Route{Hosts: route.Of(hostsN(1)...).Hosts, Version: 7, Stale: true}, time.Hour)
	wantHosts(t, e, key12, time.Hour, nil)
	if n := e.Counters().Outdated; n != 1 {
		t.Errorf("%d outdated answers are counted, want 1", n)
	}
}

// A restore or a wrong script emptied the table, dns pushed an empty route for
// every service, and all agents dropped all hosts at once. Now they keep the
// last hosts for a time and pull again, unless an edit removed the hosts.
func TestFinding17EmptiedRouteKeepsItsHosts(t *testing.T) {
	start := time.Hour
	e := testEngine(0)
	e.pick(key12, start)
	e.Update(key12, Route{Hosts: route.Of(hostsN(2)...).Hosts}, start)
	if o := e.Update(key12, Route{}, start); !o.Emptied || o.Changed {
		t.Errorf("the first empty answer: %+v", o)
	}
	if o := e.Update(key12, Route{}, start+time.Second); o.Emptied || o.Changed {
		t.Errorf("the second empty answer: %+v", o)
	}
	wantPick(t, e, key12, start+2*time.Second, succ, true) // pulled again, long before update_timeout
	if h := e.Health(); h.Emptied != 1 || h.Hosts != 2 || e.Counters().Emptied != 1 {
		t.Errorf("health %+v, counters %+v", h, e.Counters())
	}
	if s, _ := e.Explain(key12); s.Emptied != start {
		t.Errorf("emptied at %v, want %v", s.Emptied, start)
	}

	if due := e.Tick(start + time.Minute - 1); len(due.Changes) != 0 {
		t.Errorf("changes %+v before the time is over", due.Changes)
	}
	due := e.Tick(start + time.Minute)
	if len(due.Changes) != 1 || !slices.Equal(due.Changes[0].Removed, hostsN(2)) {
		t.Errorf("changes %+v, want both hosts removed", due.Changes)
	}
	wantHosts(t, e, key12, start+time.Minute, nil)
	checkInvariants(t, e)

	e.Update(key12, Route{Hosts: route.Of(hostsN(2)...).Hosts}, start+time.Minute)
	e.Update(key12, Route{}, start+time.Minute)
	e.Update(key12, Route{Hosts: route.Of(hostsN(1)...).Hosts}, start+time.Minute)
	e.Tick(start + time.Hour)
	wantHosts(t, e, key12, start+time.Hour, hostsN(1)) // they had come back
	if o := e.Update(key12, Route{Removed: true}, start+time.Hour); !o.Changed {
		t.Errorf("a route that an edit emptied: %+v", o)
	}
	wantHosts(t, e, key12, start+time.Hour, nil)
	checkInvariants(t, e)
}

// A service that the agent had forgotten stayed subscribed for ever. It is
// returned once, so that the subscription can be ended, but not if a program has
// asked for it again, or if the connection is a new one.
func TestFinding18ForgottenServicesAreReturned(t *testing.T) {
	keyN := func(i int) route.Key { return route.Key{Modid: int32(i), Cmdid: 7} }
	fill := func(e *Engine) {
		for i := range 5 {
			e.pick(keyN(i), time.Hour+time.Duration(i))
			e.update(keyN(i), hostsN(1), false, time.Hour)
		}
	}
	e := testEngine(2)
	fill(e)
	gone := e.TakeGone(nil)
	slices.SortFunc(gone, route.Key.Compare)
	if want := []route.Key{keyN(0), keyN(1), keyN(2)}; !slices.Equal(gone, want) {
		t.Errorf("forgotten services %v, want %v", gone, want)
	}
	if again := e.TakeGone(nil); len(again) != 0 {
		t.Errorf("services %v are returned twice", again)
	}
	e.pick(keyN(0), 2*time.Hour)
	e.update(keyN(0), hostsN(1), false, 2*time.Hour) // forgets 3
	e.pick(keyN(3), 3*time.Hour)
	if gone := e.TakeGone(nil); slices.Contains(gone, keyN(3)) {
		t.Errorf("forgotten services %v, but 7/3 is asked for again", gone)
	}
	e = testEngine(2)
	fill(e)
	e.ConnectionStarted()
	if gone := e.TakeGone(nil); len(gone) != 0 {
		t.Errorf("services %v are returned to a new connection", gone)
	}
}

// A flood of questions for names that do not exist evicted the services that
// programs use. Services without hosts have room of their own now.
func TestFinding19UnknownNamesEvictNoService(t *testing.T) {
	const most = 100
	e := testEngine(most)
	keyN := func(i int) route.Key { return route.Key{Modid: 1, Cmdid: int32(i)} }
	for i := range most {
		e.pick(keyN(i), time.Hour)
		e.update(keyN(i), hostsN(1), false, time.Hour)
	}
	for i := range 10_000 {
		e.pick(route.Key{Modid: 2, Cmdid: int32(i)}, 2*time.Hour)
	}
	checkInvariants(t, e)
	if n := e.Len(); n != most+minEmpty {
		t.Errorf("%d services, want %d and %d without hosts", n, most, minEmpty)
	}
	for i := range most {
		wantPick(t, e, keyN(i), 2*time.Hour, succ, true)
	}
	// A service that exists still finds room meanwhile.
	e.pick(keyN(most), 3*time.Hour)
	e.update(keyN(most), hostsN(1), false, 3*time.Hour)
	wantPick(t, e, keyN(most), 3*time.Hour, succ, false)
	checkInvariants(t, e)
}

// A service whose hosts are only reported, or held by a program, aged and was
// forgotten, because only questions counted as use.
func TestFinding19ReportedAndHeldServicesAreUsed(t *testing.T) {
	const start = time.Hour
	reported, held, unused := key12, route.Key{Modid: 3}, route.Key{Modid: 4}
	e := testEngine(3)
	for _, key := range []route.Key{reported, held, unused} {
		e.pick(key, start)
		e.update(key, hostsN(1), false, start)
	}
	e.Hold(held, start)
	late := start + 16*time.Second
	e.Observe(reported, hostN(0), lb.Outcome{OK: 1}, late)
	pulls := e.Tick(late).Pulls
	slices.SortFunc(pulls, route.Key.Compare)
	if want := []route.Key{reported, held}; !slices.Equal(pulls, want) {
		t.Errorf("%v are pulled, want %v", pulls, want)
	}
	if pulls := e.Tick(late + time.Minute).Pulls; len(pulls) != 0 {
		t.Errorf("%v are pulled, which are PULLING", pulls)
	}
	e.pick(route.Key{Modid: 5}, late)
	e.update(route.Key{Modid: 5}, hostsN(1), false, late)
	if gone := e.TakeGone(nil); !slices.Equal(gone, []route.Key{unused}) {
		t.Errorf("forgotten is %v, want the one that no program uses", gone)
	}
	e.Release(held)
	e.update(held, hostsN(1), false, late)
	if pulls := e.Tick(late + time.Hour).Pulls; len(pulls) != 0 {
		t.Errorf("%v are pulled, which no program uses", pulls)
	}
}

// A mistyped service without hosts stayed in the list for ever.
func TestFinding23ServiceWithoutHostsIsForgotten(t *testing.T) {
	e := testEngine(0)
	e.pick(key12, time.Hour)
	e.update(key12, nil, false, time.Hour)
	e.Tick(time.Hour + forgetAfter)
	if e.Len() != 1 {
		t.Error("forgotten too soon")
	}
	e.Tick(time.Hour + forgetAfter + 1)
	if n := e.Counters().Forgotten; e.Len() != 0 || n != 1 {
		t.Errorf("%d services, %d counted as forgotten", e.Len(), n)
	}
	if gone := e.TakeGone(nil); !slices.Equal(gone, []route.Key{key12}) {
		t.Errorf("forgotten is %v", gone)
	}
	checkInvariants(t, e)
}

// Ejections minus reinstatements was no number of ejected hosts once one of them
// had left the route.
func TestFinding34HostsThatCanBeCalled(t *testing.T) {
	e := testEngine(0)
	other := route.Key{Modid: 3}
	for i, key := range []route.Key{key12, other, {Modid: 4}} {
		e.pick(key, time.Hour)
		e.update(key, hostsN(2-i), false, time.Hour)
	}
	e.pick(other, time.Hour)
	eject := func(key route.Key, h route.Host) {
		for range 15 {
			e.report(key, h, false, time.Hour)
		}
	}
	eject(key12, hostN(0))
	eject(other, hostN(0))
	if got, want := e.Health(), (Health{Hosts: 3, Ejected: 2, WithoutHosts: 1, AllEjected: 1}); got != want {
		t.Errorf("health %+v, want %+v", got, want)
	}
	want := []ServiceHealth{{Key: other, Hosts: 1, Ejected: 1, Picks: 1}, {Key: key12, Hosts: 2, Ejected: 1}}
	if got := e.Busiest(5); !slices.Equal(got, want) {
		t.Errorf("busiest %+v, want %+v", got, want)
	}
	if got := e.Busiest(1); !slices.Equal(got, want[:1]) {
		t.Errorf("busiest one %+v", got)
	}
	e.update(key12, hostsN(3)[2:], false, time.Hour) // the ejected host leaves
	if got, want := e.Health(), (Health{Hosts: 2, Ejected: 1, WithoutHosts: 1, AllEjected: 1}); got != want {
		t.Errorf("after an ejected host left: %+v, want %+v", got, want)
	}
}

// A change of a route left no trace: what was added and removed, and the version
// that brought it, are returned to be logged.
func TestFinding36UpdateReturnsWhatChanged(t *testing.T) {
	e := testEngine(0)
	e.pick(key12, time.Hour)
	e.Update(key12, Route{Hosts: route.Of(hostsN(3)...).Hosts, Version: 1}, time.Hour)
	o := e.Update(key12, Route{Hosts: route.Of(hostsN(4)[1:]...).Hosts, Version: 2}, time.Hour)
	if !o.Changed || !slices.Equal(o.Added, hostsN(4)[3:]) || !slices.Equal(o.Removed, hostsN(1)) || o.Version != 2 || o.Key != key12 {
		t.Errorf("outcome %+v", o)
	}
}
