package sim

import (
	"fmt"
	"time"
)

// agentsAt returns how many agents are enough at a rate of each.
func agentsAt(rate float64) int {
	if rate > 100 {
		return 3
	}
	return 20
}

// grayTables are hosts that are bad now and then: with some calls, for some
// seconds, or hardly ever called.
func grayTables() []table { return []table{grayTable(), restartTable(), lowRateTable()} }

// grayTable is one of 10 hosts that fails a part of its calls.
func grayTable() table {
	t := table{
		name: "gray", corner: "calls failed within 10 s by machine / share of the calls that failed because of it after that",
		rows: []row{classicRow, envoyRow, linkerdRow, unprobedRow, adaptiveRow},
		measure: func(s *Scenario, r *Result) figures {
			return figures{
				"first": r.Failed.Sum(10*sec, 20*sec) / float64(s.Agents),
				"late":  max(0, 100*r.failedShare(20*sec, s.Length)-0.1),
			}
		},
		show: showCost,
		bounds: []cell{
			in("adaptive", "20 % fail, 1000/s", atMost("first", 60), atMost("late", 0.12)),
			in("adaptive", "50 % fail, 1000/s", atMost("first", 45), atMost("late", 0.12)),
			wholly(in("adaptive", "20 % fail, 20/s", atMost("first", 6), atMost("late", 0.8))),
			in("adaptive", "50 % fail, 20/s", atMost("first", 6), atMost("late", 0.5)),
			in("classic", "20 % fail, 1000/s", atLeast("late", 1.5)),
		},
	}
	for _, rate := range []float64{20, 1000} {
		for _, share := range []float64{0.2, 0.5} {
			s := DefaultScenario()
			s.Rate, s.Agents, s.Length = rate, agentsAt(rate), 130*sec
			s.Steps = []Step{{To: 9, Change: Errors, Value: 0.001}, {At: 10 * sec, Change: Errors, Value: share}}
			t.columns = append(t.columns, column{fmt.Sprintf("%g %% fail, %g/s", 100*share, rate), s})
		}
	}
	return t
}

// flapping returns a host that is bad for 5 s and well for 5 s.
func flapping(rate float64, c Change) Scenario {
	s := DefaultScenario()
	s.Rate, s.Agents, s.Length = rate, agentsAt(rate), 130*sec
	for at := 10 * sec; at < 130*sec; at += 10 * sec {
		s.Steps = append(s.Steps, Step{At: at, Change: c}, Step{At: at + 5*sec, Change: Heals})
	}
	return s
}

// deployment returns 20 hosts that restart one after the other, drained before
// or not.
func deployment(rate float64, drained bool) Scenario {
	s := DefaultScenario()
	s.Rate, s.Agents, s.Hosts, s.Length = rate, agentsAt(rate), 20, 220*sec
	for h := range 20 {
		at := 10*sec + time.Duration(h)*10*sec
		step := func(after time.Duration, c Change, v float64) {
			s.Steps = append(s.Steps, Step{At: at + after, From: h, To: h, Change: c, Value: v})
		}
		if drained {
			step(-2*sec, Weight, 0)
		}
		step(0, Dies, 0)
		step(3*sec, Heals, 0)
		if drained {
			step(4*sec, Weight, 100)
		}
	}
	return s
}

// restartTable is hosts that flap, and a deployment of all.
func restartTable() table {
	return table{
		name: "restarts", corner: "failed calls",
		rows: []row{classicRow, envoyRow, linkerdRow, unprobedRow, adaptiveRow},
		columns: []column{
			{"refuses 5 s, works 5 s, 20/s", flapping(20, Dies)},
			{"refuses 5 s, works 5 s, 1000/s", flapping(1000, Dies)},
			{"hangs 5 s, works 5 s, 1000/s", flapping(1000, Hangs)},
			{"20 hosts restart, 20/s", deployment(20, false)},
			{"20 hosts restart, 1000/s", deployment(1000, false)},
			{"drained before, 1000/s", deployment(1000, true)},
		},
		measure: func(s *Scenario, r *Result) figures {
			return figures{"failed": 100 * r.failedShare(10*sec, s.Length)}
		},
		show: func(f figures) string { return percent(f["failed"]) },
		bounds: []cell{
			in("adaptive", "refuses 5 s, works 5 s, 20/s", atMost("failed", 0.4)),
			in("adaptive", "refuses 5 s, works 5 s, 1000/s", atMost("failed", 0.02)),
			wholly(in("adaptive", "hangs 5 s, works 5 s, 1000/s", atMost("failed", 0.2))),
			wholly(in("adaptive", "20 hosts restart, 20/s", atMost("failed", 0.6))),
			in("adaptive", "20 hosts restart, 1000/s", atMost("failed", 0.02)),
			in("adaptive", "drained before, 1000/s", atMost("failed", 0)),
			wholly(in("classic", "20 hosts restart, 1000/s", atLeast("failed", 1))),
		},
	}
}

// lowRateTable is one call in ten seconds from each machine.
func lowRateTable() table {
	t := table{
		name: "low rate", corner: "calls failed within 10 min by machine",
		rows: []row{roundRobinRow, classicRow, envoyRow, linkerdRow, unprobedRow, adaptiveRow},
		measure: func(s *Scenario, r *Result) figures {
			return figures{"failed": r.Failed.Sum(100*sec, 700*sec) / float64(s.Agents)}
		},
		show: func(f figures) string { return fmt.Sprintf("%.2f", f["failed"]) },
		bounds: []cell{
			in("adaptive", "dies", atMost("failed", 1.3)),
			in("adaptive", "hangs", atMost("failed", 1.3)),
			wholly(in("classic", "dies", atLeast("failed", 3))),
		},
	}
	for _, c := range []Change{Dies, Hangs} {
		s := DefaultScenario()
		s.Rate, s.Agents, s.Length = 0.1, 100, 700*sec
		s.Steps = []Step{{At: 100 * sec, Change: c}}
		t.columns = append(t.columns, column{c.String(), s})
	}
	return t
}
