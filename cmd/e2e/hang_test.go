package e2e_test

import (
	"fmt"
	"regexp"
	"syscall"
	"testing"
	"time"

	"lars.internal/route"
)

// A report service that is stopped goes on taking what comes, since its kernel
// does. The agent stayed with it for as long as that, and what was reported
// meanwhile was lost when it was killed.
func testFinding02ReporterHangs(t *testing.T, bin string) {
	w := newWorld(t, bin, sqlite(t))
	const services = 20
	for i := range int32(services) {
		w.lars("route", "add", fmt.Sprintf("2/%d", i), hostC.String())
	}
	w.startDNS()
	w.startReporter()
	first := w.repPort
	w.repPort = freePorts(t, "tcp", 1)
	second := launch(t, bin, "lars-reporter", w.environ(), "-reactor.port", fmt.Sprint(w.repPort), "-debug.addr", "off")
	servers := map[string]*program{
		fmt.Sprintf("127.0.0.1:%d", first): w.reporter, fmt.Sprintf("127.0.0.1:%d", w.repPort): second,
	}
	w.startAgent("-reporter.addrs", fmt.Sprintf("127.0.0.1:%d,127.0.0.1:%d", first, w.repPort))
	for i := range int32(services) {
		w.served(2, i)
	}
	w.called(0)
	other, hung := w.reportsTo(servers, nil)

	hung.cmd.Process.Signal(syscall.SIGSTOP)
	start := time.Now()
	for i := int32(1); i < services/2; i++ {
		w.client.Report(2, i, hostC, nil)
	}
	_, now := w.reportsTo(servers, hung)
	if took := time.Since(start); took > 15*time.Second { // 10 s, and half as much for a busy machine
		t.Errorf("the agent left the report service after %v, want 10s", took)
	}
	if now != other {
		t.Errorf("the agent reports to %s, want %s", now.name, other.name)
	}
	for i := int32(services / 2); i < services; i++ {
		w.client.Report(2, i, hostC, nil)
	}
	hung.kill()
	for i := range int32(services) {
		w.stored(i)
	}
}

// The only report service hangs and is killed; the next one gets all.
func testFinding02OnlyReporterHangs(t *testing.T, bin string) {
	w := newWorld(t, bin, sqlite(t))
	const services = 5
	for i := range int32(services) {
		w.lars("route", "add", fmt.Sprintf("2/%d", i), hostC.String())
	}
	w.startDNS()
	w.startReporter()
	w.startAgent()
	for i := range int32(services) {
		w.served(2, i)
	}
	w.called(0)
	w.reporter.cmd.Process.Signal(syscall.SIGSTOP)
	for i := int32(1); i < services; i++ {
		w.client.Report(2, i, hostC, nil)
	}
	eventually(t, "the agent leaves the report service", func() bool { return silent.MatchString(w.agent.output()) })
	w.reporter.kill()
	w.startReporter()
	for i := range int32(services) {
		w.stored(i)
	}
}

var (
	silent    = regexp.MustCompile(`report service is silent`)
	connected = regexp.MustCompile(`connected to report service"? addr=(\S+)`)
)

// called reports a call of service 2/i and waits until it is in the table.
func (w *world) called(i int32) {
	w.t.Helper()
	if err := w.client.Report(2, i, hostC, nil); err != nil {
		w.t.Fatal(err)
	}
	w.stored(i)
}

// stored waits until the call of service 2/i is in the table.
func (w *world) stored(i int32) {
	w.t.Helper()
	db, key := open(w.t, w.dsn), route.Key{Modid: 2, Cmdid: i}
	eventually(w.t, fmt.Sprintf("the call of service %v is in the table", key), func() bool {
		rows, err := db.Status(w.t.Context(), &key, 0)
		return err == nil && len(rows) == 1 && rows[0].Succ == 1
	})
}

// reportsTo waits until the agent is connected to another report service than
// one, and returns the program of that and the other.
func (w *world) reportsTo(servers map[string]*program, than *program) (other, now *program) {
	w.t.Helper()
	eventually(w.t, "the agent is connected to a report service", func() bool {
		lines := connected.FindAllStringSubmatch(w.agent.output(), -1)
		if len(lines) == 0 {
			return false
		}
		now = servers[lines[len(lines)-1][1]]
		return now != nil && now != than
	})
	for _, p := range servers {
		if p != now {
			other = p
		}
	}
	return other, now
}
