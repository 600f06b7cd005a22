package ledger

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"lars.internal/lb"
	"lars.internal/route"
)

var key12 = route.Key{Modid: 1, Cmdid: 2}

func hostN(n int) route.Host { return route.Host{IP: 0x0a000001 + uint32(n), Port: 7777} }

func hostsN(n int) []route.Host {
	var hosts []route.Host
	for i := range n {
		hosts = append(hosts, hostN(i))
	}
	return hosts
}

func (l *Ledger) ok(a *Account, n int, effect lb.Effect) {
	l.Count(a, hostN(n), lb.Outcome{OK: 1}, lb.Counted|effect, 0)
}

func wantTake(t *testing.T, l *Ledger, want ...Result) *Account {
	t.Helper()
	a, got, ok := l.Take(nil, 0)
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Result{}, "State", "Since")); diff != "" || ok != (want != nil) {
		t.Fatalf("Take (-want +got):\n%s", diff)
	}
	return a
}

// What is in flight is not reported again until it returns, and then with what
// was counted meanwhile, whether its window has closed or not.
func TestReturned(t *testing.T) {
	l := new(Ledger)
	a := l.Open(key12, hostsN(2), 0)
	l.ok(a, 0, 0)
	l.ok(a, 0, lb.WindowClosed)
	l.ok(a, 0, 0)
	wantTake(t, l, Result{Host: hostN(0), Succ: 3, TotalSucc: 3}, Result{Host: hostN(1)})
	l.ok(a, 0, lb.WindowClosed)
	l.ok(a, 1, 0)
	if l.Waiting() != 0 {
		t.Fatal("a second report of the service may be taken")
	}
	l.Returned(a)
	wantTake(t, l, Result{Host: hostN(0), Succ: 4, TotalSucc: 4}, Result{Host: hostN(1), Succ: 1, TotalSucc: 1})
	l.Acked(a)
	if l.Waiting() != 0 {
		t.Fatal("what has arrived is in line again")
	}
}

// What is counted while a report is in flight is reported after its arrival.
func TestAckedWithNews(t *testing.T) {
	l := new(Ledger)
	a := l.Open(key12, hostsN(1), 0)
	l.ok(a, 0, lb.WindowClosed)
	wantTake(t, l, Result{Host: hostN(0), Succ: 1, TotalSucc: 1})
	l.ok(a, 0, 0)
	l.Acked(a)
	wantTake(t, l, Result{Host: hostN(0), Succ: 1, TotalSucc: 2})
}

// A service that is gone is reported before the same service with new hosts,
// also if its report returns.
func TestClosedComesFirst(t *testing.T) {
	l := new(Ledger)
	old := l.Open(key12, hostsN(1), 0)
	l.ok(old, 0, 0)
	l.Take(nil, 0)
	l.Close(old)
	now := l.Open(key12, hostsN(2), 0)
	l.ok(now, 1, 0)
	l.Returned(old)
	if l.Kept() != 1 {
		t.Errorf("%d results of the closed account are kept, want 1", l.Kept())
	}
	l.Acked(wantTake(t, l, Result{Host: hostN(0), Succ: 1, TotalSucc: 1}))
	if l.Kept() != 0 {
		t.Errorf("%d results are kept after they arrived", l.Kept())
	}
	wantTake(t, l, Result{Host: hostN(0)}, Result{Host: hostN(1), Succ: 1, TotalSucc: 1})
}

// What is never acknowledged is bounded, and what finds no room is counted.
func TestClosedInFlightIsBounded(t *testing.T) {
	l := new(Ledger)
	for range 2 * MaxClosed {
		a := l.Open(key12, hostsN(1), 0)
		l.ok(a, 0, 0)
		l.Take(nil, 0)
		l.Close(a)
	}
	if l.Kept() != MaxClosed || l.Lost() != MaxClosed {
		t.Errorf("%d results are kept, %d lost", l.Kept(), l.Lost())
	}
}

// counter names totals that only grow, within a run and a service.
type counter struct {
	host  route.Host
	since uint32
}

// totals is the newest succ of each counter.
type totals map[counter]uint64

func (m totals) take(t *rapid.T, results []Result) {
	for _, r := range results {
		c, total := counter{r.Host, r.Since}, r.TotalSucc+r.PastSucc
		if total < m[c] {
			t.Fatalf("the total of %v goes back from %d to %d", c, m[c], total)
		}
		m[c] = total
	}
}

func (m totals) sum() (sum uint64) {
	for _, n := range m {
		sum += n
	}
	return sum
}

// courier carries reports of a ledger to where they are stored.
type courier struct {
	ledger  *Ledger
	flights []flying
	stored  totals
	arrived uint64 // calls of the windows in reports that arrived
}

// flying is a report under way.
type flying struct {
	account *Account
	calls   uint64
	results []Result
}

// take sends the next report off and reports whether there was one.
func (c *courier) take() bool {
	account, results, ok := c.ledger.Take(nil, 0)
	if !ok {
		return false
	}
	f := flying{account: account, results: results}
	for _, r := range results {
		f.calls += uint64(r.Succ)
	}
	c.flights = append(c.flights, f)
	return true
}

// land ends the oldest flight, if there is one: the report arrives, or returns.
func (c *courier) land(t *rapid.T, arrives bool) {
	if len(c.flights) == 0 {
		return
	}
	f := c.flights[0]
	c.flights = c.flights[1:]
	if !arrives {
		c.ledger.Returned(f.account)
		return
	}
	c.ledger.Acked(f.account)
	c.arrived += f.calls
	c.stored.take(t, f.results)
}

// TestNothingIsLost drives a ledger through random histories in which reports
// arrive or return, hosts leave and come back and services end. Whatever
// happens, each call is part of a report that arrives, and a report never holds
// more calls than there were. The newest totals of all counters hold each call
// once, and none goes back.
func TestNothingIsLost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := new(Ledger)
		var calls uint64 // in closed windows, each of which is reported once
		a := l.Open(key12, hostsN(3), 0)
		c := courier{ledger: l, stored: make(totals)}
		t.Repeat(map[string]func(*rapid.T){
			"count": func(t *rapid.T) {
				n := rapid.IntRange(0, 4).Draw(t, "host")
				if a.index.Find(a.hosts, hostN(n)) >= 0 {
					calls++
				}
				l.ok(a, n, lb.WindowClosed)
			},
			"update": func(t *rapid.T) {
				l.Update(a, rapid.SliceOfN(rapid.Custom(func(t *rapid.T) route.Host { return hostN(rapid.IntRange(0, 4).Draw(t, "host")) }), 1, 5).Draw(t, "hosts"), 0)
			},
			"close":  func(t *rapid.T) { l.Close(a); a = l.Open(key12, hostsN(3), 0) },
			"take":   func(*rapid.T) { c.take() },
			"ack":    func(t *rapid.T) { c.land(t, true) },
			"return": func(t *rapid.T) { c.land(t, false) },
			"": func(t *rapid.T) {
				if c.arrived > calls || c.stored.sum() > calls {
					t.Fatalf("%d calls arrived of %d, and totals of %d", c.arrived, calls, c.stored.sum())
				}
			},
		})
		for len(c.flights) > 0 {
			c.land(t, true)
		}
		for c.take() {
			c.land(t, true)
		}
		if c.arrived != calls || l.Kept() != 0 || l.Lost() != 0 {
			t.Fatalf("%d calls arrived of %d; %d results kept, %d lost", c.arrived, calls, l.Kept(), l.Lost())
		}
		if c.stored.sum() != calls {
			t.Fatalf("the totals are %d of %d calls: %v", c.stored.sum(), calls, c.stored)
		}
	})
}
