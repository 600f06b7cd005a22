package main

import (
	"cmp"
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
	Time    time.Time      `json:"time"`
}

func newStatus(s *settings) *cobra.Command {
	var asJSON bool
	var limit int
	c := &cobra.Command{
		Use:   "status [SERVICE]",
		Short: "Show the call statistics that agents reported",
		Long: `Show the call statistics that agents reported to the report service: for each host as
each calling machine sees it, the calls of the last window and whether it is ejected.`,
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
		return s.withStore(func(db *store.DB) error {
			rows, err := db.Status(c.Context(), filter, limit)
			if err != nil {
				return err
			}
			slices.SortStableFunc(rows, newestFirst)
			return s.printStatus(statusRows(rows), asJSON)
		})
	}
	return jsonFlag(c, &asJSON)
}

// newestFirst puts the hosts of one report next to each other.
func newestFirst(a, b route.CallStatus) int {
	return cmp.Or(cmp.Compare(b.Time, a.Time), a.Key.Compare(b.Key), a.Host.Compare(b.Host), cmp.Compare(a.Caller, b.Caller))
}

func statusRows(from []route.CallStatus) []statusRow {
	rows := make([]statusRow, len(from))
	for i, st := range from {
		rows[i] = statusRow{
			Service: st.Key.String(), Host: st.Host.AddrPort(), Caller: addrOf(st.Caller),
			Succ: st.Succ, Err: st.Err, Ejected: st.Overload, Time: time.Unix(st.Time, 0),
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
		fmt.Fprintln(s.env.Stderr, "nothing was reported yet; an agent reports within a second of a call")
		return nil
	}
	t := s.newTable("SERVICE", "HOST", "CALLER", "SUCCESSES", "FAILURES", "STATE", "REPORTED")
	for _, r := range rows {
		t.row(r.Service, r.Host, r.Caller, r.Succ, r.Err, stateText(r.Ejected), r.Time.Format(time.DateTime))
	}
	return t.flush()
}

func stateText(ejected bool) string {
	if ejected {
		return "ejected"
	}
	return "idle"
}
