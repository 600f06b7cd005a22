package backoff_test

import (
	"math"
	"testing"
	"time"

	"lars.internal/internal/backoff"
)

func TestAfter(t *testing.T) {
	plain := backoff.Policy{Min: time.Second, Max: 5 * time.Second}
	spread := plain
	spread.Spread, spread.Random = 0.5, func() float64 { return 0.5 }
	long := backoff.Policy{Min: time.Hour, Max: math.MaxInt64}
	for _, tt := range []struct {
		name     string
		policy   backoff.Policy
		failures int
		want     time.Duration
	}{
		{"the first", plain, 0, time.Second},
		{"it doubles", plain, 2, 4 * time.Second},
		{"up to the most", plain, 3, 5 * time.Second},
		{"and stays there", plain, 1 << 40, 5 * time.Second},
		{"half of the spread is taken off", spread, 1, 1500 * time.Millisecond},
		{"a shift that overflows", long, 31, math.MaxInt64},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.policy.After(tt.failures); got != tt.want {
				t.Errorf("After(%d) = %v, want %v", tt.failures, got, tt.want)
			}
		})
	}
}

func TestSpreadStaysInItsBounds(t *testing.T) {
	p := backoff.Policy{Min: time.Second, Max: time.Second, Spread: 0.5}
	seen := map[time.Duration]bool{}
	for range 100 {
		d := p.After(0)
		if d <= 500*time.Millisecond || d > time.Second {
			t.Fatalf("pause %v, want more than half of 1s and at most 1s", d)
		}
		seen[d] = true
	}
	if len(seen) < 50 {
		t.Errorf("%d different pauses of 100", len(seen))
	}
}
