package keys

import (
	"fmt"
	"net/netip"
	"time"

	"lars.internal/agent"
	"lars.internal/internal/config"
	"lars.internal/lb/adaptive"
	"lars.internal/lb/classic"
	"lars.internal/lb/policy"
)

// Agent declares the sections [agent], [dnsserver], [reporter], [loadbalance] and
// [adaptive].
func Agent(s *config.Set) *agent.Config {
	c, d := new(agent.Config), agent.DefaultConfig()
	s.Addr(&c.IP, "agent", "ip", d.IP, "address to listen on")
	s.Int(&c.Port, "agent", "port", 8888, config.Between(0, 65536-agent.Ports), "first of the three UDP ports; 0 takes free ones")
	bindPolicy(s, c, d)
	s.Duration(&c.ReportInterval, "agent", "report_interval", d.ReportInterval, config.Between(10*time.Millisecond, time.Hour), "time between two reports of a service")
	s.String(&c.Snapshot, "agent", "snapshot", "", "file that keeps the routes; empty: none")
	s.Addr(&c.Caller, "agent", "caller", netip.Addr{}, "address by which reports name this machine; empty: the outgoing one")
	s.Int(&c.MaxServices, "agent", "max_services", d.MaxServices, config.Between(1, 10_000_000), "services with hosts kept at most")
	s.Duration(&c.KeepEmptied, "agent", "keep_emptied", d.KeepEmptied, config.Between(time.Second, 24*time.Hour), "time for which hosts are kept when a route turns empty without an edit")
	s.Int(&c.MetricsServices, "agent", "metrics_services", d.MetricsServices, config.Between(1, 10_000), "services with gauges of their own in /metrics")
	s.Duration(&c.KeepAlive, "agent", "keep_alive", d.KeepAlive, config.Between(time.Second, 24*time.Hour), "silence after which the kernel asks for a server's machine")
	s.Duration(&c.PeerTimeout, "agent", "peer_timeout", d.PeerTimeout, config.Between(time.Second, 24*time.Hour), "time for which a server's machine may leave output unacknowledged")
	bindPeers(s, &c.DNS, d.DNS, "dnsserver", "route service")
	bindPeers(s, &c.Reporter, d.Reporter, "reporter", "report service")
	bindBalance(s, &c.Balance, d.Balance)
	bindAdaptive(s, &c.Adaptive, d.Adaptive)
	s.Duration(&c.UpdateTimeout, "loadbalance", "update_timeout", d.UpdateTimeout, config.Between(time.Second, 24*time.Hour), "age at which a route is pulled again")
	return c
}

// bindPolicy declares the keys that name balancers. A policy that is not named
// follows from the keys of [loadbalance].
func bindPolicy(s *config.Set, c *agent.Config, d agent.Config) {
	var named string
	s.Choice(&named, "agent", "policy", "", policy.Names(),
		"balancer that picks the hosts; empty: classic if a key of [loadbalance] but update_timeout is not its default, else adaptive")
	s.Choice(&c.Shadow, "agent", "shadow", d.Shadow, policy.Names(), "second balancer that answers nobody and shows what it would do; empty: none")
	c.Policy, c.PolicyReason = d.Policy, d.PolicyReason
	s.AfterLoad(func() {
		if c.Policy, c.PolicyReason = named, ""; named != "" {
			place, _ := s.Origin("agent", "policy")
			c.PolicyReason = place + " names it"
			return
		}
		c.Policy, c.PolicyReason = d.Policy, d.PolicyReason
		if key, place, ok := tuned(s); ok {
			c.Policy, c.PolicyReason = policy.Classic, fmt.Sprintf("none is named, and %s is not the default %s", place, key.Default)
		}
	})
}

// tuned returns the first key of policy classic whose value is not its default, and
// where it comes from.
func tuned(s *config.Set) (key config.Key, place string, ok bool) {
	for _, k := range s.Keys() {
		if k.Section != "loadbalance" || k.Name == "update_timeout" {
			continue
		}
		if place, changed := s.Origin(k.Section, k.Name); changed {
			return k, place, true
		}
	}
	return config.Key{}, "", false
}

func bindPeers(s *config.Set, p *agent.Peers, d agent.Peers, section, what string) {
	s.Addr(&p.IP, section, "ip", d.IP, "address of the "+what)
	s.Int(&p.Port, section, "port", d.Port, config.Between(1, 65535), "TCP port of the "+what)
	s.HostPorts(&p.Addrs, section, "addrs", nil, "several of them, HOST:PORT, instead of ip and port")
	s.Secret((*config.Secret)(&p.Secret), section, "secret", "secret to prove to the "+what+" if it asks, at least 16 bytes")
	s.Bool(&p.RequireProof, section, "require_proof", d.RequireProof, "refuse a "+what+" that does not prove that it knows the secret")
}

func bindBalance(s *config.Set, b *classic.Config, d classic.Config) {
	const section = "loadbalance"
	const most = 1_000_000
	window := config.Between(time.Second, 24*time.Hour)
	share := config.Between(0.0, 1.0)
	s.Int(&b.ProbeNum, section, "probe_num", d.ProbeNum, config.Between(1, most), "picks before an ejected host is tried")
	s.Int(&b.InitSuccCnt, section, "init_succ_cnt", d.InitSuccCnt, config.Between(0, most), "virtual successes of a host in rotation")
	s.Int(&b.InitErrCnt, section, "init_err_cnt", d.InitErrCnt, config.Between(0, most), "virtual failures of an ejected host")
	s.Float(&b.ErrRate, section, "err_rate", d.ErrRate, share, "share of failures that ejects")
	s.Float(&b.SuccRate, section, "succ_rate", d.SuccRate, share, "share of successes that brings back")
	s.Int(&b.ContinErrLimit, section, "contin_err_limit", d.ContinErrLimit, config.Between(1, most), "failures in a row that eject")
	s.Int(&b.ContinSuccLimit, section, "contin_succ_limit", d.ContinSuccLimit, config.Between(1, most), "successes in a row that bring back")
	s.Float(&b.WindowErrRate, section, "window_err_rate", d.WindowErrRate, share, "share of failures of a whole window that ejects")
	s.Duration(&b.IdleTimeout, section, "idle_timeout", d.IdleTimeout, window, "window of a host in rotation")
	s.Duration(&b.OverloadTimeout, section, "overload_timeout", d.OverloadTimeout, window, "longest time that a host stays ejected")
}

func bindAdaptive(s *config.Set, a *adaptive.Config, d adaptive.Config) {
	const section, day = "adaptive", 24 * time.Hour
	probe := "tcp"
	s.Choice(&probe, section, "probe", probe, []string{"tcp", "off"}, "how hosts that are suspected or ejected are asked")
	s.Duration(&a.ProbeInterval, section, "probe_interval", d.ProbeInterval, config.Between(10*time.Millisecond, day), "time between two probes of a dead host")
	s.Duration(&a.ProbeTimeout, section, "probe_timeout", d.ProbeTimeout, config.Between(time.Millisecond, 10*time.Second), "time after which the first probe of a host is called silent")
	s.Duration(&a.StallMin, section, "stall_min", d.StallMin, config.Between(time.Millisecond, day), "time without an answer after which a host is suspected at the earliest")
	s.Float(&a.Evidence, section, "evidence", d.Evidence, config.Between(1.0, 1000.0), "nats of evidence from which failures eject")
	s.Float(&a.GrantedErrorRate, section, "granted_error_rate", d.GrantedErrorRate, config.Between(0.0001, 0.5), "share of failures that is never held against a host")
	s.Float(&a.BadErrorRate, section, "bad_error_rate", d.BadErrorRate, config.Between(0.001, 0.99), "share of failures of the bad spells that are found best")
	s.Float(&a.MaxEjected, section, "max_ejected", d.MaxEjected, config.Between(0.0, 1.0), "share of the hosts that are not dead which failures may eject")
	s.Int(&a.Doubtful, section, "doubtful", d.Doubtful, config.Between(1, 250), "failures in a row from which a host is only measured")
	s.Int(&a.TestEvery, section, "test_every", d.TestEvery, config.Between(1, 1_000_000), "picks of the service for one test of a bad host")
	s.Duration(&a.Ramp, section, "ramp", d.Ramp, config.Between(time.Millisecond, day), "time in which a host that came back reaches its share")
	s.Float(&a.RampMin, section, "ramp_min", d.RampMin, config.Between(0.001, 1.0), "part of its share with which it begins")
	s.Duration(&a.LatencyMemory, section, "latency_memory", d.LatencyMemory, config.Between(time.Millisecond, day), "time constant of the mean latency")
	s.Int(&a.Forget, section, "forget", d.Forget, config.Between(1, 10_000), "picks per host after which half of a latency is forgotten")
	s.Float(&a.LoadLimit, section, "load_limit", d.LoadLimit, config.Between(0.0, 1000.0), "times its share that a live host is given when hosts are missing; 0: no limit")
	s.Float(&a.Distress, section, "distress", d.Distress, config.Between(0.0, 1.0), "share of time-outs above which calls are refused when hosts are missing")
	s.Float(&a.Overprovision, section, "overprovision", d.Overprovision, config.Between(1.0, 1000.0), "times its share that a local host is given before calls leave the zone")
	s.String(&a.Zone, section, "zone", d.Zone, "zone of this machine; empty: zones are ignored")
	a.Probe = d.Probe
	s.AfterLoad(func() { a.Probe = probe == "tcp" })
}
