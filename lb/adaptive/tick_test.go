package adaptive

import (
	"testing"
	"time"

	"lars.internal/lb"
)

// TestIdleServiceNeedsNoTick: only what is under way or out of order does.
func TestIdleServiceNeedsNoTick(t *testing.T) {
	s := newSubject(t, 3, nil)
	s.run(sec, nil)
	if next := s.Tick(s.now); next != lb.Never {
		t.Errorf("idle: %v", next-s.now)
	}
	s.pick()
	if next := s.Tick(s.now); next > s.now+s.cfg.StallMin+ms {
		t.Errorf("a call in flight: in %v, later than a stall", next-s.now)
	}
	s = newSubject(t, 3, nil)
	s.dies(0)
	if next := s.Tick(s.now); next != s.coldHalf(0).nextProbe {
		t.Errorf("a dead host: in %v, want %v, its next probe", next-s.now, s.coldHalf(0).nextProbe-s.now)
	}
}

// TestBrokenHostNeedsNoTicks: its test comes after picks, which have a Tick of
// their own, or after ten minutes.
func TestBrokenHostNeedsNoTicks(t *testing.T) {
	s := newSubject(t, 3, nil)
	s.record()
	for range 7 {
		s.fail(0, lb.KindError)
	}
	s.answer(lb.ProbeOK)
	if s.run(2*sec, nil); s.host(0).state != out {
		t.Fatalf("%+v", *s.host(0))
	}
	if next := s.Tick(s.now); next != s.coldHalf(0).since+testAnyway {
		t.Errorf("in %v, want ten minutes after the ejection", next-s.now)
	}
	s.picks += uint64(s.cfg.TestEvery)
	if s.Tick(s.now); s.host(0).state != trial {
		t.Errorf("no trial after %d picks", s.cfg.TestEvery)
	}
}

// TestDrainedHostIsNotTested: no call could do that, and the test of another
// host would wait for it.
func TestDrainedHostIsNotTested(t *testing.T) {
	s := newSubject(t, 3, nil)
	s.record()
	for range 7 {
		s.fail(0, lb.KindError)
	}
	s.answer(lb.ProbeOK)
	endpoints := endpointsOf(3)
	endpoints[0].Weight = 0
	s.Update(endpoints, s.now)
	s.picks += uint64(s.cfg.TestEvery)
	s.run(2*sec, nil)
	if s.host(0).state != out || s.testPicks != 0 {
		t.Errorf("state %d, last test at pick %d", s.host(0).state, s.testPicks)
	}
	s.Update(endpointsOf(3), s.now)
	if s.run(100*ms, nil); s.host(0).state != trial {
		t.Errorf("state %d after it was undrained, want a trial", s.host(0).state)
	}
}

// TestVoidLatencies: where reports are lost, what Little's law taught is void,
// what programs told is not.
func TestVoidLatencies(t *testing.T) {
	for _, told := range []bool{true, false} {
		s := newSubject(t, 2, nil)
		s.begin(0)
		s.now += 50 * ms
		o := lb.Outcome{OK: 1}
		if told {
			o.Latency = 50 * ms
		}
		s.Observe(id(0), o, s.now)
		before := s.host(0).latency
		if before < 5200 {
			t.Fatalf("latency %v of calls of 5 and of 50 ms", before)
		}
		s.turnForgotten = 10
		s.begin(0)
		next := s.Tick(s.now)
		if void := s.host(0).latency != before; void == told || !s.littleOff {
			t.Errorf("told %v: latency %v, before %v, off %v", told, s.host(0).latency, before, s.littleOff)
		}
		if !told && next > s.now+lb.TickAfter {
			t.Errorf("the next Tick is in %v, with the stalls of the latencies before", next-s.now)
		}
		s.turnEnds = 15 * lossLimit
		if s.run(sec, nil); !s.littleOff {
			t.Error("on again at once")
		}
		s.turnEnds = 21 * lossLimit
		if s.run(sec, nil); s.littleOff {
			t.Error("still off")
		}
	}
}

// TestWindowsClose even where the two error rates are close, so that a success
// weighs nearly nothing.
func TestWindowsClose(t *testing.T) {
	c := DefaultConfig()
	c.GrantedErrorRate, c.BadErrorRate = 0.0001, 0.001
	if up, down := c.steps(); up == 0 || down == 0 {
		t.Errorf("steps of %d and %d", up, down)
	}
}

// TestRatesEnd: an error rate becomes zero, not a denormal number.
func TestRatesEnd(t *testing.T) {
	s := newSubject(t, 1, nil)
	for range 40_000 {
		s.ok(0)
		if h := s.host(0); h.fastRate != 0 && h.fastRate < 1e-10 || h.slowRate != 0 && h.slowRate < 1e-10 {
			t.Fatalf("rates %v, %v", h.fastRate, h.slowRate)
		}
	}
	if h := s.host(0); h.fastRate != 0 || h.slowRate != 0 {
		t.Errorf("rates %v, %v", h.fastRate, h.slowRate)
	}
}

// TestWitness: the host that answered a call last is asked for control, not one
// that never did, after 25 days either.
func TestWitness(t *testing.T) {
	s := newSubject(t, 4, nil)
	s.now += 25 * 24 * time.Hour
	s.ok(2)
	s.ok(3)
	s.ok(2)
	s.host(1).clear(worked)
	s.host(1).lastOK = 0
	if got := s.controlFor(0); got != 2 {
		t.Errorf("host %d", got)
	}
	s.host(2).clear(trusted)
	if got := s.controlFor(0); got != 3 {
		t.Errorf("host %d after 2 is not trusted", got)
	}
	s.host(3).state = out
	if got := s.controlFor(0); got != 1 {
		t.Errorf("host %d after 3 is out", got)
	}
}
