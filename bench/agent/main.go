// Agent measures an agent as programs use it: GetHost, then Report, each
// client with a service of its own, by either policy; beside it the floor, which
// receives and sends the same datagrams, one by one and without any work, in C
// (needs cc).
//
//	go run ./bench/agent -rounds 5 -cxx -out bench/agent/results
//
// The closed loop has so many threads, each with one call under way, as the
// clients of the original have; with -cxx these are threads of a C++ program too.
// The open loop sends at a given rate, whatever comes back, and counts the latency
// of a call from the moment at which it was due, so a slow answer delays no later
// call (no coordinated omission).
package main

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"

	"lars.internal/bench/measure"
)

// loadCase is a kind of load. Rate 0 is the closed loop.
type loadCase struct {
	Clients int  `json:"clients"`
	CXX     bool `json:"cxx"` // clients in C++
	Rate    int  `json:"pairs_per_second"`
	Hosts   int  `json:"hosts"` // of each service
}

func (c loadCase) String() string {
	kind, clients := "closed loop", "clients"
	if c.Rate > 0 {
		kind = fmt.Sprintf("open loop at %d pairs/s", c.Rate)
	}
	if c.CXX {
		clients = "C++ clients"
	}
	return fmt.Sprintf("%s, %d %s, %d hosts", kind, c.Clients, clients, c.Hosts)
}

// maxClients is the largest number of clients of a case.
const maxClients = 100

var cases = []loadCase{
	{Clients: 1, Hosts: 5},
	{Clients: 10, Hosts: 5},
	{Clients: maxClients, Hosts: 5},
	{Clients: 10, Hosts: 500},
	{Clients: maxClients, Rate: 10_000, Hosts: 5},
	{Clients: maxClients, Rate: 50_000, Hosts: 5},
	{Clients: 1, Hosts: 5, CXX: true},
	{Clients: 10, Hosts: 5, CXX: true},
	{Clients: maxClients, Hosts: 5, CXX: true},
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

// server is a program that is measured. policy is the balancer of an agent.
type server struct{ name, path, policy string }

// options say what is measured.
type options struct {
	rounds int
	length time.Duration
	cases  string // an expression for their names
	beside string // further agents, built before: PATH,PATH
	cxx    bool   // cases with the C++ client too
}

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 3, "how often each server has its turn in each case")
	flag.DurationVar(&o.length, "length", 2*time.Second, "length of one run, after a warm-up of a quarter of it")
	flag.StringVar(&o.cases, "cases", "", "only cases whose name matches this expression")
	flag.StringVar(&o.beside, "beside", "", "compare further agents, built before, with policy classic: PATH,PATH")
	flag.BoolVar(&o.cxx, "cxx", false, "the cases with a C++ client too; needs c++, protoc and libprotobuf")
	out := flag.String("out", "", "write FILE.md and FILE.json; default: the table to standard output")
	flag.Parse()
	runtime.GOMAXPROCS(maxClients + runtime.NumCPU()) // or clients wait for each other, not for the agent
	runs, err := compare(o)
	if err == nil {
		err = measure.Write(*out, table(runs), runs)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench/agent:", err)
		os.Exit(1)
	}
}

func compare(o options) ([]run, error) {
	wanted, err := regexp.Compile(o.cases)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "lars-bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	servers, err := build(dir, o)
	if err != nil {
		return nil, err
	}
	var runs []run
	for _, c := range cases {
		if !wanted.MatchString(c.String()) || c.CXX && !o.cxx {
			continue
		}
		more, err := compareCase(c, servers, dir, o)
		if err != nil {
			return nil, err
		}
		runs = append(runs, more...)
	}
	return runs, nil
}

// build returns the servers. All programs are built in dir.
func build(dir string, o options) ([]server, error) {
	servers := []server{{"floor", dir + "/floor", ""}, {"classic", dir + "/agent", "classic"}, {"adaptive", dir + "/agent", "adaptive"}}
	for _, path := range strings.FieldsFunc(o.beside, func(r rune) bool { return r == ',' }) {
		servers = append(servers, server{path, path, "classic"})
	}
	if err := buildFloor(dir); err != nil {
		return nil, err
	}
	if o.cxx {
		if err := buildQPS(dir); err != nil {
			return nil, err
		}
	}
	return servers, measure.Build(".", servers[1].path, "./cmd/lars-agent")
}

// compareCase runs all servers in turn, round by round.
func compareCase(c loadCase, servers []server, dir string, o options) ([]run, error) {
	var runs []run
	for round := range o.rounds {
		for _, s := range servers {
			r, err := runCase(c, s, dir, o.length)
			if err != nil {
				return nil, fmt.Errorf("%v against %s: %w", c, s.name, err)
			}
			r.Round = round
			runs = append(runs, r)
			fmt.Fprintf(os.Stderr, "%-50v %-8s %8.0f pairs/s %6.2f us/pair, client %6.2f, p99 %6.0f us, lost %d\n", c, s.name, float64(r.Pairs)/r.Seconds, r.CPUMicros, r.LoadMicros, r.P99Micros, r.Lost)
		}
	}
	return runs, nil
}

// runCase measures one case against one server.
func runCase(c loadCase, s server, dir string, length time.Duration) (run, error) {
	r := run{Case: c, Server: s.name}
	first, err := measure.ThreePorts()
	if err != nil {
		return r, err
	}
	backend, err := startBackend(c.Hosts)
	if err != nil {
		return r, err
	}
	defer backend.stop()
	p, err := s.start(first, backend)
	if err != nil {
		return r, err
	}
	defer p.Stop()
	own, err := newGoLoad(c, first)
	if err != nil {
		return r, err
	}
	defer own.close()
	if err := own.resolve(); err != nil {
		return r, err
	}
	var l load = own
	if c.CXX {
		l = cxxLoad{c, dir + "/qps", first}
	}
	if _, err := l.run(length / 4); err != nil {
		return r, err
	}
	return r, timed(&r, l, p, length)
}

func timed(r *run, l load, p *measure.Process, length time.Duration) error {
	before, err := p.CPU()
	if err != nil {
		return err
	}
	began := time.Now()
	done, err := l.run(length)
	if err != nil {
		return err
	}
	r.Seconds = time.Since(began).Seconds()
	after, err := p.CPU()
	if err != nil {
		return err
	}
	perPair := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 / float64(done.pairs) }
	r.Pairs, r.Lost = done.pairs, done.lost
	r.CPUMicros, r.LoadMicros = perPair(after-before), perPair(done.cpu)
	r.P50Micros, r.P99Micros, r.P999Micros = done.p50, done.p99, done.p999
	return nil
}

func (s server) start(first netip.AddrPort, b *backend) (*measure.Process, error) {
	if s.name == "floor" {
		return measure.Start(nil, s.path, first.Addr().String(), strconv.Itoa(int(first.Port())))
	}
	port := func(a netip.AddrPort) string { return strconv.Itoa(int(a.Port())) }
	return measure.Start([]string{
		"LARS_AGENT_IP=" + first.Addr().String(), "LARS_AGENT_PORT=" + port(first),
		"LARS_DNSSERVER_PORT=" + port(b.dns.Addr()), "LARS_REPORTER_PORT=" + port(b.reporter.Addr()),
		"LARS_AGENT_POLICY=" + s.policy, "LARS_DEBUG_ADDR=off", "LARS_LOG_LEVEL=error",
	}, s.path)
}

func table(runs []run) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Agent and floor\n\n%s. A pair is a GetHost and its Report. Medians over the rounds; the servers\ntake turns. Client and server share the machine, nothing is pinned. The ratio is server CPU to the floor's.\n", measure.Machine())
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
