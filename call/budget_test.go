package call

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// With a share of 0.1 ten second tries are free, and then every tenth call
// earns one.
func TestBudget(t *testing.T) {
	b := NewBudget(DefaultShare)
	for range 1000 { // is full already
		b.Earn()
	}
	taken := 0
	for b.Take() {
		taken++
	}
	if taken != Burst {
		t.Errorf("%d second tries at once, want %d", taken, Burst)
	}
	for range 1000 {
		b.Earn()
		if b.Take() {
			taken++
		}
	}
	// The sum of a hundred tenths may be short of 10 by a rounding.
	if taken < Burst+98 || taken > Burst+100 {
		t.Errorf("%d second tries for 1,000 calls, want %d", taken, Burst+100)
	}
}

func TestBudgetOfNothing(t *testing.T) {
	b := NewBudget(0)
	if b.Earn(); b.Take() {
		t.Error("a second try with a budget of 0")
	}
	b.SetShare(1)
	if !b.Take() {
		t.Error("no second try after the budget was raised")
	}
}

// However calls and tries alternate, there are never more second tries than
// the share of the calls and the burst.
func TestBudgetHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		share := rapid.Float64Range(0, 1).Draw(t, "share")
		b := NewBudget(share)
		earned, taken := 0, 0
		for _, take := range rapid.SliceOf(rapid.IntRange(0, 2)).Draw(t, "steps") {
			switch take {
			case 0:
				b.Earn()
				earned++
			case 1:
				if b.Take() {
					taken++
				}
			case 2:
				if b.Take() {
					b.GiveBack()
				}
			}
		}
		if limit := share*float64(earned) + Burst + 1e-6; float64(taken) > limit {
			t.Fatalf("%d second tries for %d calls, at most %v may be", taken, earned, limit)
		}
	})
}

func TestParseShare(t *testing.T) {
	for value, want := range map[string]float64{"0": 0, "0.25": 0.25, "1": 1, "1e-1": 0.1} {
		if got, err := ParseShare(value); err != nil || math.Abs(got-want) > 1e-9 {
			t.Errorf("%q: %v, %v; want %v", value, got, err, want)
		}
	}
	for _, value := range []string{"", "-0.1", "1.01", "NaN", "inf", "10%", " 0.1"} {
		if got, err := ParseShare(value); err == nil {
			t.Errorf("%q: %v, want an error", value, got)
		}
	}
}
