package agent

import (
	"lars.internal/engine"
	"lars.internal/internal/metrics"
)

// totals returns a function that declares a counter, which is one of the fields
// that read returns. A scrape reads them once.
func totals[C any](set *metrics.Set, read func() C) func(name, help string, field func(*C) uint64, labels ...string) {
	counters := metrics.Once(set, read)
	return func(name, help string, field func(*C) uint64, labels ...string) {
		set.CounterFunc(name, help, func() uint64 {
			c := counters()
			return field(&c)
		}, labels...)
	}
}

// newMetrics returns what an agent counts. All is read at a scrape,
// from counters that the work itself keeps.
func newMetrics(a *Agent) *metrics.Set {
	set := metrics.NewSet("lars_agent_")
	total := totals(set, a.engine.Counters)
	const answers = "Answers to GetHost."
	total("picks_total", "Hosts picked for programs.", func(c *engine.Counters) uint64 { return c.Picks })
	total("answers_total", answers, func(c *engine.Counters) uint64 { return c.Picks }, "code", "success")
	total("answers_total", answers, func(c *engine.Counters) uint64 { return c.Overloaded }, "code", "overload")
	total("answers_total", answers, func(c *engine.Counters) uint64 { return c.NoHosts }, "code", "noexist")
	total("routes_answered_total", "Answers to GetRoute.", func(c *engine.Counters) uint64 { return c.Interests })
	total("reports_total", "Results that programs reported.", func(c *engine.Counters) uint64 { return c.Reports })
	total("reports_unknown_total", "Results for a host that is not in the route; they are ignored.", func(c *engine.Counters) uint64 { return c.ReportsUnknown })
	total("ejections_total", "Hosts ejected.", func(c *engine.Counters) uint64 { return c.Ejected })
	total("reinstatements_total", "Hosts brought back.", func(c *engine.Counters) uint64 { return c.Reinstated })
	total("evicted_services_total", "Services forgotten because there were more than [agent] max_services.", func(c *engine.Counters) uint64 { return c.Evicted })
	total("forgotten_services_total", "Services without hosts forgotten because no program used them.", func(c *engine.Counters) uint64 { return c.Forgotten })
	total("emptied_routes_total", "Routes that turned empty without an edit; their hosts are kept for [agent] keep_emptied.", func(c *engine.Counters) uint64 { return c.Emptied })
	total("outdated_routes_total", "Routes of a stale table, older than the known one; they are ignored.", func(c *engine.Counters) uint64 { return c.Outdated })
	total("unsubscribe_lost_total", "Forgotten services whose subscription was not ended because there were too many at a time.", func(c *engine.Counters) uint64 { return c.LostGone })
	total("lost_results_total", "Results of forgotten services, and of hosts that left, that were never reported.", func(c *engine.Counters) uint64 { return c.LostResults })
	gauge(set, "services", "Services known.", func() uint64 { return uint64(a.engine.Len()) })
	healthMetrics(set, a)
	gauge(set, "dirty_services", "Services with results that are not reported yet.", func() uint64 { return uint64(a.engine.WaitingAll()) })
	set.CounterFunc("bad_datagrams_total", "Datagrams that were no question; they get no answer.", a.ports.garbage)
	set.CounterFunc("void_tickets_total", "Reports with a ticket of another run of the agent or older than 10 min, which count without it, and reports of ignored calls without a ticket, which count nowhere.", a.ports.void.Load)
	set.CounterFunc("overflow_datagrams_total", "Datagrams that the kernel dropped because they came faster than the agent took them.", a.ports.overflow)
	set.CounterFunc("receive_errors_total", "Failed system calls to receive datagrams.", a.ports.receiveErrors)
	set.CounterFunc("unlogged_events_total", "Ejections and reinstatements without a log line, because there were too many at a time or the host was on trial again and again.", a.events.unlogged)
	policyMetrics(set, a)
	probeMetrics(set, a.prober)
	dnsMetrics(set, a.dns)
	reportMetrics(set, a.reports)
	set.GaugeFunc("snapshot_age_seconds", "Time since the routes in the snapshot were known to be right; -1 without one.", func() float64 { return a.keeper.Age().Seconds() })
	set.CounterFunc("snapshot_failures_total", "Snapshots that could not be written.", a.keeper.Failures)
	return set
}

// healthMetrics are the hosts and services that can be called. A scrape reads all
// services twice, which takes 0.6 ms each time for 10,000 of them.
func healthMetrics(set *metrics.Set, a *Agent) {
	health := metrics.Once(set, a.engine.Health)
	const hosts = "Hosts of all services; a host counts once for each service."
	gauge(set, "hosts", hosts, func() uint64 { h := health(); return uint64(h.Hosts - h.Ejected) }, "state", "rotation")
	gauge(set, "hosts", hosts, func() uint64 { return uint64(health().Ejected) }, "state", "ejected")
	gauge(set, "services_without_hosts", "Services known that have no hosts.", func() uint64 { return uint64(health().WithoutHosts) })
	gauge(set, "services_all_ejected", "Services with hosts of which none is in rotation.", func() uint64 { return uint64(health().AllEjected) })
	gauge(set, "services_emptied", "Services whose hosts are kept for a time although the route turned empty without an edit.", func() uint64 { return uint64(health().Emptied) })
	set.Each(metrics.Gauge, "service_hosts", "Hosts of the services with the most picks, up to [agent] metrics_services.", []string{"service", "state"},
		func(emit func(value float64, labelValues ...string)) {
			for _, s := range a.engine.Busiest(a.cfg.MetricsServices) {
				emit(float64(s.Hosts-s.Ejected), s.Key.String(), "rotation")
				emit(float64(s.Ejected), s.Key.String(), "ejected")
			}
		})
}

func gauge(set *metrics.Set, name, help string, read func() uint64, labels ...string) {
	set.GaugeFunc(name, help, func() float64 { return float64(read()) }, labels...)
}

func dnsMetrics(set *metrics.Set, d *dnsClient) {
	set.CounterFunc("pulls_total", "Requests for routes sent.", d.sent.Load)
	set.CounterFunc("pulls_dropped_total", "Requests for routes not sent, for want of a connection or of room; they are made again.", d.dropped.Load)
	gauge(set, "pull_queue", "Requests for routes that wait to be sent.", func() uint64 { return uint64(d.pulls.Len()) })
	set.CounterFunc("route_answers_total", "Routes received for a request.", d.answers.Load)
	set.CounterFunc("route_pushes_total", "Routes received unasked.", d.pushes.Load)
	set.CounterFunc("route_ignored_total", "Routes received of services that no program asks for.", d.ignored.Load)
	set.CounterFunc("route_bad_hosts_total", "Hosts in routes whose address cannot be called; they are left out.", d.badHosts.Load)
	set.CounterFunc("route_trimmed_total", "Weights, zones and settings in routes beyond their limits; a weight becomes the greatest one, the others are left out.", d.trimmed.Load)
	set.CounterFunc("route_broken_total", "Messages of the route service that were no route.", d.broken.Load)
	set.CounterFunc("unsubscribed_total", "Services of which the route service was told that no program asks for them any more.", d.unsubscribed.Load)
	set.CounterFunc("quiet_changes_total", "Changed routes with a line at debug only, because there were too many at a time.", d.routes.quiet.Load)
	gauge(set, "dns_connected", "1 while there is a connection to a route service, else 0.", d.link.state)
}

func reportMetrics(set *metrics.Set, r *reportClient) {
	set.CounterFunc("report_messages_total", "Reports sent.", r.sent.Load)
	set.CounterFunc("report_failures_total", "Reports that the connection did not take; they are made again.", r.failed.Load)
	set.CounterFunc("reports_acknowledged_total", "Reports that the report service has stored in whole; one of the C++ stack acknowledges none.", r.acked.Load)
	set.CounterFunc("reports_returned_total", "Reports under way when a connection ended; their results are reported again.", r.again.Load)
	gauge(set, "reports_in_flight", "Reports sent that have not arrived yet, as far as is known.", func() uint64 { return uint64(r.engine.InFlight()) })
	gauge(set, "reporter_connected", "1 while there is a connection to a report service, else 0.", r.link.state)
}

// state is 1 while there is a connection, else 0.
func (l *link) state() uint64 {
	if l.connected.Load() {
		return 1
	}
	return 0
}
