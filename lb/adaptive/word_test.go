package adaptive

import (
	"testing"

	"lars.internal/lb"
)

func TestWord(t *testing.T) {
	for _, tt := range []struct {
		facts        []lb.Fact
		word, reason string
	}{
		{[]lb.Fact{{Name: factWeight, Value: 1}}, "up", ""},
		{nil, "drained", ""},
		{[]lb.Fact{{Name: factWeight, Value: 1}, {Name: factRamp, Value: 0.4}}, "ramp", ""},
		{[]lb.Fact{{Name: factWeight, Value: 1}, {Name: factRamp, Value: 0.1}, {Name: factProbation, Value: 1}}, "probation", ""},
		{[]lb.Fact{{Name: factWeight, Value: 1}, {Name: factProbation, Value: 1}, {Name: factSuspect, Value: 1}}, "suspect", ""},
		{[]lb.Fact{{Name: factWeight, Value: 1}, {Name: factSuspect, Value: 1}, {Name: factDoubtful, Value: 1}}, "doubtful", ""},
		{[]lb.Fact{{Name: factState, Value: float64(out)}, {Name: factReason, Value: float64(dead)}}, "out", "DEAD"},
		{[]lb.Fact{{Name: factState, Value: float64(out)}, {Name: factReason, Value: float64(rate)}}, "out", "RATE"},
		{[]lb.Fact{{Name: factState, Value: float64(trial)}, {Name: factReason, Value: float64(rate)}}, "trial", "RATE"},
	} {
		if word, reason := Word(&lb.HostState{Facts: tt.facts}); word != tt.word || reason != tt.reason {
			t.Errorf("%v: %s %s, want %s %s", tt.facts, word, reason, tt.word, tt.reason)
		}
	}
}
