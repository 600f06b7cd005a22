package adaptive

import (
	"math"
	"testing"

	"lars.internal/lb"
)

// shares of failures that hosts are made to have.
func (s *subject) fails(calls int, rate func(i int) float64) {
	r := random(11)
	for range calls {
		for i := range s.hosts {
			if s.host(i).state != up {
				continue
			}
			if r.float() < rate(i) {
				s.fail(i, lb.KindError)
			} else {
				s.ok(i)
			}
			s.answer(lb.ProbeOK)
		}
	}
}

func (s *subject) ejected() (hosts []int) {
	for i := range s.hosts {
		if s.host(i).state != up {
			hosts = append(hosts, i)
		}
	}
	return hosts
}

// TestSeveralBadHostsAreFound: the mean of the others' rates would hide them.
func TestSeveralBadHostsAreFound(t *testing.T) {
	s := newSubject(t, 10, nil)
	s.record()
	s.fails(150, func(i int) float64 {
		if i < 4 {
			return 0.5
		}
		return 0.01
	})
	if got := s.ejected(); len(got) != 4 || got[3] != 3 {
		t.Errorf("ejected: %v, want the four that fail half of their calls", got)
	}
}

// TestCommonOutageEjectsNobody: the rates of the others follow by their windows
// before the slow means do.
func TestCommonOutageEjectsNobody(t *testing.T) {
	for _, rate := range []float64{0.05, 0.3, 1} {
		s := newSubject(t, 5, nil)
		s.record()
		s.fails(3000, func(int) float64 { return rate })
		if got := s.ejected(); len(got) != 0 {
			t.Errorf("all hosts fail %v of their calls: ejected %v", rate, got)
		}
	}
}

// TestReturningHostHasTheRateOfTheOthers: one of zero would drag their median
// down where all fail, one of its own would hide how bad others are.
func TestReturningHostHasTheRateOfTheOthers(t *testing.T) {
	s := newSubject(t, 3, nil)
	s.fails(2000, func(int) float64 { return 0.3 })
	s.run(2*sec, nil)
	s.dies(0)
	s.returns(0)
	if h := s.host(0); h.fastRate < 0.2 || h.fastRate != h.slowRate {
		t.Errorf("rates %v, %v, the others fail 30 %%", h.fastRate, h.slowRate)
	}
}

// TestNewHostHasAnUnknownRate: until some 200 calls are seen nobody is judged by
// the rate that is granted.
func TestNewHostHasAnUnknownRate(t *testing.T) {
	s := bareSubject(t, nil)
	s.Update(endpointsOf(2), s.now)
	if got := s.others(0); math.Abs(got-freshRate) > 1e-6 {
		t.Errorf("rate %v", got)
	}
}

// TestBrokenOrGone: a host whose calls fail is asked by a connect at once, which
// is not the doubt that ejected it: it stays out, as broken, or as dead.
func TestBrokenOrGone(t *testing.T) {
	for _, c := range []struct {
		answers []lb.Answer
		trusted bool
		want    reason
	}{
		{[]lb.Answer{lb.ProbeOK}, true, rate},
		{[]lb.Answer{lb.ProbeRefused}, true, dead},
		{[]lb.Answer{lb.ProbeRefused}, false, rate},
		{[]lb.Answer{lb.ProbeSilent, lb.ProbeSilent}, true, rate},
		{[]lb.Answer{lb.ProbeSilent, lb.ProbeSilent, lb.ProbeSilent}, true, dead},
	} {
		s := newSubject(t, 3, nil)
		s.record()
		for range 6 {
			s.fail(0, lb.KindError)
			s.answer(lb.ProbeOK)
		}
		if s.fail(0, lb.KindError); !s.host(0).has(probing) || len(s.probes) != 1 {
			t.Fatalf("it is not asked: %+v", *s.host(0))
		}
		if !c.trusted {
			s.host(0).clear(trusted)
		}
		for _, a := range c.answers {
			s.answer(a)
		}
		if got := s.coldHalf(0).reason; s.host(0).state != out || got != c.want {
			t.Errorf("%v, trusted %v: state %d, reason %d, want %d", c.answers, c.trusted, s.host(0).state, got, c.want)
		}
	}
}

// TestEvidence against values computed by hand.
func TestEvidence(t *testing.T) {
	for _, c := range []struct{ f, n, p, want float64 }{
		{7, 7, 0.01, 32.236}, {14, 22, 0.01, 50.132}, {1, 100, 0.01, 0}, {1, 200, 0.01, 0},
		{19, 19, 0.2, 30.579}, {3, 10, 0.3, 0}, {10, 20, 0.05, 16.607},
	} {
		if got := evidence(c.f, c.n, c.p); math.Abs(got-c.want) > 0.001 {
			t.Errorf("%v of %v against %v: %.4f, want %.4f", c.f, c.n, c.p, got, c.want)
		}
	}
}

// TestCallsUntilEjection: as many as the bound h / KL says, after a long good
// record that hides nothing.
func TestCallsUntilEjection(t *testing.T) {
	for _, c := range []struct {
		every    int // one call in so many fails
		from, to int
	}{{1, 7, 7}, {2, 14, 24}, {5, 50, 90}} {
		s := newSubject(t, 3, nil)
		s.record()
		n := 0
		for ; s.host(0).state == up && n < 1000; n++ {
			if n%c.every == c.every-1 {
				s.fail(0, lb.KindError)
			} else {
				s.ok(0)
			}
			s.answer(lb.ProbeOK)
		}
		if n < c.from || n > c.to {
			t.Errorf("one call in %d fails: ejected after %d, want %d to %d", c.every, n, c.from, c.to)
		}
	}
}

// TestSuspicionIsAskedOnce: at most one probe for each failed call, none for a
// second after a good one, and none for a single failure of a busy host.
func TestSuspicionIsAskedOnce(t *testing.T) {
	s := newSubject(t, 3, nil)
	s.ok(0)
	if s.fail(0, lb.KindError); len(s.probes) != 0 {
		t.Error("one failure right after a success is a reason to probe")
	}
	if s.fail(0, lb.KindError); len(s.probes) != 1 {
		t.Error("two in a row are none")
	}
	if s.fail(0, lb.KindRefused); len(s.probes) != 1 {
		t.Errorf("%d probes at a time", len(s.probes))
	}
	s.answer(lb.ProbeOK)
	s.ok(0)
	for range 2 {
		s.fail(0, lb.KindRefused)
	}
	if len(s.probes) != 0 {
		t.Error("it is asked again right after it answered")
	}
	s.run(sec, nil)
	s.ok(0)
	s.now += lastSuccess + ms
	if s.fail(0, lb.KindError); len(s.probes) != 1 {
		t.Error("one failure a second after the last success is no reason to probe")
	}
}
