package adaptive

import (
	"testing"
	"time"

	"lars.internal/lb"
)

// since returns from when on an answer counts for the only probe that is asked
// for.
func (s *subject) since(t *testing.T) time.Duration {
	t.Helper()
	asked := s.Probes(nil)
	if len(asked) != 1 {
		t.Fatalf("probes %v, want one", asked)
	}
	return asked[0].Since
}

// TestProbesSayWhatCounts: a suspicion wants an answer of its own, a dead host
// one that is newer than the last, and a first probe any of the last seconds.
func TestProbesSayWhatCounts(t *testing.T) {
	s := newSubject(t, 3, nil)
	s.fail(0, lb.KindRefused)
	if got := s.since(t); got != s.now {
		t.Errorf("suspect: since %v, want %v", got, s.now)
	}
	s.Probed(id(0), lb.ProbeRefused, s.now)
	last, probes := s.now, 0
	s.run(10*sec, func() {
		if len(s.probes) == 0 {
			return
		}
		if got := s.since(t); got != last {
			t.Errorf("dead: since %v, want %v, the last answer", got, last)
		}
		last, probes = s.now, probes+1
		s.Probed(id(0), lb.ProbeRefused, s.now)
	})
	if probes < 8 || probes > 14 {
		t.Errorf("a dead host is probed %d times in 10 s", probes)
	}
}

// TestProbeThatCouldNotBeMade: it says nothing, and is made later.
func TestProbeThatCouldNotBeMade(t *testing.T) {
	s := newSubject(t, 3, nil)
	s.fail(0, lb.KindRefused)
	if s.answer(lb.ProbeNone); s.host(0).state != up || s.host(0).has(suspect) {
		t.Errorf("after none: %+v", *s.host(0))
	}
	s.run(sec, nil)
	s.fail(0, lb.KindRefused)
	if s.answer(lb.ProbeRefused); s.host(0).state != out {
		t.Errorf("it is not probed again: %+v", *s.host(0))
	}
	s.run(300*ms, nil)
	s.answer(lb.ProbeNone)
	if s.run(2*sec, nil); len(s.Probes(nil)) != 1 {
		t.Error("a dead host is not probed again")
	}
}

// TestFirstProbeThatCouldNotBeMade: without one the host is never trusted.
func TestFirstProbeThatCouldNotBeMade(t *testing.T) {
	s := newSubject(t, 1, nil)
	s.hosts[0].clear(trusted)
	s.probe(0, 0)
	s.answer(lb.ProbeNone)
	s.run(2*sec, func() { s.answer(lb.ProbeOK) })
	if !s.host(0).has(trusted) {
		t.Error("the first probe is not repeated")
	}
}

// TestFirstProbeThatMetADeadHost: a host whose first probe was refused is asked again
// when it works after all; else nothing but calls would tell when it dies anew.
func TestFirstProbeThatMetADeadHost(t *testing.T) {
	s := newSubject(t, 3, nil)
	s.host(0).clear(trusted)
	for range 3 {
		s.fail(0, lb.KindRefused)
	}
	s.answer(lb.ProbeRefused)
	if s.host(0).state != up {
		t.Fatal("it is ejected by a probe although none was ever answered")
	}
	s.ok(0)
	if got := s.answer(lb.ProbeOK); len(got) != 1 || got[0] != id(0) {
		t.Fatalf("probes of %v, want one of the host that works again", got)
	}
	s.run(11*sec, nil)
	s.fail(0, lb.KindRefused)
	if s.answer(lb.ProbeRefused); s.host(0).state == up {
		t.Error("it died again, and is not ejected after one call")
	}
}

// TestDeadFromTheStart: a host that refuses from the first moment on, and was
// ejected because its calls failed before any connect had proven anything, is
// known to be dead as soon as connects to others work. Until then it costs tests.
func TestDeadFromTheStart(t *testing.T) {
	for _, once := range []bool{false, true} { // one call to it has worked
		s := bareSubject(t, nil)
		s.Update(endpointsOf(3), s.now)
		for i := range 3 {
			if i > 0 || once {
				s.ok(i)
			}
		}
		for s.host(0).state == up {
			s.ok(1)
			s.ok(2)
			s.fail(0, lb.KindRefused)
		}
		if s.coldHalf(0).reason != rate {
			t.Fatal("it is ejected by a probe although none was ever answered")
		}
		s.run(11*sec, func() {
			for _, p := range s.Probes(nil) {
				answer := lb.ProbeOK
				if p.Host == id(0) {
					answer = lb.ProbeRefused
				}
				s.Probed(p.Host, answer, s.now)
			}
		})
		s.picks += 2000
		s.run(50*ms, nil)
		s.Assign(id(0), s.now)
		s.coldHalf(0).await(s.now)
		s.fail(0, lb.KindRefused) // the first test
		s.answer(lb.ProbeRefused)
		if got := s.coldHalf(0).reason == dead; got == once {
			t.Errorf("worked once %v: dead %v", once, got)
		}
	}
}
