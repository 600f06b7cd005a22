// Reactor compares the project's reactor with its peers: the same load, the
// same framing, in turn on one machine.
//
//	go run ./bench/reactor -rounds 5 -out bench/reactor/results
//
// It builds the servers, the peers from their own module, runs each case
// against each server in turn for as many rounds as asked, and writes the
// medians as a table (Markdown) and all runs as raw data (JSON).
package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"lars.internal/bench/measure"
)

// binDir is where build puts the servers.
var binDir string

// run is one measured run.
type run struct {
	Case       loadCase `json:"case"`
	Server     string   `json:"server"`
	Round      int      `json:"round"`
	Messages   uint64   `json:"messages"`
	Seconds    float64  `json:"seconds"`
	CPUMicros  float64  `json:"cpu_us_per_message"`
	P50Micros  float64  `json:"p50_us"`
	P99Micros  float64  `json:"p99_us"`
	Mallocs    float64  `json:"allocs_per_message"`
	Syscalls   float64  `json:"syscalls_per_message"` // -1: not counted
	ServerArgs []string `json:"server_args"`
}

func main() {
	rounds := flag.Int("rounds", 3, "how often each server has its turn in each case")
	length := flag.Duration("length", time.Second, "length of one run, after a warm-up of a quarter of it")
	only := flag.String("cases", "", "only cases whose name matches this expression")
	servers := flag.String("servers", "", "only servers whose name matches this expression")
	out := flag.String("out", "", "write FILE.md and FILE.json; default: the table to standard output")
	flag.Parse()
	if err := compare(*rounds, *length, *only, *servers, *out); err != nil {
		fmt.Fprintln(os.Stderr, "bench/reactor:", err)
		os.Exit(1)
	}
}

func compare(rounds int, length time.Duration, only, servers, out string) error {
	dir, err := os.MkdirTemp("", "lars-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binDir = dir
	if err := build(); err != nil {
		return err
	}
	wanted, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	fit, err := regexp.Compile(servers)
	if err != nil {
		return err
	}
	var runs []run
	for _, c := range cases() {
		if !wanted.MatchString(c.String()) {
			continue
		}
		more, err := compareCase(c, fit, rounds, length)
		if err != nil {
			return err
		}
		runs = append(runs, more...)
	}
	return measure.Write(out, table(runs), runs)
}

// compareCase runs all servers in turn, round by round.
func compareCase(c loadCase, fit *regexp.Regexp, rounds int, length time.Duration) ([]run, error) {
	var runs []run
	for round := range rounds {
		for _, v := range variants(c) {
			if !fit.MatchString(v.Name) {
				continue
			}
			r, err := runCase(c, v, length, round == 0)
			if err != nil {
				return nil, fmt.Errorf("%v against %s: %w", c, v.Name, err)
			}
			r.Round = round
			runs = append(runs, r)
			fmt.Fprintf(os.Stderr, "%-34v %-34s %9.0f msg/s %7.2f us/msg p99 %8.0f us\n", c, v.Name, float64(r.Messages)/r.Seconds, r.CPUMicros, r.P99Micros)
		}
	}
	return runs, nil
}

func cases() []loadCase {
	var all []loadCase
	for _, body := range []int{16, 1024} {
		for _, conns := range []int{1, 10, 100, 1000} {
			all = append(all, loadCase{"tcp", conns, 1, body})
		}
		all = append(all,
			loadCase{"tcp", 10, 16, body}, loadCase{"tcp", 10, 64, body},
			loadCase{"udp", 1, 1, body}, loadCase{"udp", 10, 1, body}, loadCase{"udp", 10, 16, body})
	}
	return all
}

// variants lists the servers for a case.
func variants(c loadCase) []variant {
	own := binDir + "/servers"
	all := []variant{
		{"floor", []string{own, "-kind", "floor"}},
		{"reactor, 1 loop", []string{own, "-kind", "reactor", "-loops", "1"}},
	}
	if c.Proto == "tcp" {
		all = append(all, variant{"reactor, 2 loops", []string{own, "-kind", "reactor", "-loops", "2"}})
	}
	all = append(all, variant{"net", []string{own, "-kind", "net"}})
	for _, tags := range gnetTags {
		for _, edge := range []string{"LT", "ET"} {
			for _, loops := range []string{"1", "2"} {
				args := []string{binDir + "/gnet" + tags, "-loops", loops, "-edge=" + fmt.Sprint(edge == "ET")}
				name := strings.Join(strings.Fields("gnet "+strings.ReplaceAll(tags, "-", " ")+" "+edge+" "+loops), " ")
				all = append(all, variant{name, args})
				if c.Proto == "tcp" && c.InFlight > 1 {
					all = append(all, variant{name + " gathered", append(args[:len(args):len(args)], "-gather")})
				}
			}
		}
	}
	if c.Proto == "tcp" {
		for _, loops := range []string{"1", "2"} {
			all = append(all, variant{"netpoll " + loops, []string{binDir + "/netpoll", "-loops", loops}})
		}
	}
	return all
}

// gnetTags are the build variants of gnet.
var gnetTags = []string{"", "-poll_opt", "-gc_opt", "-poll_opt-gc_opt"}

// build compiles all servers into binDir.
func build() error {
	if err := measure.Build(".", binDir+"/servers", "./bench/reactor/servers"); err != nil {
		return err
	}
	peers := "bench/reactor/peers"
	for _, tags := range gnetTags {
		list := strings.ReplaceAll(strings.TrimPrefix(tags, "-"), "-", ",")
		if err := measure.Build(peers, binDir+"/gnet"+tags, "-tags="+list, "./gnet"); err != nil {
			return err
		}
	}
	return measure.Build(peers, binDir+"/netpoll", "./netpoll")
}

// runCase runs one case against one server. System calls are counted in a run
// of their own: counting slows the server down.
func runCase(c loadCase, v variant, length time.Duration, count bool) (run, error) {
	r := run{Case: c, Server: v.Name, Syscalls: -1, ServerArgs: v.Args[1:]}
	p, err := startServer(v, c.Proto)
	if err != nil {
		return r, err
	}
	defer p.Stop()
	l, err := newLoad(c, p.addr)
	if err != nil {
		return r, err
	}
	defer l.close()
	if err := l.run(length / 4); err != nil {
		return r, err
	}
	if err := timed(&r, l, p, length); err != nil {
		return r, err
	}
	if count {
		before := l.messages
		calls, err := p.SyscallsDuring(func() error { return l.run(length / 2) })
		if err != nil {
			return r, err
		}
		if calls >= 0 {
			r.Syscalls = float64(calls) / float64(l.messages-before)
		}
	}
	return r, nil
}

// timed fills in what a run without counting of system calls gives.
func timed(r *run, l *load, p *server, length time.Duration) error {
	mallocs, err := p.Mallocs()
	if err != nil {
		return err
	}
	cpu, err := p.CPU()
	if err != nil {
		return err
	}
	l.latency.Reset()
	before, began := l.messages, time.Now()
	if err := l.run(length); err != nil {
		return err
	}
	r.Seconds = time.Since(began).Seconds()
	after, err := p.CPU()
	if err != nil {
		return err
	}
	mallocsAfter, err := p.Mallocs()
	if err != nil {
		return err
	}
	r.Messages = l.messages - before
	n := float64(r.Messages)
	r.CPUMicros = float64((after - cpu).Nanoseconds()) / 1e3 / n
	r.Mallocs = float64(mallocsAfter-mallocs) / n
	r.P50Micros = measure.Micros(l.latency, 50)
	r.P99Micros = measure.Micros(l.latency, 99)
	return nil
}
