package engine

import (
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"lars.internal/lb"
	"lars.internal/route"
)

const (
	succ    = lb.Picked
	noExist = lb.NoHosts
)

var key12 = route.Key{Modid: 1, Cmdid: 2}

// wantPick picks and checks the answer and whether the route is to be pulled.
func wantPick(t *testing.T, r *Engine, key route.Key, now time.Duration, code lb.Verdict, pull bool) {
	t.Helper()
	_, gotCode, gotPull := r.pick(key, now)
	if gotCode != code || gotPull != pull {
		t.Errorf("at %v: pick of %v: %v, pull %v; want %v, pull %v", now, key, gotCode, gotPull, code, pull)
	}
}

func (r *Engine) stateOf(key route.Key) State {
	s, _ := r.Explain(key)
	return s.State
}

func TestStates(t *testing.T) {
	const start, timeout = time.Hour, 15 * time.Second
	r := testEngine(0)
	wantPick(t, r, key12, start, noExist, true) // unknown: created and pulled
	wantPick(t, r, key12, start+time.Second, noExist, false)
	if got := r.stateOf(key12); got != StatePulling {
		t.Errorf("state %v after the first question", got)
	}

	r.update(key12, hostsN(2), false, start+time.Second)
	wantPick(t, r, key12, start+time.Second, succ, false)
	wantPick(t, r, key12, start+time.Second+timeout, succ, false) // not older than update_timeout
	wantPick(t, r, key12, start+time.Second+timeout+1, succ, true)
	wantPick(t, r, key12, start+time.Second+timeout+2, succ, false) // is being pulled
	if got := r.stateOf(key12); got != StatePulling {
		t.Errorf("state %v of an old route", got)
	}

	late := start + time.Second + timeout + 1
	wantPick(t, r, key12, late+timeout, succ, false)
	wantPick(t, r, key12, late+timeout+1, succ, true) // the pull was lost
	r.update(key12, hostsN(2), false, late+timeout+2)
	if got := r.stateOf(key12); got != StateNew {
		t.Errorf("state %v after the answer", got)
	}
}

func TestGetRouteStates(t *testing.T) {
	const start, timeout = time.Hour, 15 * time.Second
	r := testEngine(0)
	if have, _, pull := r.Interest(key12, start); len(have.Hosts) != 0 || !pull {
		t.Errorf("unknown service: %v, pull %v", have.Hosts, pull)
	}
	r.update(key12, hostsN(2), false, start)
	if have, _, pull := r.Interest(key12, start+timeout); !slices.Equal(route.HostsOf(have.Hosts), hostsN(2)) || pull {
		t.Errorf("young route: %v, pull %v", have.Hosts, pull)
	}
	if _, _, pull := r.Interest(key12, start+timeout+1); !pull {
		t.Error("old route is not pulled")
	}
}

// The original asserts when the reset hook turns an unresolved service
// NEW and a GetHost arrives.
func TestDefect04ResetOfUnresolvedService(t *testing.T) {
	r := testEngine(0)
	wantPick(t, r, key12, time.Hour, noExist, true)
	if keys := r.ConnectionStarted(); !slices.Equal(keys, []route.Key{key12}) {
		t.Errorf("reset returned %v", keys)
	}
	if got := r.stateOf(key12); got != StateNew {
		t.Errorf("state %v after the reset", got)
	}
	wantPick(t, r, key12, time.Hour, noExist, true)
	if r.Renew(key12, time.Hour) {
		t.Error("a service that was pulled since the reset is pulled twice")
	}
}

func TestResetRenewsAll(t *testing.T) {
	r := testEngine(0)
	other := route.Key{Modid: 3, Cmdid: 4}
	for _, key := range []route.Key{key12, other} {
		wantPick(t, r, key, time.Hour, noExist, true)
	}
	r.update(key12, hostsN(1), false, time.Hour)
	keys := r.ConnectionStarted()
	if !slices.Equal(keys, []route.Key{other, key12}) {
		t.Errorf("reset returned %v, want the one without hosts first", keys)
	}
	for _, key := range keys {
		if !r.Renew(key, time.Hour) {
			t.Errorf("%v is not pulled after the reset", key)
		}
		if r.Renew(key, time.Hour) {
			t.Errorf("%v is pulled twice after the reset", key)
		}
	}
	if r.Renew(route.Key{Modid: 5}, time.Hour) {
		t.Error("a service that nobody knows is pulled")
	}
}

// A service that does not exist is pulled at a bounded rate however often it
// is asked for, and soon enough for a program that registers.
func TestPullPause(t *testing.T) {
	r := testEngine(0)
	now, pulls := time.Hour, 0
	for ; now < time.Hour+10*time.Second; now += time.Millisecond {
		if _, _, pull := r.pick(key12, now); pull {
			pulls++
			r.update(key12, nil, false, now)
		}
	}
	if pulls < 6 || pulls > 12 {
		t.Errorf("%d pulls within 10 s, want about ten", pulls)
	}
	r.update(key12, hostsN(1), false, now)
	r.update(key12, nil, false, now)
	wantPick(t, r, key12, now+2*pullPause, noExist, true)
}

func TestPullFailed(t *testing.T) {
	r := testEngine(0)
	wantPick(t, r, key12, time.Hour, noExist, true)
	r.PullFailed(key12)
	wantPick(t, r, key12, time.Hour+pullPause-1, noExist, false)
	wantPick(t, r, key12, time.Hour+pullPause, noExist, true)
}

func TestUpdateOutcome(t *testing.T) {
	r := testEngine(0)
	if o := r.update(key12, hostsN(1), false, time.Hour); !o.Unknown || int64(r.Len()) != 0 {
		t.Errorf("a push that nobody asked for: %+v, %d services", o, int64(r.Len()))
	}
	r.pick(key12, time.Hour)
	steps := []struct {
		name  string
		hosts []route.Host
		want  Outcome
	}{
		{"answer", hostsN(2), Outcome{Changed: true}},
		{"same again", hostsN(2), Outcome{Push: true}},
		{"push", hostsN(3), Outcome{Push: true, Changed: true}},
		{"removal", nil, Outcome{Push: true, Changed: true}},
		{"removal again", nil, Outcome{Push: true}},
	}
	for _, s := range steps {
		got := r.update(key12, s.hosts, false, time.Hour)
		if got.Change = (Change{}); !reflect.DeepEqual(got, s.want) {
			t.Errorf("%s: %+v, want %+v", s.name, got, s.want)
		}
		wantPick(t, r, key12, time.Hour, map[bool]lb.Verdict{true: succ, false: noExist}[len(s.hosts) > 0], false)
	}
}

// An update keeps the state of the hosts that stay.
func TestUpdateKeepsState(t *testing.T) {
	r := testEngine(0)
	r.pick(key12, time.Hour)
	r.update(key12, hostsN(2), false, time.Hour)
	for range 15 {
		r.report(key12, hostN(0), false, time.Hour)
	}
	r.update(key12, hostsN(3), false, time.Hour)
	if s, ok := r.hostState(key12, hostN(0)); !ok || !s.Ejected {
		t.Errorf("host that was ejected before the update: %+v", s)
	}
}

func TestMaxServices(t *testing.T) {
	const most = 100
	r := testEngine(most)
	keyN := func(i int) route.Key { return route.Key{Modid: int32(i), Cmdid: 7} }
	now := time.Hour
	ask := func(i int) {
		now++
		r.pick(keyN(i), now)
		r.update(keyN(i), hostsN(1), false, now)
		checkInvariants(t, r)
	}
	for i := range most {
		ask(i)
	}
	ask(0) // so 1 is the oldest
	for i := most; i < most+50; i++ {
		ask(i)
	}
	if got := r.Counters().Evicted; got != 50 {
		t.Errorf("%d services were forgotten, want 50", got)
	}
	for i := range most + 50 {
		_, known := r.Explain(keyN(i))
		if want := i == 0 || i > 50; known != want {
			t.Errorf("service %d is known: %v, want %v", i, known, want)
		}
	}
}

func TestMaxServicesConcurrent(t *testing.T) {
	r := testEngine(2)
	var wg sync.WaitGroup
	for g := range 3 {
		wg.Go(func() {
			for i := range 2000 {
				r.pick(route.Key{Modid: int32(i % 50), Cmdid: int32(g)}, time.Duration(i))
			}
		})
	}
	wg.Wait()
	checkInvariants(t, r)
	if n := int64(r.Len()); n != 2 {
		t.Errorf("%d services, want 2", n)
	}
}

// The original resets counters in the call that reports them. Here all
// that was counted arrives, also of hosts and services that are gone.
func TestDefect27CountsOutliveServices(t *testing.T) {
	for name, leave := range map[string]func(*Engine){
		"removed":  func(r *Engine) { r.update(key12, nil, false, time.Hour) },
		"evicted":  func(r *Engine) { r.evictKnown() },
		"replaced": func(r *Engine) { r.update(key12, hostsN(3)[2:], false, time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			r := testEngine(0)
			r.pick(key12, time.Hour)
			r.update(key12, hostsN(2), false, time.Hour)
			for i := range 30 {
				r.report(key12, hostN(i%2), true, time.Hour)
			}
			leave(r)
			checkInvariants(t, r)
			key, results, ok := r.takeReport(key12, time.Hour)
			if !ok || key != key12 {
				t.Fatalf("nothing to report: %v %v", key, ok)
			}
			var sum uint64
			for _, res := range results {
				sum += res.TotalSucc
			}
			if sum != 30 {
				t.Errorf("%d successes are reported, want 30", sum)
			}
		})
	}
}

func TestRemind(t *testing.T) {
	r := testEngine(0)
	r.pick(key12, time.Hour)
	r.update(key12, hostsN(1), false, time.Hour)
	r.Remind(LongAgo + 1)
	if r.Waiting(int(key12.Hash()%Parts)) != 0 {
		t.Error("a service that was never reported is in line")
	}
	r.report(key12, hostN(0), true, time.Hour)
	r.takeReport(key12, time.Hour)
	r.Remind(time.Hour + 1)
	if r.Waiting(int(key12.Hash()%Parts)) != 0 {
		t.Error("a service that was reported before is in line")
	}
	r.Remind(time.Hour)
	r.Remind(time.Hour)
	if r.Waiting(int(key12.Hash()%Parts)) != 1 {
		t.Errorf("%d services are in line, want 1", r.Waiting(int(key12.Hash()%Parts)))
	}
	checkInvariants(t, r)
}

// The original starts with access_cnt and idle_ts uninitialised, so
// the first failure can eject a host.
func TestDefect26FirstFailureEjectsNobody(t *testing.T) {
	r := testEngine(0)
	r.pick(key12, time.Hour)
	r.update(key12, hostsN(1), false, time.Hour)
	if change := r.report(key12, hostN(0), false, time.Hour); change != none {
		t.Errorf("the first failure: %v", change)
	}
}

// The original frees a removed host but keeps it in its map. Hosts are
// removed and added again here while others pick, report and take reports.
func TestDefect03UpdateUnderLoad(t *testing.T) {
	r := testEngine(0)
	r.pick(key12, 0)
	var wg sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				host, code, _ := r.pick(key12, 0)
				if code == succ {
					r.report(key12, host, i%3 > 0, 0)
				}
				r.report(key12, hostN(i%8), i%5 > 0, 0)
			}
		})
	}
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				r.takeReport(key12, 0)
			}
		}
	})
	for i := range 3000 {
		from, to := i%4, 4+i%5
		if i%7 == 0 {
			to = from
		}
		r.update(key12, hostsN(8)[from:to], false, 0)
	}
	close(done)
	wg.Wait()
	checkInvariants(t, r)
	r.update(key12, hostsN(2), false, 0)
	if have, _, _ := r.Interest(key12, 0); !slices.Equal(route.HostsOf(have.Hosts), hostsN(2)) {
		t.Errorf("hosts %v at the end", have.Hosts)
	}
}

// A pick and an outcome allocate nothing, also where hosts are ejected and come
// back meanwhile.
func TestHotPathDoesNotAllocate(t *testing.T) {
	e := testEngine(0)
	e.Restore(key12, route.Of(hostsN(5)...), 0, 0)
	e.Restore(route.Key{Modid: 3}, route.Of(hostsN(5)...), 0, 0)
	var now time.Duration
	var events []Event
	i := 0
	if n := testing.AllocsPerRun(5000, func() {
		h, ticket, _, _ := e.Pick(key12, route.Host{}, now)
		e.Pick(route.Key{Modid: 3}, route.Host{}, now)
		o := lb.Outcome{OK: 1, Ticket: ticket}
		if i%40 < 20 {
			o = lb.Outcome{Failed: 1}
		}
		e.Observe(key12, h, o, now)
		if i%500 == 0 {
			events = e.TakeEvents(events[:0])
		}
		now += time.Millisecond
		i++
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
