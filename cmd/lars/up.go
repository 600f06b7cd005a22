package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"lars.internal/agent"
	"lars.internal/client"
	"lars.internal/cmd/internal/keys"
	"lars.internal/cmd/internal/process"
	"lars.internal/cmd/internal/tables"
	"lars.internal/dns"
	"lars.internal/internal/config"
	"lars.internal/internal/debug"
	"lars.internal/reactor"
	"lars.internal/reporter"
	"lars.internal/route"
	"lars.internal/store"
)

// seeds are the routes that a new database gets. No program listens at these
// addresses.
var seeds = []route.Change{
	{Action: route.Add, Key: route.Key{Modid: 1, Cmdid: 1}, Hosts: loopbackHosts(7001, 7002, 7003)},
	{Action: route.Add, Key: route.Key{Modid: 1, Cmdid: 2}, Hosts: loopbackHosts(7001, 7004)},
}

func loopbackHosts(ports ...uint16) []route.Host {
	hosts := make([]route.Host, len(ports))
	for i, p := range ports {
		hosts[i] = route.Host{IP: 127<<24 | 1, Port: p}
	}
	return hosts
}

// system is all servers in one process.
type system struct {
	settings *settings
	dnsPort  int
	repPort  int

	// Set while it is put together, in this order.
	log      *slog.Logger
	badRows  *dns.BadRows
	agentCfg *agent.Config
	pages    *debug.Config
	db       *store.DB
	dns      *dns.Server
	reporter *reporter.Server
	agent    *agent.Agent
	server   *debug.Server
}

func newUp(s *settings) *cobra.Command {
	u := &system{settings: s}
	c := &cobra.Command{
		Use:   "up",
		Short: "Run all of Lars in this process, to try it out",
		Long: `Run the route service, the report service and the agent in this process, on an
SQLite file, until ^C. The tables are made if need be, and a new database gets a few
routes to play with. Each server is also a program of its own, for real use.`,
		Example: "  lars up",
		Args:    noArguments,
		RunE:    func(c *cobra.Command, _ []string) error { return u.run(c) },
	}
	c.Flags().IntVar(&u.dnsPort, "dns-port", dns.DefaultPort, "TCP `port` of the route service, 0 takes a free one")
	c.Flags().IntVar(&u.repPort, "reporter-port", reporter.DefaultPort, "TCP `port` of the report service, 0 takes a free one")
	return c
}

func (u *system) run(c *cobra.Command) error {
	for flag, port := range map[string]int{"--dns-port": u.dnsPort, "--reporter-port": u.repPort} {
		if port < 0 || port > 65535 {
			return usage(c, "%s %d: want 0..65535", flag, port)
		}
	}
	process.IgnoreBrokenPipes()
	if err := u.configure(c); err != nil {
		return err
	}
	var err error
	if u.db, err = u.settings.openStore(tables.OpenOrMake, store.Options{Logger: u.log, BadRow: u.badRows.Report}); err != nil {
		return err
	}
	defer u.db.Close()
	if err := u.prepare(c.Context()); err != nil {
		return err
	}
	if err := u.construct(); err != nil {
		return err
	}
	u.greet()

	// A signal stops, in this order:
	//  1. the agent, whose last reports still find the report service;
	//  2. the report service, which stores them;
	//  3. the route service;
	//  4. the pages;
	//  5. the database.
	err = process.Run(c.Context(), u.server, u.dns, u.reporter, u.agent)
	u.settings.printf("Lars is down\n")
	return err
}

// configure reads the keys of the agent, which are the ones that matter here.
func (u *system) configure(c *cobra.Command) error {
	set := config.NewSet("lars up")
	set.Version = versionText()
	u.agentCfg = keys.Agent(set)
	u.pages = debug.Bind(set, defaultPages)
	logging := config.BindLog(set)
	if err := u.settings.load(set); err != nil {
		return err
	}
	u.log = logging.Logger(u.settings.env.Stderr)
	u.badRows = dns.NewBadRows(u.log)
	if u.settings.agent == "" {
		return nil
	}
	addr, err := netip.ParseAddrPort(u.settings.agent)
	if err != nil || !addr.Addr().Is4() {
		return usage(c, "--agent %q: want IP:PORT, for example 127.0.0.1:8888", u.settings.agent)
	}
	u.agentCfg.IP, u.agentCfg.Port = addr.Addr(), int(addr.Port())
	return nil
}

// prepare makes the tables, and routes if there never were any.
func (u *system) prepare(ctx context.Context) error {
	if err := u.db.Migrate(ctx); err != nil {
		return err
	}
	version, err := u.db.Version(ctx)
	if err != nil || version != 0 {
		return err
	}
	_, err = u.db.EditRoutes(ctx, route.Edit{Who: "lars up", Changes: seeds})
	return err
}

// construct makes the services and binds them, since the agent has to know where
// the others listen.
func (u *system) construct() (err error) {
	u.dns, err = dns.New(dns.Config{
		Reactor: reactorConfig(u.dnsPort), Store: u.db, BadRows: u.badRows, Log: u.log,
	})
	if err != nil {
		return err
	}
	if err := u.dns.Listen(); err != nil {
		return because(err, syscall.EADDRINUSE, "here it is --dns-port; does Lars run already?")
	}
	u.reporter, err = reporter.New(reporter.Config{Reactor: reactorConfig(u.repPort), Sink: u.db, Log: u.log, Build: version})
	if err != nil {
		return err
	}
	if err := u.reporter.Listen(); err != nil {
		return because(err, syscall.EADDRINUSE, "here it is --reporter-port; does Lars run already?")
	}
	return u.constructAgent()
}

func (u *system) constructAgent() (err error) {
	u.agentCfg.DNS.Addrs = []string{u.dns.Addr().String()}
	u.agentCfg.Reporter.Addrs = []string{u.reporter.Addr().String()}
	u.agentCfg.Log, u.agentCfg.Build = u.log, version
	if u.agent, err = agent.New(*u.agentCfg); err != nil {
		return err
	}
	if err := u.agent.Listen(); err != nil {
		return err
	}
	u.pages.Metrics = []prometheus.Collector{u.dns.Metrics(), u.reporter.Metrics(), u.agent.Metrics()}
	u.pages.Ready, u.pages.Remark, u.pages.Log = u.ready, u.dns.Stale, u.log
	u.server = debug.New(u.pages)
	u.agent.Mount(u.server.Handle)
	return u.server.Listen()
}

// reactorConfig is for a server that has one machine to serve.
func reactorConfig(port int) reactor.ServerConfig {
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	return reactor.ServerConfig{Addr: netip.AddrPortFrom(loopback, uint16(port)), Loops: 1}
}

func (u *system) ready() error {
	for _, ready := range []func() error{u.dns.Ready, u.reporter.Ready, u.agent.Ready} {
		if err := ready(); err != nil {
			return err
		}
	}
	return nil
}

// greet prints the addresses of the servers, and commands to try.
func (u *system) greet() {
	addrs := u.agent.Addrs()
	ports := make([]string, len(addrs))
	for i, a := range addrs {
		ports[i] = fmt.Sprint(a.Port())
	}
	s := u.settings
	s.printf("Lars is up; ^C ends it.\n\n")
	s.printf("  agent     %s, UDP ports %s\n", addrs[0].Addr(), strings.Join(ports, ", "))
	s.printf("  dns       %s\n  reporter  %s\n  database  %s\n", u.dns.Addr(), u.reporter.Addr(), u.db)
	if pages := u.server.Addr(); pages.IsValid() {
		s.printf("  pages     http://%s/\n", pages)
	}
	s.printf("\nTry in another terminal:\n\n")
	ask, store := u.askFlag(), u.storeFlag()
	s.printf("  lars gethost 1/1%s\n  lars simulator 1/1%s\n", ask, ask)
	s.printf("  lars route add 1/1 127.0.0.1:7005%s\n  lars getroute 1/1%s\n  lars status 1/1%s\n", store, ask, store)
	if u.server.Addr().IsValid() {
		s.printf("  lars agent hosts 1/1%s\n  lars why 1/1%[1]s\n", u.pagesFlag())
	}
	s.printf("\n")
}

// askFlag, storeFlag and pagesFlag return what a command in another terminal needs
// to find this agent, this database and these pages: nothing, if they are where it
// looks by itself.
func (u *system) askFlag() string {
	if addr := u.agent.Addr().String(); addr != client.DefaultAgent {
		return " --agent " + addr
	}
	return ""
}

func (u *system) storeFlag() string {
	if tables.IsDefault(u.db) {
		return ""
	}
	dsn := u.db.String()
	if rest, ok := strings.CutPrefix(dsn, "mysql://"); ok { // the password is not shown
		dsn = "mysql://" + strings.Replace(rest, "@", ":PASSWORD@", 1)
	}
	return " --dsn '" + dsn + "'"
}

func (u *system) pagesFlag() string {
	if addr := u.server.Addr().String(); addr != defaultPages {
		return " --pages " + addr
	}
	return ""
}
