package sim

import (
	"fmt"
	"testing"
	"time"
)

// TestCallersThatWaitForLong: a host that is dark for 2 s, whose callers wait for
// 5 s, is not ejected again when these calls time out after its return, and has
// its share soon.
func TestCallersThatWaitForLong(t *testing.T) {
	t.Parallel()
	for _, untold := range []bool{false, true} {
		for _, n := range []int{3, 10} {
			s := DefaultScenario()
			s.Hosts, s.Rate, s.Length, s.Timeout, s.NoLatency = n, 1000, 23*sec, 5*sec, untold
			s.Steps = []Step{{At: 12 * sec, Change: Dark}, {At: 14 * sec, Change: Heals}}
			t.Run(fmt.Sprintf("%d hosts, untold %v", n, untold), func(t *testing.T) {
				r := Run(s, policy(t, "adaptive"))
				figures{
					"again": float64(r.Counters.EjectedRate), "still out": float64(r.StillOut),
					"share": r.hostShare(0, 16*sec, 22*sec),
				}.check(t, []bound{atMost("again", 0), atMost("still out", 0), atLeast("share", 0.7)})
			})
		}
	}
}

// TestLostReportsOfBusyHosts: where tickets tell when calls began, reports that are lost
// make the slow host of five no harder to see.
func TestLostReportsOfBusyHosts(t *testing.T) {
	t.Parallel()
	s := queues(4)
	s.Hosts, s.Rate, s.Length, s.ReportsLost = 5, 350, 40*sec, 0.01
	s.Steps = []Step{{Change: Slow, Value: 5}}
	r := Run(s, policy(t, "adaptive"))
	figures{"p99": float64(r.Latencies.Quantile(0.99) / time.Millisecond)}.check(t, []bound{atMost("p99", 135)})
}
