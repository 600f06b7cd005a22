package e2e_test

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"lars.internal/client"
)

// releaseBefore is the commit of the release before: its wire has no levels, its
// proofs are one-sided, its tables are the first.
const releaseBefore = "ea3023783067a8a60c01badf8c2022bdd88dc915"

// buildRelease makes the programs of the release before from the history, and
// returns their folder. Without a history the test is skipped.
func buildRelease(t *testing.T) string {
	t.Helper()
	if err := exec.Command("git", "cat-file", "-e", releaseBefore+"^{commit}").Run(); err != nil {
		t.Skipf("the release before, commit %.7s, is not in the history: %v", releaseBefore, err)
	}
	top, err := exec.Command("git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		t.Fatal(err)
	}
	source, bin := t.TempDir(), t.TempDir()
	tar := filepath.Join(source, "source.tar")
	in := func(dir, name string, args ...string) {
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
		}
	}
	in(strings.TrimSpace(string(top)), "git", "archive", "-o", tar, releaseBefore)
	in(source, "tar", "-xf", tar)
	in(source, "go", "build", "-buildvcs=false", "-o", bin+"/", "./cmd/lars-dns", "./cmd/lars-reporter", "./cmd/lars-agent", "./cmd/lars")
	return bin
}

// TestReleaseBefore puts the programs of the release before on either side of
// the wire, and beside the tables of today.
func TestReleaseBefore(t *testing.T) {
	before := buildRelease(t)
	now := build(t)
	const secret = "xyzzy-xyzzy-xyzzy"
	for _, c := range []struct {
		name          string
		dns, reporter string // folders of the programs
		agent, editor string
		secret        string
	}{
		{"agent", now, now, before, now, ""},
		{"agent with a secret", now, now, before, now, secret},
		{"servers", before, before, now, now, ""},
		{"servers with a secret", before, before, now, now, secret},
		{"dns alone", before, now, now, now, secret},
		{"reporter alone", now, before, now, now, secret},
		{"the command", now, now, now, before, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, now, sqlite(t))
			if c.secret != "" {
				w.extra = []string{"LARS_ACCESS_SECRET=" + c.secret,
					"LARS_DNSSERVER_SECRET=" + c.secret, "LARS_REPORTER_SECRET=" + c.secret}
			}
			w.bin = c.dns
			w.startDNS()
			w.bin = c.reporter
			w.startReporter()
			w.bin = c.agent
			w.startAgent()
			w.bin = c.editor
			w.servesAndReports()
			w.triesTwice(c.agent != before)
			w.drains(now)
			if c.secret != "" && c.agent == before {
				w.warnsOfLegacyProofs()
			}
		})
	}
	t.Run("snapshots", func(t *testing.T) { snapshotsBetween(t, before, now) })
}

// triesTwice: a call that its host refused goes to the other host of the route. An
// agent of before gives no ticket and counts the results all the same.
func (w *world) triesTwice(tickets bool) {
	w.t.Helper()
	var called []netip.AddrPort
	err := w.client.DoRetry(w.t.Context(), 1, 1, client.Retry{}, func(_ context.Context, addr netip.AddrPort) error {
		if called = append(called, addr); len(called) == 1 {
			return syscall.ECONNREFUSED
		}
		return nil
	})
	if err != nil || len(called) != 2 || called[0] == called[1] {
		w.t.Errorf("%v after calls to %v, want success at the second host", err, called)
	}
	p, err := w.client.Pick(w.t.Context(), 1, 1)
	if err != nil || (p.Ticket != 0) != tickets {
		w.t.Errorf("Pick = %+v, %v; want a ticket: %v", p, err, tickets)
	}
	failure := client.Result{Err: errFailed, Latency: time.Second, Ticket: p.Ticket}
	for range 3 {
		if err := w.client.ReportResult(1, 1, hostC, failure); err != nil {
			w.t.Fatal(err)
		}
	}
	w.reported(hostC, "failures", func(r row) bool { return r.Err > 0 })
}

// snapshotsBetween: the release before says that it does not know the snapshots of
// today, and starts; the programs of today read those that it writes then.
func snapshotsBetween(t *testing.T, before, now string) {
	w := newWorld(t, now, sqlite(t))
	w.lars("host", "set", "1/1", hostB.String(), "--weight", "50", "--zone", "eu1")
	dnsFile, agentFile := filepath.Join(t.TempDir(), "dns.snapshot"), filepath.Join(t.TempDir(), "agent.snapshot")
	run := func(bin string, format byte, want string) {
		w.bin = bin
		w.startDNS("-dns.snapshot", dnsFile)
		w.startAgent("-agent.snapshot", agentFile)
		w.served(1, 1)
		w.hasRoute(hostA, hostB)
		eventually(t, "the agent has written its snapshot", func() bool { return snapshotFormat(agentFile) == format })
		w.agent.stop(syscall.SIGTERM)
		w.dns.stop(syscall.SIGTERM)
		for _, p := range []*program{w.dns, w.agent} {
			if out := p.output(); !strings.Contains(out, want) {
				t.Errorf("%s of %s does not say %q:\n%s", p.name, filepath.Base(bin), want, out)
			}
		}
	}
	run(now, 2, "listening")
	run(before, 1, "its format is 2, this program knows 1")
	run(now, 2, "snapshot of routes loaded")
	run(now, 2, "snapshot of routes loaded")
}

// snapshotFormat returns the format of a snapshot, which follows its first eight
// bytes; 0 if there is none.
func snapshotFormat(file string) byte {
	b, err := os.ReadFile(file)
	if err != nil || len(b) < 9 {
		return 0
	}
	return b[8]
}

// servesAndReports: picks, the push after an edit, and results in the table.
func (w *world) servesAndReports() {
	w.t.Helper()
	w.served(1, 1)
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
	w.lars("route", "add", "1/1", hostC.String())
	w.hasRoute(hostA, hostB, hostC)
	w.lars("route", "remove", "1/1", hostB.String())
	w.hasRoute(hostA, hostC)
	for i := range 30 {
		var failure error
		if i%2 == 1 {
			failure = errFailed
		}
		if err := w.client.Report(1, 1, hostA, failure); err != nil {
			w.t.Fatal(err)
		}
	}
	w.reported(hostA, "successes and failures", func(r row) bool { return r.Succ > 0 && r.Err > 0 })
}

// drains: a host that is drained by the command of today, in the folder now, is
// called no more, whatever the other programs are, and comes back. So it does
// when a command that knows no drained hosts adds it.
func (w *world) drains(now string) {
	w.t.Helper()
	editor := w.bin
	w.bin = now
	w.lars("host", "set", "1/1", hostC.String(), "--weight", "50", "--zone", "eu1")
	w.lars("host", "drain", hostC.String())
	w.hasRoute(hostA)
	w.lars("host", "undrain", hostC.String())
	w.hasRoute(hostA, hostC)
	w.lars("host", "drain", hostC.String())
	w.hasRoute(hostA)
	if w.bin = editor; editor == now {
		return
	}
	w.lars("route", "add", "1/1", hostC.String())
	w.hasRoute(hostA, hostC)
	w.lars("route", "remove", "1/1", hostC.String()) // and what is known of it is left behind
	w.hasRoute(hostA)
	w.lars("route", "add", "1/1", hostC.String())
	w.hasRoute(hostA, hostC)
}

// warnsOfLegacyProofs: the servers took the proofs, and each said so once.
func (w *world) warnsOfLegacyProofs() {
	w.t.Helper()
	for _, p := range []*program{w.dns, w.reporter} {
		if n := strings.Count(p.output(), "legacy_proof = off"); n != 1 {
			w.t.Errorf("%s warned %d times of the proof of an older agent, want once", p.name, n)
		}
	}
}
