// Failover measures what a fault of one host costs the callers of a service,
// with real processes: HTTP backends that die, go dark, hang, fail or slow down,
// a lars-dns, a lars-agent for each policy, and programs that call through
// client.Do in an open loop with a time-out of a second. All policies meet the
// same fault at the same moment; beside them stands what the simulator says of
// it.
//
//	go run ./bench/failover -rates 200 -out bench/failover/results-200
//	go run ./bench/failover -rates 2000 -out bench/failover/results-2000
//	go run ./bench/failover -only 'refused|hung' -rates 200
//
// It runs for about eight minutes at each rate and ends by itself. The dark host
// needs root and ip(8), for a network namespace; else that case is left out.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"lars.internal/bench/measure"
)

const (
	callTimeout  = time.Second
	serviceTime  = 5 * time.Millisecond // mean of a call
	serviceSigma = 0                    // exponential

	// backendWord is the first argument of a backend process.
	backendWord = "backend"
)

// policies are compared, each with an agent of its own.
var policies = []string{"adaptive", "classic"}

// options say what is measured.
type options struct {
	only   *regexp.Regexp
	rates  []int
	rounds int
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == backendWord {
		fail(serveBackend(os.Args[2]))
	}
	only := flag.String("only", "", "only cases whose name matches this expression")
	rates := flag.String("rates", "200,2000", "calls a second of each program")
	rounds := flag.Int("rounds", 1, "how often each case has its turn")
	out := flag.String("out", "", "write FILE.md and FILE.json; default: the table to standard output")
	flag.Parse()
	o, err := parse(*only, *rates, *rounds)
	if err != nil {
		fail(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	runs, err := compare(ctx, o)
	if err == nil {
		err = measure.Write(*out, table(runs), runs)
	}
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "bench/failover:", err)
	os.Exit(1)
}

func parse(only, rates string, rounds int) (options, error) {
	o := options{rounds: rounds}
	var err error
	if o.only, err = regexp.Compile(only); err != nil {
		return o, fmt.Errorf("-only: %w", err)
	}
	for _, text := range strings.Split(rates, ",") {
		rate, err := strconv.Atoi(text)
		if err != nil || rate < 1 || rate > 10_000 {
			return o, fmt.Errorf("-rates: %q: want numbers from 1 to 10000, separated by commas", rates)
		}
		o.rates = append(o.rates, rate)
	}
	return o, nil
}

// compare runs all cases that fit, and simulates each once.
func compare(ctx context.Context, o options) ([]run, error) {
	s, err := newStage(true)
	if err != nil {
		return nil, err
	}
	defer s.close()
	var runs []run
	for i := range cases {
		c := &cases[i]
		if !o.only.MatchString(c.name) {
			continue
		}
		if c.root && s.space == nil {
			progress("%s: left out, it needs root", c.name)
			continue
		}
		for _, rate := range o.rates {
			more, err := s.compareCase(ctx, c, rate, o.rounds)
			if err != nil {
				return nil, fmt.Errorf("%s at %d calls/s: %w", c.name, rate, err)
			}
			runs = append(runs, more...)
		}
	}
	addRatios(runs)
	return runs, nil
}

func (s *stage) compareCase(ctx context.Context, c *faultCase, rate, rounds int) ([]run, error) {
	var runs []run
	for round := range rounds {
		more, err := s.perform(ctx, c, rate)
		if err != nil {
			return nil, err
		}
		for _, r := range more {
			r.Round = round
			runs = append(runs, r)
			progress("%-18s %5d/s %-9s %5.0f failed, %5.0f refused in 10 s; later %5.0f and %5.0f of %.0f; back %6.2f s; p99 %.1f ms",
				c.name, rate, r.Policy, r.FailedEarly, r.RefusedEarly, r.FailedLater, r.RefusedLater, r.CallsLater, r.BackSeconds, r.P99Millis)
		}
	}
	for _, policy := range policies {
		r, err := simulate(c, rate, policy)
		if err != nil {
			return nil, err
		}
		runs = append(runs, r)
	}
	return runs, nil
}

// progress prints a line on standard error.
func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
