package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"lars.internal/agent"
	"lars.internal/client"
)

// Hosts of the routes. Nobody listens there: the tests say how calls went.
var (
	hostA = netip.MustParseAddrPort("10.1.0.1:7001")
	hostB = netip.MustParseAddrPort("10.1.0.2:7002")
	hostC = netip.MustParseAddrPort("10.1.0.3:7003")
)

// world is a database with the three servers around it.
type world struct {
	t   *testing.T
	bin string
	dsn string

	extra []string // variables of all programs

	dnsPort, repPort, agentPort, pagesPort int

	dns, reporter, agent *program
	client               *client.Client
}

// newWorld makes the tables and gives service 1/1 the hosts A and B.
func newWorld(t *testing.T, bin, dsn string) *world {
	t.Helper()
	w := bareWorld(t, bin, dsn)
	w.lars("db", "migrate")
	w.lars("route", "add", "1/1", hostA.String(), hostB.String())
	return w
}

// bareWorld leaves the database as it is.
func bareWorld(t *testing.T, bin, dsn string) *world {
	t.Helper()
	return &world{
		t: t, bin: bin, dsn: dsn,
		dnsPort: freePorts(t, "tcp", 1), repPort: freePorts(t, "tcp", 1),
		agentPort: freePorts(t, "udp", 3), pagesPort: freePorts(t, "tcp", 1),
	}
}

// start starts all servers and returns when the agent has the route of 1/1.
func (w *world) start() {
	w.t.Helper()
	w.startDNS()
	w.startReporter()
	w.startAgent()
	w.served(1, 1)
}

func (w *world) startDNS(args ...string) {
	w.t.Helper()
	w.dns = launch(w.t, w.bin, "lars-dns", w.environ(), append([]string{
		"-reactor.port", fmt.Sprint(w.dnsPort), "-debug.addr", "off"}, args...)...)
}

func (w *world) startReporter() {
	w.t.Helper()
	w.reporter = launch(w.t, w.bin, "lars-reporter", w.environ(),
		"-reactor.port", fmt.Sprint(w.repPort), "-debug.addr", "off")
}

// startAgent starts an agent of policy classic: its steps are exact.
func (w *world) startAgent(args ...string) {
	w.t.Helper()
	w.agent = launch(w.t, w.bin, "lars-agent", w.environ(), append([]string{
		"-agent.port", fmt.Sprint(w.agentPort), "-debug.addr", w.pages(),
		"-dnsserver.port", fmt.Sprint(w.dnsPort), "-reporter.port", fmt.Sprint(w.repPort),
		"-agent.report_interval", "100ms", "-agent.policy", "classic"}, args...)...)
	w.openClient()
}

func (w *world) openClient() {
	w.t.Helper()
	if w.client != nil {
		return
	}
	c, err := client.New(client.Config{Agent: fmt.Sprintf("127.0.0.1:%d", w.agentPort), Timeout: 2 * time.Second})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	w.client = c
}

func (w *world) pages() string { return fmt.Sprintf("127.0.0.1:%d", w.pagesPort) }

// environ is that of the test, with the database and what the test wants.
func (w *world) environ() []string {
	return append(append(cleanEnviron(), "LARS_STORE_DSN="+w.dsn), w.extra...)
}

// cleanEnviron spares programs under the race detector the second that they
// otherwise wait at their end.
func cleanEnviron() []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "LARS_") })
	return append(env, "GORACE=atexit_sleep_ms=0")
}

// lars runs the operator's command, which has to succeed.
func (w *world) lars(args ...string) string {
	w.t.Helper()
	r := execute(w.t, w.bin, "lars", w.environ(), args...)
	if r.code != 0 {
		w.t.Fatalf("lars %q exited with %d: %s", args, r.code, r.errors)
	}
	return r.out
}

// served waits until the agent serves a service to a program that registers.
func (w *world) served(modid, cmdid int32) {
	w.t.Helper()
	eventually(w.t, fmt.Sprintf("service %d/%d is served", modid, cmdid), func() bool {
		return w.client.Register(w.t.Context(), modid, cmdid) == nil
	})
}

// hasRoute waits until the agent has exactly these hosts for 1/1.
func (w *world) hasRoute(want ...netip.AddrPort) {
	w.t.Helper()
	var got []netip.AddrPort
	defer func() {
		if w.t.Failed() {
			w.t.Logf("the last route of the agent was %v, want %v", got, want)
		}
	}()
	eventually(w.t, "the agent has the route", func() bool {
		var err error
		got, err = w.client.GetRoute(w.t.Context(), 1, 1)
		slices.SortFunc(got, netip.AddrPort.Compare)
		return err == nil && slices.Equal(got, want)
	})
}

// page is what the agent holds of 1/1.
func (w *world) page() agent.ServiceDetail {
	w.t.Helper()
	var d agent.ServiceDetail
	resp, err := http.Get("http://" + w.pages() + "/agent/hosts?service=1/1")
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&d); err != nil {
		w.t.Fatal(err)
	}
	return d
}

// state is what the agent thinks of a host of 1/1.
func (w *world) state(host netip.AddrPort) string {
	w.t.Helper()
	for _, h := range w.page().List {
		if h.Host == host.String() {
			return h.State
		}
	}
	return "gone"
}

// report reports results of a host until the agent thinks so of it.
func (w *world) report(host netip.AddrPort, failure error, state string) {
	w.t.Helper()
	eventually(w.t, fmt.Sprintf("%v is %s after reports of %v", host, state, failure), func() bool {
		for range 20 {
			if err := w.client.Report(1, 1, host, failure); err != nil {
				w.t.Fatal(err)
			}
		}
		return w.state(host) == state
	})
}

var errFailed = errors.New("the call failed")

// row is a row of the report table.
type row struct {
	Service string         `json:"service"`
	Host    netip.AddrPort `json:"host"`
	Caller  netip.Addr     `json:"caller"`
	Succ    int            `json:"succ"`
	Err     int            `json:"err"`
	Ejected bool           `json:"ejected"`
}

// reported waits until the report table has a row for a host that is right.
func (w *world) reported(host netip.AddrPort, what string, right func(row) bool) {
	w.t.Helper()
	eventually(w.t, fmt.Sprintf("the report table says of %v: %s", host, what), func() bool {
		var rows []row
		if err := json.Unmarshal([]byte(w.lars("status", "1/1", "--json")), &rows); err != nil {
			w.t.Fatal(err)
		}
		return slices.ContainsFunc(rows, func(r row) bool { return r.Host == host && right(r) })
	})
}
