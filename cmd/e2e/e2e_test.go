// The tests of this folder drive the real programs as processes.
package e2e_test

import (
	"errors"
	"net/netip"
	"path/filepath"
	"syscall"
	"testing"

	"lars.internal/client"
	"lars.internal/internal/testdb"
)

func TestMain(m *testing.M) { testdb.Main(m) }

// TestPrograms holds all tests, so that they share the programs that it builds.
func TestPrograms(t *testing.T) {
	bin := build(t)
	for _, s := range []struct {
		name string
		dsn  func(t *testing.T) string
	}{
		{"SQLite", func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "lars.db") }},
		{"MariaDB", func(t *testing.T) string { return testdb.MariaDB(t).DSN() }},
	} {
		t.Run(s.name, func(t *testing.T) {
			for _, c := range []struct {
				name string
				test func(w *world)
			}{
				{"picks, ejects and brings back", testBalance},
				{"pushes edits", testPush},
				{"a service has settings of its own", testSettings},
				{"dns is killed and started", testDNSKilled},
				{"reporter is killed and started", testReporterKilled},
			} {
				t.Run(c.name, func(t *testing.T) { c.test(newWorld(t, bin, s.dsn(t))) })
			}
		})
	}
	for _, c := range alone {
		t.Run(c.name, func(t *testing.T) { c.test(t, bin) })
	}
}

func testBalance(w *world) {
	w.start()
	seen := map[netip.AddrPort]bool{}
	for range 4 {
		host, err := w.client.GetHost(w.t.Context(), 1, 1)
		if err != nil {
			w.t.Fatal(err)
		}
		seen[host] = true
	}
	if !seen[hostA] || !seen[hostB] || len(seen) != 2 {
		w.t.Errorf("four picks gave %v, want both of %v and %v", seen, hostA, hostB)
	}

	w.report(hostA, nil, "idle")
	w.reported(hostA, "successes only", func(r row) bool { return r.Succ >= 20 && r.Err == 0 && !r.Ejected })
	w.report(hostB, errFailed, "overload")
	w.reported(hostB, "ejected", func(r row) bool { return r.Ejected && r.Caller.IsLoopback() })
	for range 10 {
		if host, err := w.client.GetHost(w.t.Context(), 1, 1); err != nil || host != hostA {
			w.t.Fatalf("with B ejected the first ten picks gave %v, %v, want %v", host, err, hostA)
		}
	}
	w.report(hostB, nil, "idle")
	w.reported(hostB, "back in rotation", func(r row) bool { return !r.Ejected })
}

func testPush(w *world) {
	w.start()
	w.hasRoute(hostA, hostB)
	w.lars("route", "add", "1", "1", hostC.String())
	w.hasRoute(hostA, hostB, hostC)
	w.lars("route", "remove", "1/1", hostA.String())
	w.hasRoute(hostB, hostC)
	w.lars("route", "set", "1/1", hostA.String())
	w.hasRoute(hostA)
}

// testDNSKilled: a service whose pull was lost with the connection is pulled again
// by the reset hook, and what was known before is subscribed to again.
func testDNSKilled(w *world) {
	w.start()
	w.dns.kill()
	w.lars("route", "add", "1/2", hostC.String())
	if err := w.client.Register(w.t.Context(), 1, 2); !errors.Is(err, client.ErrNoService) {
		w.t.Errorf("without dns, Register of an unknown service returns %v, want %v", err, client.ErrNoService)
	}
	if host, err := w.client.GetHost(w.t.Context(), 1, 1); err != nil {
		w.t.Errorf("without dns, a known service gives %v, %v", host, err)
	}
	w.startDNS()
	w.served(1, 2)
	w.lars("route", "add", "1/1", hostC.String())
	w.hasRoute(hostA, hostB, hostC)
}

// testReporterKilled: what happened while the reporter was away arrives after.
func testReporterKilled(w *world) {
	w.start()
	w.report(hostA, nil, "idle")
	w.reported(hostA, "idle", func(r row) bool { return r.Succ >= 20 && !r.Ejected })
	w.reporter.kill()
	w.report(hostA, errFailed, "overload")
	w.startReporter()
	w.reported(hostA, "ejected", func(r row) bool { return r.Ejected })
	for _, p := range []*program{w.agent, w.reporter, w.dns} {
		p.stop(syscall.SIGINT)
	}
}
