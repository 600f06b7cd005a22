package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func testDemo(t *testing.T, bin string) {
	folder := t.TempDir()
	r := execute(t, bin, "demo", append(cleanEnviron(), "TMPDIR="+folder), "-bin", bin, "-calls", "2000", "-rate", "1000")
	if r.code != 0 {
		t.Fatalf("the demo exited with %d:\n%s%s", r.code, r.out, r.errors)
	}
	for _, want := range []string{"2,000 calls in", "fails half", "dead", "BROUGHT BACK", "GetHost: p50", "after its commit", "Report table"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("the demo does not print %q:\n%s", want, r.out)
		}
	}
	isEmpty(t, folder)
}

// testDemoInterrupted: the demo ends its servers, for which it waits, and removes
// its files.
func testDemoInterrupted(t *testing.T, bin string) {
	folder := t.TempDir()
	p := launch(t, bin, "demo", append(cleanEnviron(), "TMPDIR="+folder), "-bin", bin, "-calls", "1000000")
	eventually(t, "calls are made", func() bool { return strings.Contains(p.output(), "calling service") })
	p.cmd.Process.Signal(syscall.SIGINT)
	if err := p.wait(); err == nil || !strings.HasSuffix(p.output(), "demo: interrupted; everything is taken down\n") {
		t.Errorf("the demo ended with %v:\n%s", err, p.output())
	}
	isEmpty(t, folder)
}

// testDemoWithoutReporter: a server that does not live ends the demo, with its name.
func testDemoWithoutReporter(t *testing.T, bin string) {
	folder, tmp := t.TempDir(), t.TempDir()
	for _, name := range []string{"lars", "lars-dns", "lars-agent"} {
		if err := os.Symlink(filepath.Join(bin, name), filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(folder, "lars-reporter"), []byte("#!/bin/sh\nexit 3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	r := execute(t, bin, "demo", append(cleanEnviron(), "TMPDIR="+tmp), "-bin", folder)
	if want := "demo: lars-reporter ended by itself: exit status 3"; r.code != 1 || !strings.Contains(r.errors, want) {
		t.Errorf("the demo exited with %d, want 1 and %q:\n%s", r.code, want, r.errors)
	}
	isEmpty(t, tmp)
}

func isEmpty(t *testing.T, folder string) {
	t.Helper()
	left, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range left {
		t.Errorf("%s was left behind", f.Name())
	}
}
