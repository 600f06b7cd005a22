// Agent measures an agent as programs use it: GetHost, then Report, each
// client with a service of its own; beside it the floor, which receives and
// sends the same datagrams without any work.
//
//	go run ./bench/agent -rounds 5 -out bench/agent/results
//
// The closed loop has so many threads, each with one call under way, as the
// clients of the original have. The open loop sends at a given rate, whatever
// comes back, and counts the latency of a call from the moment at which it was
// due, so a slow answer delays no later call (no coordinated omission).
package main

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"lars/bench/measure"
)

// loadCase is a kind of load. Rate 0 is the closed loop.
type loadCase struct {
	Clients int `json:"clients"`
	Rate    int `json:"pairs_per_second"`
	Hosts   int `json:"hosts"` // of each service
}

func (c loadCase) String() string {
	kind := "closed loop"
	if c.Rate > 0 {
		kind = fmt.Sprintf("open loop at %d pairs/s", c.Rate)
	}
	return fmt.Sprintf("%s, %d clients, %d hosts", kind, c.Clients, c.Hosts)
}

var cases = []loadCase{
	{1, 0, 5}, {10, 0, 5}, {100, 0, 5}, {10, 0, 500},
	{100, 10_000, 5}, {100, 50_000, 5},
}

// run is one measured run.
type run struct {
	Case       loadCase `json:"case"`
	Server     string   `json:"server"`
	Round      int      `json:"round"`
	Pairs      int      `json:"pairs"` // GetHost with its Report
	Lost       int      `json:"lost"`  // GetHost without an answer in time
	Seconds    float64  `json:"seconds"`
	CPUMicros  float64  `json:"server_cpu_us_per_pair"`
	LoadMicros float64  `json:"client_cpu_us_per_pair"`
	P50Micros  float64  `json:"p50_us"`
	P99Micros  float64  `json:"p99_us"`
	P999Micros float64  `json:"p999_us"`
}

func main() {
	rounds := flag.Int("rounds", 3, "how often each server has its turn in each case")
	length := flag.Duration("length", 2*time.Second, "length of one run, after a warm-up of a quarter of it")
	out := flag.String("out", "", "write FILE.md and FILE.json; default: the table to standard output")
	flag.Parse()
	runs, err := compare(*rounds, *length)
	if err == nil {
		err = measure.Write(*out, table(runs), runs)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench/agent:", err)
		os.Exit(1)
	}
}

func compare(rounds int, length time.Duration) ([]run, error) {
	dir, err := os.MkdirTemp("", "lars-bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := measure.Build(".", dir+"/agent", "./cmd/lars-agent"); err != nil {
		return nil, err
	}
	if err := measure.Build(".", dir+"/floor", "./bench/agent/floor"); err != nil {
		return nil, err
	}
	var runs []run
	for _, c := range cases {
		for round := range rounds {
			for _, name := range []string{"floor", "agent"} {
				r, err := runCase(c, name, dir, length)
				if err != nil {
					return nil, fmt.Errorf("%v against %s: %w", c, name, err)
				}
				r.Round = round
				runs = append(runs, r)
				fmt.Fprintf(os.Stderr, "%-50v %-6s %8.0f pairs/s %6.2f us/pair, client %6.2f, p99 %6.0f us, lost %d\n", c, name, float64(r.Pairs)/r.Seconds, r.CPUMicros, r.LoadMicros, r.P99Micros, r.Lost)
			}
		}
	}
	return runs, nil
}

// runCase measures one case against one server.
func runCase(c loadCase, name, dir string, length time.Duration) (run, error) {
	r := run{Case: c, Server: name}
	first, err := threePorts()
	if err != nil {
		return r, err
	}
	backend, err := startBackend(c.Hosts)
	if err != nil {
		return r, err
	}
	defer backend.stop()
	p, err := startServer(name, dir, first, backend)
	if err != nil {
		return r, err
	}
	defer p.Stop()
	l, err := newLoad(c, first)
	if err != nil {
		return r, err
	}
	defer l.close()
	if err := l.resolve(); err != nil {
		return r, err
	}
	if _, err := l.run(length / 4); err != nil {
		return r, err
	}
	return r, timed(&r, l, p, length)
}

func timed(r *run, l *load, p *measure.Process, length time.Duration) error {
	server, err := p.CPU()
	if err != nil {
		return err
	}
	client, err := measure.OwnCPU()
	if err != nil {
		return err
	}
	began := time.Now()
	result, err := l.run(length)
	if err != nil {
		return err
	}
	r.Seconds = time.Since(began).Seconds()
	serverAfter, err := p.CPU()
	if err != nil {
		return err
	}
	clientAfter, err := measure.OwnCPU()
	if err != nil {
		return err
	}
	r.Pairs, r.Lost = result.pairs, result.lost
	r.CPUMicros = float64((serverAfter - server).Nanoseconds()) / 1e3 / float64(r.Pairs)
	r.LoadMicros = float64((clientAfter - client).Nanoseconds()) / 1e3 / float64(r.Pairs)
	r.P50Micros = measure.Micros(result.latency, 50)
	r.P99Micros = measure.Micros(result.latency, 99)
	r.P999Micros = measure.Micros(result.latency, 99.9)
	return nil
}

func startServer(name, dir string, first netip.AddrPort, b *backend) (*measure.Process, error) {
	if name == "floor" {
		return measure.Start(nil, dir+"/floor", "-addr", first.String())
	}
	port := func(a netip.AddrPort) string { return strconv.Itoa(int(a.Port())) }
	return measure.Start([]string{
		"LARS_AGENT_IP=" + first.Addr().String(), "LARS_AGENT_PORT=" + port(first),
		"LARS_DNSSERVER_PORT=" + port(b.dns.Addr()), "LARS_REPORTER_PORT=" + port(b.reporter.Addr()),
		"LARS_DEBUG_ADDR=off", "LARS_LOG_LEVEL=error",
	}, dir+"/agent")
}

func table(runs []run) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Agent and floor\n\n%s. A pair is a GetHost and its Report. Medians over the rounds; agent and floor\ntake turns. Client and server share the machine, nothing is pinned. The ratio is server CPU to the floor's.\n", measure.Machine())
	b.WriteString("\n| case | server | pairs/s | p50 us | p99 us | p99.9 us | server CPU us/pair | ratio | client CPU us/pair | lost |\n|---|---|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, group := range measure.GroupBy(runs, func(r run) string { return r.Case.String() }) {
		floor := 0.0
		for _, server := range measure.GroupBy(group, func(r run) string { return r.Server }) {
			cpu := measure.Median(server, func(r run) float64 { return r.CPUMicros })
			if server[0].Server == "floor" {
				floor = cpu
			}
			fmt.Fprintf(&b, "| %v | %s | %.0f | %.0f | %.0f | %.0f | %.2f | %.2f | %.2f | %.0f |\n", server[0].Case, server[0].Server,
				measure.Median(server, func(r run) float64 { return float64(r.Pairs) / r.Seconds }),
				measure.Median(server, func(r run) float64 { return r.P50Micros }),
				measure.Median(server, func(r run) float64 { return r.P99Micros }),
				measure.Median(server, func(r run) float64 { return r.P999Micros }),
				cpu, cpu/floor,
				measure.Median(server, func(r run) float64 { return r.LoadMicros }),
				measure.Median(server, func(r run) float64 { return float64(r.Lost) }))
		}
	}
	return b.String()
}
