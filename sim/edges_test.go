package sim

import (
	"slices"
	"testing"
)

// TestEdges: what must not go wrong at the borders: everybody is back soon.
func TestEdges(t *testing.T) {
	for _, c := range []struct {
		name   string
		hosts  int
		bad    int
		change Change
		during float64 // least percent of good calls while it lasts
	}{
		{"the only host dies", 1, 1, Dies, 0},
		{"the only host hangs", 1, 1, Hangs, 0},
		{"one of 2 dies", 2, 1, Dies, 99.5},
		{"both of 2 die", 2, 2, Dies, 0},
		{"all 10 die", 10, 10, Dies, 0},
		{"all 10 go dark", 10, 10, Dark, 0},
		{"all 10 hang", 10, 10, Hangs, 0},
		{"9 of 10 die", 10, 9, Dies, 99},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := DefaultScenario()
			s.Hosts, s.Agents, s.Length = c.hosts, 4, 64*sec
			s.Steps = []Step{{At: 20 * sec, To: c.bad - 1, Change: c.change}, {At: 40 * sec, To: c.bad - 1, Change: Heals}}
			r := Run(s, policy(t, "adaptive"))
			figures{
				"during": 100 * r.goodShare(20*sec, 40*sec), "after": 100 * r.goodShare(43*sec, 63*sec),
				"refused": 100 * r.Refused.Sum(20*sec, 63*sec) / r.Calls.Sum(20*sec, 63*sec),
			}.check(t, []bound{atLeast("during", c.during), atLeast("after", 99.9), atMost("refused", 0)}) // a call is a better test than none
		})
	}
}

// TestLostReports: programs that die before they report, or never report.
func TestLostReports(t *testing.T) {
	withoutRaces(t)
	for _, c := range []struct {
		name string
		lost float64
		most float64
	}{{"1 %", 0.01, 4}, {"50 %", 0.5, 10}, {"all", 1, 150}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := DefaultScenario()
			s.Rate, s.Agents, s.Length, s.ReportsLost = 1000, 4, 50*sec, c.lost
			s.Steps = []Step{{At: 20 * sec, Change: Dies}}
			r := Run(s, policy(t, "adaptive"))
			figures{"first": r.Failed.Sum(20*sec, 30*sec) / 4, "late": 100 * r.failedShare(30*sec, 50*sec)}.check(t,
				[]bound{atMost("first", c.most), atMost("late", 0)})
		})
	}
}

// TestSameSeedSameRun: a run depends on its scenario alone.
func TestSameSeedSameRun(t *testing.T) {
	s := oneOf(10, 100, Dark)
	s.Agents = 5
	for _, name := range Policies() {
		a, b := Run(s, policy(t, name)), Run(s, policy(t, name))
		if a.Latencies != b.Latencies || a.Probes != b.Probes || !slices.Equal(a.Failed, b.Failed) {
			t.Errorf("two runs of %s differ", name)
		}
	}
}
