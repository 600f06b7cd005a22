package dns

import (
	"time"

	"github.com/VictoriaMetrics/metrics"

	"lars.internal/route"
)

// newMetrics names what the service counts. Loops count for themselves; the
// sums are made when somebody asks.
func (s *Server) newMetrics() *metrics.Set {
	set := metrics.NewSet()
	s.tableMetrics(set)
	s.shardMetrics(set)
	s.storeMetrics(set)
	if s.keeper != nil {
		s.keeper.metrics(set)
	}
	return set
}

func (s *Server) tableMetrics(set *metrics.Set) {
	ofTable := func(name string, f func(*route.Table) float64) {
		set.NewGauge(name, func() float64 {
			if t := s.table.Load(); t != nil {
				return f(t)
			}
			return 0
		})
	}
	ofTable("lars_dns_services", func(t *route.Table) float64 { n, _ := t.Len(); return float64(n) })
	ofTable("lars_dns_hosts", func(t *route.Table) float64 { _, n := t.Len(); return float64(n) })
	ofTable("lars_dns_version", func(t *route.Table) float64 { return float64(t.Version()) })
	ofTable("lars_dns_table_age_seconds", func(*route.Table) float64 {
		_, asOf := s.snapshot()
		return time.Since(asOf).Seconds()
	})
}

func (s *Server) shardMetrics(set *metrics.Set) {
	sum := func(name string, of func(*shardCounts) *counter) {
		set.NewGauge(name, func() float64 { return s.sum(of) })
	}
	sum("lars_dns_connections", func(c *shardCounts) *counter { return &c.connections })
	sum("lars_dns_subscriptions", func(c *shardCounts) *counter { return &c.subscriptions })
	sum("lars_dns_lookups_total", func(c *shardCounts) *counter { return &c.lookups })
	sum("lars_dns_lookups_held_total", func(c *shardCounts) *counter { return &c.held })
	sum("lars_dns_lookups_unsubscribed_total", func(c *shardCounts) *counter { return &c.unsubscribed })
	sum("lars_dns_bad_messages_total", func(c *shardCounts) *counter { return &c.badMessages })
	sum("lars_dns_pushes_total", func(c *shardCounts) *counter { return &c.pushes })
	sum("lars_dns_routes_delayed_total", func(c *shardCounts) *counter { return &c.delayed })
	sum("lars_dns_slow_readers_closed_total", func(c *shardCounts) *counter { return &c.slowClosed })
	set.NewGauge(`lars_dns_connections_refused_total{reason="room"}`, func() float64 { return float64(s.refused.Load()) })
	set.NewGauge(`lars_dns_connections_refused_total{reason="access"}`, func() float64 { return float64(s.gate.Count()) })
}

func (s *Server) sum(of func(*shardCounts) *counter) float64 {
	var total int64
	for _, shard := range s.shards {
		total += of(&shard.count).v.Load()
	}
	return float64(total)
}

func (s *Server) storeMetrics(set *metrics.Set) {
	c := &s.watcher.counts
	c.polls = set.NewCounter("lars_dns_polls_total")
	c.pollErrors = set.NewCounter("lars_dns_poll_errors_total")
	c.loadErrors = set.NewCounter("lars_dns_load_errors_total")
	c.deltaTime = set.NewHistogram(`lars_dns_load_seconds{kind="delta"}`)
	c.fullTime = set.NewHistogram(`lars_dns_load_seconds{kind="full"}`)
	c.cut = set.NewGauge("lars_dns_services_cut", nil)
	set.NewGauge("lars_dns_bad_rows_total", func() float64 { return float64(s.cfg.BadRows.reads.Load()) })
	set.NewGauge("lars_dns_store_up", func() float64 {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.trouble != nil || !s.fresh {
			return 0
		}
		return 1
	})
}

func (k *keeper) metrics(set *metrics.Set) {
	set.NewGauge("lars_dns_snapshot_writes_total", func() float64 { return float64(k.writes.Load()) })
	set.NewGauge("lars_dns_snapshot_errors_total", func() float64 { return float64(k.errors.Load()) })
	set.NewGauge("lars_dns_snapshot_age_seconds", func() float64 {
		if asOf := k.savedAsOf.Load(); asOf != 0 {
			return time.Since(time.Unix(asOf, 0)).Seconds()
		}
		return 0
	})
}
