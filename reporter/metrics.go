package reporter

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"lars.internal/internal/metrics"
	"lars.internal/reactor"
)

// counts are the totals that a service keeps since it was made. Safe for
// concurrent use.
type counts struct {
	reports, results                   prometheus.Counter
	malformed, closed                  prometheus.Counter // reports dropped
	badHost, backlogFull, unwritten    prometheus.Counter // rows dropped
	refused                            prometheus.Counter // as these
	merged, restamped, acks            prometheus.Counter
	upserts, upsertErrors              prometheus.Counter
	rows, ignored, expired             prometheus.Counter
	refusedLimit, refusedNoDescriptors prometheus.Counter
	refusedAddress, refusedUnproven    prometheus.Counter
	upsertSeconds                      prometheus.Histogram
}

const refusedHelp = "Connections refused: over [reactor] maxConn or a limit of its address, pushed out of those that had not proven themselves, for want of descriptors, or by [access]."

func newCounts(set *metrics.Set) *counts {
	report := func(reason string) prometheus.Counter {
		return set.Counter("reports_dropped_total", "Reports lost: malformed, or the service was stopping.", "reason", reason)
	}
	row := func(reason string) prometheus.Counter {
		return set.Counter("rows_dropped_total", "Rows lost: no usable host, dropped for newer ones of agents that expect no acknowledgement, refused by the database, or unwritten when the service stopped.", "reason", reason)
	}
	return &counts{
		reports:              set.Counter("reports_total", "Reports received, one per service, agent and interval."),
		results:              set.Counter("results_total", "Hosts in the reports received."),
		malformed:            report("malformed"),
		closed:               report("closed"),
		badHost:              row("bad_host"),
		backlogFull:          row("backlog_full"),
		unwritten:            row("shutdown"),
		refused:              row("refused"),
		merged:               set.Counter("rows_merged_total", "Rows replaced by a newer one before they were written."),
		restamped:            set.Counter("timestamps_replaced_total", "Reports without a timestamp or with one from the future, stored under their arrival."),
		acks:                 set.Counter("acks_total", "Reports acknowledged because they are stored."),
		upserts:              set.Counter("upserts_total", "Statements that wrote rows."),
		upsertErrors:         set.Counter("upsert_errors_total", "Statements that failed; their rows are tried again."),
		rows:                 set.Counter("rows_written_total", "Rows written."),
		ignored:              set.Counter("rows_ignored_total", "Rows not written because the table had newer ones."),
		expired:              set.Counter("rows_expired_total", "Rows removed because no report had renewed them for [reporter] retention."),
		refusedLimit:         set.Counter("connections_refused_total", refusedHelp, "reason", "limit"),
		refusedAddress:       set.Counter("connections_refused_total", refusedHelp, "reason", "address"),
		refusedUnproven:      set.Counter("connections_refused_total", refusedHelp, "reason", "unproven"),
		refusedNoDescriptors: set.Counter("connections_refused_total", refusedHelp, "reason", "descriptors"),
		upsertSeconds:        set.Histogram("upsert_duration_seconds", "Time that statements took.", metrics.Seconds),
	}
}

// readMetrics adds what is read from the server at each scrape.
func (s *Server) readMetrics(set *metrics.Set) {
	set.GaugeFunc("connections", "Agents connected.", func() float64 { return float64(s.server.Conns()) })
	set.CounterFunc("connections_refused_total", refusedHelp, s.gate.Count, "reason", "access")
	set.GaugeFunc("store_up", "1 while the database takes reports, else 0.", func() float64 {
		if s.heard.Load() && s.outage.Err() == nil {
			return 1
		}
		return 0
	})
	set.CounterFunc("messages_unknown_total", "Messages that are no report.", s.unknownMessages)
	set.GaugeFunc("connections_paused", "Connections that are not read now, because reports wait for the database.",
		func() float64 { return float64(s.paused.Load()) })
	for i, t := range s.threads {
		set.GaugeFunc("queue_reports", "Reports that wait for their acknowledgement now, by storing thread.",
			func() float64 { reports, _ := t.load(); return float64(reports) }, "thread", strconv.Itoa(i))
		set.GaugeFunc("backlog_rows", "Rows that wait to be written now, by storing thread.",
			func() float64 { _, rows := t.load(); return float64(rows) }, "thread", strconv.Itoa(i))
	}
}

func (s *Server) unknownMessages() uint64 {
	return foldLoops(s.server, func(l reactor.LoopStats) uint64 { return l.MessagesUnknown })
}

func foldLoops(server *reactor.Server, field func(reactor.LoopStats) uint64) uint64 {
	var sum uint64
	for _, l := range server.Loops() {
		sum += field(l.Stats())
	}
	return sum
}
