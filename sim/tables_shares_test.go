package sim

import (
	"fmt"
	"time"
)

// shareTables are who gets how many calls: by weight and by zone.
func shareTables() []table { return []table{weightTable(), capacityTable(), zoneTable()} }

// weightTable is that each host gets its weight, the light ones a little more.
func weightTable() table {
	weights := []float64{0, 1, 1, 2, 4, 8}
	t := table{
		name: "weights", corner: "calls of a host, of its share by weight: 1, 1, 2, 4, 8", rows: []row{roundRobinRow, adaptiveRow},
		measure: func(s *Scenario, r *Result) figures {
			f := figures{}
			for i, w := range weights {
				share := r.hostShare(i, 10*sec, s.Length) / float64(s.Hosts)
				if w > 0 {
					share /= w / 16
				}
				f[fmt.Sprintf("host %d", i)] = share
			}
			return f
		},
		show: func(f figures) string {
			text := ""
			for i := range weights[1:] {
				text += fmt.Sprintf(", %.2f", f[fmt.Sprintf("host %d", i+1)])
			}
			return text[2:]
		},
	}
	for _, rate := range []float64{20, 1000} {
		s := DefaultScenario()
		s.Rate, s.Hosts = rate, len(weights)
		for i, w := range weights {
			s.Steps = append(s.Steps, Step{From: i, To: i, Change: Weight, Value: w})
		}
		c := column{fmt.Sprintf("%g/s", rate), s}
		t.columns = append(t.columns, c)
		b, room := []bound{atMost("host 0", 0)}, 0.1
		if rate < 100 {
			room = 0.2 // few calls
		}
		for i := range weights[1:] {
			b = append(b, within(fmt.Sprintf("host %d", i+1), 1-room, 1.2+room))
		}
		t.bounds = append(t.bounds, in("adaptive", c.name, b...))
	}
	return t
}

// capacityTable is hosts of three sizes, whose weights are known or not.
func capacityTable() table {
	sizes := []float64{1, 1, 2, 2, 4, 4}
	s := DefaultScenario()
	s.Agents, s.Rate, s.Hosts, s.Length = 40, 98, len(sizes), 40*sec
	s.Sigma, s.Service, s.Timeout = 0, 20*time.Millisecond, 3*sec
	for i, size := range sizes {
		s.Steps = append(s.Steps, Step{From: i, To: i, Change: Workers, Value: 8 * size})
	}
	known := s
	for i, size := range sizes {
		known.Steps = append(known.Steps[:len(known.Steps):len(known.Steps)], Step{From: i, To: i, Change: Weight, Value: 100 * size})
	}
	return table{
		name: "capacities", corner: "p99 / p99.9 in ms, failed calls",
		rows:    []row{roundRobinRow, {name: "two choices, calls in flight only", policy: "least-request"}, adaptiveRow},
		columns: []column{{"weights fit the sizes", known}, {"weights are equal", s}},
		measure: latencyFigures,
		show: func(f figures) string {
			return fmt.Sprintf("%.0f / %.0f, %s", f["p99"], f["p999"], percent(f["failed"]))
		},
		bounds: []cell{
			in("adaptive", "weights fit the sizes", atMost("p99", 108), atMost("failed", 0)),
			in("adaptive", "weights are equal", atMost("p99", 120), atMost("failed", 0.05)),
			wholly(in("round robin", "weights are equal", atLeast("failed", 10))),
		},
	}
}

// zoneTable is that calls leave the zone only when its hosts would get more than
// 1.4 times their share.
func zoneTable() table {
	t := table{
		name: "zones", corner: "calls that stay in the zone, load of a live host there", rows: []row{adaptiveRow},
		measure: func(s *Scenario, r *Result) figures {
			dead, local := 0, 0.0
			for _, st := range s.Steps {
				if st.Change == Dies {
					dead = st.To + 1
				}
			}
			for h := range 10 {
				local += r.Host[h].Sum(30*sec, 45*sec)
			}
			local /= r.Calls.Sum(30*sec, 45*sec)
			return figures{"local": 100 * local, "load": local * 10 / max(1, float64(10-dead)), "failed": r.failedShare(30*sec, 45*sec)}
		},
		show: func(f figures) string { return fmt.Sprintf("%.0f %%, %.2f x", f["local"], f["load"]) },
	}
	for _, c := range []struct {
		dead  int
		local float64 // percent
	}{{0, 100}, {1, 100}, {2, 100}, {3, 98}, {4, 84}, {5, 70}, {7, 42}, {10, 0}} {
		s := DefaultScenario()
		s.Hosts, s.Zone, s.Agents, s.Rate, s.Length = 30, "here", 4, 500, 45*sec
		s.Steps = []Step{{To: 9, Change: Zone, Zone: "here"}, {From: 10, To: 29, Change: Zone, Zone: "there"}}
		if c.dead > 0 {
			s.Steps = append(s.Steps, Step{At: 20 * sec, To: c.dead - 1, Change: Dies})
		}
		column := column{fmt.Sprintf("%d of 10 dead", c.dead), s}
		t.columns = append(t.columns, column)
		cell := in("adaptive", column.name, within("local", c.local-2, c.local+2), atMost("failed", 0))
		cell.whole = c.dead == 1 || c.dead == 4 || c.dead == 7
		t.bounds = append(t.bounds, cell)
	}
	return t
}
