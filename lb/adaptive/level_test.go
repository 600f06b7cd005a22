package adaptive

import (
	"testing"
	"time"

	"lars.internal/lb"
	"lars.internal/route"
)

// TestLevels: a host that is ejected soon after its return must stay out for
// longer each time although it answers; minutes in rotation take that off.
func TestLevels(t *testing.T) {
	s := newSubject(t, 3, nil)
	for level, want := range []time.Duration{0, sec, 2 * sec, 4 * sec} {
		s.run(2*sec, nil)
		s.dies(0)
		from := s.now
		if c := s.coldHalf(0); int(c.level) != level {
			t.Fatalf("level %d, want %d", c.level, level)
		}
		if s.returns(0); s.now-from < want || s.now-from > want*3/2+sec {
			t.Errorf("level %d: back after %v, want %v", level, s.now-from, want)
		}
		s.ok(0)
	}
	s.run(2*time.Minute+sec, nil)
	s.ok(0)
	if s.dies(0); s.coldHalf(0).level != 1 {
		t.Errorf("level %d after two minutes in rotation, before 3", s.coldHalf(0).level)
	}
	for level, want := range map[uint8]time.Duration{0: 0, 1: sec, 5: 16 * sec, 6: 30 * sec, maxLevel: 30 * sec} {
		if got := hold(level); got != want {
			t.Errorf("level %d: %v, want %v", level, got, want)
		}
	}
}

// TestFailedTrialsAreNoFlapping: a host that hung for long, and whose backlog is
// full at last, so that connects are silent, comes back as soon as they are
// answered. Its failed trials were no returns.
func TestFailedTrialsAreNoFlapping(t *testing.T) {
	s := newSubject(t, 3, nil)
	s.record()
	for s.host(0).state == up {
		s.fail(0, lb.KindTimeout)
		s.answer(lb.ProbeOK)
	}
	for range 10 {
		s.answer(lb.ProbeOK)
		s.run(2*sec, nil)
		s.picks += 2000
		if s.run(50*ms, nil); s.host(0).state != trial {
			t.Fatalf("no trial: %+v", *s.host(0))
		}
		s.Assign(id(0), s.now)
		s.coldHalf(0).await(s.now)
		s.now += sec
		s.Observe(id(0), lb.Outcome{Failed: 1, Kind: lb.KindTimeout}, s.now)
	}
	for range maxSilent {
		s.answer(lb.ProbeSilent)
	}
	if c := s.coldHalf(0); c.reason != dead || c.level != 0 {
		t.Fatalf("reason %d, level %d; want dead and 0", c.reason, c.level)
	}
	from := s.now
	if s.returns(0); s.now-from > 1500*ms {
		t.Errorf("back after %v", s.now-from)
	}
}

// TestAnswersBeforeItsTime: a host that flaps stays out although it answers, and
// is asked again when its time is over.
func TestAnswersBeforeItsTime(t *testing.T) {
	s := newSubject(t, 3, nil)
	s.dies(0)
	c := s.coldHalf(0)
	c.level, c.nextProbe = 3, s.now
	s.run(50*ms, func() { s.answer(lb.ProbeOK) })
	if s.host(0).state != out || c.nextProbe != c.since+4*sec {
		t.Errorf("state %d, next probe %v after the ejection, want 4 s", s.host(0).state, c.nextProbe-c.since)
	}
}

// TestLongDeadHostIsProbedRarely: once a second for five minutes, then less and
// less, down to four times a minute.
func TestLongDeadHostIsProbedRarely(t *testing.T) {
	s := newSubject(t, 3, nil)
	s.dies(0)
	minute := func() (probes int) {
		s.run(time.Minute, func() { probes += len(s.answer(lb.ProbeRefused)) })
		return probes
	}
	if got := minute(); got < 50 || got > 75 {
		t.Errorf("%d probes in the first minute", got)
	}
	for range 9 {
		minute()
	}
	if got := minute(); got < 3 || got > 6 {
		t.Errorf("%d probes in the eleventh minute", got)
	}
}

// TestFirstSecond: when nothing was ever answered, nothing is proven.
func TestFirstSecond(t *testing.T) {
	s := newSubject(t, 3, nil)
	s.Balancer = New(DefaultConfig(), 1)
	s.now = 0
	s.Update(endpointsOf(3), 0)
	for i := range 3 {
		s.host(i).set(trusted)
	}
	s.fail(0, lb.KindTimeout)
	for range 3 {
		s.answer(lb.ProbeSilent)
	}
	if s.host(0).state != up || s.control == (route.Host{}) {
		t.Errorf("state %d, control %v, want a control probe", s.host(0).state, s.control)
	}
}

// TestEventsOfAPanic: the ejection of the last host says so.
func TestEventsOfAPanic(t *testing.T) {
	s := newSubject(t, 2, nil)
	s.dies(0)
	if e := s.Events(nil); len(e) != 1 || e[0].Kind != lb.Ejected || e[0].Why() != "connects refused 1 >= 1" {
		t.Errorf("%+v", e)
	}
	s.dies(1)
	if e := s.Events(nil); len(e) != 2 || e[1].Kind != lb.Panic || e[1].Host != id(1) {
		t.Errorf("%+v", e)
	}
}

// TestExplainsTheRotationFirst, and each host once.
func TestExplainsTheRotationFirst(t *testing.T) {
	s := newSubject(t, 4, nil)
	s.dies(0)
	s.dies(2)
	var got []int
	for _, h := range s.Explain(nil) {
		got = append(got, s.number(h.Host))
		if h.Ejected != (s.host(s.number(h.Host)).state != up) {
			t.Errorf("%+v", h)
		}
	}
	if len(got) != 4 || got[0] != 1 || got[1] != 3 || got[2] != 0 || got[3] != 2 {
		t.Errorf("hosts %v", got)
	}
}

// TestInFlightIsBounded: programs that never report do not make it wrap.
func TestInFlightIsBounded(t *testing.T) {
	s := newSubject(t, 1, nil)
	for range 70_000 {
		s.begin(0)
	}
	if got := s.host(0).inFlight; got != 1<<16-1 {
		t.Errorf("%d in flight", got)
	}
}

// TestIgnoredCallEnds, and says nothing else.
func TestIgnoredCallEnds(t *testing.T) {
	s := newSubject(t, 1, nil)
	before := s.host(0).latency
	s.Assign(id(0), s.now)
	if effect := s.Observe(id(0), lb.Outcome{Kind: lb.KindIgnored}, s.now+sec); effect != lb.Counted {
		t.Errorf("effect %b", effect)
	}
	if h := s.host(0); h.inFlight != 0 || h.latency != before || h.row != 0 {
		t.Errorf("%+v", *h)
	}
}

// TestCounters of what no event tells.
func TestCounters(t *testing.T) {
	s := newSubject(t, 3, nil)
	before := s.Counters()
	s.fail(0, lb.KindRefused)
	s.ok(0)
	s.answer(lb.ProbeSilent)
	s.run(2*sec, nil)
	s.fail(1, lb.KindRefused)
	s.answer(lb.ProbeOK)
	s.run(2*sec, nil)
	s.dies(2)
	got := s.Counters()
	if got.SuspicionsCleared != 1 || got.ProbesSilent != 1 || got.ProbesRefused != 1 || got.ProbesOK != before.ProbesOK+1 || got.EjectedDead != 1 {
		t.Errorf("%+v", got)
	}
}

// TestDoubtfulHostIsNoDistress: that one hangs says nothing of the load of the
// others.
func TestDoubtfulHostIsNoDistress(t *testing.T) {
	s := newSubject(t, 3, nil)
	s.ended, s.busy = 0, 0
	for range 10 {
		s.fail(0, lb.KindTimeout)
		s.Probes(nil)
	}
	if s.ended != 3 || s.busy != 3 {
		t.Errorf("%d of %d calls tell of distress, want those before the host was doubtful", s.busy, s.ended)
	}
}
