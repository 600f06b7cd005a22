package adaptive

import (
	"fmt"
	"testing"

	"lars.internal/lb"
)

// troubled returns a balancer whose hosts all have something to tell: windows
// that are open, calls in flight, and every tenth is ejected.
func troubled(t testing.TB, n int) *subject {
	s := newSubject(t, n, nil, 100, 50)
	for i := range n {
		if s.begin(i); i%10 == 9 {
			s.fail(i, lb.KindRefused)
			s.answer(lb.ProbeRefused)
			continue
		}
		for range 1 + i%4 {
			s.fail(i, lb.KindError)
		}
		s.answer(lb.ProbeOK)
	}
	return s
}

// TestExplainAllocatesAFewTimes, whatever the number of hosts: it runs under the
// lock that picks wait for.
func TestExplainAllocatesAFewTimes(t *testing.T) {
	s := troubled(t, 100)
	if got := testing.AllocsPerRun(10, func() { s.Explain(nil) }); got > 8 {
		t.Errorf("%v allocations", got)
	}
	dst := make([]lb.Share, 0, 100)
	if got := testing.AllocsPerRun(10, func() { s.Shares(dst) }); got != 0 {
		t.Errorf("Shares allocates %v times", got)
	}
	if got := testing.AllocsPerRun(10, func() { s.Tick(s.now) }); got != 0 {
		t.Errorf("Tick allocates %v times", got)
	}
	for _, h := range s.Explain(nil) {
		if len(h.Facts) > maxFacts {
			t.Errorf("%d facts", len(h.Facts))
		}
	}
}

// TestExplainedOthers: the quick median is the one that decides.
func TestExplainedOthers(t *testing.T) {
	for _, n := range []int{1, 2, 3, 4, 10, 11} {
		s := troubled(t, n)
		endpoints := endpointsOf(n, 100)
		endpoints[0].Weight = uint32(n % 2)
		s.Update(endpoints, s.now)
		v := s.overview()
		for i := range s.hosts {
			if s.hosts[i].state != up {
				continue
			}
			got, compared := v.others(&s.hosts[i])
			if want := s.others(int32(i)); got != want || compared != s.compared(int32(i)) {
				t.Errorf("%d hosts: others of host %d: %v of %d, want %v of %d", n, i, got, compared, want, s.compared(int32(i)))
			}
		}
	}
}

func benchTroubled(b *testing.B, one func(*subject)) {
	for _, n := range []int{10, 100, 500} {
		b.Run(fmt.Sprintf("hosts=%d", n), func(b *testing.B) {
			s := troubled(b, n)
			b.ReportAllocs()
			for b.Loop() {
				one(s)
			}
		})
	}
}

func BenchmarkExplain(b *testing.B) { benchTroubled(b, func(s *subject) { s.Explain(nil) }) }

func BenchmarkShares(b *testing.B) {
	dst := make([]lb.Share, 0, 500)
	benchTroubled(b, func(s *subject) { s.Shares(dst) })
}

// BenchmarkTick ticks services with calls in flight.
func BenchmarkTick(b *testing.B) { benchTroubled(b, func(s *subject) { s.Tick(s.now) }) }

// BenchmarkReportGood tells of successes only, as most services do for hours.
func BenchmarkReportGood(b *testing.B) {
	s := newSubject(b, 10, nil)
	for range 50_000 {
		for i := range 10 {
			s.ok(i)
		}
	}
	b.ReportAllocs()
	at := 0
	for b.Loop() {
		if at++; at == 10 {
			at = 0
		}
		s.now += 1000
		s.hosts[at].inFlight = 1
		s.Observe(s.ids[at], lb.Outcome{OK: 1, Latency: 5 * ms}, s.now)
	}
}
