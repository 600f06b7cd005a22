package reporter

import (
	"fmt"

	"github.com/VictoriaMetrics/metrics"

	"lars.internal/reactor"
)

// counts are the totals that a service keeps since it was made. Safe for
// concurrent use.
type counts struct {
	reports, results                   *metrics.Counter
	malformed, queueFull, closed       *metrics.Counter // reports dropped
	badHost, backlogFull, unwritten    *metrics.Counter // rows dropped
	merged, restamped                  *metrics.Counter
	upserts, upsertErrors, rows        *metrics.Counter
	refusedLimit, refusedNoDescriptors *metrics.Counter
	upsertSeconds                      *metrics.Histogram
}

func newCounts(set *metrics.Set) *counts {
	dropped := func(what, reason string) *metrics.Counter {
		return set.NewCounter(fmt.Sprintf("lars_reporter_%s_dropped_total{reason=%q}", what, reason))
	}
	return &counts{
		reports:              set.NewCounter("lars_reporter_reports_total"),
		results:              set.NewCounter("lars_reporter_results_total"),
		malformed:            dropped("reports", "malformed"),
		queueFull:            dropped("reports", "queue_full"),
		closed:               dropped("reports", "closed"),
		badHost:              dropped("rows", "bad_host"),
		backlogFull:          dropped("rows", "backlog_full"),
		unwritten:            dropped("rows", "shutdown"),
		merged:               set.NewCounter("lars_reporter_rows_merged_total"),
		restamped:            set.NewCounter("lars_reporter_timestamps_replaced_total"),
		upserts:              set.NewCounter("lars_reporter_upserts_total"),
		upsertErrors:         set.NewCounter("lars_reporter_upsert_errors_total"),
		rows:                 set.NewCounter("lars_reporter_rows_written_total"),
		refusedLimit:         set.NewCounter(`lars_reporter_connections_refused_total{reason="limit"}`),
		refusedNoDescriptors: set.NewCounter(`lars_reporter_connections_refused_total{reason="descriptors"}`),
		upsertSeconds:        set.NewHistogram("lars_reporter_upsert_duration_seconds"),
	}
}

// gauges registers what is read from the service when somebody scrapes.
func (s *Server) gauges() {
	s.metrics.NewGauge("lars_reporter_connections", func() float64 { return float64(s.server.Conns()) })
	s.metrics.NewGauge(`lars_reporter_connections_refused_total{reason="access"}`, func() float64 { return float64(s.gate.Count()) })
	s.metrics.NewGauge("lars_reporter_store_up", func() float64 {
		if s.outage.err() != nil {
			return 0
		}
		return 1
	})
	s.metrics.NewGauge("lars_reporter_messages_unknown_total", s.unknownMessages)
	for i, t := range s.threads {
		s.metrics.NewGauge(fmt.Sprintf(`lars_reporter_queue_reports{thread="%d"}`, i),
			func() float64 { return float64(t.queue.Len()) })
		s.metrics.NewGauge(fmt.Sprintf(`lars_reporter_backlog_rows{thread="%d"}`, i),
			func() float64 { return float64(t.waiting.Load()) })
	}
}

func (s *Server) unknownMessages() float64 {
	return foldLoops(s.server, func(l reactor.LoopStats) uint64 { return l.MessagesUnknown })
}

func foldLoops(server *reactor.Server, field func(reactor.LoopStats) uint64) float64 {
	var sum uint64
	for _, l := range server.Loops() {
		sum += field(l.Stats())
	}
	return float64(sum)
}
