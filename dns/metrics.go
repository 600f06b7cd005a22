package dns

import (
	"time"

	"lars.internal/internal/metrics"
	"lars.internal/keep"
	"lars.internal/route"
)

// newMetrics names what the service counts. Loops count for themselves; the
// sums are made when somebody asks.
func (s *Server) newMetrics() *metrics.Set {
	set := metrics.NewSet("lars_dns_")
	s.tableMetrics(set)
	s.shardMetrics(set)
	s.storeMetrics(set)
	if s.cfg.Snapshot != "" {
		snapshotMetrics(set, s.keeper)
	}
	return set
}

func (s *Server) tableMetrics(set *metrics.Set) {
	ofTable := func(name, help string, f func(*route.Table) float64) {
		set.GaugeFunc(name, help, func() float64 {
			if t := s.routes.table.Load(); t != nil {
				return f(t)
			}
			return 0
		})
	}
	ofTable("services", "Services with hosts.", func(t *route.Table) float64 { n, _ := t.Len(); return float64(n) })
	ofTable("hosts", "Hosts of all services.", func(t *route.Table) float64 { _, n := t.Len(); return float64(n) })
	ofTable("version", "Version of the routes that are answered.", func(t *route.Table) float64 { return float64(t.Version()) })
	ofTable("table_age_seconds", "Time since the routes were last known to be those of the database.", func(*route.Table) float64 {
		return time.Since(s.state.knownAt()).Seconds()
	})
}

func (s *Server) shardMetrics(set *metrics.Set) {
	gauge := func(name, help string, of func(*shardCounts) *counter) {
		set.GaugeFunc(name, help, func() float64 { return float64(s.sum(of)) })
	}
	gauge("connections", "Agents connected.", func(c *shardCounts) *counter { return &c.connections })
	gauge("subscriptions", "Pairs of a connection and a service whose changes it gets.", func(c *shardCounts) *counter { return &c.subscriptions })
	set.GaugeFunc("subscriptions_without_hosts", "Of these, those to services that have no hosts.", func() float64 { return float64(s.room.rowless.Load()) })
	total := func(name, help string, of func(*shardCounts) *counter) {
		set.CounterFunc(name, help, func() uint64 { return uint64(s.sum(of)) })
	}
	total("lookups_total", "Requests for a route.", func(c *shardCounts) *counter { return &c.lookups })
	total("lookups_held_total", "Requests for a route that waited for the first load.", func(c *shardCounts) *counter { return &c.held })
	total("lookups_unsubscribed_total", "Requests for a route that were answered without a subscription, because the connection, or all of them together, have as many as they may.", func(c *shardCounts) *counter { return &c.unsubscribed })
	total("bad_messages_total", "Requests that were no protobuf message.", func(c *shardCounts) *counter { return &c.badMessages })
	total("pushes_total", "Routes sent unasked, because they changed.", func(c *shardCounts) *counter { return &c.pushes })
	total("routes_delayed_total", "Routes that waited because the agent reads slowly.", func(c *shardCounts) *counter { return &c.delayed })
	total("slow_readers_closed_total", "Connections closed because the agent took nothing for too long.", func(c *shardCounts) *counter { return &c.slowClosed })
	const refused = "Connections refused: over [reactor] maxConn or a limit of its address, pushed out of those that had not proven themselves, for want of descriptors, or by [access]."
	set.CounterFunc("connections_refused_total", refused, s.refused.limit.Load, "reason", "limit")
	set.CounterFunc("connections_refused_total", refused, s.refused.address.Load, "reason", "address")
	set.CounterFunc("connections_refused_total", refused, s.refused.unproven.Load, "reason", "unproven")
	set.CounterFunc("connections_refused_total", refused, s.refused.descriptors.Load, "reason", "descriptors")
	set.CounterFunc("connections_refused_total", refused, s.gate.Count, "reason", "access")
}

func (s *Server) sum(of func(*shardCounts) *counter) int64 {
	var total int64
	for _, shard := range s.shards {
		total += of(&shard.count).v.Load()
	}
	return total
}

func (s *Server) storeMetrics(set *metrics.Set) {
	c := &s.watcher.counts
	c.polls = set.Counter("polls_total", "Looks for a new version.")
	c.pollErrors = set.Counter("poll_errors_total", "Looks for a new version that the database did not answer.")
	c.loadErrors = set.Counter("load_errors_total", "Loads that failed; the routes stay as they were.")
	const loads = "Time that loads took: delta for what changed, full for all routes."
	c.deltaTime = set.Histogram("load_seconds", loads, metrics.Seconds, "kind", "delta")
	c.fullTime = set.Histogram("load_seconds", loads, metrics.Seconds, "kind", "full")
	c.cut = set.Gauge("services_cut", "Services with more hosts than one frame holds; the rest is not sent.")
	set.CounterFunc("bad_rows_total", "Rows of RouteData, RouteHost and ServiceSetting that were skipped, each time that they were read; of a RouteHost, a value alone.", func() uint64 { return uint64(s.cfg.BadRows.reads.Load()) })
	set.GaugeFunc("store_up", "1 while the last look for edits and the last load of all routes went well, else 0.", func() float64 { return oneIf(s.state.storeUp()) })
	set.GaugeFunc("stale", "1 while the routes are not known to be those of the database, else 0.", func() float64 { return oneIf(s.routes.stale.Load()) })
	set.GaugeFunc("held_back_hosts", "Hosts that a load would remove without change records, which is held back; 0: none is.", func() float64 {
		if held, _ := s.state.holding(); held != nil {
			return float64(held.removed)
		}
		return 0
	})
	set.CounterFunc("loads_held_back_total", "Times that the routes in the database began to be held back.", func() uint64 {
		_, total := s.state.holding()
		return total
	})
	set.CounterFunc("unlogged_changes_total", "Changed services that got their log line at debug, because there were too many at a time.", s.watcher.changes.quiet.Load)
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func snapshotMetrics(set *metrics.Set, k *keep.Keeper) {
	set.CounterFunc("snapshot_writes_total", "Snapshots written.", k.Writes)
	set.CounterFunc("snapshot_errors_total", "Snapshots that could not be written.", k.Failures)
	set.GaugeFunc("snapshot_age_seconds", "Time since the routes in the snapshot were known to be right; -1 without one.", func() float64 { return k.Age().Seconds() })
}
