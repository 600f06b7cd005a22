package e2e_test

import (
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the driver that holds a lock below

	"lars.internal/client"
	"lars.internal/larspb"
)

// alone are the tests that do not depend on the kind of database.
var alone = []struct {
	name string
	test func(t *testing.T, bin string)
}{
	{"the original's configuration files work", testOriginalFiles},
	{"a second balancer looks on", testShadow},
	{"a port in use", testPortInUse},
	{"missing tables", testMissingTables},
	{"a wrong flag", testWrongFlag},
	{"help and version", testHelp},
	{"a secret between agent and servers", testAccess},
	{"dns and agent start from snapshots", testSnapshots},
	{"lars up", testUp},
	{"the log in JSON", testFinding37JSONLog},
	{"the second signal kills", testSecondSignal},
	{"a reporter is killed with rows that wait", testFinding46KilledReporter},
	{"a reporter hangs and another takes over", testFinding02ReporterHangs},
	{"the only reporter hangs and is killed", testFinding02OnlyReporterHangs},
	{"the network goes silent", testFinding46SilentCut},
	{"connections that say nothing", testFinding47SilentConnections},
	{"one host of three dies", testDeadHost},
	{"one host of three dies under calls with a second try", testDeadHostRetry},
	{"the demo ends well", testDemo},
	{"the demo is interrupted", testDemoInterrupted},
	{"the demo loses a server", testDemoWithoutReporter},
}

func sqlite(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "lars.db") }

// testOriginalFiles: the environment moves the ports and the database, the files
// stay as they are.
func testOriginalFiles(t *testing.T, bin string) {
	w := newWorld(t, bin, sqlite(t))
	original := func(name string) string {
		path, err := filepath.Abs("../internal/keys/testdata/original/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	with := func(name string, port int) []string {
		return append(w.environ(), fmt.Sprintf("LARS_%s=%d", name, port))
	}
	launch(t, bin, "lars-dns", with("REACTOR_PORT", w.dnsPort), "-config", original("lars_dns.conf"))
	launch(t, bin, "lars-reporter", with("REACTOR_PORT", w.repPort), "-config", original("lars_reporter.conf"))
	w.agent = launch(t, bin, "lars-agent", append(with("AGENT_PORT", w.agentPort),
		fmt.Sprintf("LARS_DNSSERVER_PORT=%d", w.dnsPort), fmt.Sprintf("LARS_REPORTER_PORT=%d", w.repPort),
		"LARS_DEBUG_ADDR="+w.pages()), "-config", original("lars_lb_agent.conf"))
	w.openClient()
	w.served(1, 1)
	w.hasRoute(hostA, hostB)
	w.report(hostA, nil, "idle")
	w.reported(hostA, "called", func(r row) bool { return r.Succ > 0 })
	if !strings.Contains(w.agent.output(), `msg="agent: adaptive is the policy" because="none is named, and all keys of [loadbalance]`) {
		t.Errorf("the agent does not say its policy:\n%s", w.agent.output())
	}
}

func testPortInUse(t *testing.T, bin string) {
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	udp := freePorts(t, "udp", 3)
	third, err := net.ListenPacket("udp4", fmt.Sprintf("127.0.0.1:%d", udp+2))
	if err != nil {
		t.Fatal(err)
	}
	defer third.Close()
	w := newWorld(t, bin, sqlite(t))
	port := fmt.Sprint(tcp.Addr().(*net.TCPAddr).Port)
	cases := []struct {
		name string
		args []string
		addr string
	}{
		{"lars-dns", []string{"-reactor.port", port}, tcp.Addr().String()},
		{"lars-reporter", []string{"-reactor.port", port}, tcp.Addr().String()},
		{"lars-agent", []string{"-agent.port", fmt.Sprint(udp)}, third.LocalAddr().String()},
		{"lars-agent", []string{"-agent.port", "0", "-debug.addr", tcp.Addr().String()}, tcp.Addr().String()},
	}
	for _, c := range cases {
		t.Run(c.name+" "+c.args[len(c.args)-2], func(t *testing.T) {
			args := append([]string{"-debug.addr", "off"}, c.args...)
			wantFailure(t, execute(t, bin, c.name, w.environ(), args...), 1, c.addr)
		})
	}
}

// wantFailure checks an exit code, and that the only line of errors, which comes
// after the log, begins with the program's name and holds a text.
func wantFailure(t *testing.T, r result, code int, text string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(r.errors), "\n")
	last := lines[len(lines)-1]
	if r.code != code || !strings.HasPrefix(last, r.program+": ") || !strings.Contains(last, text) {
		t.Errorf("exit code is %d, want %d with %q in the last line, which %s begins:\n%s", r.code, code, text, r.program, r.errors)
	}
}

func testMissingTables(t *testing.T, bin string) {
	dsn := sqlite(t)
	environ := append(cleanEnviron(), "LARS_STORE_DSN="+dsn)
	command := "lars db migrate --dsn '" + dsn + "'"
	for _, name := range []string{"lars-dns", "lars-reporter"} {
		wantFailure(t, execute(t, bin, name, environ, "-reactor.port", "0", "-debug.addr", "off"), 1, command)
	}
	wantFailure(t, execute(t, bin, "lars", environ, "route", "list"), 1, command)
	if r := execute(t, bin, "lars", cleanEnviron(), "db", "migrate", "--dsn", dsn); r.code != 0 {
		t.Fatalf("lars db migrate: %s", r.errors)
	}
	if r := execute(t, bin, "lars", environ, "route", "list"); r.code != 0 {
		t.Errorf("lars route list after it: %s", r.errors)
	}
}

func testWrongFlag(t *testing.T, bin string) {
	for _, name := range []string{"lars-dns", "lars-reporter", "lars-agent", "lars"} {
		wantFailure(t, execute(t, bin, name, cleanEnviron(), "-nonsense"), 2, "nonsense")
	}
	for _, name := range []string{"lars-dns", "lars-reporter", "lars-agent"} {
		wantFailure(t, execute(t, bin, name, cleanEnviron(), "-config", "/no/such/file"), 1, "/no/such/file")
	}
}

func testHelp(t *testing.T, bin string) {
	for _, name := range []string{"lars-dns", "lars-reporter", "lars-agent"} {
		if r := execute(t, bin, name, cleanEnviron(), "-h"); r.code != 0 || !strings.Contains(r.out, "-debug.addr") {
			t.Errorf("%s -h exited with %d and printed %q", name, r.code, r.out)
		}
		if r := execute(t, bin, name, cleanEnviron(), "-version"); r.code != 0 || !strings.HasPrefix(r.out, name+" ") {
			t.Errorf("%s -version exited with %d and printed %q", name, r.code, r.out)
		}
	}
}

// testAccess: with a secret on the servers, an agent is refused until it has it too.
func testAccess(t *testing.T, bin string) {
	w := newWorld(t, bin, sqlite(t))
	w.dns = launch(t, bin, "lars-dns", append(w.environ(), "LARS_ACCESS_SECRET=xyzzy-xyzzy-xyzzy"),
		"-reactor.port", fmt.Sprint(w.dnsPort), "-debug.addr", "off")
	w.reporter = launch(t, bin, "lars-reporter", append(w.environ(), "LARS_ACCESS_SECRET=xyzzy-xyzzy-xyzzy", "LARS_ACCESS_ALLOW=127.0.0.0/8"),
		"-reactor.port", fmt.Sprint(w.repPort), "-debug.addr", "off")
	w.startAgent()
	for _, p := range []*program{w.dns, w.reporter} {
		eventually(t, p.name+" refuses the agent", func() bool { return strings.Contains(p.output(), "[access] secret") })
	}
	if err := w.client.Register(t.Context(), 1, 1); !errors.Is(err, client.ErrNoService) {
		t.Errorf("Register through a refused agent returns %v, want %v", err, client.ErrNoService)
	}
	w.agent.stop(syscall.SIGTERM)

	w.startAgent("-dnsserver.secret", "xyzzy-xyzzy-xyzzy", "-reporter.secret", "xyzzy-xyzzy-xyzzy")
	w.served(1, 1)
	w.report(hostA, nil, "idle")
	w.reported(hostA, "called", func(r row) bool { return r.Succ > 0 })
	for _, p := range []*program{w.dns, w.reporter, w.agent} {
		if strings.Contains(p.output(), "xyzzy-xyzzy-xyzzy") {
			t.Errorf("%s prints the secret:\n%s", p.name, p.output())
		}
	}
}

// testSnapshots: with the database gone, dns serves what it has on disk; with dns
// gone too, the agent does.
func testSnapshots(t *testing.T, bin string) {
	dsn := sqlite(t)
	w := newWorld(t, bin, dsn)
	dnsFile, agentFile := filepath.Join(t.TempDir(), "dns.snapshot"), filepath.Join(t.TempDir(), "agent.snapshot")
	w.startDNS("-dns.snapshot", dnsFile)
	w.startAgent("-agent.snapshot", agentFile)
	w.served(1, 1)
	w.agent.stop(syscall.SIGTERM)
	w.dns.stop(syscall.SIGTERM)

	if err := os.Remove(strings.TrimPrefix(dsn, "sqlite:")); err != nil {
		t.Fatal(err)
	}
	w.startDNS("-dns.snapshot", dnsFile)
	w.startAgent()
	w.served(1, 1)
	w.agent.stop(syscall.SIGTERM)
	w.dns.stop(syscall.SIGTERM)

	w.startAgent("-agent.snapshot", agentFile)
	w.served(1, 1)
	w.hasRoute(hostA, hostB)
}

func testUp(t *testing.T, bin string) {
	environ := append(cleanEnviron(), "LARS_STORE_DSN="+sqlite(t), "LARS_DEBUG_ADDR=127.0.0.1:0")
	agent := fmt.Sprintf("127.0.0.1:%d", freePorts(t, "udp", 3))
	up := launch(t, bin, "lars", environ, "up", "--agent", agent, "--dns-port", "0", "--reporter-port", "0")
	c, err := client.New(client.Config{Agent: agent, Timeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	eventually(t, "a seeded service is served", func() bool { return c.Register(t.Context(), 1, 1) == nil })

	if r := execute(t, bin, "lars", environ, "gethost", "1", "1", "-agent", agent); r.code != 0 || !strings.HasPrefix(r.out, "127.0.0.1:70") {
		t.Errorf("lars gethost exited with %d and printed %q %s", r.code, r.out, r.errors)
	}
	if r := execute(t, bin, "lars", environ, "simulator", "1/1", "--count", "100", "--error-rate", "0", "--agent", agent); r.code != 0 || !strings.Contains(r.out, "SUCCESSES") {
		t.Errorf("lars simulator exited with %d and printed %q %s", r.code, r.out, r.errors)
	}
	eventually(t, "the simulator's calls are in the report table", func() bool {
		return strings.Contains(execute(t, bin, "lars", environ, "status", "1/1").out, "127.0.0.1:7001")
	})
	pages := regexp.MustCompile(`http://(\S+)/`).FindStringSubmatch(up.output())
	if pages == nil {
		t.Fatalf("lars up does not say where its pages are:\n%s", up.output())
	}
	if r := execute(t, bin, "lars", environ, "agent", "services", "--pages", pages[1]); r.code != 0 || !strings.Contains(r.out, "NEW") {
		t.Errorf("lars agent services exited with %d and printed %q %s", r.code, r.out, r.errors)
	}
	trySuggestions(t, bin, up.output())
	up.stop(syscall.SIGINT)
	if !strings.HasSuffix(up.output(), "Lars is down\n") {
		t.Errorf("lars up ended with %q", up.output())
	}
}

// trySuggestions runs the commands that lars up names for another terminal, without the
// environment of lars up.
func trySuggestions(t *testing.T, bin, output string) {
	t.Helper()
	commands := regexp.MustCompile(`(?m)^  lars (.*)$`).FindAllStringSubmatch(output, -1)
	if len(commands) < 5 {
		t.Errorf("lars up suggests %d commands, want some more:\n%s", len(commands), output)
	}
	for _, c := range commands {
		args := strings.Fields(strings.ReplaceAll(c[1], "'", ""))
		if r := execute(t, bin, "lars", cleanEnviron(), args...); r.code != 0 || r.out == "" {
			t.Errorf("lars %s exited with %d and printed %q %s", c[1], r.code, r.out, r.errors)
		}
	}
}

// testSecondSignal: a reporter drains for as long as the database keeps it waiting,
// but not after a second signal.
func testSecondSignal(t *testing.T, bin string) {
	w := newWorld(t, bin, sqlite(t))
	w.startReporter()
	addr := fmt.Sprintf("127.0.0.1:%d", w.repPort)
	eventually(t, "the reporter listens", func() bool { return !isFree("tcp", addr) })
	lock(t, strings.TrimPrefix(w.dsn, "sqlite:"))
	sendReport(t, addr)

	w.reporter.cmd.Process.Signal(syscall.SIGTERM)
	eventually(t, "the reporter stops listening", func() bool { return refuses(addr) })
	w.reporter.cmd.Process.Signal(syscall.SIGTERM)
	var exit *exec.ExitError
	if err := w.reporter.wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
		t.Errorf("the reporter ended with %v, want the signal to kill it", err)
	}
}

// lock keeps others from writing to an SQLite file until unlock is called or the
// test ends.
func lock(t *testing.T, file string) (unlock func()) {
	t.Helper()
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	return func() {
		if _, err := conn.ExecContext(t.Context(), "ROLLBACK"); err != nil {
			t.Error(err)
		}
	}
}

// sendReport sends a report and returns when the reporter has read it.
func sendReport(t *testing.T, addr string) {
	t.Helper()
	frame, err := larspb.AppendFrame(nil, larspb.IDReportStatusRequest, &larspb.ReportStatusRequest{
		Modid: 1, Cmdid: 1, Caller: larspb.IPOf(hostC.Addr()), Ts: uint32(time.Now().Unix()),
		Results: []*larspb.HostCallResult{{Ip: larspb.IPOf(hostA.Addr()), Port: int32(hostA.Port()), Succ: 1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp4", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(frame); err != nil {
		t.Fatal(err)
	}
	conn.(*net.TCPConn).CloseWrite()
	conn.SetDeadline(time.Now().Add(deadline))
	if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
		t.Fatalf("the reporter answered %v, want it to close when it has read all", err)
	}
}

func refuses(addr string) bool {
	conn, err := net.Dial("tcp4", addr)
	if err == nil {
		conn.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}
