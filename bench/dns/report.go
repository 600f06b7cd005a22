package main

import (
	"fmt"
	"strings"

	"lars.internal/bench/measure"
)

// within are the columns of the histogram, in milliseconds, multiples of
// binMillis.
var within = []int{25, 50, 75, 100, 125, 150, 200, 300, 500}

// table writes all parts that were measured.
func (r *results) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Route service\n\n%s; %s. Everything shares this machine, nothing is pinned. lars-dns\nruns with its defaults but for maxConn: 5 event loops, a look at the version every 100 ms. A service has %d\nhosts. CPU is user + system of the lars-dns process.\n", r.Machine, r.Database, hostsPerService)
	if len(r.Lookups) > 0 {
		writeLookups(&b, r.Lookups)
	}
	if len(r.Pushes) > 0 {
		writePushes(&b, r.Pushes)
		writeHistogram(&b, r.Pushes)
	}
	if len(r.Picks) > 0 {
		writePicks(&b, r.Picks)
	}
	if len(r.Bursts) > 0 {
		writeBursts(&b, r.Bursts)
	}
	if len(r.Loads) > 0 {
		writeLoads(&b, r.Loads)
		writeReloads(&b, r.Loads)
	}
	if len(r.Edits) > 0 {
		writeEdits(&b, r.Edits)
	}
	return b.String()
}

// writeHeader begins a section with a table of figures.
func writeHeader(b *strings.Builder, title, text string, columns ...string) {
	fmt.Fprintf(b, "\n## %s\n\n%s\n\n| %s |\n|--:%s|\n", title, text, strings.Join(columns, " | "), strings.Repeat("|--:", len(columns)-1))
}

func writeLookups(b *strings.Builder, runs []lookupRun) {
	writeHeader(b, "Lookups", fmt.Sprintf("%d hosts in the table. Each connection asks for %d services in turn, as soon as it is answered. Client\nand server share the processors, so the rate is of both together.", lookupHosts, askedServices),
		"connections", "in flight on each", "lookups/s", "server CPU us/lookup", "p50 us", "p99 us", "client CPU us/lookup")
	for _, r := range runs {
		fmt.Fprintf(b, "| %d | %d | %.0f | %.2f | %.0f | %.0f | %.2f |\n", r.Conns, r.InFlight,
			float64(r.Lookups)/r.Seconds, r.CPUMicros, r.P50Micros, r.P99Micros, r.LoadMicros)
	}
}

func writePushes(b *strings.Builder, runs []pushRun) {
	writeHeader(b, "Pushes", "From the commit of an edit to the route at the subscriber, in ms; all subscribe to the service that is edited,\nand edits come at random moments. Counted from the return of COMMIT, or from the moment before it was sent.\nThe last: one value per edit. Goals: p99 at most 150 ms with one subscriber, the last within 500 ms with 10,000.",
		"subscribers", "edits", "p50", "p90", "p99", "max", "p99 since sent", "the last: p50", "p99", "max")
	for _, r := range runs {
		fmt.Fprintf(b, "| %d | %d | %s | %.1f | %.1f | %.1f | %.1f |\n", r.Subscribers, r.Edits, r.Done, r.Asked.P99, r.Last.P50, r.Last.P99, r.Last.Max)
	}
}

// String returns four cells of a table.
func (s spread) String() string {
	return fmt.Sprintf("%.1f | %.1f | %.1f | %.1f", s.P50, s.P90, s.P99, s.Max)
}

func writeHistogram(b *strings.Builder, runs []pushRun) {
	columns := []string{"subscribers"}
	for _, ms := range within {
		columns = append(columns, fmt.Sprintf("%d ms", ms))
	}
	writeHeader(b, "Pushes as a histogram", "Share of the subscribers, over all edits, that have the route so long after COMMIT returned, in %.", columns...)
	for _, r := range runs {
		fmt.Fprintf(b, "| %d |", r.Subscribers)
		for _, ms := range within {
			fmt.Fprintf(b, " %.1f |", 100*r.share(ms))
		}
		b.WriteString("\n")
	}
}

// share returns what part of the arrivals came within so many milliseconds.
func (r pushRun) share(ms int) float64 {
	early, all := 0, 0
	for i, n := range r.Bins {
		all += n
		if (i+1)*binMillis <= ms {
			early += n
		}
	}
	return float64(early) / float64(max(all, 1))
}

func writePicks(b *strings.Builder, runs []pickRun) {
	writeHeader(b, "Picks", "From the commit of an edit to the first pick of the new host, in ms: a real lars-agent, and a program that asks\nit once a millisecond. Goal: p99 at most 150 ms.",
		"edits", "p50", "p90", "p99", "max", "p99 since sent")
	for _, r := range runs {
		fmt.Fprintf(b, "| %d | %s | %.1f |\n", r.Edits, r.Done, r.Asked.P99)
	}
}

func writeBursts(b *strings.Builder, runs []burstRun) {
	writeHeader(b, "Bursts", "Many edits of one service, each a transaction of its own. The last state is the one of the last edit; a run ends\nonly when it is everywhere.",
		"edits", "in s", "subscribers", "pushes to each", "last state everywhere, ms after the last commit")
	for _, r := range runs {
		fmt.Fprintf(b, "| %d | %.2f | %d | %.1f | %.0f |\n", r.Edits, r.EditSeconds, r.Subscribers, r.Pushes, r.LastMillis)
	}
}

func writeLoads(b *strings.Builder, runs []loadRun) {
	writeHeader(b, "Loads", "Starts of lars-dns: medians, and the longest load. Memory is taken after the load and holds what the collector\nhas not taken yet. Goal: the load of a million hosts within 3 s.",
		"hosts", "services", "starts", "load s", "longest s", "start to first answer s", "CPU s", "resident MiB", "heap in use MiB", "peak resident MiB")
	for _, r := range runs {
		median := func(f func(startRun) float64) float64 { return measure.Median(r.Starts, f) }
		longest := 0.0
		for _, s := range r.Starts {
			longest = max(longest, s.LoadSeconds)
		}
		fmt.Fprintf(b, "| %d | %d | %d | %.2f | %.2f | %.2f | %.2f | %.0f | %.0f | %.0f |\n", r.Hosts, r.Services, len(r.Starts),
			median(func(s startRun) float64 { return s.LoadSeconds }), longest,
			median(func(s startRun) float64 { return s.AnswerSeconds }),
			median(func(s startRun) float64 { return s.CPUSeconds }),
			median(func(s startRun) float64 { return s.ResidentMiB }),
			median(func(s startRun) float64 { return s.HeapMiB }),
			median(func(s startRun) float64 { return s.PeakMiB }))
	}
}

func writeReloads(b *strings.Builder, runs []loadRun) {
	writeHeader(b, "Reloads", "Everything is read again and compared, and nothing differs. Meanwhile one connection asks once a millisecond; its\nlatencies are in ms.",
		"hosts", "reload s", "CPU s", "peak resident MiB", "idle: p50", "p99", "max", "in the reload: p50", "p99", "max")
	for _, run := range runs {
		r := run.Reload
		fmt.Fprintf(b, "| %d | %.2f | %.2f | %.0f | %.2f | %.2f | %.2f | %.2f | %.2f | %.2f |\n", run.Hosts, r.Seconds, r.CPUSeconds, r.PeakMiB,
			r.Idle.P50, r.Idle.P99, r.Idle.Max, r.During.P50, r.During.P99, r.During.Max)
	}
}

func writeEdits(b *strings.Builder, runs []editRun) {
	writeHeader(b, "Edits", "One transaction changes so many services; one subscriber has them all. CPU is without what idling costs. Reading\nis from the new version seen to the new table in use. All pushed: since COMMIT returned, in ms.",
		"hosts", "services changed", "edits", "server CPU ms/edit", "reading ms/edit", "all pushed: p50", "max", "idle CPU ms/s")
	for _, r := range runs {
		fmt.Fprintf(b, "| %d | %d | %d | %.2f | %.2f | %.0f | %.0f | %.1f |\n", r.Hosts, r.Services, r.Edits, r.CPUMillis, r.ReadMillis, r.Pushed.P50, r.Pushed.Max, r.IdleMillis)
	}
}
