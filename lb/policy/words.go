package policy

import (
	"time"

	"lars.internal/lb"
	"lars.internal/lb/adaptive"
)

// Words are the state of a host in words.
type Words struct {
	State  string // classic: idle, overload; adaptive: up, ramp, probation, suspect, doubtful, drained, out, trial
	Reason string // why policy adaptive ejected it: DEAD, RATE
	Why    string // sentences: since when, what decided, with its numbers, and what comes next
}

// Words returns the state of a host of a balancer of this Config in words. s is
// from Explain at the moment now, which is wall on the clock of people.
func (c *Config) Words(s *lb.HostState, now time.Duration, wall time.Time) Words {
	if c.Policy == Adaptive {
		word, reason := adaptive.Word(s)
		return Words{word, reason, adaptive.Sentence(s, now, wall)}
	}
	state := "idle"
	if s.Ejected {
		state = "overload"
	}
	return Words{State: state, Why: c.Classic.Sentence(s, now, wall)}
}
