package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// storedRow is a row of the report table.
type storedRow struct {
	Host    netip.AddrPort `json:"host"`
	Caller  netip.Addr     `json:"caller"`
	Succ    int            `json:"succ"`
	Err     int            `json:"err"`
	Ejected bool           `json:"ejected"`
	Time    time.Time      `json:"time"`
}

// results is what the demo has found out.
type results struct {
	load  *load
	farm  *farm
	edits []edit
	agent map[netip.AddrPort]agentHost
	table []storedRow
}

// reportTable returns what the report table holds, once there is a row for each of
// these hosts that is no older than since. Rows have whole seconds.
func (s *system) reportTable(ctx context.Context, hosts []*backend, since time.Time) ([]storedRow, error) {
	since = since.Truncate(time.Second)
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		var rows []storedRow
		if err := s.larsJSON(ctx, &rows, "status", service, "--json"); err != nil {
			return nil, err
		}
		if stored(rows, hosts, since) {
			return rows, nil
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("the report table did not get the last reports within 10 s, it holds %d rows", len(rows))
		}
		pause(ctx, 200*time.Millisecond)
	}
}

func stored(rows []storedRow, hosts []*backend, since time.Time) bool {
	found := map[netip.AddrPort]bool{}
	for _, r := range rows {
		found[r.Host] = !r.Time.Before(since)
	}
	for _, b := range hosts {
		if !found[b.addr] {
			return false
		}
	}
	return true
}

// print writes the tables. The share of failures without Lars is that of one dead
// host and one that fails half of its calls, of five hosts for two thirds of the
// calls and of six for the rest: (2 * 1.5/5 + 1.5/6) / 3.
func (r *results) print(out io.Writer) {
	l := r.load
	all, p50, p99 := l.totals()
	fmt.Fprintf(out, "\n%s calls in %.1f s, %s failed: %.1f %%. Calling all hosts in turn, 28 %% would have.\n\n",
		thousands(all.succ+all.err), l.end.Sub(l.start).Seconds(), thousands(all.err), percent(all.err, all.succ+all.err))

	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row(w, "HOST", "BACKEND", "CALLS", "SUCCESSES", "FAILURES", "EJECTED", "BROUGHT BACK")
	for _, b := range r.farm.backends {
		t, a := l.hosts[b.addr], r.agent[b.addr]
		row(w, b.addr, b.what, thousands(t.succ+t.err), thousands(t.succ), thousands(t.err), a.Ejected, a.Reinstated)
	}
	w.Flush()

	fmt.Fprintf(out, "\nGetHost: p50 %s, p99 %s, slowest %s\n", millis(p50), millis(p99), millis(l.percentile(100)))
	for _, e := range r.edits {
		fmt.Fprintf(out, "Route edit: %s, known to the agent %s after its commit\n", e.what, millis(e.after))
	}
	r.printTable(out)
}

func (r *results) printTable(out io.Writer) {
	fmt.Fprint(out, "\nReport table, the last window of each host:\n\n")
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row(w, "HOST", "CALLER", "SUCCESSES", "FAILURES", "STATE", "REPORTED")
	for _, s := range r.table {
		state := "idle"
		if s.Ejected {
			state = "ejected"
		}
		row(w, s.Host, s.Caller, thousands(s.Succ), thousands(s.Err), state, s.Time.Format(time.TimeOnly))
	}
	w.Flush()
}

func row(w io.Writer, cells ...any) {
	text := make([]string, len(cells))
	for i, c := range cells {
		text[i] = fmt.Sprint(c)
	}
	fmt.Fprintln(w, strings.Join(text, "\t"))
}

// verdict returns what did not come out as it has to.
func (r *results) verdict() error {
	var errs []error
	l := r.load
	all, _, _ := l.totals()
	if l.lost > 0 {
		errs = append(errs, fmt.Errorf("%d picks or reports failed, the last one: %w", l.lost, l.lostBy))
	}
	if n := all.succ + all.err; n != l.calls {
		errs = append(errs, fmt.Errorf("%d calls ended, want %d", n, l.calls))
	}
	for _, b := range r.farm.backends {
		t, bad := l.hosts[b.addr], b.what == "dead" || b.what == "fails half"
		switch {
		case t.succ+t.err == 0:
			errs = append(errs, fmt.Errorf("%v (%s) was never called", b.addr, b.what))
		case bad && r.agent[b.addr].Ejected == 0:
			errs = append(errs, fmt.Errorf("%v (%s) was never ejected", b.addr, b.what))
		case !bad && t.err > 0:
			errs = append(errs, fmt.Errorf("%v (%s) failed %d calls", b.addr, b.what, t.err))
		}
	}
	return errors.Join(errs...)
}

func percent(part, all int) float64 { return 100 * float64(part) / float64(max(all, 1)) }

func millis(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
}

// thousands writes a number as 12,345.
func thousands(n int) string {
	s := strconv.Itoa(n)
	var parts []string
	for len(s) > 3 {
		parts = append([]string{s[len(s)-3:]}, parts...)
		s = s[:len(s)-3]
	}
	return strings.Join(append([]string{s}, parts...), ",")
}
