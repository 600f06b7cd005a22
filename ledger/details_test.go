package ledger

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lars.internal/history"
	"lars.internal/lb"
)

func (l *Ledger) end(a *Account, n int, o lb.Outcome, now time.Duration) {
	l.Count(a, hostN(n), o, lb.Counted, now)
}

// take takes the only report and returns its results.
func (l *Ledger) take(t *testing.T, now time.Duration) (*Account, []Result) {
	t.Helper()
	a, results, ok := l.Take(nil, now)
	if !ok {
		t.Fatal("nothing is in line")
	}
	return a, results
}

// A report tells how calls failed, how long they took, what became of the host,
// and since when.
func TestDetails(t *testing.T) {
	l := &Ledger{Epoch: 1_790_000_000}
	a := l.Open(key12, hostsN(2), 5*time.Second)
	for _, o := range []lb.Outcome{
		{OK: 1, Latency: 3 * time.Millisecond},
		{OK: 2},
		{Failed: 1, Kind: lb.KindRefused},
		{Failed: 3, Kind: lb.KindTimeout, Latency: time.Second},
		{Failed: 1, Kind: lb.KindError},
		{Failed: 1, Kind: lb.KindOverloaded},
		{Failed: 1},
		{Failed: 1, Kind: lb.KindIgnored, Latency: time.Second},
	} {
		l.end(a, 0, o, 6*time.Second)
	}
	l.Happened(a, &lb.Event{Host: hostN(0), Kind: lb.Ejected, Reason: "connects refused"}, 7*time.Second)
	want := new(history.Sketch)
	want.Count(3 * time.Millisecond)
	want.Count(time.Second)
	_, got := l.take(t, 8*time.Second)
	if diff := cmp.Diff([]Result{{
		Host: hostN(0), Succ: 3, Err: 7, TotalSucc: 3, TotalErr: 7, Refused: 1, Timeout: 3,
		Ejections: 1, LatencySum: 1_003_000, Latency: want.Append(nil), Since: 1_790_000_005,
		Overload: true, State: StateEjected, Reason: lb.CauseRefused,
	}, {
		Host: hostN(1), Since: 1_790_000_005, State: StateUp,
	}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What happens to a host is reported though there is no call, and what it does not
// change is not.
func TestHappenedIsReported(t *testing.T) {
	l := new(Ledger)
	a := l.Open(key12, hostsN(1), 0)
	for _, step := range []struct {
		kind                      lb.EventKind
		state                     State
		ejections, reinstatements uint32
		ejected                   int
	}{
		{lb.Ejected, StateEjected, 1, 0, 1},
		{lb.OnTrial, StateTrial, 1, 1, 0},
		{lb.Ejected, StateEjected, 2, 1, 1},
		{lb.Reinstated, StateUp, 2, 2, 0},
	} {
		l.Happened(a, &lb.Event{Host: hostN(0), Kind: step.kind}, 0)
		_, got := l.take(t, 0)
		r := got[0]
		if r.State != step.state || r.Ejections != step.ejections || r.Reinstatements != step.reinstatements {
			t.Errorf("after %v: %+v", step.kind, r)
		}
		if _, n := a.Hosts(); n != step.ejected || r.Overload != (n > 0) {
			t.Errorf("after %v: %d hosts are ejected, overload %v", step.kind, n, r.Overload)
		}
		l.Acked(a)
	}
	l.Happened(a, &lb.Event{Host: hostN(0), Kind: lb.Panic}, 0)
	l.Happened(a, &lb.Event{Host: hostN(9), Kind: lb.Ejected}, 0)
	a.SetOverload(hostN(0), true)
	if l.Waiting() != 0 {
		t.Error("what changes no total is reported")
	}
	if _, n := a.Hosts(); n != 1 {
		t.Errorf("%d hosts are ejected, want 1", n)
	}
}

// An ejection is reported though the host leaves before that.
func TestEjectedHostThatLeavesIsReported(t *testing.T) {
	l := new(Ledger)
	a := l.Open(key12, hostsN(2), 0)
	l.Happened(a, &lb.Event{Host: hostN(1), Kind: lb.Ejected}, 0)
	l.Update(a, hostsN(1), 0)
	if _, got := l.take(t, 0); got[0].Host != hostN(1) || got[0].Ejections != 1 || !got[0].Overload {
		t.Errorf("got %+v", got)
	}
}

// A host that is back on trial is up with the first call that succeeds.
func TestTrialEndsWithASuccess(t *testing.T) {
	l := new(Ledger)
	a := l.Open(key12, hostsN(1), 0)
	l.Happened(a, &lb.Event{Host: hostN(0), Kind: lb.OnTrial}, 0)
	for _, step := range []struct {
		o    lb.Outcome
		want State
	}{{lb.Outcome{Failed: 1}, StateTrial}, {lb.Outcome{OK: 1}, StateUp}} {
		l.end(a, 0, step.o, 0)
		if _, got := l.take(t, 0); got[0].State != step.want {
			t.Errorf("after %+v state %d, want %d", step.o, got[0].State, step.want)
		}
		l.Acked(a)
	}
}

// A host that leaves and returns within a second is another counter if all of it
// was reported, and the same if not. So is one whose service was closed, which is
// always another.
func TestSince(t *testing.T) {
	for name, c := range map[string]struct {
		away func(l *Ledger, a *Account) *Account
		past uint64
		next bool
	}{
		"stays": {func(l *Ledger, a *Account) *Account { l.Update(a, hostsN(2), 0); return a }, 0, false},
		"reported": {func(l *Ledger, a *Account) *Account {
			l.Take(nil, 0)
			l.Acked(a)
			l.Update(a, hostsN(1), 0)
			l.Update(a, hostsN(2), 0)
			return a
		}, 0, true},
		"waiting": {func(l *Ledger, a *Account) *Account {
			l.Update(a, hostsN(1), 0)
			l.Update(a, hostsN(2), 0)
			return a
		}, 1, false},
		"in flight": {func(l *Ledger, a *Account) *Account {
			l.Take(nil, 0)
			l.Update(a, hostsN(1), 0)
			l.Update(a, hostsN(2), 0)
			l.Acked(a)
			return a
		}, 1, false},
		"closed": {func(l *Ledger, a *Account) *Account {
			l.Close(a)
			l.Take(nil, 0)
			return l.Open(key12, hostsN(2), 0)
		}, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			l := &Ledger{Epoch: 100}
			a := l.Open(key12, hostsN(2), 0)
			l.end(a, 1, lb.Outcome{OK: 1, Latency: time.Second}, 0)
			a = c.away(l, a)
			l.end(a, 1, lb.Outcome{OK: 1, Latency: time.Second}, 0)
			_, got := l.take(t, 0)
			r, want, measured := got[1], uint32(100), 2*uint64(time.Second/time.Microsecond)
			if c.next {
				want, measured = 101, measured/2
			}
			if r.Since != want || r.PastSucc != c.past || r.LatencySum != measured {
				t.Errorf("since %d, %d calls before it left, %d us; want %d, %d, %d", r.Since, r.PastSucc, r.LatencySum, want, c.past, measured)
			}
		})
	}
}

// The span goes back to the first call that no report which arrived has, not to
// the last report: a service at rest has no long span.
func TestSpan(t *testing.T) {
	l := new(Ledger)
	a := l.Open(key12, hostsN(1), 0)
	want := func(now, span time.Duration) {
		t.Helper()
		if got := a.Span(now * time.Second); got != span*time.Second {
			t.Errorf("at %d s the span is %v, want %d s", now, got, span)
		}
	}
	count := func(now time.Duration) { l.end(a, 0, lb.Outcome{OK: 1}, now*time.Second) }
	want(50, 0)
	count(100)
	count(101)
	want(102, 2)
	l.take(t, 102*time.Second)
	count(104)
	l.Returned(a)
	want(105, 5)
	l.take(t, 105*time.Second)
	count(106)
	l.Acked(a)
	want(108, 2)
	l.take(t, 108*time.Second)
	l.Acked(a)
	want(200, 0)
	l.Remind(a, Never)
	l.take(t, 200*time.Second)
	count(201)
	l.Returned(a)
	want(203, 2)
}

// Only the first latency of a host takes memory.
func TestCountDoesNotAllocate(t *testing.T) {
	l := new(Ledger)
	a := l.Open(key12, hostsN(3), 0)
	outcomes := []lb.Outcome{{OK: 1}, {OK: 1, Latency: time.Millisecond}, {Failed: 1, Kind: lb.KindTimeout, Latency: time.Second}}
	for i, o := range outcomes {
		l.end(a, i, o, 0)
		if n := testing.AllocsPerRun(100, func() { l.end(a, i, o, 0) }); n != 0 {
			t.Errorf("%+v: %v allocations", o, n)
		}
	}
}

func BenchmarkCount(b *testing.B) {
	for name, o := range map[string]lb.Outcome{"plain": {OK: 1}, "measured": {OK: 1, Latency: 3 * time.Millisecond}} {
		b.Run(name, func(b *testing.B) {
			l := new(Ledger)
			a := l.Open(key12, hostsN(10), 0)
			b.ReportAllocs()
			for b.Loop() {
				l.end(a, 7, o, 0)
			}
		})
	}
}

func BenchmarkTake(b *testing.B) {
	for name, o := range map[string]lb.Outcome{"plain": {OK: 1}, "measured": {OK: 1, Latency: 3 * time.Millisecond}} {
		b.Run(name, func(b *testing.B) {
			l := new(Ledger)
			a := l.Open(key12, hostsN(10), 0)
			var dst []Result
			b.ReportAllocs()
			for b.Loop() {
				for i := range 10 {
					l.end(a, i, o, 0)
				}
				_, dst, _ = l.Take(dst[:0], 0)
				l.Acked(a)
			}
		})
	}
}
