package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"lars.internal/bench/measure"
)

// service is what all programs call.
const service = "1/1"

// stage is what all runs stand on: the programs in a temporary folder, and a
// namespace for the host that goes dark. Owned by the main goroutine.
type stage struct {
	dir   string
	space *namespace // nil without root
}

// newStage builds the programs. dark asks for the namespace, if this is root.
func newStage(dark bool) (*stage, error) {
	dir, err := os.MkdirTemp("", "lars-failover")
	if err != nil {
		return nil, err
	}
	s := &stage{dir: dir}
	if err := measure.BuildPrograms(dir, "lars-dns", "lars-agent", "lars"); err != nil {
		s.close()
		return nil, err
	}
	if dark && os.Geteuid() == 0 {
		if s.space, err = newNamespace(); err != nil {
			s.close()
			return nil, err
		}
	}
	return s, nil
}

func (s *stage) program(name string) string { return s.dir + "/" + name }

func (s *stage) close() {
	if s.space != nil {
		s.space.close()
	}
	os.RemoveAll(s.dir)
}

// system is a running Lars with backends and an agent for each policy.
type system struct {
	stage    *stage
	backends []*backend
	agents   []netip.AddrPort   // first ports, in the order of policies
	servers  []*measure.Process // dns and agents
	database string
}

// start starts all of it, anew for each run: nothing is known from the run before.
func (s *stage) start(ctx context.Context) (*system, error) {
	database, err := os.CreateTemp(s.dir, "*.db")
	if err != nil {
		return nil, err
	}
	database.Close()
	y := &system{stage: s, database: "sqlite:" + database.Name()}
	if err := y.startAll(ctx); err != nil {
		y.stop()
		return nil, err
	}
	return y, nil
}

func (y *system) startAll(ctx context.Context) error {
	if err := y.startBackends(ctx); err != nil {
		return err
	}
	add := []string{"route", "add", service}
	for _, b := range y.backends {
		add = append(add, b.addr.String())
	}
	for _, args := range [][]string{{"db", "migrate"}, add} {
		if err := y.lars(args...); err != nil {
			return err
		}
	}
	port, err := measure.FreePort()
	if err != nil {
		return err
	}
	if err := y.serve("lars-dns", "LARS_STORE_DSN="+y.database, "LARS_REACTOR_PORT="+strconv.Itoa(int(port.Port()))); err != nil {
		return err
	}
	for _, policy := range policies {
		if err := y.startAgent(policy, port); err != nil {
			return err
		}
	}
	return nil
}

// startBackends starts the hosts. The first one is in the namespace, if there is
// one.
func (y *system) startBackends(ctx context.Context) error {
	for i := range hosts {
		addr, err := measure.FreePort()
		if err != nil {
			return err
		}
		b := &backend{addr: addr}
		if i == 0 && y.stage.space != nil {
			b.space, b.addr = y.stage.space, netip.AddrPortFrom(y.stage.space.far, addr.Port())
		}
		if err := b.start(ctx); err != nil {
			return err
		}
		y.backends = append(y.backends, b)
	}
	return nil
}

func (y *system) startAgent(policy string, dns netip.AddrPort) error {
	first, err := measure.ThreePorts()
	if err != nil {
		return err
	}
	y.agents = append(y.agents, first)
	return y.serve("lars-agent", "LARS_AGENT_POLICY="+policy, "LARS_AGENT_PORT="+strconv.Itoa(int(first.Port())),
		"LARS_DNSSERVER_PORT="+strconv.Itoa(int(dns.Port())))
}

func (y *system) serve(name string, env ...string) error {
	p, err := measure.Start(append(env, "LARS_DEBUG_ADDR=off", "LARS_LOG_LEVEL=error"), y.stage.program(name))
	if err != nil {
		return err
	}
	y.servers = append(y.servers, p)
	return nil
}

func (y *system) lars(args ...string) error {
	cmd := exec.Command(y.stage.program("lars"), args...)
	cmd.Env = append(os.Environ(), "LARS_STORE_DSN="+y.database)
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("lars %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(text)))
	}
	return nil
}

// stop ends all processes. A host that is cut is healed.
func (y *system) stop() {
	for _, p := range y.servers {
		p.Stop()
	}
	for _, b := range y.backends {
		b.kill()
	}
	if y.stage.space != nil {
		_ = y.stage.space.heal() // fails unless it is cut
	}
}
