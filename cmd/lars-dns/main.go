// Lars-dns is the route service of Lars: it answers agents with the hosts of
// a service and pushes every change to them. The service itself is package
// dns; this program reads the configuration, constructs the parts and runs
// them.
//
//	lars-dns -config conf/lars_dns.conf
//
// lars-dns -h lists its flags. It exits with 0 when a signal stopped it, with 1
// after an error and with 2 when a flag was wrong; the second signal kills it.
package main

import (
	"context"
	"os"

	"github.com/prometheus/client_golang/prometheus"

	"lars.internal/cmd/internal/handover"
	"lars.internal/cmd/internal/keys"
	"lars.internal/cmd/internal/process"
	"lars.internal/cmd/internal/tables"
	"lars.internal/dns"
	"lars.internal/internal/config"
	"lars.internal/internal/debug"
	"lars.internal/store"
)

// version is set by the linker.
var version string

func main() { process.Server("lars-dns", run) }

// settings hold what file, environment and flags decide. newSettings declares
// the keys, and env.Load fills the fields.
type settings struct {
	set   *config.Set
	dns   *dns.Config
	store *config.StoreConfig
	pages *debug.Config
	log   *config.LogConfig
	path  *string // of the handover
}

func newSettings() *settings {
	s := &settings{set: config.NewSet("lars-dns")}
	s.set.Version = version
	s.dns = keys.DNS(s.set)
	s.store = config.BindStore(s.set)
	s.pages = debug.Bind(s.set, "127.0.0.1:7780")
	s.log = config.BindLog(s.set)
	s.path = keys.Handover(s.set)
	return s
}

func run(ctx context.Context, env process.Env) error {
	s := newSettings()
	log, err := env.Load(s.set, s.log)
	if err != nil {
		return err
	}
	process.FitConns(log, &s.dns.Reactor)

	s.dns.BadRows = dns.NewBadRows(log)
	db, err := tables.Open(s.store, store.Options{Logger: log, BadRow: s.dns.BadRows.Report, QueryTimeout: s.dns.QueryTimeout})
	if err != nil {
		return err
	}
	defer db.Close()
	if !exists(s.dns.Snapshot) { // with one, dns serves whatever the state of the database
		if err := tables.Check(ctx, db, store.ForRoutes, log); err != nil {
			return err
		}
	}
	s.dns.Store, s.dns.Log, s.dns.Build = db, log, version
	taken, err := handover.Take(*s.path)
	if err != nil {
		return err
	}
	s.dns.Reactor.Listener = taken.File()
	service, err := dns.New(*s.dns)
	if err != nil {
		return err
	}
	s.pages.Metrics, s.pages.Ready, s.pages.Log = []prometheus.Collector{service.Metrics(), env.Metrics()}, service.Ready, log
	s.pages.Remark = service.Stale

	s.pages.AwaitPort = taken.Running()
	successor := handover.New(handover.Config{Path: *s.path, Taken: taken, Addr: s.dns.Reactor.Addr, Service: service, Ready: service.Ready, Log: log})

	// A signal, or a process that takes over, stops, in this order:
	//  1. the service: what was sent reaches the agents, the snapshot is written;
	//  2. the handover;
	//  3. the pages, so that they show the drain too;
	//  4. the database.
	return env.Serve(ctx, log, debug.New(s.pages), successor, service)
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
