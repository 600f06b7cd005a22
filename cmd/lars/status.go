package main

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"lars.internal/route"
	"lars.internal/store"
)

// statusRow is a row of the report table as `lars status --json` prints it.
type statusRow struct {
	Service string         `json:"service"`
	Host    netip.AddrPort `json:"host"`
	Caller  netip.Addr     `json:"caller"`
	Succ    uint32         `json:"succ"`
	Err     uint32         `json:"err"`
	Ejected bool           `json:"ejected"`
	InRoute bool           `json:"in_route"`          // false: it may not be called
	Drained bool           `json:"drained,omitempty"` // and is to be called again later
	Time    time.Time      `json:"time"`
	Age     float64        `json:"age_seconds"`
}

// quietFor is how old the newest report may be before status says so. An agent
// that is called reports within a second or two.
const quietFor = time.Minute

func newStatus(s *settings) *cobra.Command {
	var asJSON bool
	var limit int
	c := &cobra.Command{
		Use:   "status [SERVICE]",
		Short: "Show the call statistics that agents reported",
		Long: `Show the call statistics that agents reported to the report service: for each host as
each calling machine sees it, the calls of the last window, whether it is ejected, and how
old the report is. Hosts that are drained, or no longer in the route of their service, are
marked; lars-reporter removes the rows that no report renews after [reporter] retention.`,
		Example: "  lars status 1/2",
	}
	c.Flags().IntVar(&limit, "limit", 1000, "rows at most, 1..10000")
	c.RunE = func(c *cobra.Command, args []string) error {
		filter, err := maybeService(c, args)
		if err != nil {
			return err
		}
		if limit < 1 || limit > 10_000 {
			return usage(c, "--limit %d: want 1..10000", limit)
		}
		return s.withStore(func(db *store.DB) error { return s.status(c.Context(), db, filter, limit, asJSON) })
	}
	return complete(jsonFlag(c, &asJSON), s.completeServices, nil)
}

// status prints what the report table holds of one service, or of all.
func (s *settings) status(ctx context.Context, db *store.DB, filter *route.Key, limit int, asJSON bool) error {
	statuses, err := db.Status(ctx, filter, limit)
	if err != nil {
		return err
	}
	slices.SortStableFunc(statuses, newestFirst)
	routes, err := db.ServicesOf(ctx, services(statuses))
	if err != nil {
		return err
	}
	total, newest, err := db.StatusTotal(ctx, filter)
	if err != nil {
		return err
	}
	now := time.Now()
	if err := s.printStatus(statusRows(statuses, routes, now), asJSON); err != nil {
		return err
	}
	s.explainStatus(len(statuses), total, now.Sub(time.Unix(newest, 0)))
	return nil
}

// explainStatus says on standard error what the rows alone do not show.
func (s *settings) explainStatus(shown, total int, age time.Duration) {
	say := func(format string, args ...any) { fmt.Fprintf(s.env.Stderr, format+"\n", args...) }
	if total == 0 {
		say("nothing was reported yet; an agent reports within a second of a call")
		return
	}
	if shown < total {
		say("%d of %d rows; --limit shows more, SERVICE those of one service", shown, total)
	}
	if age > quietFor {
		say("the newest report is %s old: there were no calls since, or reports do not arrive; "+
			"then /readyz of lars-reporter and of lars-agent say why", ageText(age))
	}
}

// services returns the services of the rows, each once.
func services(statuses []route.CallStatus) []route.Key {
	var keys []route.Key
	for _, st := range statuses {
		keys = append(keys, st.Key)
	}
	slices.SortFunc(keys, route.Key.Compare)
	return slices.Compact(keys)
}

// newestFirst puts the hosts of one report next to each other.
func newestFirst(a, b route.CallStatus) int {
	return cmp.Or(cmp.Compare(b.Time, a.Time), a.Key.Compare(b.Key), a.Host.Compare(b.Host), cmp.Compare(a.Caller, b.Caller))
}

func statusRows(from []route.CallStatus, routes []route.Service, now time.Time) []statusRow {
	type place struct {
		key  route.Key
		host route.Host
	}
	drained := make(map[place]bool) // of all hosts that the services have
	for _, v := range routes {
		for _, m := range v.Hosts {
			drained[place{v.Key, m.Host}] = m.Drained
		}
	}
	rows := make([]statusRow, len(from))
	for i, st := range from {
		at := time.Unix(st.Time, 0)
		out, known := drained[place{st.Key, st.Host}]
		rows[i] = statusRow{
			Service: st.Key.String(), Host: st.Host.AddrPort(), Caller: addrOf(st.Caller),
			Succ: st.Succ, Err: st.Err, Ejected: st.Overload, InRoute: known && !out, Drained: out,
			Time: at, Age: now.Sub(at).Seconds(),
		}
	}
	return rows
}

func addrOf(ip uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(ip >> 24), byte(ip >> 16), byte(ip >> 8), byte(ip)})
}

func (s *settings) printStatus(rows []statusRow, asJSON bool) error {
	if asJSON {
		return s.printJSON(rows)
	}
	if len(rows) == 0 {
		return nil
	}
	t := s.newTable("SERVICE", "HOST", "CALLER", "SUCCESSES", "FAILURES", "STATE", "REPORTED", "AGE")
	for _, r := range rows {
		t.row(r.Service, r.Host, r.Caller, r.Succ, r.Err, r.state(), r.Time.Format(time.DateTime),
			ageText(time.Duration(r.Age*float64(time.Second))))
	}
	return t.flush()
}

func (r *statusRow) state() string {
	state := "idle"
	if r.Ejected {
		state = "ejected"
	}
	switch {
	case r.Drained:
		state += ", drained"
	case !r.InRoute:
		state += ", not in the route"
	}
	return state
}

// ageText writes an age in its largest unit. An agent's clock may be ahead.
func ageText(age time.Duration) string {
	switch {
	case age < 0:
		return "0s"
	case age < time.Minute:
		return fmt.Sprintf("%ds", age/time.Second)
	case age < time.Hour:
		return fmt.Sprintf("%dm", age/time.Minute)
	case age < 48*time.Hour:
		return fmt.Sprintf("%dh", age/time.Hour)
	}
	return fmt.Sprintf("%dd", age/(24*time.Hour))
}
