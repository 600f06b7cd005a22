package adaptive

import (
	"fmt"
	"math"
	"testing"

	"lars.internal/lb"
	"lars.internal/route"
)

// TestForgettingOpensNoFlood: a slow host is measured again by one call at a
// time.
func TestForgettingOpensNoFlood(t *testing.T) {
	s := newSubject(t, 3, nil)
	s.host(0).latency = 1e6
	for range 2000 { // the calls to host 0 go on
		if i := s.pick(); i != 0 {
			s.Observe(id(i), lb.Outcome{OK: 1, Latency: 5 * ms}, s.now)
		}
		s.now += ms / 100
	}
	if got := s.host(0).inFlight; got != 1 {
		t.Errorf("%d calls to a host of 1 s in flight, want 1", got)
	}
}

// TestForgettingHalves: 8 picks per host take half of what is known.
func TestForgettingHalves(t *testing.T) {
	s := newSubject(t, 3, nil)
	for picks, want := range map[uint64]float32{0: 5050, 24: 5050, 25: 2550, 48: 1300, 24 * 40: 50} {
		s.host(0).lastPick = uint32(s.picks - picks)
		if got := s.load(s.host(0)); got != want && (want != 50 || got > 51) {
			t.Errorf("%d picks after the last outcome: load %v, want %v", picks, got, want)
		}
	}
}

// TestHungHostIsNotForgotten: while it is doubtful its latency does not halve,
// for as long as nobody may measure it.
func TestHungHostIsNotForgotten(t *testing.T) {
	s := newSubject(t, 3, nil)
	for range 3 {
		s.fail(0, lb.KindTimeout)
		s.answer(lb.ProbeOK)
	}
	before := s.load(s.host(0))
	if s.picks += 500; s.load(s.host(0)) != before {
		t.Errorf("load %v, before %v", s.load(s.host(0)), before)
	}
	s.host(0).row = 0
	if s.load(s.host(0)) > before/1000 {
		t.Errorf("load %v of a host that is not doubtful, before %v", s.load(s.host(0)), before)
	}
}

// TestReturnIsNoForcedTest: many machines that each sent one call at once would
// be a herd on a cold host.
func TestReturnIsNoForcedTest(t *testing.T) {
	first := 0
	for seed := range uint64(300) {
		s := newSubject(t, 10, nil)
		s.dies(0)
		s.returns(0)
		s.random = random(seed)
		if s.pick() == 0 {
			first++
		}
	}
	if first > 12 { // 10 % of a share of 10 % are 3
		t.Errorf("%d of 300 machines send their first call to the host that is back", first)
	}
}

// TestRestart: all hosts have their full share at once, and their first probes
// are spread over ten seconds.
func TestRestart(t *testing.T) {
	s := bareSubject(t, nil)
	s.Update(endpointsOf(10), s.now)
	for i := range 10 {
		if s.host(i).has(ramping) || s.host(i).state != up {
			t.Fatalf("host %d: %+v", i, *s.host(i))
		}
	}
	most, all := 0, 0
	s.run(baseTime, func() {
		n := len(s.answer(lb.ProbeOK))
		most, all = max(most, n), all+n
	})
	if most > 1 || all != 10 {
		t.Errorf("%d probes in ten seconds, %d at a time", all, most)
	}
}

// TestNewHostBeginsOnARamp in a service that is known, with the latency of the
// others: a host of which nothing is known would get every call.
func TestNewHostBeginsOnARamp(t *testing.T) {
	s := newSubject(t, 3, nil)
	s.Update(endpointsOf(4), s.now)
	if h := s.host(3); !h.has(ramping) || h.latency != 5000 {
		t.Errorf("%+v", *h)
	}
	if got := s.drawn(4000); got[3] > 300 || got[3] == 0 {
		t.Errorf("picks %v in the first 0.4 s of the new host 3", got)
	}
	s.run(s.cfg.Ramp, func() { s.answer(lb.ProbeOK) })
	if s.host(3).has(ramping) {
		t.Error("still on the ramp")
	}
}

// TestUnreportedCalls are forgotten where the host answers others: a hung host
// must not be forgiven, for half a minute.
func TestUnreportedCalls(t *testing.T) {
	s := newSubject(t, 2, nil)
	for range 5 {
		s.begin(0)
		s.begin(1)
	}
	s.run(3*sec, func() {
		s.answer(lb.ProbeOK)
		for range 3 { // more calls in a generation than are lost
			s.ok(0)
		}
	})
	if a, b := s.host(0).inFlight, s.host(1).inFlight; a > 1 || b != 5 {
		t.Errorf("in flight: %d of a host that answers, %d of one that does not", a, b)
	}
	s.run(32*sec, func() { s.answer(lb.ProbeOK) })
	if b := s.host(1).inFlight; b != 0 || s.counters.Forgotten < 9 {
		t.Errorf("in flight %d after half a minute, %d forgotten", b, s.counters.Forgotten)
	}
}

// TestTiesAreNoBias: equal hosts get equal parts.
func TestTiesAreNoBias(t *testing.T) {
	for _, weights := range [][]uint32{nil, {100, 100, 100, 101}} {
		s := newSubject(t, 8, nil, weights...)
		got := map[int]int{}
		for range 16_000 {
			i := s.pick()
			got[i]++
			s.host(i).inFlight = 0
		}
		for i := range 8 {
			if math.Abs(float64(got[i])-2000) > 200 {
				t.Errorf("picks %v, want 2,000 each", got)
				break
			}
		}
	}
}

// TestZoneShares: calls stay local until the live local hosts would get more
// than 1.4 times their share.
func TestZoneShares(t *testing.T) {
	for dead, want := range map[int]float64{0: 1, 2: 1, 3: 0.98, 5: 0.7, 9: 0.14, 10: 0} {
		t.Run(fmt.Sprint(dead, " of 10 local hosts dead"), func(t *testing.T) {
			s := bareSubject(t, func(c *Config) { c.Zone = "a" })
			endpoints := endpointsOf(20)
			for i := range endpoints {
				endpoints[i].Zone = [2]string{"a", "b"}[i/10]
			}
			s.Update(endpoints, s.now)
			s.run(11*sec, func() { s.answer(lb.ProbeOK) })
			for i := range dead {
				s.dies(i)
			}
			local := 0
			for range 4000 {
				if s.pick() < 10 {
					local++
				}
			}
			if got := float64(local) / 4000; math.Abs(got-want) > 0.03 {
				t.Errorf("%.3f of the picks stay local, want %.3f", got, want)
			}
			if got := float64(s.counters.RemotePicks); got != 4000-float64(local) {
				t.Errorf("%v remote picks counted of %d", got, 4000-local)
			}
		})
	}
}

// second ends calls of host i for a second, some of which found it busy, and
// returns the part of the picks that is refused then.
func (s *subject) second(i, calls, busy int) float64 {
	for k := range calls {
		o := lb.Outcome{OK: 1, Latency: ms}
		if k < busy {
			o = lb.Outcome{Failed: 1, Kind: lb.KindOverloaded, Latency: ms}
		}
		s.end(i, o)
	}
	s.run(sec, func() { s.Probes(nil) })
	return float64(s.shed) / (1 << 32)
}

// TestLoadLimit: picks are refused when hosts are missing and the others are in
// distress, up to the limit; without distress less and less; none when the hosts
// are back.
func TestLoadLimit(t *testing.T) {
	s := newSubject(t, 10, nil)
	if got := s.second(9, 100, 100); got != 0 {
		t.Errorf("all hosts live and busy: %v", got)
	}
	for i := range 7 {
		s.dies(i)
	}
	if got := s.second(9, 100, 5); got != 0 {
		t.Errorf("7 of 10 dead, 5 %% of the calls find the others busy: %v", got)
	}
	if got := s.second(9, 100, 8); math.Abs(got-0.4) > 0.001 {
		t.Errorf("7 of 10 dead, 8 %% find the others busy: %v, want 1 - 2 x 3/10", got)
	}
	refused := 0
	for range 1000 {
		if h, _, v := s.Pick(s.now, route.Host{}); v == lb.Overloaded && h == (route.Host{}) {
			refused++
		}
	}
	if math.Abs(float64(refused)-400) > 60 || s.counters.ShedPicks != uint64(refused) {
		t.Errorf("%d of 1,000 picks refused, %d counted", refused, s.counters.ShedPicks)
	}
	if got := s.second(9, 100, 0); math.Abs(got-0.38) > 0.001 {
		t.Errorf("a second without distress: %v, want 2 %% less", got)
	}
	s.now += 5 * sec // what is asked meanwhile was not answered
	for i := range 7 {
		s.host(i).clear(probing)
		s.returns(i)
	}
	if s.shed != 0 || s.limit != 0 {
		t.Errorf("all hosts are back: %v refused", float64(s.shed)/(1<<32))
	}
}

// TestNoPickIsRefusedInPanic, whatever the distress.
func TestNoPickIsRefusedInPanic(t *testing.T) {
	s := newSubject(t, 3, nil)
	for i := range 3 {
		s.dies(i)
	}
	s.second(0, 10, 10)
	got := map[int]int{}
	for range 300 {
		got[s.pick()]++
	}
	if got[-1] != 0 || got[0] == 0 || got[1] == 0 || got[2] == 0 || s.counters.PanicPicks != 300 {
		t.Errorf("picks %v, %d in panic", got, s.counters.PanicPicks)
	}
	ticket := s.Assign(id(1), s.now)
	s.Observe(id(1), lb.Outcome{OK: 1, Ticket: ticket}, s.now)
	if s.host(1).state != up || s.panicky {
		t.Error("a call that works does not end the panic")
	}
}

// TestPanicPrefersBrokenToDead: who takes connections answers some calls.
func TestPanicPrefersBrokenToDead(t *testing.T) {
	s := newSubject(t, 3, nil)
	s.breaks(0)
	s.dies(1)
	s.dies(2)
	if got := s.drawn(300); got[0] != 300 {
		t.Errorf("picks %v, want the broken host 0", got)
	}
}
