// Lars-agent is the load-balance agent of Lars: it answers the programs of
// its machine with the host to call for a service. The agent itself is
// package agent; this program reads the configuration, constructs the parts
// and runs them.
//
//	lars-agent -config conf/lars_lb_agent.conf
//
// lars-agent -h lists its flags. It exits with 0 when a signal stopped it, with 1
// after an error and with 2 when a flag was wrong; the second signal kills it.
package main

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"lars.internal/agent"
	"lars.internal/cmd/internal/keys"
	"lars.internal/cmd/internal/process"
	"lars.internal/internal/config"
	"lars.internal/internal/debug"
)

// version is set by the linker.
var version string

func main() { process.Server("lars-agent", run) }

// settings hold what file, environment and flags decide. newSettings declares
// the keys, and env.Load fills the fields.
type settings struct {
	set   *config.Set
	agent *agent.Config
	pages *debug.Config
	log   *config.LogConfig
}

func newSettings() *settings {
	s := &settings{set: config.NewSet("lars-agent")}
	s.set.Version = version
	s.agent = keys.Agent(s.set)
	s.pages = debug.Bind(s.set, "127.0.0.1:8887")
	s.log = config.BindLog(s.set)
	return s
}

func run(ctx context.Context, env process.Env) error {
	s := newSettings()
	log, err := env.Load(s.set, s.log)
	if err != nil {
		return err
	}

	s.agent.Log, s.agent.Build = log, version
	service, err := agent.New(*s.agent)
	if err != nil {
		return err
	}
	s.pages.Metrics, s.pages.Ready, s.pages.Log = []prometheus.Collector{service.Metrics(), env.Metrics()}, service.Ready, log
	pages := debug.New(s.pages)
	service.Mount(pages.Handle)

	// A signal stops, in this order:
	//  1. the service: the ports first, then the last reports are sent and the
	//     snapshot is written;
	//  2. the pages, so that they show the drain too.
	return env.Serve(ctx, log, pages, service)
}
