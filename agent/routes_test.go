package agent

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"lars.internal/larspb"
	"lars.internal/lb"
	"lars.internal/route"
)

const (
	succ    = larspb.RetCode_RET_SUCC
	noExist = larspb.RetCode_RET_NOEXIST
)

var key12 = route.Key{Modid: 1, Cmdid: 2}

func testRoutes(t testing.TB, max int) *routes {
	t.Helper()
	cfg := Config{MaxServices: max}
	cfg.setDefaults()
	r, err := newRoutes(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// wantPick picks and checks the answer and whether the route is to be pulled.
func wantPick(t *testing.T, r *routes, key route.Key, now time.Duration, code larspb.RetCode, pull bool) {
	t.Helper()
	_, gotCode, gotPull := r.pick(key, now)
	if gotCode != code || gotPull != pull {
		t.Errorf("at %v: pick of %v: %v, pull %v; want %v, pull %v", now, key, gotCode, gotPull, code, pull)
	}
}

func (r *routes) stateOf(key route.Key) state {
	s, _, _ := r.explain(key)
	return s.state
}

func TestStates(t *testing.T) {
	const start, timeout = time.Hour, 15 * time.Second
	r := testRoutes(t, 0)
	wantPick(t, r, key12, start, noExist, true) // unknown: created and pulled
	wantPick(t, r, key12, start+time.Second, noExist, false)
	if got := r.stateOf(key12); got != statePulling {
		t.Errorf("state %v after the first question", got)
	}

	r.update(key12, hostsN(2), false, start+time.Second)
	wantPick(t, r, key12, start+time.Second, succ, false)
	wantPick(t, r, key12, start+time.Second+timeout, succ, false) // not older than update_timeout
	wantPick(t, r, key12, start+time.Second+timeout+1, succ, true)
	wantPick(t, r, key12, start+time.Second+timeout+2, succ, false) // is being pulled
	if got := r.stateOf(key12); got != statePulling {
		t.Errorf("state %v of an old route", got)
	}

	late := start + time.Second + timeout + 1
	wantPick(t, r, key12, late+timeout, succ, false)
	wantPick(t, r, key12, late+timeout+1, succ, true) // the pull was lost
	r.update(key12, hostsN(2), false, late+timeout+2)
	if got := r.stateOf(key12); got != stateNew {
		t.Errorf("state %v after the answer", got)
	}
}

func TestGetRouteStates(t *testing.T) {
	const start, timeout = time.Hour, 15 * time.Second
	r := testRoutes(t, 0)
	if hosts, _, pull := r.hosts(key12, start); len(hosts) != 0 || !pull {
		t.Errorf("unknown service: %v, pull %v", hosts, pull)
	}
	r.update(key12, hostsN(2), false, start)
	if hosts, _, pull := r.hosts(key12, start+timeout); !slices.Equal(hosts, hostsN(2)) || pull {
		t.Errorf("young route: %v, pull %v", hosts, pull)
	}
	if _, _, pull := r.hosts(key12, start+timeout+1); !pull {
		t.Error("old route is not pulled")
	}
}

// The original asserts when the reset hook turns an unresolved service
// NEW and a GetHost arrives.
func TestDefect04ResetOfUnresolvedService(t *testing.T) {
	r := testRoutes(t, 0)
	wantPick(t, r, key12, time.Hour, noExist, true)
	if keys := r.reset(); !slices.Equal(keys, []route.Key{key12}) {
		t.Errorf("reset returned %v", keys)
	}
	if got := r.stateOf(key12); got != stateNew {
		t.Errorf("state %v after the reset", got)
	}
	wantPick(t, r, key12, time.Hour, noExist, true)
	if r.renew(key12, time.Hour) {
		t.Error("a service that was pulled since the reset is pulled twice")
	}
}

func TestResetRenewsAll(t *testing.T) {
	r := testRoutes(t, 0)
	other := route.Key{Modid: 3, Cmdid: 4}
	for _, key := range []route.Key{key12, other} {
		wantPick(t, r, key, time.Hour, noExist, true)
	}
	r.update(key12, hostsN(1), false, time.Hour)
	keys := r.reset()
	if !slices.Equal(keys, []route.Key{other, key12}) {
		t.Errorf("reset returned %v, want the one without hosts first", keys)
	}
	for _, key := range keys {
		if !r.renew(key, time.Hour) {
			t.Errorf("%v is not pulled after the reset", key)
		}
		if r.renew(key, time.Hour) {
			t.Errorf("%v is pulled twice after the reset", key)
		}
	}
	if r.renew(route.Key{Modid: 5}, time.Hour) {
		t.Error("a service that nobody knows is pulled")
	}
}

// A service that does not exist is pulled at a bounded rate however often it
// is asked for, and soon enough for a program that registers.
func TestPullPause(t *testing.T) {
	r := testRoutes(t, 0)
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
	r := testRoutes(t, 0)
	wantPick(t, r, key12, time.Hour, noExist, true)
	r.pullFailed(key12)
	wantPick(t, r, key12, time.Hour+pullPause-1, noExist, false)
	wantPick(t, r, key12, time.Hour+pullPause, noExist, true)
}

func TestUpdateOutcome(t *testing.T) {
	r := testRoutes(t, 0)
	if o := r.update(key12, hostsN(1), false, time.Hour); !o.unknown || r.count.Load() != 0 {
		t.Errorf("a push that nobody asked for: %+v, %d services", o, r.count.Load())
	}
	r.pick(key12, time.Hour)
	steps := []struct {
		name  string
		hosts []route.Host
		want  outcome
	}{
		{"answer", hostsN(2), outcome{changed: true}},
		{"same again", hostsN(2), outcome{push: true}},
		{"push", hostsN(3), outcome{push: true, changed: true}},
		{"removal", nil, outcome{push: true, changed: true}},
		{"removal again", nil, outcome{push: true}},
	}
	for _, s := range steps {
		if got := r.update(key12, s.hosts, false, time.Hour); got != s.want {
			t.Errorf("%s: %+v, want %+v", s.name, got, s.want)
		}
		wantPick(t, r, key12, time.Hour, map[bool]larspb.RetCode{true: succ, false: noExist}[len(s.hosts) > 0], false)
	}
}

// An update keeps the state of the hosts that stay.
func TestUpdateKeepsState(t *testing.T) {
	r := testRoutes(t, 0)
	r.pick(key12, time.Hour)
	r.update(key12, hostsN(2), false, time.Hour)
	for range 15 {
		r.report(key12, hostN(0), false, time.Hour)
	}
	r.update(key12, hostsN(3), false, time.Hour)
	if s, ok := r.hostState(key12, hostN(0)); !ok || !s.Overload {
		t.Errorf("host that was ejected before the update: %+v", s)
	}
}

func TestMaxServices(t *testing.T) {
	const most = 100
	r := testRoutes(t, most)
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
	if got := r.totals().evicted; got != 50 {
		t.Errorf("%d services were forgotten, want 50", got)
	}
	for i := range most + 50 {
		_, _, known := r.explain(keyN(i))
		if want := i == 0 || i > 50; known != want {
			t.Errorf("service %d is known: %v, want %v", i, known, want)
		}
	}
}

func TestMaxServicesConcurrent(t *testing.T) {
	r := testRoutes(t, 2)
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
	if n := r.count.Load(); n != 2 {
		t.Errorf("%d services, want 2", n)
	}
}

// The original resets counters in the call that reports them. Here all
// that was counted arrives, also of hosts and services that are gone.
func TestDefect27CountsOutliveServices(t *testing.T) {
	for name, leave := range map[string]func(*routes){
		"removed":  func(r *routes) { r.update(key12, nil, false, time.Hour) },
		"evicted":  func(r *routes) { r.evict() },
		"replaced": func(r *routes) { r.update(key12, hostsN(3)[2:], false, time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			r := testRoutes(t, 0)
			r.pick(key12, time.Hour)
			r.update(key12, hostsN(2), false, time.Hour)
			for i := range 30 {
				r.report(key12, hostN(i%2), true, time.Hour)
			}
			leave(r)
			checkInvariants(t, r)
			key, results, ok := r.shardOf(key12).takeReport(nil, time.Hour)
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
	r := testRoutes(t, 0)
	r.pick(key12, time.Hour)
	r.update(key12, hostsN(1), false, time.Hour)
	sh := r.shardOf(key12)
	r.remind(longAgo + 1)
	if sh.waiting() != 0 {
		t.Error("a service that was never reported is in line")
	}
	r.report(key12, hostN(0), true, time.Hour)
	sh.takeReport(nil, time.Hour)
	r.remind(time.Hour + 1)
	if sh.waiting() != 0 {
		t.Error("a service that was reported before is in line")
	}
	r.remind(time.Hour)
	r.remind(time.Hour)
	if sh.waiting() != 1 {
		t.Errorf("%d services are in line, want 1", sh.waiting())
	}
	checkInvariants(t, r)
}

// The original starts with access_cnt and idle_ts uninitialised, so
// the first failure can eject a host.
func TestDefect26FirstFailureEjectsNobody(t *testing.T) {
	r := testRoutes(t, 0)
	r.pick(key12, time.Hour)
	r.update(key12, hostsN(1), false, time.Hour)
	if change := r.report(key12, hostN(0), false, time.Hour); change != lb.None {
		t.Errorf("the first failure: %v", change)
	}
}

// checkInvariants checks the lists and counts of all shards. Nobody may add or
// evict services meanwhile.
func checkInvariants(t rapid.TB, r *routes) {
	t.Helper()
	total := 0
	for i := range r.shards {
		sh := &r.shards[i]
		sh.mu.Lock()
		checkShard(t, r, sh)
		total += len(sh.services)
		sh.mu.Unlock()
	}
	if n := r.count.Load(); n != int64(total) || n > r.max {
		t.Fatalf("%d services, counted %d, allowed %d", total, n, r.max)
	}
}

func checkShard(t rapid.TB, r *routes, sh *shard) {
	t.Helper()
	asked, dirty := checkList(t, &sh.asked), checkList(t, &sh.dirty)
	if len(asked) != len(sh.services) {
		t.Fatalf("%d services, %d in the list", len(sh.services), len(asked))
	}
	if !slices.IsSortedFunc(asked, func(a, b *service) int { return cmp.Compare(a.asked, b.asked) }) {
		t.Fatalf("services are not in the order in which they were asked for")
	}
	for key, s := range sh.services {
		if s.key != key || r.shardOf(key) != sh {
			t.Fatalf("service %v is at the place of %v", s.key, key)
		}
		if (s.balancer == nil) != (len(s.hosts) == 0) || s.dirty && s.balancer == nil {
			t.Fatalf("service %v: %d hosts, balancer %v, dirty %v", key, len(s.hosts), s.balancer, s.dirty)
		}
		if s.dirty != slices.Contains(dirty, s) {
			t.Fatalf("service %v: dirty %v, in the list %v", key, s.dirty, !s.dirty)
		}
	}
	results := 0
	for _, d := range sh.departed {
		results += len(d.results)
	}
	if results != sh.departedResults || results > maxDeparted {
		t.Fatalf("%d results of departed services, counted %d", results, sh.departedResults)
	}
}

// checkList walks the list both ways and returns what is in it.
func checkList(t rapid.TB, l *list) []*service {
	t.Helper()
	var forth, back []*service
	for s := l.first; s != nil; s = s.links[l.which].next {
		forth = append(forth, s)
	}
	for s := l.last; s != nil; s = s.links[l.which].prev {
		back = append(back, s)
	}
	slices.Reverse(back)
	if !slices.Equal(forth, back) || len(forth) != l.len {
		t.Fatalf("list %d: %d forth, %d back, counted %d", l.which, len(forth), len(back), l.len)
	}
	return forth
}

// TestRoutesHistories drives the map through random histories.
func TestRoutesHistories(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := Config{MaxServices: rapid.IntRange(1, 6).Draw(t, "max")}
		cfg.setDefaults()
		r, err := newRoutes(&cfg)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Hour
		key := func() route.Key { return route.Key{Modid: rapid.Int32Range(0, 9).Draw(t, "modid")} }
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) { checkInvariants(t, r) },
			"pick": func(t *rapid.T) {
				k := key()
				host, code, _ := r.pick(k, now)
				if hosts, _, _ := r.hosts(k, now); (code != noExist) != (len(hosts) > 0) || code == succ && !slices.Contains(hosts, host) {
					t.Fatalf("pick of %v: %v %v, hosts %v", k, host, code, hosts)
				}
			},
			"update": func(t *rapid.T) { r.update(key(), hostsN(rapid.IntRange(0, 3).Draw(t, "hosts")), false, now) },
			"report": func(t *rapid.T) {
				r.report(key(), hostN(rapid.IntRange(0, 3).Draw(t, "host")), rapid.Bool().Draw(t, "ok"), now)
			},
			"take": func(t *rapid.T) { r.shardOf(key()).takeReport(nil, now) },
			"reset": func(t *rapid.T) {
				for _, k := range r.reset() {
					r.renew(k, now)
				}
			},
			"remind": func(t *rapid.T) { r.remind(now - time.Second) },
			"evict":  func(*rapid.T) { r.evict() },
			"time":   func(t *rapid.T) { now += time.Duration(rapid.IntRange(1, 20).Draw(t, "s")) * time.Second },
		})
	})
}

// The original frees a removed host but keeps it in its map. Hosts are
// removed and added again here while others pick, report and take reports.
func TestDefect03UpdateUnderLoad(t *testing.T) {
	r := testRoutes(t, 0)
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
		var results []lb.Result
		for {
			select {
			case <-done:
				return
			default:
				_, results, _ = r.shardOf(key12).takeReport(results[:0], 0)
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
	if hosts, _, _ := r.hosts(key12, 0); !slices.Equal(hosts, hostsN(2)) {
		t.Errorf("hosts %v at the end", hosts)
	}
}

func ExampleAgent() {
	a, err := New(Config{IP: loopback})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := a.Listen(); err != nil {
		fmt.Println(err)
		return
	}
	defer a.Close()
	fmt.Println(len(a.Addrs()), "ports on", a.Addr().Addr())
	// Output: 3 ports on 127.0.0.1
}
