package adaptive

import "lars.internal/lb"

// Word says in a word what state a host is in: up, ramp, probation, suspect,
// doubtful, drained, out or trial; and why it is ejected, DEAD or RATE, if it is. s
// is from Explain.
func Word(s *lb.HostState) (word, reason string) {
	is := func(fact string) bool { return s.Fact(fact) != 0 }
	switch state(s.Fact(factState)) {
	case out:
		word = "out"
	case trial:
		word = "trial"
	default:
		return upWord(is), ""
	}
	if reason = "RATE"; s.Fact(factReason) == float64(dead) {
		reason = "DEAD"
	}
	return word, reason
}

// upWord names what is most special of a host in rotation.
func upWord(is func(fact string) bool) string {
	if !is(factWeight) {
		return "drained"
	}
	for _, w := range []struct{ fact, word string }{
		{factDoubtful, "doubtful"}, {factSuspect, "suspect"}, {factProbation, "probation"}, {factRamp, "ramp"},
	} {
		if is(w.fact) {
			return w.word
		}
	}
	return "up"
}
