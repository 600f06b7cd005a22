package config_test

import (
	"net/netip"
	"time"

	"lars.internal/internal/config"
)

// The sets below hold the keys that the original's files give, and more. That
// the servers' own sets and conf/ agree is tested beside the servers.

// nothing receives what a test does not look at.
type nothing struct {
	i int
	s string
	d time.Duration
	a netip.Addr
	l []netip.AddrPort
}

var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

func bindDebug(set *config.Set, addr string) {
	set.String(&new(nothing).s, "debug", "addr", addr, "address")
}

func dnsSet() (*config.Set, *config.ReactorConfig, *config.StoreConfig) {
	set := config.NewSet("lars-dns")
	reactor := config.BindReactor(set, 7778)
	store := config.BindStore(set)
	set.Duration(&new(nothing).d, "dns", "poll_interval", 100*time.Millisecond, config.Between(10*time.Millisecond, time.Minute), "doc")
	set.Duration(&new(nothing).d, "dns", "query_timeout", 5*time.Second, config.Between(100*time.Millisecond, 10*time.Minute), "doc")
	set.Duration(&new(nothing).d, "dns", "reload_interval", 10*time.Second, config.Between(time.Second, 24*time.Hour), "doc")
	set.String(&new(nothing).s, "dns", "snapshot", "", "doc")
	config.BindAccess(set)
	bindDebug(set, "127.0.0.1:7780")
	config.BindLog(set)
	return set, reactor, store
}

func reporterSet() (*config.Set, *config.StoreConfig, *int) {
	set, threads := config.NewSet("lars-reporter"), new(int)
	config.BindReactor(set, 7779)
	store := config.BindStore(set)
	set.Int(threads, "reporter", "db_thread_cnt", 3, config.Between(1, 64), "doc")
	set.Int(&new(nothing).i, "reporter", "queue_size", 8192, config.Between(1, 1_000_000), "doc")
	set.Alias("repoter", "reporter")
	config.BindAccess(set)
	bindDebug(set, "127.0.0.1:7781")
	config.BindLog(set)
	return set, store, threads
}

// balancer is the section [loadbalance].
type balancer struct {
	ProbeNum, InitSucc, InitErr, ContinErr, ContinSucc int
	ErrRate, SuccRate, WindowErrRate                   float64
	Idle, Overload, Update                             time.Duration
}

func agentSet() (*config.Set, *balancer) {
	set, b := config.NewSet("lars-agent"), new(balancer)
	set.Addr(&new(nothing).a, "agent", "ip", loopback, "doc")
	set.Int(&new(nothing).i, "agent", "port", 8888, config.Between(0, 65533), "doc")
	set.Choice(&new(nothing).s, "agent", "policy", "classic", []string{"classic"}, "doc")
	set.Duration(&new(nothing).d, "agent", "report_interval", time.Second, config.Between(10*time.Millisecond, time.Hour), "doc")
	set.String(&new(nothing).s, "agent", "snapshot", "", "doc")
	set.Addr(&new(nothing).a, "agent", "caller", netip.Addr{}, "doc")
	set.Int(&new(nothing).i, "agent", "max_services", 100_000, config.Between(1, 10_000_000), "doc")
	bindPeer(set, "dnsserver", 7778)
	bindPeer(set, "reporter", 7779)
	bindBalancer(set, b)
	bindDebug(set, "127.0.0.1:8887")
	config.BindLog(set)
	return set, b
}

func bindPeer(set *config.Set, section string, port int) {
	set.Addr(&new(nothing).a, section, "ip", loopback, "doc")
	set.Int(&new(nothing).i, section, "port", port, config.Between(1, 65535), "doc")
	set.AddrPorts(&new(nothing).l, section, "addrs", nil, "doc")
}

func bindBalancer(set *config.Set, b *balancer) {
	const section = "loadbalance"
	count, rate := config.Between(0, 1_000_000), config.Between(0.0, 1.0)
	window := config.Between(time.Second, 24*time.Hour)
	set.Int(&b.ProbeNum, section, "probe_num", 10, count, "doc")
	set.Int(&b.InitSucc, section, "init_succ_cnt", 180, count, "doc")
	set.Int(&b.InitErr, section, "init_err_cnt", 5, count, "doc")
	set.Float(&b.ErrRate, section, "err_rate", 0.1, rate, "doc")
	set.Float(&b.SuccRate, section, "succ_rate", 0.5, rate, "doc")
	set.Int(&b.ContinErr, section, "contin_err_limit", 15, config.Between(1, 1_000_000), "doc")
	set.Int(&b.ContinSucc, section, "contin_succ_limit", 15, config.Between(1, 1_000_000), "doc")
	set.Float(&b.WindowErrRate, section, "window_err_rate", 0.7, rate, "doc")
	set.Duration(&b.Idle, section, "idle_timeout", 15*time.Second, window, "doc")
	set.Duration(&b.Overload, section, "overload_timeout", 15*time.Second, window, "doc")
	set.Duration(&b.Update, section, "update_timeout", 15*time.Second, window, "doc")
}
