package sim

import (
	"fmt"
	"time"
)

// queues returns 20 hosts with queues at 70 % of what they can carry.
func queues(agents int, steps ...Step) Scenario {
	s := DefaultScenario()
	s.Agents, s.Rate, s.Hosts, s.Length = agents, 5600/float64(agents), 20, 40*sec
	s.Workers, s.Sigma, s.Service, s.Timeout = 8, 0, 20*time.Millisecond, 3*sec
	s.Steps = steps
	return s
}

// slowEven makes every second host slower, the others faster.
func slowEven() (steps []Step) {
	for i := range 20 {
		steps = append(steps, Step{From: i, To: i, Change: Slow, Value: []float64{1.6, 0.7}[i%2]})
	}
	return steps
}

// degrades makes a host slower step by step, from 10 s to 30 s.
func degrades() (steps []Step) {
	for i := range 20 {
		steps = append(steps, Step{At: 10*sec + time.Duration(i)*sec, Change: Slow, Value: 1 + 9*float64(i+1)/20})
	}
	return steps
}

// pauses makes a host stand still every two seconds.
func pauses() (steps []Step) {
	for at := 10 * sec; at < 40*sec; at += 2 * sec {
		steps = append(steps, Step{At: at, Change: Pauses, Value: 0.3})
	}
	return steps
}

// trueWeights gives each host the weight that fits its speed at the start.
func trueWeights(s *Scenario) {
	for _, st := range s.Steps {
		if st.At == 0 && st.Change == Slow {
			s.Steps = append(s.Steps, Step{From: st.From, To: st.To, Change: Weight, Value: float64(int(100 / st.Value))})
		}
	}
}

func latencyFigures(s *Scenario, r *Result) figures {
	return figures{
		"p99": r.Latencies.Quantile(0.99).Seconds() * 1000, "p999": r.Latencies.Quantile(0.999).Seconds() * 1000,
		"share": r.hostShare(0, 20*sec, 40*sec), "failed": 100 * r.failedShare(10*sec, 40*sec),
		"ejections": float64(r.Ejections),
	}
}

// latencyTables are the latencies where hosts queue, and what a host gets that
// comes back cold.
func latencyTables() []table {
	slowOne := Step{Change: Slow, Value: 5}
	t := table{
		name: "latency", corner: "p99 / p99.9 in ms, failed calls",
		rows: []row{
			roundRobinRow,
			classicRow,
			{name: "round robin, true weights", policy: "round-robin", change: trueWeights},
			{name: "two choices, calls in flight only", policy: "least-request"},
			{name: "two choices, peak EWMA", policy: "peak-ewma"},
			adaptiveRow,
			{name: "adaptive, no latency told", policy: "adaptive", change: func(s *Scenario) { s.NoLatency = true }},
			{name: "adaptive, 1 % of the reports lost", policy: "adaptive", change: func(s *Scenario) { s.ReportsLost = 0.01 }},
			{name: "adaptive, 10 % of them lost", policy: "adaptive", change: func(s *Scenario) { s.ReportsLost = 0.1 }},
			{name: "adaptive, no latency, 1 % lost", policy: "adaptive", change: func(s *Scenario) { s.NoLatency, s.ReportsLost = true, 0.01 }},
		},
		columns: []column{
			{"all equal, 100 agents", queues(100)},
			{"one 5x slower, 100 agents", queues(100, slowOne)},
			{"4 agents", queues(4, slowOne)},
			{"1000 agents", queues(1000, slowOne)},
			{"half 1.6x slower, half 0.7x", queues(100, slowEven()...)},
			{"one degrades to 10x", queues(100, degrades()...)},
			{"one pauses 300 ms / 2 s", queues(100, pauses()...)},
		},
		measure: latencyFigures,
		show: func(f figures) string {
			failed := ""
			if f["failed"] > 0 {
				failed = ", " + percent(f["failed"])
			}
			return fmt.Sprintf("%.0f / %.0f%s", f["p99"], f["p999"], failed)
		},
	}
	none := atMost("ejections", 1) // while a queue at the start makes calls time out
	t.bounds = []cell{
		in("adaptive", "all equal, 100 agents", atMost("p99", 99), atMost("failed", 0), none),
		in("adaptive", "one 5x slower, 100 agents", atMost("p99", 104), atMost("p999", 190), atMost("share", 0.12), atMost("failed", 0), none),
		in("adaptive", "4 agents", atMost("p99", 104), atMost("p999", 190), atMost("share", 0.15), none),
		in("adaptive", "1000 agents", atMost("p99", 108), atMost("failed", 0.1), none),
		in("adaptive", "half 1.6x slower, half 0.7x", atMost("p99", 118), atMost("failed", 0), none),
		wholly(in("adaptive", "one degrades to 10x", atMost("p99", 112), atMost("failed", 0), none)),
		in("adaptive", "one pauses 300 ms / 2 s", atMost("p99", 112), none),
		in("adaptive, no latency told", "one 5x slower, 100 agents", atMost("p99", 106), atMost("share", 0.12), none),
		in("adaptive, 1 % of the reports lost", "one 5x slower, 100 agents", atMost("p99", 115), atMost("share", 0.3), none),
		in("adaptive, 10 % of them lost", "4 agents", atMost("p99", 118), none),
		in("adaptive, no latency, 1 % lost", "one 5x slower, 100 agents", atMost("p99", 1900), atMost("failed", 0.1), none),
		in("round robin", "one 5x slower, 100 agents", atLeast("p99", 2500)),
		wholly(in("round robin, true weights", "one 5x slower, 100 agents", within("p99", 95, 125))),
		in("two choices, calls in flight only", "one 5x slower, 100 agents", atLeast("p99", 500)),
		in("two choices, peak EWMA", "one 5x slower, 100 agents", within("p99", 90, 112)),
	}
	return []table{t, herdTable()}
}

// herd returns a host that comes back cold to many agents.
func herd(agents int) Scenario {
	s := DefaultScenario()
	s.Agents, s.Rate, s.Hosts, s.Length = agents, 10_000/float64(agents), 20, 46*sec
	s.Workers, s.Sigma, s.Service = 16, 0, 20*time.Millisecond
	s.Steps = []Step{
		{At: 10 * sec, Change: Dies}, {At: 30 * sec, Change: Heals},
		{At: 30 * sec, Change: Slow, Value: 3}, {At: 35 * sec, Change: Slow, Value: 1},
	}
	return s
}

// herdTable is the load of a host that comes back cold.
func herdTable() table {
	return table{
		name: "herd", corner: "highest load in 100 ms, of its share / failed calls within 15 s",
		rows: []row{classicRow, envoyRow, linkerdRow, adaptiveRow},
		columns: []column{
			{"30 agents", herd(30)}, {"300 agents", herd(300)}, {"1000 agents", herd(1000)},
		},
		measure: func(s *Scenario, r *Result) figures {
			return figures{
				"peak": r.PeakLoad(0, 30*sec, 45*sec), "failed": 100 * r.failedShare(30*sec, 45*sec),
				"start": r.hostShare(0, 30*sec, 33*sec), // without a ramp about 0.32
			}
		},
		show: func(f figures) string { return fmt.Sprintf("%.1f x / %s", f["peak"], percent(f["failed"])) },
		bounds: []cell{
			in("adaptive", "300 agents", atMost("peak", 1.3), atMost("failed", 0.01), within("start", 0.05, 0.26)),
			wholly(in("adaptive", "30 agents", atMost("peak", 1.5), atMost("failed", 0.01))),
			wholly(in("adaptive", "1000 agents", atMost("peak", 1.3), atMost("failed", 0.01))),
			wholly(in("classic", "1000 agents", atLeast("peak", 1.8))),
		},
	}
}
