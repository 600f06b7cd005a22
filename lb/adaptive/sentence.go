package adaptive

import (
	"fmt"
	"strings"
	"time"

	"lars.internal/lb"
)

// Sentence says in words what state a host is in, since when, what decided that,
// with its numbers, and what comes next. s is from Explain at the moment now,
// which is wall on the clock of people.
func Sentence(s *lb.HostState, now time.Duration, wall time.Time) string {
	t := sentence{s, now, wall}
	switch state(s.Fact(factState)) {
	case up:
		return t.up()
	case trial:
		return t.trial()
	}
	if reason(s.Fact(factReason)) == dead {
		return t.dead()
	}
	return t.rate()
}

// sentence is a HostState at a moment.
type sentence struct {
	*lb.HostState
	now  time.Duration
	wall time.Time
}

func (t sentence) is(fact string) bool { return t.Fact(fact) != 0 }

// clock returns a moment as people read it.
func (t sentence) clock(at time.Duration) string {
	return t.wall.Add(at - t.now).Format(time.TimeOnly)
}

func (t sentence) outSince() string {
	return fmt.Sprintf("out since %s (%s)", t.clock(t.Since), lb.Seconds((t.now - t.Since).Seconds()))
}

// dead says why a host is ejected as DEAD.
func (t sentence) dead() string {
	return fmt.Sprintf("%s, DEAD: %s. %s. %s, level %.0f.%s",
		t.outSince(), t.deadCause(), t.nextProbe(), times("Ejected", t.Ejections), t.Fact(factLevel), t.panic())
}

func (t sentence) deadCause() string {
	connect := "connect refused"
	switch cause(t.Fact(factCause)) {
	case byRefusedCall:
		return "it refused a call soon after its return"
	case bySilence:
		connect = fmt.Sprintf("%d connects not answered", maxSilent)
	}
	return fmt.Sprintf("%s, %s %s later", t.suspicion(), connect, lb.Seconds(t.Fact(factAfter)))
}

// suspicion says what a host was suspected of.
func (t sentence) suspicion() string {
	row := lb.Count(max(1, t.Fact(factRow)), "call")
	switch charge(t.Fact(factCharge)) {
	case refused:
		return row + " refused"
	case timedOut:
		return row + " timed out"
	case stalled:
		return "no answer to its calls"
	}
	return row + " failed"
}

func (t sentence) nextProbe() string {
	if t.is(factTests) {
		return t.nextTest()
	}
	in := t.Fact(factNext) - t.now.Seconds()
	if in <= 0 {
		return "A probe is under way"
	}
	return "Next probe in " + lb.Seconds(in)
}

// rate says why a host is ejected as RATE.
func (t sentence) rate() string {
	return fmt.Sprintf("%s, RATE: %s. %s.%s", t.outSince(), t.rateCause(), t.nextTest(), t.panic())
}

func (t sentence) nextTest() string {
	if left := t.Fact(factNextPicks); left > 0 {
		return fmt.Sprintf("Next test after %s, at the latest after 10 min", lb.Count(left, "more pick"))
	}
	return "The next test is due"
}

func (t sentence) rateCause() string {
	failed := fmt.Sprintf("%.0f of %s failed", t.Fact(factFailures), lb.Count(t.Fact(factCalls), "call"))
	switch cause(t.Fact(factCause)) {
	case byTrial:
		failed += " in a trial"
	case byProbation:
		failed += " right after its return"
	default:
		failed += " since " + t.clock(t.Since-time.Duration(t.Fact(factWindow)*float64(time.Second)))
	}
	return fmt.Sprintf("%s, %s %s: evidence %s >= %s",
		failed, t.others(), lb.Percent(t.Fact(factOthers)), lb.Number(t.Fact(factEvidence)), lb.Number(t.Fact(factLimit)))
}

func (t sentence) others() string {
	if n := t.Fact(factCompared); n != 1 {
		return fmt.Sprintf("the other %.0f hosts", n)
	}
	return "the other host"
}

func (t sentence) trial() string {
	why := t.deadCause()
	if reason(t.Fact(factReason)) == rate {
		why = t.rateCause()
	}
	return fmt.Sprintf("%s, on trial: %.0f of %s done. It was ejected because: %s.%s",
		t.outSince(), t.Fact(factTested), lb.Count(t.Fact(factNeeded), "call"), why, t.panic())
}

// up says what is special of a host in rotation.
func (t sentence) up() string {
	parts := []string{"up"}
	for _, part := range []string{t.doubt(), t.ramp(), t.notEjected(), t.share()} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	s := strings.Join(parts, ", ") + "."
	if t.is(factTests) {
		s += " " + t.nextTest() + "."
	}
	return s + t.shed() + t.panic()
}

func (t sentence) doubt() string {
	row := t.Fact(factRow)
	switch {
	case t.Fact(factWeight) == 0:
		return "drained: its weight is 0, it is not called"
	case t.is(factDoubtful):
		return fmt.Sprintf("doubtful: %s, %s", t.failures(row), t.connects())
	case t.is(factSuspect):
		return "suspect: a connect is under way"
	case t.is(factProbation):
		return "on probation: one call at a time until one works"
	}
	return ""
}

// failures says how many calls failed in a row, and how the last one did.
func (t sentence) failures(row float64) string {
	s := fmt.Sprintf("the last %s failed", lb.Count(row, "call"))
	if row == 1 {
		s = "the last call failed"
	}
	switch charge(t.Fact(factCharge)) {
	case refused:
		return s + " (refused)"
	case timedOut:
		return s + " (timed out)"
	}
	return s
}

// connects says what is known of the connects to a doubtful host.
func (t sentence) connects() string {
	switch {
	case t.is(factSuspect):
		return "a connect is under way"
	case t.Fact(factSilent) >= maxSilent: // and in rotation: the control probe was silent too
		return "connects are not answered, nor by another host"
	case t.is(factTrusted):
		return "connects work"
	}
	return "no connect was answered yet"
}

func (t sentence) ramp() string {
	if !t.is(factRamp) {
		return ""
	}
	return "on the ramp " + lb.Percent(t.Fact(factRamp))
}

// notEjected says why failures that would eject a host alone do not.
func (t sentence) notEjected() string {
	bare, limit := t.Fact(factGranted), t.Fact(factLimit)
	if bare < limit {
		return ""
	}
	e := t.Fact(factEvidence)
	switch {
	case t.Fact(factCompared) == 0:
		return fmt.Sprintf("not ejected: evidence %s, but no other host is in rotation", lb.Number(bare))
	case e < limit:
		return fmt.Sprintf("not ejected: evidence %s, but the others fail %s too: %s < %s",
			lb.Number(bare), lb.Percent(t.Fact(factOthers)), lb.Number(e), lb.Number(limit))
	}
	return fmt.Sprintf("not ejected: evidence %s, but no more hosts may be ejected", lb.Number(bare))
}

func (t sentence) share() string {
	if t.Fact(factWeight) == 0 {
		return ""
	}
	share := "less than 0.01"
	if s := t.Fact(factShare); s >= 0.01 {
		share = fmt.Sprintf("%.2f", s)
	}
	return fmt.Sprintf("gets %s of a fair share: %s, the median is %s%s",
		share, lb.Seconds(t.Fact(factLatency)), lb.Seconds(t.Fact(factMedian)), t.zone())
}

// zone says how zones divide the picks: then latencies alone do not tell why a host
// gets its share.
func (t sentence) zone() string {
	if !t.is(factZoned) {
		return ""
	}
	where := "this zone"
	if t.is(factRemote) {
		where = "other zones"
	}
	return fmt.Sprintf(", and hosts of %s get %s of the picks", where, lb.Percent(t.Fact(factZoneShare)))
}

// shed says what is refused, which concerns all hosts of the service.
func (t sentence) shed() string {
	if !t.is(factShed) {
		return ""
	}
	return fmt.Sprintf(" Refused %s of picks: %.0f of %.0f hosts live, %s time-outs and overloads, limit %s.",
		lb.Percent(t.Fact(factShed)), t.Fact(factLive), t.Fact(factHosts), lb.Percent(t.Fact(factLate)), lb.Number(t.Fact(factLoadLimit)))
}

// panic says what is called where nobody should be.
func (t sentence) panic() string {
	if !t.is(factPanic) {
		return ""
	}
	return " No host is in rotation, so ejected ones are called, those that take connections first."
}

func times(what string, n uint32) string {
	if n == 1 {
		return what + " once"
	}
	return fmt.Sprintf("%s %d times", what, n)
}
