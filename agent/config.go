package agent

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"lars.internal/access"
	"lars.internal/lb/adaptive"
	"lars.internal/lb/classic"
	"lars.internal/reactor"
)

// Ports is the number of UDP ports of an agent, in a row. Programs spread
// their services over them; each serves every service.
const Ports = 3

// Config describes an agent. The zero value works: three free ports on
// loopback, a dns and a report service of the same machine on their usual
// ports, no snapshot. In brackets: the key in the configuration file.
type Config struct {
	// IP [agent ip] is the address to listen on. Default 127.0.0.1: a program
	// that can send a report can eject a host.
	IP netip.Addr

	// Port [agent port] is the first of the three UDP ports. 0, the default
	// here but not in the file, takes three free ones in a row.
	Port int

	// Policy [agent policy] is the balancer: classic or adaptive. Default: classic
	// if Balance is another one than the default, else adaptive.
	Policy string

	// PolicyReason says for the log why Policy is what it is. Default: how the
	// default of Policy was chosen.
	PolicyReason string

	// Shadow [agent shadow] is the policy of a second balancer, beside those of
	// the other policy. It gets the same picks and results, answers nobody, and
	// shows what it would have done. One of policy adaptive makes its probes.
	// Default: none. Cost: memory and time of a second balancer.
	Shadow string

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

	// MaxServices [agent max_services] is how many services with hosts are
	// kept. Beyond it the one used the longest ago is forgotten. Services
	// without hosts have a tenth of that, at least 16, for themselves. Default
	// 100,000. Higher: more memory at worst. Lower than what programs use at a
	// time: constant pulls.
	MaxServices int

	// KeepEmptied [agent keep_emptied] is how long the hosts of a service are
	// kept when its route turns empty although no edit removed them. Default
	// 1 min. Longer: more time to mend a table that was lost. Shorter: hosts
	// that a C++ dns or a script removed are called for less time.
	KeepEmptied time.Duration

	// MetricsServices [agent metrics_services] is how many services have gauges
	// of their own, the ones with the most picks. Default 200. Higher: more time
	// series for Prometheus.
	MetricsServices int

	// UpdateTimeout [loadbalance update_timeout] is the age at which a route
	// is pulled again. Default 15 s. Shorter: more requests.
	UpdateTimeout time.Duration

	// Balance [loadbalance] is how policy classic judges hosts. Default: the
	// values that Lars is shipped with.
	Balance classic.Config

	// Adaptive [adaptive] is how policy adaptive judges hosts, and the zone of
	// this machine. Default: the values that Lars is shipped with.
	Adaptive adaptive.Config

	// DNS [dnsserver] and Reporter [reporter] are the services to talk to.
	DNS, Reporter Peers

	// KeepAlive [agent keep_alive] is the silence after which the kernel asks
	// whether the machine of a server is there; it asks three times, a fifth of
	// this apart. PeerTimeout [agent peer_timeout] is how long that machine may
	// acknowledge none of the bytes on their way to it. Then the next server is
	// tried. Defaults 5 s and 8 s. Lower: a silent network is noticed sooner.
	// Higher: connections outlive longer outages.
	KeepAlive, PeerTimeout time.Duration

	// Build is the version of the program, which servers see. Default: none.
	Build string

	// Log receives changes of state. Nil: nothing.
	Log *slog.Logger

	// Random returns a number in [0, 1), from any goroutine: for the choice
	// among Addrs and for pauses. Nil: math/rand/v2.
	Random func() float64

	// Clock is the monotonic time since any moment in the past. Nil: that of
	// the machine.
	Clock func() time.Duration

	run   uint64 // differs between starts of the agent, never 0; set by New
	hello []byte // of this start; set by New
	epoch int64  // Unix seconds at the moment 0 of Clock; set by setDefaults
}

// Peers are the addresses of a service, of which one is in use at a time.
type Peers struct {
	IP   netip.Addr // default 127.0.0.1
	Port int        // default: the service's own

	// Addrs replace IP and Port: HOST:PORT, the host a name or an IPv4 address.
	// An agent begins with one drawn at random, takes another one when that is
	// away, and returns to it some minutes after it is back. Names are looked
	// up before each attempt to connect; all addresses of a name are tried.
	Addrs []string

	// Secret is proven to a service that asks for one, which then has to prove
	// that it knows it, too. At least 16 bytes. Default: none.
	Secret string

	// RequireProof refuses a service that does not ask for the secret, or
	// cannot prove that it knows it. Default: it is obeyed, with a warning.
	RequireProof bool
}

// prover proves the secret to servers of a role, which a section of the file
// describes.
func (p Peers) prover(role, section string, log *slog.Logger) access.Prover {
	return access.Prover{Secret: p.Secret, Role: role, Require: p.RequireProof, Section: section, Log: log}
}

// String names the addresses; the secret is in no log.
func (p Peers) String() string { return fmt.Sprint(p.Addrs) }

var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// The default ports of a dns and a report service.
const (
	dnsPort      = 7778
	reporterPort = 7779
)

// DefaultConfig returns the Config in which every field has its default.
func DefaultConfig() Config {
	var c Config
	c.setDefaults()
	c.epoch = 0 // it belongs to an agent that is made
	return c
}

func (c *Config) setDefaults() {
	c.IP = cmp.Or(c.IP, loopback)
	c.ReportInterval = cmp.Or(c.ReportInterval, time.Second)
	c.MaxServices = cmp.Or(c.MaxServices, 100_000)
	c.KeepEmptied = cmp.Or(c.KeepEmptied, time.Minute)
	c.MetricsServices = cmp.Or(c.MetricsServices, 200)
	c.UpdateTimeout = cmp.Or(c.UpdateTimeout, 15*time.Second)
	c.KeepAlive = cmp.Or(c.KeepAlive, 5*time.Second)
	c.PeerTimeout = cmp.Or(c.PeerTimeout, 8*time.Second)
	c.setPolicyDefaults()
	c.DNS.setDefaults(dnsPort)
	c.Reporter.setDefaults(reporterPort)
	c.Log = cmp.Or(c.Log, slog.New(slog.DiscardHandler))
	start := time.Now()
	if c.Clock == nil {
		c.Clock = func() time.Duration { return time.Since(start) }
	}
	c.epoch = start.Unix() - int64(c.Clock()/time.Second)
}

func (p *Peers) setDefaults(port int) {
	p.IP = cmp.Or(p.IP, loopback)
	p.Port = cmp.Or(p.Port, port)
	if len(p.Addrs) == 0 {
		p.Addrs = []string{netip.AddrPortFrom(p.IP, uint16(p.Port)).String()}
	}
}

// name gives a client its servers. Numbers alone need no lookup.
func (p *Peers) name(client *reactor.ClientConfig) {
	var addrs []netip.AddrPort
	for _, text := range p.Addrs {
		addr, err := netip.ParseAddrPort(text)
		if err != nil {
			client.Resolve = reactor.ResolveNames(p.Addrs...)
			return
		}
		addrs = append(addrs, addr)
	}
	client.Addrs = addrs
}

func (c *Config) validate() error {
	switch {
	case c.Port < 0 || c.Port > 65536-Ports:
		return fmt.Errorf("agent: port %d: want 0..%d, the first of %d", c.Port, 65536-Ports, Ports)
	case c.ReportInterval < time.Millisecond:
		return fmt.Errorf("agent: report_interval %v: want at least 1ms", c.ReportInterval)
	case c.MaxServices < 1:
		return fmt.Errorf("agent: max_services %d: want at least 1", c.MaxServices)
	case c.KeepEmptied < 0:
		return fmt.Errorf("agent: keep_emptied %v: want a time above 0s", c.KeepEmptied)
	case c.MetricsServices < 0:
		return fmt.Errorf("agent: metrics_services %d: want at least 1", c.MetricsServices)
	case c.UpdateTimeout < 0:
		return fmt.Errorf("agent: update_timeout %v: want a time above 0s", c.UpdateTimeout)
	case c.Caller.IsValid() && !c.Caller.Unmap().Is4():
		return fmt.Errorf("agent: caller %v: want an IPv4 address", c.Caller)
	}
	balancing := c.balancing()
	if err := balancing.Validate(); err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	return nil
}
