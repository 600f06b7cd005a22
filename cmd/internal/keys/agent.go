package keys

import (
	"net/netip"
	"time"

	"lars.internal/agent"
	"lars.internal/internal/config"
	"lars.internal/lb/classic"
)

// Agent declares the sections [agent], [dnsserver], [reporter] and
// [loadbalance].
func Agent(s *config.Set) *agent.Config {
	c, d := new(agent.Config), agent.DefaultConfig()
	s.Addr(&c.IP, "agent", "ip", d.IP, "address to listen on")
	s.Int(&c.Port, "agent", "port", 8888, config.Between(0, 65536-agent.Ports), "first of the three UDP ports; 0 takes free ones")
	s.Choice(&c.Policy, "agent", "policy", d.Policy, agent.Policies(), "balancer that picks the hosts")
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
	s.Duration(&c.UpdateTimeout, "loadbalance", "update_timeout", d.UpdateTimeout, config.Between(time.Second, 24*time.Hour), "age at which a route is pulled again")
	return c
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
