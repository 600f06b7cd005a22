package adaptive

import (
	"testing"

	"lars.internal/lb"
)

// TestOneRefusedCallEjects: the host is asked at once, and that decides.
func TestOneRefusedCallEjects(t *testing.T) {
	s := newSubject(t, 3, nil)
	s.fail(0, lb.KindRefused)
	if got := s.answer(lb.ProbeRefused); len(got) != 1 || got[0] != id(0) || s.host(0).state != out {
		t.Fatalf("probes of %v, state %d", got, s.host(0).state)
	}
	s.run(300*ms, nil)
	if s.answer(lb.ProbeOK); s.host(0).state != up || !s.host(0).has(probation|ramping) {
		t.Errorf("an answered probe does not bring it back: %+v", *s.host(0))
	}
}

// A late time-out of a call from before a trial must not fail the trial.
func TestLateTimeoutDoesNotFailTheTrial(t *testing.T) {
	s := newSubject(t, 3, nil)
	s.record()
	early := lb.Ticket(toUS(s.now) + 1)
	s.begin(0)
	for range 7 {
		s.fail(0, lb.KindError)
	}
	s.answer(lb.ProbeOK)
	for range 100 {
		if s.host(0).state == trial {
			break
		}
		s.run(50*ms, func() { s.drawn(50); s.answer(lb.ProbeOK) })
	}
	if s.host(0).state != trial {
		t.Fatalf("no trial: %+v", *s.host(0))
	}
	s.Assign(id(0), s.now) // the call of the trial
	before := s.coldHalf(0).tested
	s.Observe(id(0), lb.Outcome{Failed: 1, Kind: lb.KindTimeout, Ticket: early}, s.now)
	if c := s.coldHalf(0); s.host(0).state != trial || c.tested != before {
		t.Errorf("the late time-out counts: %+v", *c)
	}
}

// A window that errors never let close is halved, so that it does not wrap or
// outweigh the present.
func TestWindowIsBounded(t *testing.T) {
	s := newSubject(t, 2, nil)
	for range 50_000 {
		for i := range 2 {
			s.fail(i, lb.KindError)
			s.ok(i)
			s.answer(lb.ProbeOK)
		}
		if h := s.host(0); h.calls > maxWindow || h.state != up {
			t.Fatalf("%+v", *h)
		}
	}
}

// Where calls fail on all hosts alike, one that has a bad record is not ejected;
// a host that fails all calls among others that fail 5 % is.
func TestEvidenceIsRelative(t *testing.T) {
	s := newSubject(t, 4, nil)
	for k := range 400 {
		for i := range 4 {
			if i == 0 || k%20 != 0 {
				s.ok(i)
			} else {
				s.fail(i, lb.KindError)
			}
		}
		s.answer(lb.ProbeOK)
	}
	for range 20 {
		s.fail(0, lb.KindError)
		s.answer(lb.ProbeOK)
	}
	if s.host(0).state == up {
		t.Errorf("it stays: %+v", *s.host(0))
	}
}

// UDP services, and agents in containers: a host that has never answered a
// probe and has answered calls is judged by its calls only.
func TestProbesOfUntrustedHostsMeanNothing(t *testing.T) {
	s := bareSubject(t, nil)
	s.Update(endpointsOf(3), s.now)
	s.run(11*sec, func() { s.answer(lb.ProbeSilent) })
	s.ok(0)
	s.fail(0, lb.KindTimeout)
	for range 5 {
		s.answer(lb.ProbeSilent)
	}
	if h := s.host(0); h.state != up || h.has(suspect) {
		t.Errorf("%+v", *h)
	}
}

// A host that waits for the control probe and is ejected for its failures is
// probed again later.
func TestEjectedWhileItWaits(t *testing.T) {
	s := newSubject(t, 3, nil)
	s.record()
	s.run(2*sec, nil)
	s.fail(0, lb.KindTimeout)
	for range maxSilent {
		s.Probes(nil)
		s.Probed(id(0), lb.ProbeSilent, s.now)
	}
	if !s.coldHalf(0).waiting {
		t.Fatalf("it does not wait: %+v", *s.coldHalf(0))
	}
	s.Probes(nil)
	for range 6 {
		s.fail(0, lb.KindError)
	}
	if got := s.answer(lb.ProbeOK); s.host(0).state != out || len(got) != 1 || got[0] != id(0) {
		t.Errorf("state %d, probes of %v, want one of the host that is out", s.host(0).state, got)
	}
}

// Probes that stop working for all hosts at a stroke eject none of them.
func TestControlProbe(t *testing.T) {
	for _, n := range []int{2, 5} {
		s := newSubject(t, n, nil)
		s.run(2*sec, nil)
		for i := range n {
			s.fail(i, lb.KindTimeout)
		}
		for range 10 {
			s.answer(lb.ProbeSilent)
		}
		for i := range n {
			if s.host(i).state != up {
				t.Errorf("%d hosts: host %d is ejected", n, i)
			}
		}
	}
}

// TestCapAndLastHost: failures eject half of the hosts at most, and never the
// last one.
func TestCapAndLastHost(t *testing.T) {
	s := newSubject(t, 4, nil)
	s.record()
	for range 400 {
		for i := range 2 {
			s.fail(i, lb.KindError)
			s.answer(lb.ProbeOK)
		}
		s.ok(3)
	}
	ejected := 0
	for i := range 4 {
		if s.host(i).state != up {
			ejected++
		}
	}
	if ejected > 2 || s.counters.EjectedRate == 0 {
		t.Errorf("%d of 4 hosts are out, %d ejections", ejected, s.counters.EjectedRate)
	}
}

// A hung host is doubtful after three failures, gets one call in a thousand,
// and what is known of its latency is not forgotten meanwhile.
func TestDoubtfulHostGetsSingleCalls(t *testing.T) {
	s := newSubject(t, 3, nil)
	for range 3 {
		s.fail(0, lb.KindTimeout)
		s.answer(lb.ProbeOK)
	}
	s.run(2*sec, nil)
	if got := s.drawn(900); got[0] > 1 {
		t.Errorf("%d of 900 picks go to a doubtful host", got[0])
	}
}

// TestWhereTheSameHostIsNoChoice: with two hosts, both are always candidates.
func TestTwoCandidatesDiffer(t *testing.T) {
	s := newSubject(t, 2, nil)
	for range 1000 {
		if x, y := s.drawTwo(0, 2); x == y {
			t.Fatal("the same host twice")
		}
	}
}

// TestDrainedHostIsNeverPicked, not even when nobody else is there.
func TestDrainedHostIsNeverPicked(t *testing.T) {
	s := newSubject(t, 4, nil, 0, 1)
	if got := s.drawn(2000); got[0]+got[2] != 0 {
		t.Errorf("picks: %v", got)
	}
	s.Update(endpointsOf(2, 0), s.now)
	if s.pick() != -1 {
		t.Error("a drained host is picked for want of another")
	}
}
