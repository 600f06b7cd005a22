package classic

import (
	"math"
	"testing"
	"time"

	"lars.internal/lb"
	"lars.internal/ledger"
	"lars.internal/route"
)

func hostsOf(n int) []route.Host {
	hosts := make([]route.Host, n)
	for i := range hosts {
		hosts[i] = host(i)
	}
	return hosts
}

func report(c *subject, h route.Host, ok bool, times int, now time.Duration) {
	for range times {
		c.Report(h, ok, now)
	}
}

// Defect 3: the original frees a host that left the route but keeps it in its
// map, and frees it again at the next update.
func TestDefect03HostsRemovedAndAddedAgain(t *testing.T) {
	c := newSubject(DefaultConfig())
	present := make(map[route.Host]bool)
	for round := range 2000 {
		now := time.Duration(round) * time.Second
		var hosts []route.Host
		for i := range 12 {
			if (round*7+i*i)%5 != 0 {
				hosts = append(hosts, host(i))
			}
		}
		c.Update(hosts, now)
		checkInvariants(t, c)
		clear(present)
		for _, h := range hosts {
			present[h] = true
		}
		for i := range 60 {
			h, verdict := c.Pick(now)
			if verdict == lb.Picked && !present[h] {
				t.Fatalf("round %d: picked %v, which left", round, h)
			}
			// A late result of a host that left, and one of the host picked.
			late := host(i % 12)
			if change := c.Report(late, i%3 == 0, now); (change == Unknown) == present[late] {
				t.Fatalf("round %d: a result of %v, present %v: %v", round, late, present[late], change)
			}
			c.Report(h, false, now)
		}
		checkInvariants(t, c)
	}
}

// Defect 26: the original leaves access_cnt, idle_ts and overload_ts
// uninitialised, so that the first failure of a host can look like the end of
// a window of failures only, and eject it.
func TestDefect26FirstFailureEjectsNobody(t *testing.T) {
	const boot = 1000 * time.Hour // an epoch long before the host was added
	c := newSubject(DefaultConfig())
	c.Update(hostsOf(2), boot)
	for i := range 2 {
		if change := c.Report(host(i), false, boot+time.Second); change != None {
			t.Errorf("first failure of %v: %v", host(i), change)
		}
	}
	report(c, host(1), false, 14, boot+time.Second)
	for i := range 10 {
		if h, _ := c.Pick(boot + time.Second); h != host(0) {
			t.Errorf("pick %d is a probe, want one only after 10", i+1)
		}
	}
	report(c, host(1), false, 1, boot+15*time.Second)
	if states := c.Explain(nil); !states[1].Overload {
		t.Error("the ejected host came back before overload_timeout")
	}
}

// Defect 27: the original resets the counters in the call that closes a
// window, before it sends them, so that the last calls of each window are
// never reported. Here the sum over all windows arrives.
func TestDefect27WhatWasCountedIsReported(t *testing.T) {
	tests := []struct {
		name  string
		close func(c *subject) // makes calls until a window has been closed
		want  Result
	}{
		{"eject", func(c *subject) {
			report(c, host(0), false, 15, time.Second)
		}, Result{Succ: 3, Err: 15, TotalSucc: 3, TotalErr: 15, Overload: true}},
		{"reinstate", func(c *subject) {
			report(c, host(0), false, 15, time.Second)
			report(c, host(0), true, 6, time.Second)
		}, Result{Succ: 9, Err: 15, TotalSucc: 9, TotalErr: 15}},
		{"new window", func(c *subject) {
			report(c, host(0), true, 4, 15*time.Second)
		}, Result{Succ: 7, TotalSucc: 7}},
		{"window that ejects", func(c *subject) {
			report(c, host(0), false, 7, time.Second)
			report(c, host(0), false, 1, 15*time.Second)
		}, Result{Succ: 3, Err: 8, TotalSucc: 3, TotalErr: 8, Overload: true}},
		{"overload timeout", func(c *subject) {
			report(c, host(0), false, 15, time.Second)
			report(c, host(0), false, 1, 16*time.Second)
		}, Result{Succ: 3, Err: 16, TotalSucc: 3, TotalErr: 16}},
		{"host leaves", func(c *subject) {
			report(c, host(0), false, 2, time.Second)
			c.Update(nil, time.Second)
		}, Result{Succ: 3, Err: 2, TotalSucc: 3, TotalErr: 2}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newClassic(1, 0)
			report(c, host(0), true, 3, 0)
			tt.close(c)
			tt.want.Host = host(0)
			if got := c.Collect(nil); len(got) != 1 || got[0] != tt.want {
				t.Errorf("Collect = %+v, want %+v", got, tt.want)
			}
			for _, r := range c.Collect(nil) {
				if r.Succ+r.Err >= tt.want.Succ+tt.want.Err {
					t.Errorf("reported twice: %+v", r)
				}
			}
		})
	}
}

func TestDepartedAreBounded(t *testing.T) {
	const extra = 100
	c := newClassic(ledger.MaxGone, 0)
	for i := range ledger.MaxGone {
		c.Report(host(i), true, 0)
	}
	later := hostsOf(ledger.MaxGone + extra)[ledger.MaxGone:]
	c.Update(later, 0)
	for _, h := range later {
		c.Report(h, false, 0)
	}
	c.Update(nil, 0)
	results := c.Collect(nil)
	if len(results) != ledger.MaxGone || c.ledger.Lost() != extra {
		t.Fatalf("%d results, %d dropped; want %d and %d", len(results), c.ledger.Lost(), ledger.MaxGone, extra)
	}
	failed := 0
	for _, r := range results {
		failed += int(r.Err)
	}
	if failed != extra {
		t.Errorf("%d of the %d newest are left", failed, extra)
	}
	if again := c.Collect(nil); len(again) != 0 {
		t.Errorf("departed hosts are reported twice: %v", again)
	}
}

func TestCollectAppends(t *testing.T) {
	c := newClassic(2, 1)
	first := Result{Host: host(9)}
	got := c.Collect([]Result{first})
	if len(got) != 3 || got[0] != first {
		t.Errorf("Collect = %v, want two results after the one given", got)
	}
	states := c.Explain([]HostState{{Host: host(9)}})
	if len(states) != 3 || states[0].Host != host(9) || states[2].Host != host(1) {
		t.Errorf("Explain = %v, want two states after the one given", states)
	}
}

// The counts stop at the largest number instead of starting over.
func TestCountsSaturate(t *testing.T) {
	c := newClassic(1, 0)
	n := &c.nodes[0]
	n.rsucc, n.vsucc, n.continSucc = math.MaxUint32, math.MaxUint32, math.MaxUint32
	c.Report(host(0), true, 0)
	if s := c.Explain(nil)[0]; s.VirtualSucc != math.MaxUint32 || s.Succ != math.MaxUint32 || s.ContinSucc != math.MaxUint32 {
		t.Errorf("state = %+v", s)
	}
}

// With no virtual counts at all the divisor is still the report at hand.
func TestNoVirtualCounts(t *testing.T) {
	cfg := DefaultConfig()
	cfg.InitSuccCnt, cfg.InitErrCnt = 0, 0
	c := newSubject(cfg)
	c.Update(hostsOf(1), 0)
	steps := []struct {
		ok   bool
		now  time.Duration
		want Change
	}{
		{true, 15 * time.Second, None},
		{false, 15 * time.Second, Ejected},
		{false, 16 * time.Second, None},
		{true, 16 * time.Second, None}, // 1 of 2 is not above 0.5
		{true, 16 * time.Second, Reinstated},
	}
	for i, s := range steps {
		if got := c.Report(host(0), s.ok, s.now); got != s.want {
			t.Errorf("step %d: %v, want %v", i+1, got, s.want)
		}
	}
}

func TestUpdateKeepsNothingOfTheSlice(t *testing.T) {
	hosts := hostsOf(3)
	c := newSubject(DefaultConfig())
	c.Update(hosts, 0)
	hosts[0] = route.Host{}
	if h, _ := c.Pick(0); h != host(0) {
		t.Errorf("Pick = %v after the caller changed its slice", h)
	}
}

func TestUpdateGivesMemoryBack(t *testing.T) {
	c := newClassic(10_000, 0)
	if got := cap(c.nodes); got != 10_000 {
		t.Errorf("room for %d nodes, want 10,000", got)
	}
	c.Update(hostsOf(5), 0)
	if cap(c.nodes) > 10 || !c.index.Fits(5) || c.index.Fits(17) {
		t.Errorf("room for %d nodes is kept for 5 hosts, in the index for more than 16", cap(c.nodes))
	}
	checkInvariants(t, c)
}

// errorShare simulates a service at 1,000 calls a second for ten minutes, of
// whose n hosts one is dead, and returns the share of picks that fail.
func errorShare(n int) float64 {
	c := newClassic(n, 0)
	dead, failed := host(0), 0
	const calls = 600_000
	for i := range calls {
		now := time.Duration(i) * time.Millisecond
		h, verdict := c.Pick(now)
		if verdict != lb.Picked || h == dead {
			failed++
		}
		c.Report(h, h != dead, now)
	}
	return float64(failed) / calls
}

// The design flaw of the classic balancer, kept for parity: the share of calls
// that a dead host takes along is near 1/11 whatever the number of hosts is,
// where taking each host in turn would give 1/n.
func TestDesignFlaw(t *testing.T) {
	tests := []struct {
		hosts int
		want  float64
	}{
		{3, 0.092},
		{20, 0.090},
		{50, 0.087},
		{100, 0.083},
	}
	for _, tt := range tests {
		got := errorShare(tt.hosts)
		t.Logf("%3d hosts: %.3f of the calls fail, in turn it would be %.3f", tt.hosts, got, 1/float64(tt.hosts))
		if math.Abs(got-tt.want) > 0.01 {
			t.Errorf("%d hosts: %.3f of the calls fail, want about %.3f", tt.hosts, got, tt.want)
		}
	}
}

func TestAllocations(t *testing.T) {
	for _, n := range []int{1, 5, 50, 500} {
		c := newClassic(n, n/2)
		endpoints := route.AppendEndpoints(nil, hostsOf(n))
		results := make([]Result, 0, n)
		var now time.Duration
		i := 0
		// Long enough that hosts are ejected, come back and begin windows.
		allocs := testing.AllocsPerRun(5000, func() {
			h, _ := c.Pick(now)
			c.Report(h, i%40 < 20, now)
			c.Report(host(n), true, now)
			now += 10 * time.Millisecond
			i++
		})
		if allocs != 0 {
			t.Errorf("%d hosts: Pick and Report allocate %v times", n, allocs)
		}
		allocs = testing.AllocsPerRun(100, func() {
			c.Balancer.Update(endpoints, now)
			results = c.Collect(results[:0])
		})
		if allocs != 0 {
			t.Errorf("%d hosts: an Update that changes nothing and Collect allocate %v times", n, allocs)
		}
	}
}

// The round begins at the place that was handed in and goes on from there. Hosts
// that come later join the end.
func TestStart(t *testing.T) {
	c := New(DefaultConfig(), 7) // 7 modulo 5 hosts is 2
	update := func(n int) { c.Update(route.AppendEndpoints(nil, hostsOf(n)), 0) }
	want := func(hosts ...int) {
		t.Helper()
		for _, i := range hosts {
			if h, _, verdict := c.Pick(0, route.Host{}); verdict != lb.Picked || h != host(i) {
				t.Fatalf("Pick = %v, %v; want %v", h, verdict, host(i))
			}
		}
	}
	update(5)
	want(2, 3, 4, 0, 1, 2)
	update(6)
	want(3, 4, 0, 1, 2, 5, 3)
}

// Calls that are observed together count as if each were told by itself, and an
// ignored one counts nowhere.
func TestObserveMany(t *testing.T) {
	one, many := newClassic(2, 0), newClassic(2, 0)
	report(one, host(0), true, 3, 0)
	report(one, host(0), false, 15, 0)
	effect := many.Observe(host(0), lb.Outcome{OK: 3, Failed: 15}, 0)
	if effect != lb.Counted|lb.Changed|lb.WindowClosed {
		t.Errorf("effect %b", effect)
	}
	if effect := many.Observe(host(0), lb.Outcome{Failed: 1, Kind: lb.KindIgnored}, 0); effect != lb.Counted {
		t.Errorf("effect %b of an ignored call", effect)
	}
	for i := range one.nodes {
		if one.nodes[i] != many.nodes[i] {
			t.Errorf("node %d: %+v, one by one %+v", i, many.nodes[i], one.nodes[i])
		}
	}
}

// Events that are not taken are bounded.
func TestEventsAreBounded(t *testing.T) {
	c := newClassic(2*maxEvents, 0)
	for i := range 2 * maxEvents {
		c.Observe(host(i), lb.Outcome{Failed: 15}, 0)
	}
	if n := len(c.Events(nil)); n != maxEvents {
		t.Errorf("%d events are kept, want %d", n, maxEvents)
	}
	if n := len(c.Events(nil)); n != 0 {
		t.Errorf("%d events are returned twice", n)
	}
}

// The shares are those of the picks.
func TestShares(t *testing.T) {
	for _, ejected := range []int{0, 1, 3, 4} {
		c := newClassic(4, ejected)
		const rounds = 11 * 12 * 10
		picks := make(map[route.Host]int)
		for range rounds {
			if h, verdict := c.Pick(0); verdict == lb.Picked {
				picks[h]++
			}
		}
		shares := c.Shares(nil)
		for _, s := range shares {
			if got := float64(picks[s.Host]) / rounds; math.Abs(got-s.Share) > 0.001 {
				t.Errorf("%d of 4 ejected: %v has the share %.4f, and %.4f of the picks", ejected, s.Host, s.Share, got)
			}
		}
		if len(shares) != 4 {
			t.Errorf("%d shares of 4 hosts", len(shares))
		}
	}
}

// Nothing is due by time alone, and nothing is to be probed.
func TestNothingIsDue(t *testing.T) {
	c := newClassic(2, 1)
	c.Probed(host(1), lb.ProbeOK, 0)
	if next := c.Tick(0); next != lb.Never || len(c.Probes(nil)) != 0 {
		t.Errorf("next tick %v, probes %v", next, c.Probes(nil))
	}
}
