// Lars-reporter is the report service of Lars: it stores the call statistics that
// the agents send. The service itself is package reporter; this program reads the
// configuration, constructs the parts and runs them.
//
//	lars-reporter -config conf/lars_reporter.conf
//
// lars-reporter -h lists its flags. It exits with 0 when a signal stopped it, with
// 1 after an error and with 2 when a flag was wrong; the second signal kills it.
package main

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"lars.internal/cmd/internal/handover"
	"lars.internal/cmd/internal/keys"
	"lars.internal/cmd/internal/process"
	"lars.internal/cmd/internal/tables"
	"lars.internal/internal/config"
	"lars.internal/internal/debug"
	"lars.internal/reporter"
	"lars.internal/store"
)

// version is set by the linker.
var version string

func main() { process.Server("lars-reporter", run) }

// settings hold what file, environment and flags decide. newSettings declares
// the keys, and env.Load fills the fields.
type settings struct {
	set      *config.Set
	reporter *reporter.Config
	store    *config.StoreConfig
	pages    *debug.Config
	log      *config.LogConfig
	path     *string // of the handover
}

func newSettings() *settings {
	s := &settings{set: config.NewSet("lars-reporter")}
	s.set.Version = version
	s.reporter = keys.Reporter(s.set)
	s.store = config.BindStore(s.set)
	s.pages = debug.Bind(s.set, "127.0.0.1:7781")
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
	process.FitConns(log, &s.reporter.Reactor)

	// A connection for each storing thread and one for the check.
	db, err := tables.Open(s.store, store.Options{Logger: log, MaxConns: s.reporter.Threads + 1})
	if err != nil {
		return err
	}
	defer db.Close()
	if err := tables.Check(ctx, db, store.ForStatus, log); err != nil {
		return err
	}
	s.reporter.Sink, s.reporter.Log, s.reporter.Build = db, log, version
	taken, err := handover.Take(*s.path)
	if err != nil {
		return err
	}
	s.reporter.Reactor.Listener = taken.File()
	service, err := reporter.New(*s.reporter)
	if err != nil {
		return err
	}
	s.pages.Metrics, s.pages.Ready, s.pages.Log = []prometheus.Collector{service.Metrics(), env.Metrics()}, service.Ready, log

	s.pages.AwaitPort = taken.Running()
	successor := handover.New(handover.Config{Path: *s.path, Taken: taken, Addr: s.reporter.Reactor.Addr, Service: service, Ready: service.Ready, Log: log})

	// A signal, or a process that takes over, stops, in this order:
	//  1. the service: connections are closed, what was accepted is stored;
	//  2. the handover;
	//  3. the pages, so that they show the drain too;
	//  4. the database.
	return env.Serve(ctx, log, debug.New(s.pages), successor, service)
}
