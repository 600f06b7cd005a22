package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lars.internal/client"
	"lars.internal/internal/netns"
)

// noticed is how long a silent cut may go unnoticed.
const noticed = 10 * time.Second

// fleet is a world whose servers have a machine each.
type fleet struct {
	*world
	dnsHost, agentHost *netns.Host
	reporters          [2]*netns.Host
}

const (
	fleetPort  = "7000" // of each server
	fleetPages = "127.0.0.1:7001"
)

// newFleet starts dns, two reporters and an agent, and returns when the services
// 1/1, 1/2 and 1/3 are served.
func newFleet(t *testing.T, bin string) *fleet {
	network := netns.New(t) // skips the test where it cannot be run
	f := &fleet{
		world:   &world{t: t, bin: bin, dsn: sqlite(t)},
		dnsHost: network.Host("dns"), agentHost: network.Host("agent"),
		reporters: [2]*netns.Host{network.Host("first"), network.Host("second")},
	}
	f.lars("db", "migrate")
	for _, service := range []string{"1/1", "1/2", "1/3"} {
		f.lars("route", "add", service, hostA.String())
	}
	var addrs []string
	f.launch(f.dnsHost, "lars-dns", "-reactor.ip", f.dnsHost.Addr().String(), "-reactor.port", fleetPort)
	for _, h := range f.reporters {
		f.launch(h, "lars-reporter", "-reactor.ip", h.Addr().String(), "-reactor.port", fleetPort)
		addrs = append(addrs, h.Addr().String()+":"+fleetPort)
	}
	f.launch(f.agentHost, "lars-agent", "-agent.ip", "127.0.0.1", "-agent.port", "8888", "-agent.report_interval", "100ms",
		"-dnsserver.addrs", f.dnsHost.Addr().String()+":"+fleetPort, "-reporter.addrs", strings.Join(addrs, ","))
	f.onAgent(func() (err error) {
		f.client, err = client.New(client.Config{Agent: "127.0.0.1:8888", Timeout: 2 * time.Second})
		return err
	})
	t.Cleanup(func() { f.client.Close() })
	for cmdid := range int32(3) {
		eventually(t, fmt.Sprintf("service 1/%d is served", 1+cmdid), func() (ok bool) {
			f.onAgent(func() error { ok = f.client.Register(t.Context(), 1, 1+cmdid) == nil; return nil })
			return ok
		})
	}
	return f
}

// launch starts a program on a host, with its pages on loopback.
func (f *fleet) launch(h *netns.Host, name string, args ...string) {
	f.t.Helper()
	args = append(args, "-debug.addr", fleetPages)
	launchCommand(f.t, name, h.Command(filepath.Join(f.bin, name), args...), f.environ())
}

// onAgent runs f on the agent's host, where the client may open its socket.
func (f *fleet) onAgent(do func() error) {
	f.t.Helper()
	if err := f.agentHost.Do(do); err != nil {
		f.t.Fatal(err)
	}
}

// called reports a call of a service that succeeded.
func (f *fleet) called(cmdid int32) {
	f.t.Helper()
	f.onAgent(func() error { return f.client.Report(1, cmdid, hostA, nil) })
}

// calling reports calls of 1/1 all the time, until the test ends.
func (f *fleet) calling() {
	stop, ended := make(chan struct{}), make(chan struct{})
	f.t.Cleanup(sync.OnceFunc(func() { close(stop); <-ended }))
	go func() { // ends with stop
		defer close(ended)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				f.agentHost.Do(func() error { return f.client.Report(1, 1, hostA, nil) })
			}
		}
	}()
}

// metric reads a number from the pages of the server on a host.
func (f *fleet) metric(h *netns.Host, name string) string {
	f.t.Helper()
	var page []byte
	err := h.Do(func() error {
		conn, err := net.Dial("tcp4", fleetPages)
		if err != nil {
			return err
		}
		defer conn.Close()
		fmt.Fprintf(conn, "GET /metrics HTTP/1.0\r\n\r\n")
		page, err = io.ReadAll(conn)
		return err
	})
	if err != nil {
		return err.Error()
	}
	for line := range strings.Lines(string(page)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return "no such metric"
}

// within waits until a metric has a value, and fails if that takes longer than
// noticed from a moment on.
func (f *fleet) within(since time.Time, h *netns.Host, name, want string) {
	f.t.Helper()
	eventually(f.t, fmt.Sprintf("%s of %v is %s", name, h.Addr(), want), func() bool { return f.metric(h, name) == want })
	if took := time.Since(since); took > noticed+time.Second { // a second to look at it
		f.t.Errorf("%s of %v was %s after %v, want %v at most", name, h.Addr(), want, took, noticed)
	}
}

// stored waits until the table of call statistics has a row of a service.
func (f *fleet) stored(service string) {
	f.t.Helper()
	eventually(f.t, "a result of "+service+" is stored", func() bool {
		var rows []row
		if err := json.Unmarshal([]byte(f.lars("status", service, "--json")), &rows); err != nil {
			f.t.Fatal(err)
		}
		return len(rows) > 0 && rows[0].Succ > 0
	})
}

// A network that drops everything and tells nobody: agents went on with a dead
// reporter for 940 s, servers counted dead agents as long, and what was reported
// meanwhile was never stored.
func testFinding46SilentCut(t *testing.T, bin string) {
	f := newFleet(t, bin)
	f.calling()
	f.stored("1/1")
	used, spare := f.reporters[0], f.reporters[1]
	if f.metric(used, "lars_reporter_connections") == "0" {
		used, spare = spare, used
	}

	t.Log("the reporter in use is cut off")
	used.Cut()
	cut := time.Now()
	f.called(2) // once, and never again
	f.within(cut, spare, "lars_reporter_connections", "1")
	f.within(cut, used, "lars_reporter_connections", "0")
	f.stored("1/2")
	used.Heal()

	t.Log("the agent is cut off")
	f.agentHost.Cut()
	cut = time.Now()
	f.called(3)
	f.within(cut, f.dnsHost, "lars_dns_connections", "0")
	f.within(cut, spare, "lars_reporter_connections", "0")
	f.within(cut, f.agentHost, "lars_agent_dns_connected", "0")
	f.within(cut, f.agentHost, "lars_agent_reporter_connected", "0")
	f.agentHost.Heal()
	f.stored("1/3")
	eventually(t, "the agent is connected again", func() bool {
		return f.metric(f.agentHost, "lars_agent_dns_connected") == "1" && f.metric(f.agentHost, "lars_agent_reporter_connected") == "1"
	})
	var hosts []netip.AddrPort
	f.onAgent(func() (err error) { hosts, err = f.client.GetRoute(t.Context(), 1, 3); return err })
	if len(hosts) != 1 || hosts[0] != hostA {
		t.Errorf("the route of 1/3 is %v, want %v", hosts, hostA)
	}
}
