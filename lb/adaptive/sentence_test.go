package adaptive

import (
	"testing"
	"time"

	"lars.internal/lb"
)

// says returns the sentence of host i, where it is 12:00:00 at the moment.
func (s *subject) says(i int) string {
	for _, h := range s.Explain(nil) {
		if h.Host == id(i) {
			return Sentence(&h, s.now, time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC))
		}
	}
	return ""
}

// zones puts hosts 2 and 3 into another zone than this machine and the rest.
func (s *subject) zones() {
	s.cfg.Zone = "a"
	endpoints := endpointsOf(4)
	for i := range endpoints {
		endpoints[i].Zone = [2]string{"a", "b"}[i/2]
	}
	s.Update(endpoints, s.now)
}

// breaks fails calls of host i until it is ejected, and then answers its probe.
func (s *subject) breaks(i int) {
	s.record()
	for range 7 {
		s.fail(i, lb.KindError)
	}
	if s.answer(lb.ProbeOK); s.host(i).state != out {
		s.t.Fatalf("host %d is not ejected: %+v", i, *s.host(i))
	}
}

// sentences are the states of a host in words.
var sentences = []struct {
	name string
	do   func(*subject) int // returns the host to ask about
	want string
}{
	{"healthy", func(*subject) int { return 1 },
		"up, gets 1.00 of a fair share: 5 ms, the median is 5 ms."},
	{"slow", func(s *subject) int { s.host(0).latency = 101e3; return 0 },
		"up, gets less than 0.01 of a fair share: 101 ms, the median is 5 ms."},
	{"drained", func(s *subject) int {
		endpoints := endpointsOf(4)
		endpoints[0].Weight = 0
		s.Update(endpoints, s.now)
		return 0
	}, "up, drained: its weight is 0, it is not called."},
	{"suspect", func(s *subject) int { s.fail(0, lb.KindRefused); return 0 },
		"up, suspect: a connect is under way, gets less than 0.01 of a fair share: 5.25 ms, the median is 5 ms."},
	{"doubtful, asked", func(s *subject) int {
		for range 3 {
			s.fail(0, lb.KindTimeout)
		}
		return 0
	}, "up, doubtful: the last 3 calls failed (timed out), a connect is under way, gets less than 0.01 of a fair share: 5.79 ms, the median is 5 ms. Next test after 1000 more picks, at the latest after 10 min."},
	{"doubtful", func(s *subject) int {
		for range 3 {
			s.fail(0, lb.KindRefused)
		}
		s.answer(lb.ProbeOK)
		s.picks += 588
		return 0
	}, "up, doubtful: the last 3 calls failed (refused), connects work, gets less than 0.01 of a fair share: 5.79 ms, the median is 5 ms. Next test after 412 more picks, at the latest after 10 min."},
	{"doubtful, untrusted, due", func(s *subject) int {
		s.cfg.Doubtful, s.doubt = 1, 1
		s.host(0).clear(trusted)
		s.fail(0, lb.KindError)
		s.host(0).set(measure)
		return 0
	}, "up, doubtful: the last call failed, no connect was answered yet, gets less than 0.01 of a fair share: 5.25 ms, the median is 5 ms. The next test is due."},
	{"doubtful, no connect gets anywhere", func(s *subject) int {
		s.now += 2 * sec
		for range 3 {
			s.fail(0, lb.KindTimeout)
		}
		for range 8 {
			s.answer(lb.ProbeSilent) // those of the host, and of another one
		}
		return 0
	}, "up, doubtful: the last 3 calls failed (timed out), connects are not answered, nor by another host, gets less than 0.01 of a fair share: 6.44 ms, the median is 5 ms. Next test after 1000 more picks, at the latest after 10 min."},
	{"in this zone", func(s *subject) int { s.zones(); return 0 },
		"up, gets 2.00 of a fair share: 5 ms, the median is 5 ms, and hosts of this zone get 100 % of the picks."},
	{"in another zone", func(s *subject) int { s.zones(); return 2 },
		"up, gets less than 0.01 of a fair share: 5 ms, the median is 5 ms, and hosts of other zones get 0 % of the picks."},
	{"in another zone, which is needed", func(s *subject) int { s.zones(); s.dies(0); return 2 },
		"up, gets 0.45 of a fair share: 5 ms, the median is 5 ms, and hosts of other zones get 30 % of the picks."},
	{"probation", func(s *subject) int { s.dies(0); s.returns(0); return 0 },
		"up, on probation: one call at a time until one works, on the ramp 10 %, gets 0.13 of a fair share: 5 ms, the median is 5 ms."},
	{"ramp", func(s *subject) int {
		s.dies(0)
		s.returns(0)
		s.ok(0)
		s.now = s.coldHalf(0).rampFrom + 1778*ms
		s.Tick(s.now)
		return 0
	}, "up, on the ramp 42 %, gets 0.49 of a fair share: 5 ms, the median is 5 ms."},
	{"all fail", func(s *subject) int {
		for i := range 4 {
			h := s.host(i)
			h.calls, h.failures, h.opened = 30, 12, uint16(s.now/sec)
		}
		return 0
	}, "up, not ejected: evidence 35.3, but the others fail 40 % too: 0 < 30, gets 1.00 of a fair share: 5 ms, the median is 5 ms."},
	{"the only one in rotation", func(s *subject) int {
		s.Update(endpointsOf(1), s.now)
		h := s.host(0)
		h.calls, h.failures, h.opened = 30, 12, uint16(s.now/sec)
		return 0
	}, "up, not ejected: evidence 35.3, but no other host is in rotation, gets 1.00 of a fair share: 5 ms, the median is 5 ms."},
	{"cap", func(s *subject) int {
		s.record()
		h := s.host(0)
		h.calls, h.failures, h.opened = 30, 12, uint16(s.now/sec)
		return 0
	}, "up, not ejected: evidence 35.3, but no more hosts may be ejected, gets 1.00 of a fair share: 5 ms, the median is 5 ms."},
	{"refused", func(s *subject) int {
		s.dies(0)
		s.now += 4200 * ms
		s.coldHalf(0).nextProbe, s.coldHalf(0).level, s.coldHalf(0).ejections = s.now+600*ms, 1, 3
		return 0
	}, "out since 11:59:55 (4.2 s), DEAD: 1 call refused, connect refused 0 ms later. Next probe in 600 ms. Ejected 3 times, level 1."},
	{"silent", func(s *subject) int {
		s.fail(0, lb.KindTimeout)
		s.fail(0, lb.KindTimeout)
		s.answered = s.now
		for range 3 {
			s.now += 150 * ms
			s.answer(lb.ProbeSilent)
		}
		s.host(0).set(probing)
		s.coldHalf(0).nextProbe = 0
		return 0
	}, "out since 12:00:00 (0 ms), DEAD: 2 calls timed out, 3 connects not answered 455 ms later. A probe is under way. Ejected once, level 0."},
	{"stalled", func(s *subject) int {
		s.begin(0)
		s.run(200*ms, nil)
		s.answer(lb.ProbeRefused)
		return 0
	}, "out since 12:00:00 (0 ms), DEAD: no answer to its calls, connect refused 50 ms later. Next probe in 250 ms. Ejected once, level 0."},
	{"broken", func(s *subject) int {
		s.breaks(0)
		s.now += 2 * sec
		s.picks += 588
		return 0
	}, "out since 11:59:58 (2 s), RATE: 7 of 7 calls failed since 11:59:57, the other 3 hosts 0.708 %: evidence 32.2 >= 30. Next test after 412 more picks, at the latest after 10 min."},
	{"broken, due", func(s *subject) int {
		s.breaks(0)
		s.picks += 1000
		return 0
	}, "out since 12:00:00 (0 ms), RATE: 7 of 7 calls failed since 11:59:59, the other 3 hosts 0.708 %: evidence 32.2 >= 30. The next test is due."},
	{"gone, not broken", func(s *subject) int {
		s.record()
		for range 7 {
			s.fail(0, lb.KindError)
		}
		s.now += 20 * ms
		s.answer(lb.ProbeRefused)
		return 0
	}, "out since 11:59:59 (20 ms), DEAD: 7 calls failed, connect refused 20 ms later. Next probe in 250 ms. Ejected once, level 0."},
	{"on trial", func(s *subject) int {
		s.breaks(0)
		s.beginTrial(0, s.now)
		s.coldHalf(0).tested = 4
		return 0
	}, "out since 12:00:00 (0 ms), on trial: 4 of 20 calls done. It was ejected because: 7 of 7 calls failed since 11:59:59, the other 3 hosts 0.708 %: evidence 32.2 >= 30."},
	{"trial failed", func(s *subject) int {
		s.breaks(0)
		s.beginTrial(0, s.now)
		s.Observe(id(0), lb.Outcome{Failed: 1, Kind: lb.KindError, Ticket: s.Assign(id(0), s.now)}, s.now)
		return 0
	}, "out since 12:00:00 (0 ms), RATE: 1 of 1 call failed in a trial, the other 3 hosts 0.708 %: evidence 4.61 >= 1. Next test after 1000 more picks, at the latest after 10 min."},
	{"probation failed", func(s *subject) int {
		s.record()
		s.dies(0)
		s.returns(0)
		s.Update(endpointsOf(2), s.now)
		s.fail(0, lb.KindError)
		return 0
	}, "out since 12:00:00 (0 ms), RATE: 1 of 1 call failed right after its return, the other host 0.708 %: evidence 4.61 >= 1. Next test after 1000 more picks, at the latest after 10 min."},
	{"refused on probation", func(s *subject) int { s.dies(0); s.returns(0); s.fail(0, lb.KindRefused); return 0 },
		"out since 12:00:00 (0 ms), DEAD: it refused a call soon after its return. Next probe in 1.13 s. Ejected 2 times, level 1."},
	{"dead without probes, on trial", func(s *subject) int {
		s.dies(0)
		cfg := s.cfg
		cfg.Probe = false
		s.Reconfigure(cfg, s.now)
		s.beginTrial(0, s.now)
		return 0
	}, "out since 12:00:00 (0 ms), on trial: 0 of 1 call done. It was ejected because: 1 call refused, connect refused 0 ms later."},
	{"dead without probes", func(s *subject) int {
		s.dies(0)
		cfg := s.cfg
		cfg.Probe = false
		s.Reconfigure(cfg, s.now)
		return 0
	}, "out since 12:00:00 (0 ms), DEAD: 1 call refused, connect refused 0 ms later. Next test after 1000 more picks, at the latest after 10 min. Ejected once, level 0."},
	{"panic", func(s *subject) int {
		for i := range 4 {
			s.dies(i)
		}
		return 3
	}, "out since 12:00:00 (0 ms), DEAD: 1 call refused, connect refused 0 ms later. Next probe in 250 ms. Ejected once, level 0. No host is in rotation, so ejected ones are called, those that take connections first."},
	{"shed", func(s *subject) int {
		s.Update(endpointsOf(10), s.now)
		s.run(6*sec, func() { s.answer(lb.ProbeOK) })
		for i := range 7 {
			s.dies(i)
		}
		for range 46 {
			s.ok(8)
		}
		for range 4 {
			s.end(8, lb.Outcome{Failed: 1, Kind: lb.KindOverloaded, Latency: 5 * ms})
		}
		s.ended, s.busy = 50, 4
		s.now = s.nextShed
		s.Tick(s.now)
		s.shed = 1 << 32 / 100 * 12
		return 9
	}, "up, gets 0.96 of a fair share: 5 ms, the median is 5 ms. Refused 12 % of picks: 3 of 10 hosts live, 8 % time-outs and overloads, limit 2."},
}

// TestSentence: each state in words, with what decided and what comes next.
func TestSentence(t *testing.T) {
	for _, c := range sentences {
		t.Run(c.name, func(t *testing.T) {
			s := newSubject(t, 4, nil)
			if got := s.says(c.do(s)); got != c.want {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
		})
	}
}
