package sim

import (
	"fmt"
	"time"
)

// allFail returns a run in which all hosts fail the same share of their calls,
// one share after the other.
func allFail(n int, rate float64, length time.Duration, shares ...float64) Scenario {
	s := DefaultScenario()
	s.Agents, s.Hosts, s.Rate, s.Length = 4, n, rate, length
	for i, e := range shares {
		s.Steps = append(s.Steps, Step{At: time.Duration(i) * length / time.Duration(len(shares)), To: n - 1, Change: Errors, Value: e})
	}
	return s
}

func ejectionFigures(s *Scenario, r *Result) figures {
	return figures{
		"ejections": float64(r.Ejections), "probes": float64(r.Probes),
		"refused": 100 * r.Refused.Sum(0, s.Length) / r.Calls.Sum(0, s.Length),
		"hours":   float64(s.Agents*s.Hosts) * s.Length.Hours(),
	}
}

// healthyTables are whether hosts are ejected that are no worse than the others.
func healthyTables() []table {
	common := table{
		name: "common", corner: "ejections in 1.7 host-hours, refused calls",
		rows: []row{classicRow, envoyRow, linkerdRow, unprobedRow, adaptiveRow},
		columns: []column{
			{"1 % on all", allFail(10, 1000, 150*sec, 0.01)},
			{"5 % on all", allFail(10, 1000, 150*sec, 0.05)},
			{"5 % on all, 20/s", allFail(10, 20, 150*sec, 0.05)},
			{"0, then 30 %", allFail(10, 1000, 150*sec, 0, 0.3, 0.3)},
			{"0, then 100 %, then 0", allFail(10, 1000, 150*sec, 0, 1, 0)},
		},
		measure: ejectionFigures,
		show: func(f figures) string {
			if f["refused"] == 0 {
				return fmt.Sprintf("%.0f", f["ejections"])
			}
			return fmt.Sprintf("%.0f, %s", f["ejections"], percent(f["refused"]))
		},
		bounds: []cell{in("classic", "0, then 30 %", atLeast("refused", 10))},
	}
	for i, c := range common.columns {
		cell := in("adaptive", c.name, atMost("ejections", 0), atMost("refused", 0))
		cell.whole = i < 2
		common.bounds = append(common.bounds, cell)
	}
	few := table{
		name: "few", corner: "ejections with few hosts", rows: []row{adaptiveRow}, measure: ejectionFigures,
		show: func(f figures) string { return fmt.Sprintf("%.0f in %.1f h", f["ejections"], f["hours"]) },
	}
	for _, n := range []int{2, 3, 5} {
		for _, e := range []float64{0.02, 0.05, 0.1, 0.3} {
			c := column{fmt.Sprintf("N=%d, %g %%", n, 100*e), allFail(n, 1000, 400*sec, e)}
			few.columns = append(few.columns, c)
			cell := in("adaptive", c.name, atMost("ejections", 0), atMost("refused", 0))
			cell.whole = n != 2 || e != 0.3
			few.bounds = append(few.bounds, cell)
		}
	}
	return []table{common, few, lostProbesTable()}
}

// lostProbesTable is that a network which loses probes ejects nobody, nor does a
// filter that drops all of them at a stroke.
func lostProbesTable() table {
	t := table{
		name: "lost probes", corner: "ejections, probes", rows: []row{adaptiveRow}, measure: ejectionFigures,
		show: func(f figures) string {
			return fmt.Sprintf("%.0f in %.0f h, %.0f", f["ejections"], f["hours"], f["probes"])
		},
	}
	for _, c := range []struct {
		name  string
		hosts int
		lost  []float64 // from the start, and from 20 s on
		most  float64
	}{
		{"1 % lost", 10, []float64{0.01}, 0},
		{"10 % lost", 10, []float64{0.1}, 5},
		{"all, always", 10, []float64{1}, 0},
		{"all, from 20 s on", 10, []float64{0, 1}, 0},
		{"all of two hosts, from 20 s on", 2, []float64{0, 1}, 0},
	} {
		s := DefaultScenario()
		s.Hosts, s.Agents, s.Length = c.hosts, 20, 400*sec
		s.Rate, s.ProbesLost = 20, c.lost[0]
		s.Steps = []Step{{To: c.hosts - 1, Change: Errors, Value: 0.02}}
		if len(c.lost) > 1 {
			s.Steps = append(s.Steps, Step{At: 20 * sec, Change: ProbesLost, Value: c.lost[1]})
		}
		t.columns = append(t.columns, column{c.name, s})
		t.bounds = append(t.bounds, in("adaptive", c.name, atMost("ejections", c.most)))
	}
	return t
}

// manyDeadTables are what is left when hosts are missing. A host can carry 2.5
// times its share.
func manyDeadTables() []table {
	t := table{
		name: "many dead", corner: "good calls, load of a live host",
		rows: []row{roundRobinRow, classicRow, envoyRow, linkerdRow, {name: "adaptive, load_limit = 0", policy: "adaptive load_limit=0"}, adaptiveRow},
		measure: func(s *Scenario, r *Result) figures {
			dead := s.Steps[0].To + 1
			load := 0.0
			for h := dead; h < s.Hosts; h++ {
				load += r.hostShare(h, 40*sec, 80*sec) / float64(s.Hosts-dead)
			}
			return figures{
				"good": 100 * r.goodShare(40*sec, 80*sec), "load": load,
				"refused": 100 * r.Refused.Sum(40*sec, 80*sec) / r.Calls.Sum(40*sec, 80*sec),
			}
		},
		show: func(f figures) string { return fmt.Sprintf("%.0f %%, %.1f x", f["good"], f["load"]) },
		bounds: []cell{
			in("adaptive", "5 of 10 (100 %)", atLeast("good", 99), atMost("refused", 0.1)),
			in("adaptive", "7 of 10 (75 %)", atLeast("good", 62)),
			in("adaptive", "8 of 10 (50 %)", atLeast("good", 42), atMost("load", 2.8)),
			in("adaptive", "9 of 10 (25 %)", atLeast("good", 17), atMost("load", 2.8)),
			in("Envoy-like", "8 of 10 (50 %)", atMost("good", 30)),
			wholly(in("adaptive, load_limit = 0", "8 of 10 (50 %)", atMost("good", 20))),
		},
	}
	for _, dead := range []int{5, 7, 8, 9} {
		s := DefaultScenario()
		s.Agents, s.Rate, s.Length = 20, 100, 80*sec
		s.Workers, s.Sigma, s.Service = 5, 0, 10*time.Millisecond
		s.Steps = []Step{{At: 20 * sec, To: dead - 1, Change: Dark}}
		t.columns = append(t.columns, column{fmt.Sprintf("%d of 10 (%d %%)", dead, min(100, 25*(10-dead))), s})
	}
	return []table{t}
}
