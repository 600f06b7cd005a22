package agent

import "github.com/VictoriaMetrics/metrics"

// newMetrics returns what an agent counts. All is read when somebody scrapes,
// from counters that the work itself keeps.
func newMetrics(a *Agent) *metrics.Set {
	set := metrics.NewSet()
	count := func(name string, read func() uint64) {
		set.NewGauge("lars_agent_"+name, func() float64 { return float64(read()) })
	}
	total := func(name string, read func(c *counters) uint64) {
		count(name, func() uint64 {
			c := a.routes.totals()
			return read(&c)
		})
	}
	total("picks_total", func(c *counters) uint64 { return c.picks })
	total(`answers_total{code="success"}`, func(c *counters) uint64 { return c.picks })
	total(`answers_total{code="overload"}`, func(c *counters) uint64 { return c.overloaded })
	total(`answers_total{code="noexist"}`, func(c *counters) uint64 { return c.noHosts })
	total("routes_answered_total", func(c *counters) uint64 { return c.routes })
	total("reports_total", func(c *counters) uint64 { return c.reports })
	total("reports_unknown_total", func(c *counters) uint64 { return c.reportsUnknown })
	total("ejections_total", func(c *counters) uint64 { return c.ejected })
	total("reinstatements_total", func(c *counters) uint64 { return c.reinstated })
	total("evicted_services_total", func(c *counters) uint64 { return c.evicted })
	total("lost_results_total", func(c *counters) uint64 { return c.lostResults })
	count("services", func() uint64 { return uint64(max(a.routes.count.Load(), 0)) })
	count("bad_datagrams_total", a.ports.garbage)
	count("overflow_datagrams_total", a.ports.overflow)
	count("unlogged_events_total", a.events.dropped.Load)
	registerDNS(count, a.dns)
	registerReports(count, a.reports)
	count("dirty_services", a.routes.dirtyCount)
	set.NewGauge("lars_agent_snapshot_age_seconds", func() float64 { return a.snapshot.age().Seconds() })
	count("snapshot_failures_total", a.snapshot.failed.Load)
	return set
}

type register func(name string, read func() uint64)

func registerDNS(count register, d *dnsClient) {
	count("pulls_total", d.sent.Load)
	count("pulls_dropped_total", d.dropped.Load)
	count("pull_queue", func() uint64 { return uint64(d.pulls.Len()) })
	count("route_answers_total", d.answers.Load)
	count("route_pushes_total", d.pushes.Load)
	count("route_ignored_total", d.ignored.Load)
	count("route_bad_hosts_total", d.badHosts.Load)
	count("route_broken_total", d.broken.Load)
	count("dns_connected", d.link.state)
}

func registerReports(count register, r *reportClient) {
	count("report_messages_total", r.sent.Load)
	count("report_failures_total", r.failed.Load)
	count("reporter_connected", r.link.state)
}

// state is 1 while there is a connection, else 0.
func (l *link) state() uint64 {
	if l.connected.Load() {
		return 1
	}
	return 0
}

// dirtyCount returns how many services have something to report.
func (r *routes) dirtyCount() uint64 {
	n := 0
	for i := range r.shards {
		n += r.shards[i].waiting()
	}
	return uint64(n)
}
