package e2e_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// deadline is how long a test waits for what has to happen.
const deadline = 30 * time.Second

// build makes the programs and returns their folder.
func build(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	args := append([]string{"build", "-o", dir + "/"}, buildFlags...)
	for _, name := range []string{"lars-dns", "lars-reporter", "lars-agent", "lars"} {
		args = append(args, "lars.internal/cmd/"+name)
	}
	args = append(args, "lars.internal/demo")
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return dir
}

// program is a running server.
type program struct {
	t    *testing.T
	name string
	cmd  *exec.Cmd
	log  string     // file with both of its outputs
	done chan error // gets the result of the process, once
}

// launch starts a program that the test stops, kills, or leaves to its end, where
// it is stopped and has to exit with 0.
func launch(t *testing.T, bin, name string, environ []string, args ...string) *program {
	t.Helper()
	return launchWith(t, bin, name, environ, nil, args...)
}

// launchWith is launch with files that the program inherits, from descriptor 3 on.
func launchWith(t *testing.T, bin, name string, environ []string, files []*os.File, args ...string) *program {
	t.Helper()
	cmd := exec.Command(filepath.Join(bin, name), args...)
	cmd.ExtraFiles = files
	return launchCommand(t, name, cmd, environ)
}

// launchCommand is launch for a command that ends up as the program.
func launchCommand(t *testing.T, name string, cmd *exec.Cmd, environ []string) *program {
	t.Helper()
	p := &program{t: t, name: name, log: filepath.Join(t.TempDir(), name+".log"), done: make(chan error, 1)}
	log, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	p.cmd = cmd
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = environ, log, log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.done <- p.cmd.Wait() }() // ends with the process; stop and kill wait
	t.Cleanup(func() {
		if p.cmd != nil {
			p.stop(syscall.SIGTERM)
		}
		if t.Failed() {
			t.Logf("log of %s:\n%s", name, p.output())
		}
	})
	return p
}

// stop sends a signal after which the program has to exit with 0.
func (p *program) stop(sig os.Signal) {
	p.t.Helper()
	p.cmd.Process.Signal(sig)
	if err := p.wait(); err != nil {
		p.t.Errorf("%s exited after %v with %v, want 0", p.name, sig, err)
	}
}

// kill ends the program as a crash would.
func (p *program) kill() {
	p.t.Helper()
	p.cmd.Process.Kill()
	p.wait()
}

// wait returns how the program ended.
func (p *program) wait() error {
	p.t.Helper()
	defer func() { p.cmd = nil }()
	select {
	case err := <-p.done:
		p.checkRaces()
		return err
	case <-time.After(deadline):
		p.cmd.Process.Kill()
		p.t.Errorf("%s did not end within %v", p.name, deadline)
		return <-p.done
	}
}

func (p *program) checkRaces() {
	p.t.Helper()
	if strings.Contains(p.output(), "DATA RACE") {
		p.t.Errorf("%s: data race", p.name)
	}
}

func (p *program) output() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		p.t.Error(err)
	}
	return string(text)
}

// result is the exit code and the output of a program that ended by itself.
type result struct {
	program     string
	code        int
	out, errors string
}

// execute runs a program to its end.
func execute(t *testing.T, bin, name string, environ []string, args ...string) result {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(bin, name), args...)
	cmd.Env = environ
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s %s: %v", name, strings.Join(args, " "), err)
	}
	return result{name, cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// eventually waits until ok returns true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	timeout := time.After(deadline)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("not within %v: %s", deadline, what)
		}
	}
}

// freePorts returns the first of n ports in a row that nobody uses, below the
// range from which the kernel takes ports by itself: a server that is down keeps
// its port that way.
func freePorts(t *testing.T, network string, n int) int {
	t.Helper()
	for range 1000 {
		first := 10_000 + rand.IntN(9_000)
		if areFree(network, first, n) {
			return first
		}
	}
	t.Fatalf("no %d free ports in a row", n)
	return 0
}

func areFree(network string, first, n int) bool {
	for port := first; port < first+n; port++ {
		if !isFree(network, fmt.Sprintf("127.0.0.1:%d", port)) {
			return false
		}
	}
	return true
}

func isFree(network, addr string) bool {
	if network == "udp" {
		c, err := net.ListenPacket("udp4", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	}
	l, err := net.Listen("tcp4", addr)
	if err == nil {
		l.Close()
	}
	return err == nil
}
