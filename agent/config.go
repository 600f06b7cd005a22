package agent

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"lars.internal/internal/config"
	"lars.internal/lb/classic"
)

// Ports is the number of UDP ports of an agent, in a row. Programs spread
// their services over them; each serves every service.
const Ports = 3

// Config describes an agent. The zero value works: three free ports on
// loopback, a dns and a report service of the same machine on their usual
// ports, no snapshot. In brackets: the key in the configuration file.
type Config struct {
	// IP [agent ip] is the address to listen on. Default 127.0.0.1: who can
	// send a report can eject a host.
	IP netip.Addr

	// Port [agent port] is the first of the three UDP ports. 0, the default
	// here but not in the file, takes three free ones in a row.
	Port int

	// Policy [agent policy] is the balancer. Default, and the only one yet: classic.
	Policy string

	// ReportInterval [agent report_interval] is the time between two reports
	// of a service. Default 1 s. Lower: fresher figures. Higher: less traffic.
	ReportInterval time.Duration

	// Snapshot [agent snapshot] is the path of the file that keeps the routes.
	// Default: none.
	Snapshot string

	// Caller [agent caller] is the address by which reports name this machine.
	// Default: the local address of the connection to the report service,
	// which is 127.0.0.1 for one on the same machine.
	Caller netip.Addr

	// MaxServices [agent max_services] is how many services are kept, the
	// ones without hosts included. Beyond it the one that was asked for the
	// longest ago is forgotten. Default 100,000. Higher: more memory at worst.
	// Lower than what programs use at a time: constant pulls.
	MaxServices int

	// UpdateTimeout [loadbalance update_timeout] is the age at which a route
	// is pulled again. Default 15 s. Shorter: more requests.
	UpdateTimeout time.Duration

	// Balance [loadbalance] is how hosts are judged. Default: the values that
	// Lars is shipped with.
	Balance classic.Config

	// DNS [dnsserver] and Reporter [reporter] are the services to talk to.
	DNS, Reporter Peers

	// Log receives changes of state. Nil: nothing.
	Log *slog.Logger

	// Clock is the monotonic time since any moment in the past. Nil: that of
	// the machine.
	Clock func() time.Duration
}

// Peers are the addresses of a service, of which one is in use at a time.
type Peers struct {
	IP    netip.Addr       // default 127.0.0.1
	Port  int              // default: the service's own
	Addrs []netip.AddrPort // replaces IP and Port, tried in this order

	// Secret is proven to a service that asks for one. Default: none.
	Secret config.Secret
}

var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// The ports of a dns and a report service that nobody moved.
const (
	dnsPort      = 7778
	reporterPort = 7779
)

// Bind declares the keys of the agent's configuration file and returns the
// Config that loading the set fills.
func Bind(set *config.Set) *Config {
	c := new(Config)
	set.Addr(&c.IP, "agent", "ip", loopback, "address to listen on")
	set.Int(&c.Port, "agent", "port", 8888, config.Between(0, 65536-Ports), "first of the three UDP ports; 0 takes free ones")
	set.Choice(&c.Policy, "agent", "policy", "classic", policies, "balancer that picks the hosts")
	set.Duration(&c.ReportInterval, "agent", "report_interval", time.Second, config.Between(10*time.Millisecond, time.Hour), "time between two reports of a service")
	set.String(&c.Snapshot, "agent", "snapshot", "", "file that keeps the routes; empty: none")
	set.Addr(&c.Caller, "agent", "caller", netip.Addr{}, "address by which reports name this machine; empty: the outgoing one")
	set.Int(&c.MaxServices, "agent", "max_services", 100_000, config.Between(1, 10_000_000), "services kept at most")
	c.DNS.bind(set, "dnsserver", dnsPort, "route service")
	c.Reporter.bind(set, "reporter", reporterPort, "report service")
	bindBalance(set, &c.Balance)
	set.Duration(&c.UpdateTimeout, "loadbalance", "update_timeout", 15*time.Second, config.Between(time.Second, 24*time.Hour), "age at which a route is pulled again")
	return c
}

func (p *Peers) bind(set *config.Set, section string, port int, what string) {
	set.Addr(&p.IP, section, "ip", loopback, "address of the "+what)
	set.Int(&p.Port, section, "port", port, config.Between(1, 65535), "TCP port of the "+what)
	set.AddrPorts(&p.Addrs, section, "addrs", nil, "several of them, instead of ip and port")
	set.Secret(&p.Secret, section, "secret", "secret to prove to the "+what+" if it asks")
}

func bindBalance(set *config.Set, b *classic.Config) {
	const section = "loadbalance"
	d, most := classic.DefaultConfig(), 1_000_000
	window := config.Between(time.Second, 24*time.Hour)
	share := config.Between(0.0, 1.0)
	set.Int(&b.ProbeNum, section, "probe_num", d.ProbeNum, config.Between(1, most), "picks before an ejected host is tried")
	set.Int(&b.InitSuccCnt, section, "init_succ_cnt", d.InitSuccCnt, config.Between(0, most), "virtual successes of a host in rotation")
	set.Int(&b.InitErrCnt, section, "init_err_cnt", d.InitErrCnt, config.Between(0, most), "virtual failures of an ejected host")
	set.Float(&b.ErrRate, section, "err_rate", d.ErrRate, share, "share of failures that ejects")
	set.Float(&b.SuccRate, section, "succ_rate", d.SuccRate, share, "share of successes that brings back")
	set.Int(&b.ContinErrLimit, section, "contin_err_limit", d.ContinErrLimit, config.Between(1, most), "failures in a row that eject")
	set.Int(&b.ContinSuccLimit, section, "contin_succ_limit", d.ContinSuccLimit, config.Between(1, most), "successes in a row that bring back")
	set.Float(&b.WindowErrRate, section, "window_err_rate", d.WindowErrRate, share, "share of failures of a whole window that ejects")
	set.Duration(&b.IdleTimeout, section, "idle_timeout", d.IdleTimeout, window, "window of a host in rotation")
	set.Duration(&b.OverloadTimeout, section, "overload_timeout", d.OverloadTimeout, window, "longest time that a host stays ejected")
}

func (c *Config) setDefaults() {
	c.IP = cmp.Or(c.IP, loopback)
	c.Policy = cmp.Or(c.Policy, "classic")
	c.ReportInterval = cmp.Or(c.ReportInterval, time.Second)
	c.MaxServices = cmp.Or(c.MaxServices, 100_000)
	c.UpdateTimeout = cmp.Or(c.UpdateTimeout, 15*time.Second)
	c.Balance = cmp.Or(c.Balance, classic.DefaultConfig())
	c.DNS.setDefaults(dnsPort)
	c.Reporter.setDefaults(reporterPort)
	c.Log = cmp.Or(c.Log, slog.New(slog.DiscardHandler))
	if c.Clock == nil {
		start := time.Now()
		c.Clock = func() time.Duration { return time.Since(start) }
	}
}

func (p *Peers) setDefaults(port int) {
	p.IP = cmp.Or(p.IP, loopback)
	p.Port = cmp.Or(p.Port, port)
	if len(p.Addrs) == 0 {
		p.Addrs = []netip.AddrPort{netip.AddrPortFrom(p.IP, uint16(p.Port))}
	}
}

func (c *Config) validate() error {
	switch {
	case c.Port < 0 || c.Port > 65536-Ports:
		return fmt.Errorf("agent: port %d: want 0..%d, the first of %d", c.Port, 65536-Ports, Ports)
	case c.ReportInterval < time.Millisecond:
		return fmt.Errorf("agent: report_interval %v: want at least 1ms", c.ReportInterval)
	case c.MaxServices < 1:
		return fmt.Errorf("agent: max_services %d: want at least 1", c.MaxServices)
	case c.UpdateTimeout < 0:
		return fmt.Errorf("agent: update_timeout %v: want a time above 0s", c.UpdateTimeout)
	case c.Caller.IsValid() && !c.Caller.Unmap().Is4():
		return fmt.Errorf("agent: caller %v: want an IPv4 address", c.Caller)
	}
	return c.validateBalance()
}
