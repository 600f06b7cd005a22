package adaptive

import (
	"testing"

	"lars.internal/lb"
	"lars.internal/route"
)

// TestReconfigureKeepsHosts: what is ejected stays so, and what is known stays
// known.
func TestReconfigureKeepsHosts(t *testing.T) {
	s := newSubject(t, 3, nil)
	s.fail(0, lb.KindRefused)
	s.answer(lb.ProbeRefused)
	before := *s.host(1)
	cfg := DefaultConfig()
	cfg.Evidence, cfg.GrantedErrorRate = 10, 0.02
	up := s.up
	s.Reconfigure(cfg, s.now)
	if s.host(0).state != out || *s.host(1) != before {
		t.Errorf("host 0 in state %d, host 1 %+v, before %+v", s.host(0).state, *s.host(1), before)
	}
	if s.up >= up {
		t.Errorf("a failure adds %d to the score, before %d: more errors are granted now", s.up, up)
	}
	for range 4 {
		s.fail(1, lb.KindError)
		s.answer(lb.ProbeOK)
	}
	if s.host(1).state != out {
		t.Errorf("the new limit of the evidence does not hold: %+v", *s.host(1))
	}
}

// TestReconfigureZone: the zone of this machine decides again which hosts are
// preferred.
func TestReconfigureZone(t *testing.T) {
	s := bareSubject(t, nil)
	endpoints := endpointsOf(4)
	for i := range endpoints {
		endpoints[i].Zone = [2]string{"a", "b"}[i%2]
	}
	s.Update(endpoints, s.now)
	for zone, want := range map[string][]int{"": {0, 1, 2, 3}, "a": {0, 2}, "b": {1, 3}} {
		cfg := DefaultConfig()
		cfg.Zone = zone
		s.Reconfigure(cfg, s.now)
		got := s.drawn(1000)
		for _, i := range want {
			if got[i] == 0 {
				t.Errorf("zone %q: picks %v, want hosts %v", zone, got, want)
			}
		}
		if len(got) != len(want) {
			t.Errorf("zone %q: picks %v, want hosts %v", zone, got, want)
		}
	}
}

// TestReconfigureProbe: hosts that were not probed so far are, and no more than
// these.
func TestReconfigureProbe(t *testing.T) {
	s := bareSubject(t, func(c *Config) { c.Probe = false })
	s.Update(endpointsOf(3), s.now)
	s.run(11*sec, nil)
	if got := s.Probes(nil); len(got) != 0 {
		t.Fatalf("probes of %v", got)
	}
	s.Reconfigure(DefaultConfig(), s.now)
	asked := 0
	s.run(11*sec, func() { asked += len(s.answer(lb.ProbeOK)) })
	if asked != 3 {
		t.Errorf("%d probes of 3 hosts", asked)
	}
}

// TestReconfigureDoubtful: a host that becomes doubtful by it is tested as the
// others are.
func TestReconfigureDoubtful(t *testing.T) {
	s := newSubject(t, 3, nil)
	s.fail(0, lb.KindError)
	cfg := DefaultConfig()
	cfg.Doubtful, cfg.TestEvery = 1, 100
	s.Reconfigure(cfg, s.now)
	if got := s.drawn(100); got[0] != 0 {
		t.Errorf("%d of 100 picks go to a doubtful host", got[0])
	}
	s.run(2*sec, nil)
	if got := s.drawn(20); got[0] == 0 {
		t.Errorf("%d picks test a doubtful host, want one", got[0])
	}
}

// TestAssign: calls that were picked elsewhere are in flight, and test a host on
// trial.
func TestAssign(t *testing.T) {
	s := newSubject(t, 3, nil)
	picks := s.picks
	ticket := s.Assign(id(1), s.now)
	if h := s.host(1); h.inFlight != 1 || h.quiet != toMS(s.now) || s.picks != picks+1 {
		t.Errorf("%+v after %d picks", *h, s.picks-picks)
	}
	s.now += 30 * ms
	s.Observe(id(1), lb.Outcome{OK: 1, Ticket: ticket}, s.now)
	if h := s.host(1); h.inFlight != 0 || h.latency < 6000 {
		t.Errorf("%+v: the ticket told of 30 ms", *h)
	}
	if s.Assign(route.Host{IP: 9}, s.now) != 0 {
		t.Error("a ticket for a host that is not known")
	}
	s.host(0).state = trial
	s.chill(0).needed = 2
	ticket = s.Assign(id(0), s.now)
	late := s.Assign(id(0), s.now)
	s.Observe(id(0), lb.Outcome{OK: 1, Ticket: ticket}, s.now)
	s.Observe(id(0), lb.Outcome{OK: 1, Ticket: late}, s.now)
	if c := s.coldHalf(0); c.tested != 1 {
		t.Errorf("%d calls of the trial, want one at a time", c.tested)
	}
}
