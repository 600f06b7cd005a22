package history

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"lars.internal/route"
)

func drawTotals(t *rapid.T, name string) Totals {
	var x Totals
	for _, n := range x.all() {
		*n = rapid.Uint64Range(0, 1<<uint(rapid.IntRange(0, 62).Draw(t, "bits"))).Draw(t, name)
	}
	if us := latencies(t, name+" latencies"); len(us) > 0 {
		x.Latency = sketchOf(us...)
	}
	return x
}

func sumOf(parts []Minute) (sum Totals) {
	for _, p := range parts {
		sum = sum.Add(p.Totals)
	}
	return sum
}

func TestTotalsAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawTotals(t, "a"), drawTotals(t, "b")
		ab := a.Add(b)
		if diff := cmp.Diff(ab, b.Add(a), compareSketches); diff != "" {
			t.Fatalf("a+b and b+a differ:\n%s", diff)
		}
		if diff := cmp.Diff(a, ab.Sub(b), compareSketches); diff != "" {
			t.Fatalf("a+b-b (-want +got):\n%s", diff)
		}
		if !ab.Follows(a) || !b.IsZero() && a.Follows(ab) {
			t.Fatal("what follows what is wrong")
		}
	})
}

// The sums stay exact whatever the span, and each minute is in it.
func TestSpreadIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		inc := drawTotals(t, "increment")
		at := rapid.Int64Range(0, 4e9).Draw(t, "at")
		span := time.Duration(rapid.Int64Range(-1, 3*int64(MaxSpread)).Draw(t, "span") >> rapid.IntRange(0, 40).Draw(t, "shorter"))
		parts := Spread(inc, at, span)
		if diff := cmp.Diff(inc, sumOf(parts), compareSketches); diff != "" {
			t.Fatalf("sum (-want +got):\n%s", diff)
		}
		first := (at - int64(min(span, MaxSpread)/time.Second)) / 60
		for i, p := range parts {
			if p.Minute < min(first, at/60) || p.Minute > at/60 || i > 0 && p.Minute <= parts[i-1].Minute {
				t.Fatalf("minute %d of %d to %d", p.Minute, first, at/60)
			}
			if p.Spread != (span > time.Minute) || p.Totals.IsZero() {
				t.Fatalf("part %+v", p)
			}
		}
	})
}

// An hour without a report service is an even line, not a peak.
func TestSpreadIsEven(t *testing.T) {
	parts := Spread(Totals{Succ: 6000, Timeout: 60, Failed: 3}, 3600*100, time.Hour)
	if len(parts) != 61-1 {
		t.Fatalf("%d minutes, want 60", len(parts))
	}
	failed := uint64(0)
	for _, p := range parts {
		if p.Totals.Succ != 100 || p.Totals.Timeout != 1 {
			t.Errorf("minute %d: %+v", p.Minute, p.Totals)
		}
		failed += p.Totals.Failed
	}
	if failed != 3 {
		t.Errorf("%d failures, want 3", failed)
	}
}

func report(at int64, succ uint64) *Report {
	return &Report{
		Counter: Counter{Caller: 1, Run: 2, Key: route.Key{Modid: 1, Cmdid: 2}, Host: route.Host{IP: 3, Port: 4}, Since: 5},
		At:      at, Totals: Totals{Succ: succ},
	}
}

func TestMinutesOfAReport(t *testing.T) {
	minute := Minute{Minute: 2, Key: route.Key{Modid: 1, Cmdid: 2}, Host: route.Host{IP: 3, Port: 4}, Callers: 1}
	for name, c := range map[string]struct {
		succ, stored uint64
		cpp          bool
		want         uint64 // calls; 0: no minute
		ok           bool
	}{
		"first":                    {succ: 7, want: 7, ok: true},
		"grown":                    {succ: 9, stored: 7, want: 2, ok: true},
		"repeated":                 {succ: 7, stored: 7, ok: true},
		"older":                    {succ: 6, stored: 7},
		"window of C++ goes on":    {succ: 9, stored: 7, cpp: true, want: 2, ok: true},
		"window of C++ is another": {succ: 3, stored: 7, cpp: true, want: 3, ok: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := report(120, c.succ)
			r.FromCpp = c.cpp
			got, ok := r.Minutes(Totals{Succ: c.stored})
			var want []Minute
			if c.want > 0 {
				m := minute
				m.Totals.Succ, m.Windows = c.want, c.cpp
				want = append(want, m)
			}
			if diff := cmp.Diff(want, got); diff != "" || ok != c.ok {
				t.Errorf("ok %v, want %v (-want +got):\n%s", ok, c.ok, diff)
			}
		})
	}
}

func TestMinutesAddUp(t *testing.T) {
	m := Minute{Minute: 7, Totals: Totals{Succ: 1, Latency: sketchOf(10)}, Callers: 1}
	m.Add(Minute{Minute: 7, Totals: Totals{Succ: 2, Refused: 1, Latency: sketchOf(20)}, Callers: 1, Spread: true})
	m.Add(Minute{Minute: 7, Callers: 2, Windows: true})
	want := Minute{Minute: 7, Totals: Totals{Succ: 3, Refused: 1, Latency: sketchOf(10, 20)}, Callers: 4, Spread: true, Windows: true}
	if diff := cmp.Diff(want, m, compareSketches); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := m.Totals.Errs(); n != 1 {
		t.Errorf("%d failures", n)
	}
}

// Reports that are lost, repeated and reordered add up to the truth, as far as
// the newest that arrived tells.
func TestCursorHoldsTheTruth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var truth, stored, sum Totals
		var sent []Totals
		newest := -1
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			truth = truth.Add(Totals{
				Succ: rapid.Uint64Range(0, 9).Draw(t, "succ"), Failed: 1, Latency: sketchOf(latencies(t, "latencies")...),
			})
			sent = append(sent, truth)
			for range rapid.IntRange(0, 2).Draw(t, "deliveries") {
				i := rapid.IntRange(0, len(sent)-1).Draw(t, "which")
				r := report(int64(len(sent)), 0)
				r.Totals, r.Span = sent[i], time.Duration(rapid.IntRange(0, 10).Draw(t, "minutes"))*time.Minute
				parts, ok := r.Minutes(stored)
				if ok {
					stored = r.Totals
				}
				sum, newest = sum.Add(sumOf(parts)), max(newest, i)
			}
		}
		if newest >= 0 {
			if diff := cmp.Diff(sent[newest], sum, compareSketches); diff != "" {
				t.Fatalf("(-want +got):\n%s", diff)
			}
		}
	})
}
