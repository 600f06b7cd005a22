package main

import (
	"fmt"
	"strings"

	"lars.internal/bench/measure"
)

// table writes the medians of all rounds, a section for each case.
func table(runs []run) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Reactor and peers\n\n%s. Medians over the rounds; each round gives every server its turn.\n", measure.Machine())
	b.WriteString("Servers and load generator share the machine, nothing is pinned. CPU is user + system of the server\nprocess; the ratio is to `reactor, 1 loop`.\n")
	for _, group := range measure.GroupBy(runs, func(r run) string { return r.Case.String() }) {
		fmt.Fprintf(&b, "\n## %v\n\n| server | messages/s | p50 us | p99 us | CPU us/message | ratio | system calls/message | allocs/message |\n|---|--:|--:|--:|--:|--:|--:|--:|\n", group[0].Case)
		base := 0.0
		for _, server := range measure.GroupBy(group, func(r run) string { return r.Server }) {
			if server[0].Server == "reactor, 1 loop" {
				base = measure.Median(server, func(r run) float64 { return r.CPUMicros })
			}
		}
		for _, server := range measure.GroupBy(group, func(r run) string { return r.Server }) {
			writeRow(&b, server, base)
		}
	}
	return b.String()
}

func writeRow(b *strings.Builder, runs []run, base float64) {
	cpu := measure.Median(runs, func(r run) float64 { return r.CPUMicros })
	fmt.Fprintf(b, "| %s | %.0f | %.0f | %.0f | %.2f | %.2f | %s | %.3f |\n", runs[0].Server,
		measure.Median(runs, func(r run) float64 { return float64(r.Messages) / r.Seconds }),
		measure.Median(runs, func(r run) float64 { return r.P50Micros }),
		measure.Median(runs, func(r run) float64 { return r.P99Micros }),
		cpu, cpu/base, syscallsOf(runs),
		measure.Median(runs, func(r run) float64 { return r.Mallocs }))
}

// syscallsOf returns the figure of the one round that counted.
func syscallsOf(runs []run) string {
	for _, r := range runs {
		if r.Syscalls >= 0 {
			return fmt.Sprintf("%.2f", r.Syscalls)
		}
	}
	return "-"
}
