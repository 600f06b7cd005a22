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

// seeds are the routes of a database that never had any. Nobody listens there.
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

// whole is all of Lars in one process.
type whole struct {
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
	inside   *debug.Server
}

func newUp(s *settings) *cobra.Command {
	w := &whole{settings: s}
	c := &cobra.Command{
		Use:   "up",
		Short: "Run all of Lars in this process, to try it out",
		Long: `Run the route service, the report service and the agent in this process, on an
SQLite file, until ^C. The tables are made if need be, and a new database gets a few
routes to play with. Each server is also a program of its own, for real use.`,
		Example: "  lars up",
		Args:    noArguments,
		RunE:    func(c *cobra.Command, _ []string) error { return w.run(c) },
	}
	c.Flags().IntVar(&w.dnsPort, "dns-port", dns.DefaultPort, "TCP `port` of the route service, 0 takes a free one")
	c.Flags().IntVar(&w.repPort, "reporter-port", reporter.DefaultPort, "TCP `port` of the report service, 0 takes a free one")
	return c
}

func (w *whole) run(c *cobra.Command) error {
	for flag, port := range map[string]int{"--dns-port": w.dnsPort, "--reporter-port": w.repPort} {
		if port < 0 || port > 65535 {
			return usage(c, "%s %d: want 0..65535", flag, port)
		}
	}
	process.IgnoreBrokenPipes()
	if err := w.configure(c); err != nil {
		return err
	}
	var err error
	if w.db, err = w.settings.openStore(tables.OpenOrMake, store.Options{Logger: w.log, BadRow: w.badRows.Report}); err != nil {
		return err
	}
	defer w.db.Close()
	if err := w.prepare(c.Context()); err != nil {
		return err
	}
	if err := w.construct(); err != nil {
		return err
	}
	w.greet()

	// A signal stops, in this order:
	//  1. the agent, whose last reports still find the report service;
	//  2. the report service, which stores them;
	//  3. the route service;
	//  4. the pages;
	//  5. the database.
	err = process.Run(c.Context(), w.inside, w.dns, w.reporter, w.agent)
	w.settings.printf("Lars is down\n")
	return err
}

// configure reads the keys of the agent, which are the ones that matter here.
func (w *whole) configure(c *cobra.Command) error {
	set := config.NewSet("lars up")
	set.Version = versionText()
	w.agentCfg = keys.Agent(set)
	w.pages = debug.Bind(set, defaultPages)
	logging := config.BindLog(set)
	if err := w.settings.load(set); err != nil {
		return err
	}
	w.log = logging.Logger(w.settings.env.Stderr)
	w.badRows = dns.NewBadRows(w.log)
	if w.settings.agent == "" {
		return nil
	}
	addr, err := netip.ParseAddrPort(w.settings.agent)
	if err != nil || !addr.Addr().Is4() {
		return usage(c, "--agent %q: want IP:PORT, for example 127.0.0.1:8888", w.settings.agent)
	}
	w.agentCfg.IP, w.agentCfg.Port = addr.Addr(), int(addr.Port())
	return nil
}

// prepare makes the tables, and routes if there never were any.
func (w *whole) prepare(ctx context.Context) error {
	if err := w.db.Migrate(ctx); err != nil {
		return err
	}
	version, err := w.db.Version(ctx)
	if err != nil || version != 0 {
		return err
	}
	_, err = w.db.EditRoutes(ctx, route.Edit{Who: "lars up", Changes: seeds})
	return err
}

// construct makes the services and binds them, since the agent has to know where
// the others listen.
func (w *whole) construct() (err error) {
	w.dns, err = dns.New(dns.Config{
		Reactor: reactorConfig(w.dnsPort), Store: w.db, BadRows: w.badRows, Log: w.log,
	})
	if err != nil {
		return err
	}
	if err := w.dns.Listen(); err != nil {
		return because(err, syscall.EADDRINUSE, "here it is --dns-port; does Lars run already?")
	}
	w.reporter, err = reporter.New(reporter.Config{Reactor: reactorConfig(w.repPort), Sink: w.db, Log: w.log, Build: version})
	if err != nil {
		return err
	}
	if err := w.reporter.Listen(); err != nil {
		return because(err, syscall.EADDRINUSE, "here it is --reporter-port; does Lars run already?")
	}
	return w.constructAgent()
}

func (w *whole) constructAgent() (err error) {
	w.agentCfg.DNS.Addrs = []string{w.dns.Addr().String()}
	w.agentCfg.Reporter.Addrs = []string{w.reporter.Addr().String()}
	w.agentCfg.Log, w.agentCfg.Build = w.log, version
	if w.agent, err = agent.New(*w.agentCfg); err != nil {
		return err
	}
	if err := w.agent.Listen(); err != nil {
		return err
	}
	w.pages.Metrics = []prometheus.Collector{w.dns.Metrics(), w.reporter.Metrics(), w.agent.Metrics()}
	w.pages.Ready, w.pages.Remark, w.pages.Log = w.ready, w.dns.Stale, w.log
	w.inside = debug.New(w.pages)
	w.agent.Mount(w.inside.Handle)
	return w.inside.Listen()
}

// reactorConfig is for a server that has one machine to serve.
func reactorConfig(port int) reactor.ServerConfig {
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	return reactor.ServerConfig{Addr: netip.AddrPortFrom(loopback, uint16(port)), Loops: 1}
}

func (w *whole) ready() error {
	for _, ready := range []func() error{w.dns.Ready, w.reporter.Ready, w.agent.Ready} {
		if err := ready(); err != nil {
			return err
		}
	}
	return nil
}

// greet says what listens where and what to try.
func (w *whole) greet() {
	addrs := w.agent.Addrs()
	ports := make([]string, len(addrs))
	for i, a := range addrs {
		ports[i] = fmt.Sprint(a.Port())
	}
	s := w.settings
	s.printf("Lars is up; ^C ends it.\n\n")
	s.printf("  agent     %s, UDP ports %s\n", addrs[0].Addr(), strings.Join(ports, ", "))
	s.printf("  dns       %s\n  reporter  %s\n  database  %s\n", w.dns.Addr(), w.reporter.Addr(), w.db)
	if pages := w.inside.Addr(); pages.IsValid() {
		s.printf("  pages     http://%s/\n", pages)
	}
	s.printf("\nTry in another terminal:\n\n")
	ask, store := w.askFlag(), w.storeFlag()
	s.printf("  lars gethost 1/1%s\n  lars simulator 1/1%s\n", ask, ask)
	s.printf("  lars route add 1/1 127.0.0.1:7005%s\n  lars getroute 1/1%s\n  lars status 1/1%s\n", store, ask, store)
	if w.inside.Addr().IsValid() {
		s.printf("  lars agent hosts 1/1%s\n", w.pagesFlag())
	}
	s.printf("\n")
}

// askFlag, storeFlag and pagesFlag return what a command in another terminal needs
// to find this agent, this database and these pages: nothing, if they are where it
// looks by itself.
func (w *whole) askFlag() string {
	if addr := w.agent.Addr().String(); addr != client.DefaultAgent {
		return " --agent " + addr
	}
	return ""
}

func (w *whole) storeFlag() string {
	if tables.IsDefault(w.db) {
		return ""
	}
	dsn := w.db.String()
	if rest, ok := strings.CutPrefix(dsn, "mysql://"); ok { // the password is not shown
		dsn = "mysql://" + strings.Replace(rest, "@", ":PASSWORD@", 1)
	}
	return " --dsn '" + dsn + "'"
}

func (w *whole) pagesFlag() string {
	if addr := w.inside.Addr().String(); addr != defaultPages {
		return " --pages " + addr
	}
	return ""
}
