// Dns measures the route service on MariaDB: lookups, pushes, loads, and what an
// edit costs.
//
//	go run ./bench/dns -out bench/dns/results
//	go run ./bench/dns -quick -only 'push|pick'
//
// It builds lars-dns, lars-agent and lars and runs them as processes, with a
// private MariaDB server in a temporary folder, or with databases of its own on
// the server that -mysql names. Edits are made as every writer makes them: one
// transaction that takes the next version.
//
// The parts, for -only: lookups, pushes, picks, bursts, loads. All of them take
// a few minutes. It writes a table (Markdown) and the raw figures (JSON).
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"

	"lars.internal/bench/measure"
)

// amounts say how much is measured.
type amounts struct {
	lookupTime time.Duration // of one case, after a warm-up of a quarter of it
	conns      []int         // of the lookups
	audiences  []audienceCase
	picks      int // edits that an agent's picks have to follow
	bursts     int
	sizes      []int // hosts in the database
	starts     int   // of lars-dns at each size
	editRounds int   // edits of each number of services, at the least and the largest size
}

// audienceCase is so many subscribers that see so many edits.
type audienceCase struct{ subscribers, edits int }

var full = amounts{
	lookupTime: 2 * time.Second,
	conns:      []int{1, 10, 100},
	audiences:  []audienceCase{{1, 200}, {100, 100}, {10_000, 40}},
	picks:      100,
	bursts:     3,
	sizes:      []int{10_000, 100_000, 1_000_000},
	starts:     3,
	editRounds: 20,
}

var quick = amounts{
	lookupTime: 200 * time.Millisecond,
	conns:      []int{1, 10},
	audiences:  []audienceCase{{1, 5}, {100, 5}},
	picks:      5,
	bursts:     1,
	sizes:      []int{1_000, 10_000},
	starts:     2,
	editRounds: 3,
}

// results are the raw figures.
type results struct {
	Machine  string      `json:"machine"`
	Database string      `json:"database"`
	Lookups  []lookupRun `json:"lookups"`
	Pushes   []pushRun   `json:"pushes"`
	Picks    []pickRun   `json:"picks"`
	Bursts   []burstRun  `json:"bursts"`
	Loads    []loadRun   `json:"loads"`
	Edits    []editRun   `json:"edits"`
}

func main() {
	mysql := flag.String("mysql", "", "server to use, as mysql://USER:PASSWORD@HOST:PORT; default: a private one")
	less := flag.Bool("quick", false, "small sizes and few rounds, to see that all works")
	only := flag.String("only", "", "only parts whose name matches this expression")
	out := flag.String("out", "", "write FILE.md and FILE.json; default: the table to standard output")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	amount := full
	if *less {
		amount = quick
	}
	r, err := run(ctx, amount, *mysql, *only)
	if err == nil {
		err = measure.Write(*out, r.table(), r)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench/dns:", err)
		os.Exit(1)
	}
}

// run measures all parts whose name fits.
func run(ctx context.Context, amount amounts, mysql, only string) (*results, error) {
	fit, err := regexp.Compile(only)
	if err != nil {
		return nil, err
	}
	s, err := newStage(ctx, mysql)
	if err != nil {
		return nil, err
	}
	defer s.close()
	r := &results{Machine: measure.Machine()}
	if r.Database, err = s.version(ctx); err != nil {
		return nil, err
	}
	for _, part := range []struct {
		name    string
		measure func() error
	}{
		{"lookups", func() (err error) { r.Lookups, err = s.lookups(ctx, amount); return }},
		{"pushes", func() (err error) { r.Pushes, err = s.pushes(ctx, amount.audiences); return }},
		{"picks", func() (err error) { r.Picks, err = s.picks(ctx, amount.picks); return }},
		{"bursts", func() (err error) { r.Bursts, err = s.bursts(ctx, amount.bursts); return }},
		{"loads", func() (err error) { r.Loads, r.Edits, err = s.loads(ctx, amount); return }},
	} {
		if !fit.MatchString(part.name) {
			continue
		}
		if err := part.measure(); err != nil {
			return nil, fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return r, nil
}

// progress prints a line on standard error.
func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
