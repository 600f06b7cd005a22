package sim

import (
	"math"
	"slices"
	"testing"
	"time"

	"lars.internal/lb/adaptive"
)

const sec = time.Second

// figures are what a case of a table shows, by name. The bounds of a case hold
// for the figures that it names; they leave room for other seeds.
type figures map[string]float64

type bound struct {
	name      string
	low, high float64
}

func atMost(name string, high float64) bound { return bound{name, math.Inf(-1), high} }
func atLeast(name string, low float64) bound { return bound{name, low, math.Inf(1)} }
func within(name string, low, high float64) bound {
	return bound{name, low, high}
}

func (f figures) check(t *testing.T, bounds []bound) {
	t.Helper()
	t.Log(f)
	for _, b := range bounds {
		if v, ok := f[b.name]; !ok || v < b.low || v > b.high {
			t.Errorf("%s = %.4g, want %.4g to %.4g", b.name, v, b.low, b.high)
		}
	}
}

func policy(t testing.TB, name string) Policy {
	t.Helper()
	p, err := PolicyOf(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// oneOf returns a run in which one of n hosts changes at 10 s and heals at 40 s.
func oneOf(n int, rate float64, c Change) Scenario {
	s := DefaultScenario()
	s.Hosts, s.Rate, s.Agents, s.Length = n, rate, 40, 75*sec
	if rate > 100 {
		s.Agents = 6
	}
	s.Steps = []Step{{At: 10 * sec, Change: c}, {At: 40 * sec, Change: Heals}}
	return s
}

func oneOfFigures(s Scenario, r *Result) figures {
	return figures{
		"first":  r.Failed.Sum(10*sec, 20*sec) / float64(s.Agents), // failed calls of a machine in 10 s
		"late":   100 * r.FailedShare(20*sec, 40*sec),              // then, in percent
		"median": r.ToReturn.Quantile(0.5).Seconds(),               // back in rotation
		"worst":  r.ToReturn.Quantile(1).Seconds(), "still out": float64(r.StillOut),
	}
}

// TestOneHostOfMany is the first table: what a dead, dark and hung host costs.
func TestOneHostOfMany(t *testing.T) {
	back := []bound{atMost("late", 0), atMost("median", 1.3), atMost("worst", 1.5), atMost("still out", 0)}
	hung := func(first float64) []bound { return []bound{atMost("first", first), atMost("late", 0.1)} }
	for _, c := range []struct {
		name, policy string
		scenario     Scenario
		bounds       []bound
	}{
		{"dead of 3, 20/s", "adaptive", oneOf(3, 20, Dies), append(back, atMost("first", 1.2))},
		{"dead of 10, 20/s", "adaptive", oneOf(10, 20, Dies), append(back, atMost("first", 1.2))},
		{"dead of 100, 20/s", "adaptive", oneOf(100, 20, Dies), []bound{atMost("first", 1), atMost("late", 0.1), atMost("worst", 1.5)}},
		{"dead of 3, 1000/s", "adaptive", oneOf(3, 1000, Dies), append(back, atMost("first", 2))},
		{"dead of 10, 1000/s", "adaptive", oneOf(10, 1000, Dies), append(back, atMost("first", 1.5))},
		{"dark of 3, 20/s", "adaptive", oneOf(3, 20, Dark), append(back, atMost("first", 1.5))},
		{"dark of 3, 1000/s", "adaptive", oneOf(3, 1000, Dark), append(back, atMost("first", 8))},
		{"dark of 10, 1000/s", "adaptive", oneOf(10, 1000, Dark), append(back, atMost("first", 3.5))},
		{"hung of 3, 1000/s", "adaptive", oneOf(3, 1000, Hangs), append(hung(15), atMost("worst", 3))},
		{"hung of 20, 1000/s", "adaptive", oneOf(20, 1000, Hangs), append(hung(9), atMost("worst", 3))},
		{"dead of 10, 1000/s, classic", "classic", oneOf(10, 1000, Dies), []bound{within("first", 850, 960), within("late", 8.5, 9.5)}},
		{"dead of 10, 1000/s, round robin", "round-robin", oneOf(10, 1000, Dies), []bound{within("late", 9.9, 10.1)}},
		{"dead of 10, 1000/s, Envoy", "envoy", oneOf(10, 1000, Dies), []bound{within("first", 3, 7), atMost("late", 0)}},
		{"dark of 10, 1000/s, Envoy", "envoy", oneOf(10, 1000, Dark), []bound{within("first", 80, 130)}},
		{"dead of 10, 1000/s, linkerd", "linkerd", oneOf(10, 1000, Dies), []bound{within("first", 8, 12), atMost("late", 0.02)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := Run(c.scenario, policy(t, c.policy))
			oneOfFigures(c.scenario, r).check(t, c.bounds)
		})
	}
}

// TestWithoutProbes: evidence alone ejects a dead host after some seven calls.
func TestWithoutProbes(t *testing.T) {
	t.Parallel()
	s := oneOf(10, 1000, Dies)
	r := Run(s, Adaptive(func(c *adaptive.Config) { c.Probe = false }))
	oneOfFigures(s, r).check(t, []bound{atMost("first", 12), atMost("late", 0.05)})
}

// TestRetry: with a second try on another host no user sees a dead host.
func TestRetry(t *testing.T) {
	t.Parallel()
	for _, c := range []Change{Dies, Dark} {
		s := oneOf(3, 1000, c)
		s.Retry, s.RetryTimeouts = 0.1, true
		oneOfFigures(s, Run(s, policy(t, "adaptive"))).check(t, []bound{atMost("first", 0), atMost("late", 0)})
	}
}

// TestHealthyHostsStay: what all hosts suffer ejects none of them.
func TestHealthyHostsStay(t *testing.T) {
	all := func(n int, rate float64, length time.Duration, p ...float64) Scenario {
		s := DefaultScenario()
		s.Agents, s.Hosts, s.Rate, s.Length = 4, n, rate, length
		for i, e := range p {
			s.Steps = append(s.Steps, Step{At: time.Duration(i) * length / time.Duration(len(p)), To: n - 1, Change: Errors, Value: e})
		}
		return s
	}
	for _, c := range []struct {
		name     string
		scenario Scenario
	}{
		{"1 %", all(10, 1000, 100*sec, 0.01)},
		{"5 %", all(10, 1000, 100*sec, 0.05)},
		{"5 % at 20/s", all(10, 20, 300*sec, 0.05)},
		{"jump to 30 %", all(10, 1000, 120*sec, 0, 0.3, 0.3)},
		{"jump to 100 % and back", all(10, 1000, 120*sec, 0, 1, 0)},
		{"two hosts, 5 %", all(2, 1000, 200*sec, 0.05)},
		{"two hosts, 30 %", all(2, 1000, 200*sec, 0.3)},
		{"three hosts, 10 %", all(3, 1000, 100*sec, 0.1)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := Run(c.scenario, policy(t, "adaptive"))
			f := figures{"ejections": float64(r.Ejections), "refused": r.Refused.Sum(0, c.scenario.Length)}
			f.check(t, []bound{atMost("ejections", 0), atMost("refused", 0)})
		})
	}
}

// TestClassicRefusesByItself is what the adaptive policy is compared with in
// TestHealthyHostsStay.
func TestClassicRefusesByItself(t *testing.T) {
	t.Parallel()
	s := DefaultScenario()
	s.Agents, s.Rate = 4, 1000
	s.Steps = []Step{{At: 20 * sec, To: 9, Change: Errors, Value: 0.3}}
	r := Run(s, policy(t, "classic"))
	figures{"refused": 100 * r.Refused.Sum(30*sec, 60*sec) / r.Calls.Sum(30*sec, 60*sec)}.check(t, []bound{atLeast("refused", 10)})
}

// TestLostProbes: a network that loses probes ejects nobody, nor does a filter
// that drops all of them at a stroke.
func TestLostProbes(t *testing.T) {
	for _, c := range []struct {
		name  string
		hosts int
		lost  []float64 // from the start, and from 20 s on
		most  float64
	}{
		{"1 %", 10, []float64{0.01}, 0},
		{"10 %", 10, []float64{0.1}, 1},
		{"all, always", 10, []float64{1}, 0},
		{"all, from 20 s on", 10, []float64{0, 1}, 0},
		{"all of two hosts, from 20 s on", 2, []float64{0, 1}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := DefaultScenario()
			s.Hosts, s.Agents, s.Length = c.hosts, 20, 200*sec
			s.Rate, s.ProbesLost = 20, c.lost[0]
			s.Steps = []Step{{To: c.hosts - 1, Change: Errors, Value: 0.02}}
			if len(c.lost) > 1 {
				s.Steps = append(s.Steps, Step{At: 20 * sec, Change: ProbesLost, Value: c.lost[1]})
			}
			r := Run(s, policy(t, "adaptive"))
			figures{"ejections": float64(r.Ejections), "probes": float64(r.Probes)}.check(t, []bound{atMost("ejections", c.most)})
		})
	}
}

// TestManyDead: when hosts are missing, the others are not buried. A host can
// carry 2.5 times its share.
func TestManyDead(t *testing.T) {
	for _, c := range []struct {
		name, policy string
		dead         int
		bounds       []bound
	}{
		{"5 of 10", "adaptive", 5, []bound{atLeast("good", 99), atMost("refused", 0.1)}},
		{"7 of 10", "adaptive", 7, []bound{atLeast("good", 62)}},
		{"8 of 10", "adaptive", 8, []bound{atLeast("good", 42), atMost("load", 2.8)}},
		{"9 of 10", "adaptive", 9, []bound{atLeast("good", 17), atMost("load", 2.8)}},
		{"8 of 10, Envoy", "envoy", 8, []bound{atMost("good", 30)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := DefaultScenario()
			s.Agents, s.Rate, s.Length = 20, 100, 80*sec
			s.Workers, s.Sigma, s.Service = 5, 0, 10*time.Millisecond
			s.Steps = []Step{{At: 20 * sec, To: c.dead - 1, Change: Dark}}
			r := Run(s, policy(t, c.policy))
			load := 0.0
			for h := c.dead; h < s.Hosts; h++ {
				load += r.HostShare(h, 40*sec, 80*sec) / float64(s.Hosts-c.dead)
			}
			figures{
				"good": 100 * r.GoodShare(40*sec, 80*sec), "load": load,
				"refused": 100 * r.Refused.Sum(40*sec, 80*sec) / r.Calls.Sum(40*sec, 80*sec),
			}.check(t, c.bounds)
		})
	}
}

// queues returns 20 hosts with queues at 70 % of what they can carry.
func queues(agents int) Scenario {
	s := DefaultScenario()
	s.Agents, s.Rate, s.Hosts, s.Length = agents, 5600/float64(agents), 20, 40*sec
	s.Workers, s.Sigma, s.Service, s.Timeout = 8, 0, 20*time.Millisecond, 3*sec
	return s
}

// slowEven makes every second host slower, the others faster.
func slowEven() (steps []Step) {
	for i := range 20 {
		steps = append(steps, Step{From: i, To: i, Change: Slow, Value: []float64{1.6, 0.7}[i%2]})
	}
	return steps
}

// TestSlowHosts is the table of latencies.
func TestSlowHosts(t *testing.T) {
	slowOne := []Step{{Change: Slow, Value: 5}}
	var pauses []Step
	for at := 10 * sec; at < 40*sec; at += 2 * sec {
		pauses = append(pauses, Step{At: at, Change: Pauses, Value: 0.3})
	}
	for _, c := range []struct {
		name, policy string
		agents       int
		steps        []Step
		lost         float64
		untold       bool
		bounds       []bound
	}{
		{"equal", "adaptive", 100, nil, 0, false, []bound{atMost("p99", 99), atMost("failed", 0)}},
		{"one 5x slower", "adaptive", 100, slowOne, 0, false, []bound{atMost("p99", 104), atMost("p999", 190), atMost("share", 0.12), atMost("failed", 0)}},
		{"one 5x slower, 4 agents", "adaptive", 4, slowOne, 0, false, []bound{atMost("p99", 104), atMost("p999", 190), atMost("share", 0.15)}},
		{"one 5x slower, 1000 agents", "adaptive", 1000, slowOne, 0, false, []bound{atMost("p99", 108), atMost("failed", 0.1)}},
		{"half slower", "adaptive", 100, slowEven(), 0, false, []bound{atMost("p99", 118), atMost("failed", 0)}},
		{"one pauses", "adaptive", 100, pauses, 0, false, []bound{atMost("p99", 112)}},
		{"one 5x slower, by Little's law", "adaptive", 100, slowOne, 0, true, []bound{atMost("p99", 106), atMost("share", 0.12)}},
		{"one 5x slower, untold, 1 % lost", "adaptive", 100, slowOne, 0.01, true, []bound{atMost("p99", 1900), atMost("failed", 0.1)}},
		{"one 5x slower, told, 1 % lost", "adaptive", 100, slowOne, 0.01, false, []bound{atMost("p99", 115), atMost("share", 0.2)}},
		{"one 5x slower, round robin", "round-robin", 100, slowOne, 0, false, []bound{atLeast("p99", 2500)}},
		{"one 5x slower, least request", "least-request", 100, slowOne, 0, false, []bound{atLeast("p99", 500)}},
		{"one 5x slower, peak EWMA", "peak-ewma", 100, slowOne, 0, false, []bound{within("p99", 90, 112)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := queues(c.agents)
			s.Steps, s.ReportsLost, s.NoLatency = c.steps, c.lost, c.untold
			r := Run(s, policy(t, c.policy))
			figures{
				"p99":   r.Latencies.Quantile(0.99).Seconds() * 1000,
				"p999":  r.Latencies.Quantile(0.999).Seconds() * 1000,
				"share": r.HostShare(0, 20*sec, 40*sec), "failed": 100 * r.FailedShare(10*sec, 40*sec),
				"ejections": float64(r.Ejections),
			}.check(t, append(c.bounds, atMost("ejections", 0)))
		})
	}
}

// TestHerd: a cold host that comes back is not overrun by 300 machines.
func TestHerd(t *testing.T) {
	t.Parallel()
	s := DefaultScenario()
	s.Agents, s.Rate, s.Hosts, s.Length = 300, 33, 20, 46*sec
	s.Workers, s.Sigma, s.Service = 16, 0, 20*time.Millisecond
	s.Steps = []Step{
		{At: 10 * sec, Change: Dies}, {At: 30 * sec, Change: Heals},
		{At: 30 * sec, Change: Slow, Value: 3}, {At: 35 * sec, Change: Slow, Value: 1},
	}
	r := Run(s, policy(t, "adaptive"))
	figures{"peak": r.PeakLoad(0, 30*sec, 45*sec), "failed": 100 * r.FailedShare(30*sec, 45*sec)}.check(t,
		[]bound{atMost("peak", 1.3), atMost("failed", 0.01)})
}

// TestGrayHost: one of 10 hosts fails a part of its calls.
func TestGrayHost(t *testing.T) {
	for _, c := range []struct {
		name, policy string
		errors, rate float64
		bounds       []bound
	}{
		{"20 % at 1000/s", "adaptive", 0.2, 1000, []bound{atMost("first", 60), atMost("late", 0.12)}},
		{"50 % at 1000/s", "adaptive", 0.5, 1000, []bound{atMost("first", 45), atMost("late", 0.12)}},
		{"50 % at 20/s", "adaptive", 0.5, 20, []bound{atMost("first", 6), atMost("late", 0.6)}},
		{"20 % at 1000/s, classic", "classic", 0.2, 1000, []bound{atLeast("late", 1.5)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := DefaultScenario()
			s.Rate, s.Agents, s.Length = c.rate, 20, 70*sec
			if c.rate > 100 {
				s.Agents = 3
			}
			s.Steps = []Step{{To: 9, Change: Errors, Value: 0.001}, {At: 10 * sec, Change: Errors, Value: c.errors}}
			r := Run(s, policy(t, c.policy))
			figures{
				"first": r.Failed.Sum(10*sec, 20*sec) / float64(s.Agents),
				"late":  100*r.FailedShare(20*sec, 70*sec) - 0.1,
			}.check(t, c.bounds)
		})
	}
}

// TestRestarts: hosts that flap, and a deployment of all.
func TestRestarts(t *testing.T) {
	flap := DefaultScenario()
	flap.Rate, flap.Agents, flap.Length = 1000, 3, 130*sec
	for at := 10 * sec; at < 130*sec; at += 10 * sec {
		flap.Steps = append(flap.Steps, Step{At: at, Change: Dies}, Step{At: at + 5*sec, Change: Heals})
	}
	deploy := DefaultScenario()
	deploy.Rate, deploy.Agents, deploy.Hosts, deploy.Length = 1000, 3, 20, 220*sec
	for h := range 20 {
		at := 10*sec + time.Duration(h)*10*sec
		deploy.Steps = append(deploy.Steps, Step{At: at, From: h, To: h, Change: Dies}, Step{At: at + 3*sec, From: h, To: h, Change: Heals})
	}
	slow := flap
	slow.Rate, slow.Agents = 20, 20
	for _, c := range []struct {
		name string
		s    Scenario
		most float64
	}{{"flapping", flap, 0.02}, {"flapping at 20/s", slow, 0.4}, {"deployment", deploy, 0.02}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := Run(c.s, policy(t, "adaptive"))
			figures{"failed": 100 * r.FailedShare(10*sec, c.s.Length)}.check(t, []bound{atMost("failed", c.most)})
		})
	}
}

// TestLowRate: one call in ten seconds from each machine.
func TestLowRate(t *testing.T) {
	for _, change := range []Change{Dies, Hangs} {
		t.Run(change.String(), func(t *testing.T) {
			t.Parallel()
			s := DefaultScenario()
			s.Rate, s.Agents, s.Length = 0.1, 100, 700*sec
			s.Steps = []Step{{At: 100 * sec, Change: change}}
			r := Run(s, policy(t, "adaptive"))
			figures{"failed": r.Failed.Sum(100*sec, 700*sec) / 100}.check(t, []bound{atMost("failed", 1.3)})
		})
	}
}

// TestWeights: each host gets its weight, the light ones a little more.
func TestWeights(t *testing.T) {
	t.Parallel()
	s := DefaultScenario()
	s.Rate, s.Hosts = 1000, 6
	weights := []float64{0, 1, 1, 2, 4, 8}
	for i, w := range weights {
		s.Steps = append(s.Steps, Step{From: i, To: i, Change: Weight, Value: w})
	}
	r := Run(s, policy(t, "adaptive"))
	for i, w := range weights {
		got := r.HostShare(i, 10*sec, 60*sec) / 6
		if w == 0 && got != 0 {
			t.Errorf("the host of weight 0 gets %.4g of the calls", got)
		}
		if want := w / 16; w > 0 && (got < 0.9*want || got > 1.3*want) {
			t.Errorf("weight %v gets %.4g of the calls, want about %.4g", w, got, want)
		}
	}
}

// TestZones: calls leave the zone only when its hosts would get more than 1.4
// times their share.
func TestZones(t *testing.T) {
	for _, c := range []struct {
		dead  int
		local float64 // percent of the calls that stay local
	}{{0, 100}, {2, 100}, {3, 98}, {5, 70}, {10, 0}} {
		t.Run("dead="+string(rune('0'+c.dead/10))+string(rune('0'+c.dead%10)), func(t *testing.T) {
			t.Parallel()
			s := DefaultScenario()
			s.Hosts, s.Zone, s.Agents, s.Rate, s.Length = 30, "here", 4, 500, 45*sec
			s.Steps = []Step{{To: 9, Change: Zone, Zone: "here"}, {From: 10, To: 29, Change: Zone, Zone: "there"}}
			if c.dead > 0 {
				s.Steps = append(s.Steps, Step{At: 20 * sec, To: c.dead - 1, Change: Dies})
			}
			r := Run(s, policy(t, "adaptive"))
			local := 0.0
			for h := range 10 {
				local += r.Host[h].Sum(30*sec, 45*sec)
			}
			figures{"local": 100 * local / r.Calls.Sum(30*sec, 45*sec), "failed": r.FailedShare(30*sec, 45*sec)}.check(t,
				[]bound{within("local", c.local-2, c.local+2), atMost("failed", 0)})
		})
	}
}

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
			figures{"during": 100 * r.GoodShare(20*sec, 40*sec), "after": 100 * r.GoodShare(43*sec, 63*sec)}.check(t,
				[]bound{atLeast("during", c.during), atLeast("after", 99.9)})
		})
	}
}

// TestLostReports: programs that die before they report, or never report.
func TestLostReports(t *testing.T) {
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
			figures{"first": r.Failed.Sum(20*sec, 30*sec) / 4, "late": 100 * r.FailedShare(30*sec, 50*sec)}.check(t,
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
