// Package report says what runs of the simulator have shown: for people as text
// or as a page, for scripts as JSON.
//
//	r := report.New(&scenario, "dead-host", []report.Run{{Policy: "adaptive", Result: result}})
//	err := r.Text(os.Stdout, 80)
//
// A report holds one run, or two that are compared. It reads the results and
// keeps nothing of them.
package report

import (
	"slices"
	"time"

	"lars.internal/sim"
	"lars.internal/sim/chart"
)

// early is the time after the first change that is counted apart.
const early = 10 * time.Second

// Run is the result of one policy.
type Run struct {
	Policy string
	Result *sim.Result
}

// Report is what runs of one scenario have shown. Its fields are those of the
// JSON. Times are in seconds unless their names say milliseconds.
type Report struct {
	Name    string   `json:"scenario"`
	Title   string   `json:"title"`
	Agents  int      `json:"agents"`
	Rate    float64  `json:"rate"` // calls a second of each agent
	Hosts   int      `json:"hosts"`
	Length  float64  `json:"length_seconds"`
	Seed    uint64   `json:"seed"`
	Changes []Change `json:"changes"`

	hosts []int // that change, the first ones

	Simulated float64   `json:"simulated_seconds"` // less than the length if the run was stopped
	Runs      []Summary `json:"runs"`
}

// Change is something that the scenario makes happen.
type Change struct {
	At   float64 `json:"at_seconds"`
	What string  `json:"what"`
}

// Summary is what one policy has done.
type Summary struct {
	Policy  string `json:"policy"`
	Calls   int64  `json:"calls"`
	Failed  int64  `json:"failed"`
	Refused int64  `json:"refused"` // no host was named
	Retries int    `json:"retries"`
	Probes  int    `json:"probes"`

	FailedEarly  int64   `json:"failed_early"` // within ten seconds of the first change
	FailedLater  int64   `json:"failed_later"` // after that
	RefusedEarly int64   `json:"refused_early"`
	RefusedLater int64   `json:"refused_later"`
	LaterShare   float64 `json:"failed_later_share"` // of the calls after that

	Ejections int `json:"ejections"`
	Unfounded int `json:"unfounded_ejections"` // of hosts that were well

	// By agents, of hosts that turned bad, and of those that were well again.
	// How often, half of the times and the longest one.
	ToEject  Delay `json:"to_eject"`
	ToReturn Delay `json:"to_return"`
	StillOut int   `json:"still_out"` // times that a host that was well again did not return

	P50  float64 `json:"p50_ms"` // of the calls from 10 s on, in a short run from the middle on
	P99  float64 `json:"p99_ms"`
	P999 float64 `json:"p999_ms"`

	Load    []Load   `json:"load"`
	Seconds []Second `json:"seconds"`
}

// Delay is some times that have been measured.
type Delay struct {
	Count  int64   `json:"count"`
	Median float64 `json:"median_seconds"`
	Worst  float64 `json:"worst_seconds"`
}

// Load is the calls that one host got.
type Load struct {
	Host   int     `json:"host"`
	Calls  int64   `json:"calls"`
	Failed int     `json:"failed"`
	Share  float64 `json:"share"` // relative to an equal share
	Peak   float64 `json:"peak"`  // the most in 100 ms, relative to an equal share
}

// Second is what happened in one second of the run.
type Second struct {
	Calls   int64   `json:"calls"`
	Failed  int64   `json:"failed"`
	Refused int64   `json:"refused"`
	P99     float64 `json:"p99_ms"` // of the calls that ended in it
}

// New returns the report of runs of a scenario, which have all come to the same
// moment.
func New(sc *sim.Scenario, name string, simulated time.Duration, runs []Run) *Report {
	r := &Report{
		Name: name, Title: sc.Title, Agents: sc.Agents, Rate: sc.Rate, Hosts: sc.Hosts,
		Length: sc.Length.Seconds(), Seed: sc.Seed, Simulated: simulated.Seconds(),
	}
	for i := range sc.Steps {
		st := sc.Steps[i]
		at := st.At.Seconds()
		st.At = 0
		r.Changes = append(r.Changes, Change{at, st.String()})
		for h := st.From; h <= st.To && at > 0 && len(r.hosts) < maxLoads; h++ {
			if !slices.Contains(r.hosts, h) {
				r.hosts = append(r.hosts, h)
			}
		}
	}
	for _, run := range runs {
		r.Runs = append(r.Runs, summarize(sc, run, simulated))
	}
	return r
}

func summarize(sc *sim.Scenario, run Run, end time.Duration) Summary {
	x := run.Result
	begins := sc.Begins()
	later := min(begins+early, end)
	s := Summary{
		Policy: run.Policy, Calls: x.Calls.Total(), Failed: x.Failed.Total(), Refused: x.Refused.Total(),
		Retries: x.Retries, Probes: x.Probes,
		FailedEarly: int64(x.Failed.Sum(begins, later)), RefusedEarly: int64(x.Refused.Sum(begins, later)),
		FailedLater: int64(x.Failed.Sum(later, end+time.Second)), RefusedLater: int64(x.Refused.Sum(later, end+time.Second)),
		Ejections: x.Ejections, Unfounded: x.Unfounded, StillOut: x.StillOut,
		ToEject: delay(&x.ToEject), ToReturn: delay(&x.ToReturn),
		P50: millis(x.Latencies.Quantile(0.5)), P99: millis(x.Latencies.Quantile(0.99)), P999: millis(x.Latencies.Quantile(0.999)),
	}
	if calls := x.Calls.Sum(later, end+time.Second); calls > 0 {
		s.LaterShare = float64(s.FailedLater) / calls
	}
	for h := range x.Host {
		l := Load{Host: h, Calls: x.Host[h].Total(), Failed: x.FailedBy[h]}
		if s.Calls > 0 {
			l.Share = float64(l.Calls) * float64(len(x.Host)) / float64(s.Calls)
			l.Peak = x.PeakLoad(h, 0, max(end, time.Second))
		}
		s.Load = append(s.Load, l)
	}
	for t := range int((end + time.Second - 1) / time.Second) {
		s.Seconds = append(s.Seconds, Second{x.Calls[t], x.Failed[t], x.Refused[t], millis(x.P99[t])})
	}
	return s
}

func delay(h *sim.Histogram) Delay {
	return Delay{h.Count(), h.Quantile(0.5).Seconds(), h.Quantile(1).Seconds()}
}

func millis(d time.Duration) float64 { return d.Seconds() * 1000 }

// Charts returns what the report shows over time, without what is 0 throughout.
func (r *Report) Charts() []chart.Chart {
	all := []chart.Chart{
		r.chart("Failed calls", "a second", func(s *Second) float64 { return float64(s.Failed) }),
		r.chart("Refused calls", "a second", func(s *Second) float64 { return float64(s.Refused) }),
		r.chart("99 % of the calls that ended in a second took at most", "ms", func(s *Second) float64 { return s.P99 }),
	}
	var charts []chart.Chart
	for _, c := range all {
		if !c.Empty() {
			charts = append(charts, c)
		}
	}
	return charts
}

func (r *Report) chart(title, unit string, value func(*Second) float64) chart.Chart {
	c := chart.Chart{Title: title, Unit: unit, Slot: 1}
	for i := range r.Runs {
		l := chart.Line{Name: r.Runs[i].Policy}
		for t := range r.Runs[i].Seconds {
			l.Values = append(l.Values, value(&r.Runs[i].Seconds[t]))
		}
		c.Lines = append(c.Lines, l)
	}
	for _, change := range r.Changes {
		if change.At > 0 && change.At <= r.Simulated {
			c.Marks = append(c.Marks, chart.Mark{At: change.At, Text: change.What})
		}
	}
	return c
}
