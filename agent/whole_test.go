package agent

import (
	"net/netip"
	"testing"
	"time"

	"lars.internal/engine"
	"lars.internal/history"
	"lars.internal/larspb"
	"lars.internal/lb"
	"lars.internal/ledger"
	"lars.internal/route"
)

// tell reports a call of a program that knows tickets.
func (s *system) tell(h route.Host, o lb.Outcome) {
	s.engine.Observe(key12, h, o, s.cfg.Clock())
}

// counterOf names totals that only grow.
type counterOf struct {
	host  route.Host
	since uint32
}

// counters returns the newest results of each counter of a service, and fails if
// one goes back. Messages that were sent before a level was known have none.
func (s *oursServer) counters(key route.Key) map[counterOf]*larspb.HostCallResult {
	s.mu.Lock()
	defer s.mu.Unlock()
	newest := make(map[counterOf]*larspb.HostCallResult)
	for _, m := range s.reports {
		for _, r := range m.Results {
			c := counterOf{route.Host{IP: uint32(r.Ip), Port: uint16(r.Port)}, r.Since}
			if m.Modid != key.Modid || m.Cmdid != key.Cmdid || r.Since == 0 {
				continue
			}
			if before := newest[c]; before != nil && (r.TotalSucc < before.TotalSucc || r.TotalErr < before.TotalErr || r.LatencyUsSum < before.LatencyUsSum) {
				s.t.Errorf("counter %v goes back from %v to %v", c, before, r)
			}
			newest[c] = r
		}
	}
	return newest
}

// counted returns the calls of all counters.
func (s *oursServer) counted(key route.Key) (n uint64) {
	for _, r := range s.counters(key) {
		n += r.TotalSucc + r.TotalErr
	}
	return n
}

func startCounting(t *testing.T, reporters ...*oursServer) (*system, *oursServer) {
	t.Helper()
	dns := startOurs(t)
	dns.set(key12, hostN(0), hostN(1))
	var addrs []netip.AddrPort
	for _, r := range reporters {
		addrs = append(addrs, r.addr)
	}
	s := startHastened(t, []netip.AddrPort{dns.addr}, addrs, func(c *Config) { c.Policy = "classic" })
	s.program(0).served(key12)
	return s, dns
}

// A report service of this project gets all of a result, once it has shown its
// level: how calls failed, how long they took and what became of the host.
func TestReportIsWhole(t *testing.T) {
	reporter := startOurs(t)
	s, _ := startCounting(t, reporter)
	start := time.Now()
	s.tell(hostN(0), lb.Outcome{OK: 1, Latency: 5 * time.Millisecond})
	for range 10 {
		s.tell(hostN(0), lb.Outcome{Failed: 1, Kind: lb.KindTimeout, Latency: time.Second})
	}
	for range 5 {
		s.tell(hostN(0), lb.Outcome{Failed: 1, Kind: lb.KindRefused})
	}
	s.tell(hostN(1), lb.Outcome{Failed: 1, Kind: lb.KindError})
	eventually(t, "all is reported in whole", func() bool { return reporter.counted(key12) == 17 })
	reporter.mu.Lock()
	last := reporter.reports[len(reporter.reports)-1]
	reporter.mu.Unlock()
	if last.SpanMs == 0 || time.Duration(last.SpanMs)*time.Millisecond > testTimeout {
		t.Errorf("a span of %d ms", last.SpanMs)
	}
	for c, r := range reporter.counters(key12) {
		if at := time.Unix(int64(c.since), 0); at.Before(start.Add(-testTimeout)) || at.After(time.Now().Add(time.Second)) {
			t.Errorf("since %v", at)
		}
		if c.host == hostN(1) {
			if r.TotalErr != 1 || r.Refused+r.Timeout != 0 || r.State != uint32(larspb.HostState_STATE_UP) || r.Latency != nil {
				t.Errorf("second host: %v", r)
			}
			continue
		}
		if r.TotalSucc != 1 || r.TotalErr != 15 || r.Timeout != 10 || r.Refused != 5 || r.LatencyUsSum != 10_005_000 {
			t.Errorf("totals: %v", r)
		}
		if r.State != uint32(larspb.HostState_STATE_EJECTED) || r.Reason != uint32(larspb.HostReason_REASON_ROW) || r.Ejections != 1 {
			t.Errorf("state: %v", r)
		}
		if l, err := history.ParseSketch(r.Latency); err != nil || l.N() != 11 || l.Quantile(0.5).Round(100*time.Millisecond) != time.Second {
			t.Errorf("latency: %d, %v, median %v", l.N(), err, l.Quantile(0.5))
		}
	}
}

// Until the report service has shown a level it gets what C++ knows, and nothing
// else: the first report of a connection, and all of one of C++.
func TestReportToCppHasNothingNew(t *testing.T) {
	plain := func(t *testing.T, m *larspb.ReportStatusRequest) {
		t.Helper()
		for _, r := range m.Results {
			old := &larspb.HostCallResult{Ip: r.Ip, Port: r.Port, Succ: r.Succ, Err: r.Err, Overload: r.Overload, TotalSucc: r.TotalSucc, TotalErr: r.TotalErr}
			if r.String() != old.String() || m.SpanMs != 0 {
				t.Errorf("got %v", m)
			}
		}
	}
	t.Run("C++", func(t *testing.T) {
		s := startSystem(t, nil)
		s.dns.set(key12, hostsN(2)...)
		s.program(0).served(key12)
		for i := range 3 {
			for range 20 {
				s.tell(hostN(0), lb.Outcome{Failed: 1, Kind: lb.KindTimeout, Latency: time.Second})
			}
			s.counted(key12, 0, uint64(20*(i+1)))
		}
		for _, m := range s.reporter.reports() {
			plain(t, m)
		}
	})
	t.Run("first of a connection", func(t *testing.T) {
		reporter := startOurs(t)
		s, _ := startCounting(t, reporter)
		s.tell(hostN(0), lb.Outcome{OK: 1, Latency: time.Second})
		eventually(t, "it is reported again, in whole", func() bool { return reporter.counted(key12) == 1 })
		eventually(t, "all is acknowledged", func() bool { return s.engine.InFlight() == 0 && s.engine.WaitingAll() == 0 })
		reporter.mu.Lock()
		defer reporter.mu.Unlock()
		plain(t, reporter.reports[0])
		if n := len(reporter.reports); n != 2 {
			t.Errorf("%d reports, want the plain one and the whole", n)
		}
	})
}

// A host that leaves and returns is another counter. Of each, the totals are
// those of its calls.
func TestSinceChangesWhenAHostReturns(t *testing.T) {
	reporter := startOurs(t)
	s, _ := startCounting(t, reporter)
	update := func(hosts ...route.Host) {
		s.observe(key12, hostN(1), true, s.cfg.Clock())
		eventually(t, "all is acknowledged", func() bool { return s.engine.InFlight() == 0 && s.engine.WaitingAll() == 0 })
		s.engine.Update(key12, engine.Route{Hosts: route.Of(hosts...).Hosts}, s.cfg.Clock())
	}
	for range 3 {
		s.tell(hostN(0), lb.Outcome{OK: 1})
		update(hostN(1))
		update(hostN(0), hostN(1))
	}
	eventually(t, "all is reported", func() bool { return reporter.counted(key12) == 9 })
	lives := 0
	for c, r := range reporter.counters(key12) {
		if c.host == hostN(0) && r.TotalSucc > 0 {
			lives++
			if r.TotalSucc != 1 {
				t.Errorf("counter %v has %d calls, want 1", c, r.TotalSucc)
			}
		}
	}
	if lives != 3 {
		t.Errorf("%d counters of the host that left, want 3", lives)
	}
}

// A report that is lost, repeated at another report service or merged with a
// newer one leaves the totals of each counter right.
func TestTotalsAreRightWhateverArrives(t *testing.T) {
	first, second := startOurs(t), startOurs(t)
	s, _ := startCounting(t, first, second)
	calls := uint64(0)
	tell := func() {
		for range 20 {
			calls++
			s.tell(hostN(int(calls%2)), lb.Outcome{OK: 1, Latency: time.Millisecond})
		}
	}
	tell()
	eventually(t, "the first report service has all", func() bool { return first.counted(key12) == calls })
	first.hanging.Store(true)
	tell()
	eventually(t, "a report is lost", func() bool { return s.reports.again.Load() > 0 })
	tell()
	eventually(t, "the second has all, what the first has included", func() bool { return second.counted(key12) == calls })
	second.hangUp()
	tell()
	first.hanging.Store(false)
	eventually(t, "one of them has all", func() bool { return max(first.counted(key12), second.counted(key12)) == calls })
	if n := len(second.counters(key12)); n != 2 {
		t.Errorf("%d counters, want one for each host", n)
	}
}

// What was sent before the report service showed its level counted as arrived once
// its kernel had it, as with one of C++. It is reported again when it turns out
// that the report service acknowledges.
func TestReportsThatCountedAsArrivedAreRepeated(t *testing.T) {
	reporter, other := startOurs(t), route.Key{Modid: 3, Cmdid: 4}
	s, _ := startCounting(t, reporter)
	s.engine.Restore(other, route.Of(hostN(2)), s.cfg.Clock(), s.cfg.Clock())
	reporter.hanging.Store(true)
	s.observe(other, hostN(2), true, s.cfg.Clock())
	eventually(t, "the report counts as arrived", func() bool {
		return s.reports.sent.Load() == 1 && s.engine.InFlight() == 0
	})
	reporter.hanging.Store(false)
	s.tell(hostN(0), lb.Outcome{OK: 1})
	eventually(t, "it is reported again, in whole", func() bool { return reporter.counted(other) == 1 })
}

// The totals of a host that returned before all of it was reported go on for those
// who count by since; C++ gets those that it has always got.
func TestCodedTotals(t *testing.T) {
	r := &ledger.Result{Host: hostN(0), TotalSucc: 1, TotalErr: 2, PastSucc: 10, PastErr: 20, Since: 7}
	for whole, want := range map[bool][3]uint64{false: {1, 2, 0}, true: {11, 22, 7}} {
		c := coded(r, whole)
		if got := [3]uint64{c.TotalSucc, c.TotalErr, uint64(c.Since)}; got != want {
			t.Errorf("whole %v: %v, want %v", whole, got, want)
		}
	}
	for d, want := range map[time.Duration]uint32{0: 0, 1: 1, 1500 * time.Microsecond: 2, 1 << 62: 1<<32 - 1} {
		if got := milliseconds(d); got != want {
			t.Errorf("%v are %d ms, want %d", d, got, want)
		}
	}
}
