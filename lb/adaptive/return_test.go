package adaptive

import (
	"testing"

	"lars.internal/lb"
	"lars.internal/route"
)

// dies ejects host i by a refused call and a refused probe.
func (s *subject) dies(i int) {
	s.t.Helper()
	s.fail(i, lb.KindRefused)
	if s.answer(lb.ProbeRefused); s.host(i).state != out {
		s.t.Fatalf("host %d is not ejected: %+v", i, *s.host(i))
	}
}

// returns has the probes of host i, which is dead, answered until it is back.
func (s *subject) returns(i int) {
	s.t.Helper()
	for range 100 {
		if s.run(50*ms, func() { s.answer(lb.ProbeOK) }); s.host(i).state == up {
			return
		}
	}
	s.t.Fatalf("host %d does not come back: %+v", i, *s.host(i))
}

// TestLateTimeoutsAfterTheReturn: calls from before the ejection that time out
// after the return neither make the host doubtful nor eject it again, and what
// they took is not taken for its latency.
func TestLateTimeoutsAfterTheReturn(t *testing.T) {
	for _, tickets := range []bool{true, false} {
		s := newSubject(t, 3, nil)
		s.record()
		var early []lb.Ticket
		for range 8 {
			early = append(early, s.Assign(id(0), s.now))
		}
		s.dies(0)
		s.returns(0)
		s.ok(0)
		before := *s.host(0)
		for _, ticket := range early {
			if !tickets {
				ticket = 0
			}
			s.Observe(id(0), lb.Outcome{Failed: 1, Kind: lb.KindTimeout, Ticket: ticket, Latency: 2 * sec}, s.now)
		}
		if h := s.host(0); h.state != up || h.row != 0 || h.failures != 0 || h.latency != before.latency {
			t.Errorf("tickets %v: %+v\nbefore %+v", tickets, *h, before)
		}
		s.fail(0, lb.KindError)
		if h := s.host(0); h.row != 1 || h.failures != 1 {
			t.Errorf("tickets %v: a new failure does not count: %+v", tickets, *h)
		}
	}
}

// TestLateCallsAreNotAwaitedForEver: calls whose end nobody tells excuse no
// failures after the ramp.
func TestLateCallsAreNotAwaitedForEver(t *testing.T) {
	s := newSubject(t, 3, nil)
	s.Assign(id(0), s.now)
	s.dies(0)
	s.returns(0)
	s.ok(0)
	s.run(s.cfg.Ramp, nil)
	s.Observe(id(0), lb.Outcome{Failed: 1}, s.now)
	if h := s.host(0); h.row != 1 {
		t.Errorf("%+v", *h)
	}
}

// TestLateFailuresWhileOut: what fails while the host is out is not held against
// it when it is back.
func TestLateFailuresWhileOut(t *testing.T) {
	s := newSubject(t, 3, nil)
	s.record()
	for range 8 {
		s.Assign(id(0), s.now)
	}
	s.dies(0)
	s.run(100*ms, nil)
	for range 8 {
		s.Observe(id(0), lb.Outcome{Failed: 1, Kind: lb.KindTimeout}, s.now)
	}
	s.returns(0)
	if h := s.host(0); h.row != 0 || h.failures != 0 || h.area != 0 {
		t.Errorf("%+v", *h)
	}
}

// TestLateSuccessIsNotTheLatency: a call from before the ejection that is
// answered after the return took as long as the host was away.
func TestLateSuccessIsNotTheLatency(t *testing.T) {
	s := newSubject(t, 3, nil)
	early := s.Assign(id(0), s.now)
	s.dies(0)
	s.returns(0)
	before := s.host(0).latency
	s.Observe(id(0), lb.Outcome{OK: 1, Ticket: early}, s.now)
	if h := s.host(0); h.latency != before {
		t.Errorf("latency %v, before %v", h.latency, before)
	}
}

// TestSuspicionEndsByALaterCall: the answer to a call from before the first
// refusal was on its way then, and says nothing; one to a later call clears the
// host, and a probe that fails meanwhile does not count.
func TestSuspicionEndsByALaterCall(t *testing.T) {
	for _, later := range []bool{false, true} {
		s := newSubject(t, 3, nil)
		ticket := s.Assign(id(0), s.now)
		s.now += ms
		s.fail(0, lb.KindRefused)
		if later {
			ticket = s.Assign(id(0), s.now)
		}
		s.Observe(id(0), lb.Outcome{OK: 1, Ticket: ticket, Latency: ms}, s.now)
		s.answer(lb.ProbeRefused)
		if up := s.host(0).state == up; up != later {
			t.Errorf("success of a call begun later: %v; then up: %v", later, up)
		}
	}
}

// TestProbationIsOneCall: until one has worked, a host that is back has one call
// in flight, whatever the others have.
func TestProbationIsOneCall(t *testing.T) {
	for _, weights := range [][]uint32{nil, {100, 50, 50}} {
		s := newSubject(t, 3, nil, weights...)
		s.dies(0)
		s.returns(0)
		s.host(0).clear(ramping)
		most := uint16(0)
		for range 3000 {
			s.pick()
			most = max(most, s.host(0).inFlight)
		}
		if most != 1 {
			t.Errorf("weights %v: %d calls in flight on probation", weights, most)
		}
	}
}

// TestRampAfterDoubtIsNoReturn: a good host that failed three calls by chance
// starts anew on a ramp, with the full evidence; after an ejection it is half.
func TestRampAfterDoubtIsNoReturn(t *testing.T) {
	s := newSubject(t, 3, nil)
	for range 3 {
		s.fail(0, lb.KindError)
	}
	s.answer(lb.ProbeOK)
	if s.ok(0); !s.host(0).has(ramping) || s.evidenceLimit(0) != s.cfg.Evidence {
		t.Errorf("after a doubtful spell: limit %v, %+v", s.evidenceLimit(0), *s.host(0))
	}
	s.run(2*sec, nil)
	s.dies(0)
	s.returns(0)
	if got := s.evidenceLimit(0); got != s.cfg.Evidence/2 {
		t.Errorf("after an ejection: limit %v", got)
	}
	for range 3 {
		s.ok(0)
	}
	s.run(s.cfg.Ramp, nil)
	if got := s.evidenceLimit(0); got != s.cfg.Evidence {
		t.Errorf("after the ramp: limit %v", got)
	}
	endpoints := endpointsOf(3)
	endpoints[0].Weight = 0
	s.Update(endpoints, s.now)
	s.Update(endpointsOf(3), s.now)
	if got := s.evidenceLimit(0); !s.host(0).has(ramping) || got != s.cfg.Evidence {
		t.Errorf("after it was drained: limit %v", got)
	}
}

// TestRefusedTrialOfUntrustedHost: where connects mean nothing none would ever
// bring the host back, so calls go on testing it.
func TestRefusedTrialOfUntrustedHost(t *testing.T) {
	for _, want := range []reason{rate, dead} {
		s := newSubject(t, 3, nil)
		if s.record(); want == rate {
			s.host(0).clear(trusted)
		}
		for range 7 {
			s.fail(0, lb.KindError)
		}
		s.answer(lb.ProbeOK)
		if s.host(0).clear(trusted); want == dead {
			s.host(0).set(trusted)
		}
		s.beginTrial(0, s.now)
		ticket := s.Assign(id(0), s.now)
		s.Observe(id(0), lb.Outcome{Failed: 1, Kind: lb.KindRefused, Ticket: ticket}, s.now)
		if c := s.coldHalf(0); s.host(0).state != out || c.reason != want {
			t.Errorf("state %d, reason %d, want %d", s.host(0).state, c.reason, want)
		}
	}
}

// TestTrialWhereAllFail neither wraps its counts nor ends for that.
func TestTrialWhereAllFail(t *testing.T) {
	s := newSubject(t, 3, nil)
	s.record()
	for range 7 {
		s.fail(0, lb.KindError)
	}
	s.answer(lb.ProbeOK)
	for i := 1; i < 3; i++ {
		s.host(i).fastRate = 1
	}
	s.beginTrial(0, s.now)
	for k := range 600 {
		ticket := s.Assign(id(0), s.now)
		s.Observe(id(0), lb.Outcome{Failed: 1, Kind: lb.KindError, Ticket: ticket}, s.now)
		if c := s.coldHalf(0); s.host(0).state != trial || c.failed == 0 || c.failed != c.tested {
			t.Fatalf("after %d failures: state %d, %+v", k+1, s.host(0).state, *c)
		}
	}
}

// TestTrialForgivesWhatTheOthersDo: one failure is no evidence where the others
// fail half of their calls; where they fail none it is enough.
func TestTrialForgivesWhatTheOthersDo(t *testing.T) {
	for _, c := range []struct {
		others float32
		want   state
	}{{0.5, trial}, {0.01, out}} {
		s := newSubject(t, 3, nil)
		s.breaks(0)
		for i := 1; i < 3; i++ {
			s.host(i).fastRate = c.others
		}
		s.beginTrial(0, s.now)
		ticket := s.Assign(id(0), s.now)
		s.Observe(id(0), lb.Outcome{Failed: 1, Kind: lb.KindError, Ticket: ticket}, s.now)
		if got := s.host(0).state; got != c.want {
			t.Errorf("the others fail %v: state %d, want %d", c.others, got, c.want)
		}
	}
}

// TestTrialCallWithoutVerdict: a call that says nothing of the host makes room
// for the next one of the trial at once.
func TestTrialCallWithoutVerdict(t *testing.T) {
	s := newSubject(t, 3, nil)
	s.record()
	for range 7 {
		s.fail(0, lb.KindError)
	}
	s.answer(lb.ProbeOK)
	s.beginTrial(0, s.now)
	for _, k := range []lb.Kind{lb.KindIgnored, lb.KindOverloaded} {
		ticket := s.Assign(id(0), s.now)
		s.Observe(id(0), lb.Outcome{Failed: 1, Kind: k, Ticket: ticket}, s.now)
		if c := s.coldHalf(0); s.host(0).state != trial || c.busy || c.tested != 0 {
			t.Errorf("%v: state %d, %+v", k, s.host(0).state, *c)
		}
	}
}

// TestTrialTakesTwentyCalls, one at a time and at most one in twenty picks.
func TestTrialTakesTwentyCalls(t *testing.T) {
	s := newSubject(t, 3, nil)
	s.record()
	for range 7 {
		s.fail(0, lb.KindError)
	}
	s.answer(lb.ProbeOK)
	s.beginTrial(0, s.now)
	calls, picks := 0, 0
	for ; s.host(0).state == trial && picks < 1000; picks++ {
		if h, ticket, _ := s.Pick(s.now, route.Host{}); h == id(0) {
			calls++
			if next, _, _ := s.Pick(s.now, route.Host{}); next == id(0) {
				t.Fatal("two calls of a trial at a time")
			}
			s.now += 5 * ms
			s.Observe(h, lb.Outcome{OK: 1, Ticket: ticket}, s.now)
		}
	}
	if calls != trialCalls || picks < 20*(trialCalls-1) {
		t.Errorf("back after %d calls of %d picks", calls, picks)
	}
}
