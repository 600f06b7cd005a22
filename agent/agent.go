package agent

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"lars.internal/engine"
	"lars.internal/internal/task"
	"lars.internal/keep"
	"lars.internal/larspb"
)

// Agent is the load-balance agent of one machine. Make it with New. All
// methods are safe for concurrent use.
type Agent struct {
	// Immutable after New.
	cfg     Config
	engine  *engine.Engine
	ports   *ports
	dns     *dnsClient
	reports *reportClient
	events  *events
	checks  *settingsCheck
	prober  *prober
	keeper  *keep.Keeper
	metrics prometheus.Collector

	mu      sync.Mutex // guards everything below
	served  bool
	serving bool
}

// New returns an agent that is not bound yet. It fails for a configuration
// that makes no sense.
func New(cfg Config) (*Agent, error) {
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg.run = rand.Uint64() | 1
	machine, _ := os.Hostname() // servers do without
	cfg.hello = larspb.Greeting("agent", cfg.Build, machine, cfg.run)
	a := &Agent{cfg: cfg}
	a.engine = newEngine(&a.cfg)
	a.keeper = keep.New(keep.Config{Path: cfg.Snapshot, Source: a.snapshot, Name: "agent: ", Log: cfg.Log})
	a.checks = newSettingsCheck(&a.cfg)
	var err error
	if a.dns, err = newDNSClient(&a.cfg, a.engine, a.checks, a.keeper.Changed); err != nil {
		return nil, fmt.Errorf("agent: dns client: %w", err)
	}
	if a.reports, err = newReportClient(&a.cfg, a.engine); err != nil {
		return nil, fmt.Errorf("agent: report client: %w", err)
	}
	a.events = newEvents(&a.cfg, a.engine, a.checks, a.reports.client.Loop())
	a.prober = newProber(&a.cfg, a.engine, a.events.wake)
	a.ports = &ports{engine: a.engine, clock: a.cfg.Clock, pull: a.dns.pull, changed: a.events.wake, asked: a.prober.wake, tickets: newTickets(cfg.run)}
	a.metrics = newMetrics(a)
	return a, nil
}

// Listen binds the three UDP ports, all or none. An address in use is an error
// that names it. Serve does it too, if it has not been done.
func (a *Agent) Listen() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ports.servers.Load() != nil {
		return nil
	}
	return a.ports.listen(a.cfg.IP, a.cfg.Port)
}

// Addr returns the first of the UDP addresses that Listen bound, the zero
// AddrPort before.
func (a *Agent) Addr() netip.AddrPort {
	if addrs := a.ports.addrs(); addrs != nil {
		return addrs[0]
	}
	return netip.AddrPort{}
}

// Addrs returns the three UDP addresses that Listen bound, none before.
func (a *Agent) Addrs() []netip.AddrPort { return a.ports.addrs() }

// Loops returns how many event loops Serve runs: one for each port, one for each
// link, and the one of the probes.
func (a *Agent) Loops() int { return Ports + 3 }

// Metrics returns what the agent counts. The names begin with lars_agent_.
func (a *Agent) Metrics() prometheus.Collector { return a.metrics }

// Ready returns nil while programs are served. Without a dns service that
// needs at least one route that is known from before.
func (a *Agent) Ready() error {
	a.mu.Lock()
	serving := a.serving
	a.mu.Unlock()
	switch {
	case !serving:
		return errors.New("agent: not serving yet")
	case !a.dns.answered.Load() && !a.engine.Known():
		return fmt.Errorf("agent: no route is known and no dns service has answered at %v", a.cfg.DNS.Addrs)
	}
	return nil
}

// Serve serves programs until ctx is done, sends what is still to be reported,
// and returns nil when all of its goroutines have ended. It may be called
// once. It fails if the ports cannot be bound or an event loop breaks.
func (a *Agent) Serve(ctx context.Context) error {
	if err := a.Listen(); err != nil {
		return err
	}
	if !a.begin() {
		return errors.New("agent: Serve was called before")
	}
	defer a.end()
	return a.run(ctx)
}

// Close releases the ports of an agent that was bound and is not served.
func (a *Agent) Close() {
	if servers := a.ports.servers.Load(); servers != nil {
		closeAll(servers[:])
	}
}

// begin reports whether Serve is called for the first time.
func (a *Agent) begin() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.served {
		return false
	}
	a.served, a.serving = true, true
	return true
}

func (a *Agent) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.serving = false
}

// run starts the parts in the order in which they need each other and stops
// them in reverse. A part that fails ends the others.
func (a *Agent) run(ctx context.Context) error {
	a.restore()

	serving, stop := context.WithCancel(ctx)
	defer stop()
	apart := context.WithoutCancel(ctx) // they end in their order, not with ctx
	dns := task.Start(apart, a.dns.run, stop)
	reports := task.Start(apart, a.reports.run, stop)
	saving := task.Start(apart, a.keeper.Run, stop)
	probing := task.Start(apart, a.prober.run, stop)
	// Datagrams have waited in the kernel since Listen.
	a.cfg.Log.Info("agent: "+a.cfg.Policy+" is the policy", "because", a.cfg.PolicyReason)
	a.cfg.Log.Info("agent: listening", "addrs", a.ports.addrs())
	err := a.ports.serve(serving)

	// 1. The ports are closed: nothing new comes.
	// 2. No host is probed any more: nobody is left to call it.
	// 3. What was counted is reported.
	// 4. The routes are saved while it is known whether they are right.
	// 5. The connection that kept them fresh ends.
	return errors.Join(err, probing.Stop(), reports.Stop(), saving.Stop(), dns.Stop())
}
