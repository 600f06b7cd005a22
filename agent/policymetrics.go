package agent

import (
	"lars.internal/internal/metrics"
	"lars.internal/lb"
)

// policyMetrics are what the balancers of all services did, those that are gone
// included.
func policyMetrics(set *metrics.Set, a *Agent) {
	total := totals(set, a.engine.Balancing)
	const ejected = "Hosts ejected, by reason: dead (connects to it failed) and rate (its calls failed more than those of others) of policy adaptive; share, row and window (err_rate, contin_err_limit and window_err_rate) of classic."
	total("ejections_by_reason_total", ejected, func(c *lb.Counters) uint64 { return c.EjectedDead }, "reason", "dead")
	total("ejections_by_reason_total", ejected, func(c *lb.Counters) uint64 { return c.EjectedRate }, "reason", "rate")
	total("ejections_by_reason_total", ejected, func(c *lb.Counters) uint64 { return c.EjectedShare }, "reason", "share")
	total("ejections_by_reason_total", ejected, func(c *lb.Counters) uint64 { return c.EjectedRow }, "reason", "row")
	total("ejections_by_reason_total", ejected, func(c *lb.Counters) uint64 { return c.EjectedWindow }, "reason", "window")
	const probes = "Answers to probes that balancers took; a connection that serves several services counts for each."
	total("probe_answers_total", probes, func(c *lb.Counters) uint64 { return c.ProbesOK }, "answer", "ok")
	total("probe_answers_total", probes, func(c *lb.Counters) uint64 { return c.ProbesRefused }, "answer", "refused")
	total("probe_answers_total", probes, func(c *lb.Counters) uint64 { return c.ProbesSilent }, "answer", "silent")
	total("suspicions_cleared_total", "Suspicions that a call cleared before a probe was answered.", func(c *lb.Counters) uint64 { return c.SuspicionsCleared })
	total("trials_total", "Times that calls were let through to test an ejected host.", func(c *lb.Counters) uint64 { return c.Trials })
	total("panic_picks_total", "Picks while no host of the service was in rotation: a call is then a better test than none.", func(c *lb.Counters) uint64 { return c.PanicPicks })
	total("shed_picks_total", "Picks refused for the sake of the live hosts, while hosts were missing and these in distress.", func(c *lb.Counters) uint64 { return c.ShedPicks })
	total("remote_picks_total", "Picks of hosts outside the zone of this machine.", func(c *lb.Counters) uint64 { return c.RemotePicks })
	total("forgotten_calls_total", "Calls that no program reported.", func(c *lb.Counters) uint64 { return c.Forgotten })
	total("shadow_ejections_total", "Hosts that the second balancer, [agent] shadow, would have ejected.", func(c *lb.Counters) uint64 { return c.ShadowEjected })
	total("shadow_reinstatements_total", "Hosts that it would have brought back.", func(c *lb.Counters) uint64 { return c.ShadowReinstated })
	total("shadow_ejected_picks_total", "Picks of hosts that it had ejected, and would hardly have made.", func(c *lb.Counters) uint64 { return c.ShadowPicks })
	total("shadow_probe_answers_total", "Answers to probes that it took.", func(c *lb.Counters) uint64 { return c.ShadowProbes })
	set.CounterFunc("bad_settings_total", "Settings of services that this agent does not understand, each time that a route brings them; they are ignored.", a.checks.bad.Load)
}
