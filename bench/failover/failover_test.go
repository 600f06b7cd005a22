package main

import (
	"context"
	"os"
	"testing"
	"time"
)

// TestMain is the main of the backends that the tests start.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == backendWord {
		fail(serveBackend(os.Args[2]))
	}
	os.Exit(m.Run())
}

// TestFaultOfARealProcess kills and stops one of five real backends. The bounds
// are those of the design with a margin for a busy machine; classic, beside it,
// fails some 80 and 25 calls.
func TestFaultOfARealProcess(t *testing.T) {
	s, err := newStage(false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	const rate = 100
	for _, tt := range []struct {
		name, text string
		early      float64 // calls that may fail
		later      float64
	}{
		{"killed", "length 25s\nat 12s host 0 dies", 6, 0},
		{"stopped", "length 25s\nat 12s host 0 hangs", 15, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			runs, err := s.perform(ctx, &faultCase{name: tt.name, text: tt.text}, rate)
			if err != nil {
				t.Fatal(err)
			}
			adaptive, classic := runs[0], runs[1]
			t.Logf("adaptive %+v", adaptive)
			t.Logf("classic %+v", classic)
			if adaptive.FailedEarly > tt.early || adaptive.FailedLater > tt.later {
				t.Errorf("%v calls failed in ten seconds and %v later, want at most %v and %v", adaptive.FailedEarly, adaptive.FailedLater, tt.early, tt.later)
			}
			if adaptive.RefusedEarly+adaptive.RefusedLater > 0 {
				t.Errorf("%v picks were refused", adaptive.RefusedEarly+adaptive.RefusedLater)
			}
			if classic.FailedEarly <= adaptive.FailedEarly {
				t.Errorf("classic failed %v calls and adaptive %v: was there a fault?", classic.FailedEarly, adaptive.FailedEarly)
			}
		})
	}
}
