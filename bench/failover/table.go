package main

import (
	"fmt"
	"strings"

	"lars.internal/bench/measure"
)

// addRatios compares the latencies of each run with a slow host to those of the
// run without a fault.
func addRatios(runs []run) {
	type key struct {
		rate, round int
		policy      string
		simulated   bool
	}
	keyOf := func(r *run) key { return key{r.Rate, r.Round, r.Policy, r.Simulated} }
	equal := make(map[key]float64)
	for i := range runs {
		if runs[i].Case == equalCase {
			equal[keyOf(&runs[i])] = runs[i].P99Millis
		}
	}
	for i := range runs {
		if r := &runs[i]; r.Case == slowCase && equal[keyOf(r)] > 0 {
			r.P99Ratio = r.P99Millis / equal[keyOf(r)]
		}
	}
}

// name is what stands in the column of the policy.
func (r run) name() string {
	if r.Simulated {
		return r.Policy + ", simulated"
	}
	return r.Policy
}

// table writes a line for each case, rate and policy: medians over the rounds.
func table(runs []run) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# A fault of one host

%s. %d HTTP backends as processes, calls of %v in the mean (exponential) with a time-out
of %v in an open loop; the programs of all policies call the same backends at the same time. The fault
comes after %v. "First 10 s" counts calls that began then, "later" those until the host heals, or until the
end. Calls that were under way when the fault came and failed with it stand apart: no balancer can save them.
Simulated: means of %d seeds.

| fault | calls/s | policy | under way | failed, first 10 s | refused | failed later | of calls later | refused later | back after s | p99 ms | ratio |
|---|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|
`, measure.Machine(), hosts, serviceTime, callTimeout, firstStep, seeds)
	for _, group := range measure.GroupBy(runs, func(r run) string { return fmt.Sprint(r.Case, r.Rate, r.name()) }) {
		writeLine(&b, group)
	}
	writeGoals(&b, runs)
	return b.String()
}

func writeLine(b *strings.Builder, group []run) {
	median := func(f func(run) float64) float64 { return measure.Median(group, f) }
	r := group[0]
	fmt.Fprintf(b, "| %s | %d | %s | %.4g | %.4g | %.4g | %.4g | %.0f | %.4g | %s | %.1f | %s |\n", r.Case, r.Rate, r.name(),
		median(func(r run) float64 { return r.FailedUnderWay }),
		median(func(r run) float64 { return r.FailedEarly }), median(func(r run) float64 { return r.RefusedEarly }),
		median(func(r run) float64 { return r.FailedLater }), median(func(r run) float64 { return r.CallsLater }),
		median(func(r run) float64 { return r.RefusedLater }),
		figure(median(func(r run) float64 { return r.BackSeconds })),
		median(func(r run) float64 { return r.P99Millis }),
		figure(median(func(r run) float64 { return r.P99Ratio })))
}

// figure writes a figure, nothing for one that was not measured.
func figure(f float64) string {
	if f <= 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", f)
}

// writeGoals writes in how many rounds the processes with the adaptive policy
// reached each goal.
func writeGoals(b *strings.Builder, runs []run) {
	b.WriteString("\n| fault | calls/s | goal of adaptive | met |\n|---|--:|---|--:|\n")
	measured := measure.GroupBy(runs, func(r run) string { return fmt.Sprint(r.Case, r.Rate, r.Policy, r.Simulated) })
	for _, group := range measured {
		if group[0].Policy != policies[0] || group[0].Simulated {
			continue
		}
		for _, g := range goalsOf(group[0].Case) {
			if g.rate == 0 || g.rate == group[0].Rate {
				fmt.Fprintf(b, "| %s | %d | %s | %d of %d |\n", group[0].Case, group[0].Rate, g.text, met(g, group), len(group))
			}
		}
	}
}

func goalsOf(name string) []goal {
	for i := range cases {
		if cases[i].name == name {
			return cases[i].goals
		}
	}
	return nil
}

func met(g goal, group []run) int {
	n := 0
	for i := range group {
		if g.met(&group[i]) {
			n++
		}
	}
	return n
}
