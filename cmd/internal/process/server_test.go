package process

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"lars.internal/internal/config"
	"lars.internal/internal/metrics"
	"lars.internal/internal/metrics/metricstest"
	"lars.internal/reactor"
)

// childMode is the variable that makes the test binary a program of its own.
const childMode = "LARS_TEST_PROCESS"

// child is that program. It does not return.
func child(mode string) {
	switch mode {
	case "server":
		Server("lars-test", serveLines)
	case "command":
		Main("lars-test", func(_ context.Context, env Env) error {
			for { // ends by the signal that is tested
				fmt.Fprintln(env.Stdout, "a line")
			}
		})
	case "wait":
		Main("lars-test", func(ctx context.Context, env Env) error {
			fmt.Fprintln(env.Stdout, "waits")
			<-ctx.Done()
			return nil
		})
	case "limit":
		c := &reactor.ServerConfig{MaxConns: 1000, Loops: 2}
		fmt.Sscan(os.Getenv("POOL"), &c.MaxUnproven)
		FitConns(slog.New(slog.NewTextHandler(os.Stderr, nil)), c)
		fmt.Println(c.MaxConns + c.MaxUnproven)
		os.Exit(0)
	}
}

// serveLines is a server that logs what it reads and says so.
func serveLines(ctx context.Context, env Env) error {
	set := config.NewSet("lars-test")
	log, err := env.Load(set, config.BindLog(set))
	if err != nil {
		return err
	}
	return env.Serve(ctx, log, &lineUnit{env, log})
}

type lineUnit struct {
	env Env
	log *slog.Logger
}

func (u *lineUnit) Listen() error { return nil }

func (u *lineUnit) Serve(ctx context.Context) error {
	go func() { // ends with the process
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			u.log.Info(lines.Text())
			fmt.Fprintln(u.env.Stdout, "logged "+lines.Text())
		}
	}()
	<-ctx.Done()
	return nil
}

// running is a child under test.
type running struct {
	t      *testing.T
	cmd    *exec.Cmd
	in     io.Writer
	out    *bufio.Scanner
	errors *os.File // its standard error
}

func startChild(t *testing.T, mode string) *running {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childMode+"="+mode)
	errors, stderr, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	t.Cleanup(func() { errors.Close() })
	cmd.Stderr = stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(30*time.Second, func() { cmd.Process.Kill() }) // so that no read below hangs
	t.Cleanup(func() {
		kill.Stop()
		cmd.Process.Kill()
		cmd.Wait()
	})
	return &running{t, cmd, in, bufio.NewScanner(out), errors}
}

func (r *running) ask(line string) {
	r.t.Helper()
	fmt.Fprintln(r.in, line)
	if !r.out.Scan() || r.out.Text() != "logged "+line {
		r.t.Fatalf("after %q the server wrote %q (ended: %v), want an answer", line, r.out.Text(), r.cmd.Wait())
	}
}

func (r *running) stop() {
	r.t.Helper()
	r.cmd.Process.Signal(syscall.SIGTERM)
	if err := r.cmd.Wait(); err != nil {
		r.t.Errorf("after SIGTERM the server ended with %v, want 0", err)
	}
}

// TestFinding05ServerOutlivesTheReaderOfItsLog: the next line of the log once killed a
// server whose log went to a program that had ended, and systemd took the exit by
// SIGPIPE for a clean end.
func TestFinding05ServerOutlivesTheReaderOfItsLog(t *testing.T) {
	r := startChild(t, "server")
	r.ask("one")
	r.errors.Close()
	r.ask("two")
	r.ask("three")
	r.stop()
}

// TestFinding05CommandEndsWithItsReader: `lars route list | head` ends when head does.
func TestFinding05CommandEndsWithItsReader(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childMode+"=command")
	out, stdout, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdout.Close()
	cmd.Stdout = stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(30*time.Second, func() { cmd.Process.Kill() })
	defer kill.Stop()
	bufio.NewScanner(out).Scan()
	out.Close()
	cmd.Wait()
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGPIPE {
		t.Errorf("the command ended with %v, want SIGPIPE", cmd.ProcessState)
	}
}

// TestFinding05LostLinesAreCounted: a line that nobody could read is not lost unseen.
func TestFinding05LostLinesAreCounted(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	read.Close()
	defer write.Close()
	env := Env{Stderr: &lossyWriter{w: write}}
	slog.New(slog.NewTextHandler(env.Stderr, nil)).Info("a line")
	if got := metricstest.Text(t, env.Metrics()); got != "lars_log_lines_lost_total 1\n" {
		t.Errorf("got %q, want one lost line", got)
	}
	page, err := os.ReadFile("../../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range env.Metrics().(*metrics.Set).Families() {
		if !strings.Contains(string(page), "`"+f.Name+"`") {
			t.Errorf("docs/metrics.md does not name %s", f.Name)
		}
	}
}

// TestFinding06HangupIsNeverFatal: SIGHUP once killed a server at once, without its
// drain, and rows that waited to be stored were lost.
func TestFinding06HangupIsNeverFatal(t *testing.T) {
	r := startChild(t, "server")
	r.ask("one")
	log := bufio.NewScanner(r.errors)
	for range 2 {
		r.cmd.Process.Signal(syscall.SIGHUP)
		seen := false
		for !seen && log.Scan() {
			seen = strings.Contains(log.Text(), "SIGHUP ignored")
		}
		if !seen {
			t.Fatalf("the server ended (%v), want a line of the log", r.cmd.Wait())
		}
	}
	r.ask("two")
	r.stop()
}

// TestFinding06HangupEndsACommandInOrder: `lars up` holds a reporter too, whose rows
// have to be stored when its terminal is closed.
func TestFinding06HangupEndsACommandInOrder(t *testing.T) {
	r := startChild(t, "wait")
	if !r.out.Scan() {
		t.Fatal(r.cmd.Wait())
	}
	r.cmd.Process.Signal(syscall.SIGHUP)
	if err := r.cmd.Wait(); err != nil {
		t.Errorf("after SIGHUP the command ended with %v, want 0", err)
	}
}

// TestFinding09ConnectionsFitTheLimit: with maxConn above the limit on descriptors
// nothing was said at start, and a flood of connections took the last descriptor, which
// the pages and the database need.
func TestFinding09ConnectionsFitTheLimit(t *testing.T) {
	cases := []struct {
		limit, pool, conns int
		warns              bool
	}{
		{1134, 0, 1000, false}, // 1000 and 64 + 2 * 3 + 64
		{1133, 0, 999, true},
		{512, 0, 378, true},
		{100, 0, 1, true},
		{1634, 500, 1500, false}, // with the unproven ones,
		{1400, 500, 1266, false}, // which give way first
		{1134, 500, 1000, true},
	}
	for _, c := range cases {
		cmd := exec.Command("sh", "-c", fmt.Sprintf("ulimit -n %d && exec %q", c.limit, os.Args[0]))
		cmd.Env = append(os.Environ(), childMode+"=limit", fmt.Sprint("POOL=", c.pool))
		var log strings.Builder
		cmd.Stderr = &log
		out, err := cmd.Output()
		if err != nil || string(out) != fmt.Sprintln(c.conns) {
			t.Errorf("limit %d: got %q connections, %v, want %d", c.limit, out, err, c.conns)
		}
		if warns := strings.Contains(log.String(), "limit on descriptors"); warns != c.warns {
			t.Errorf("limit %d: the log is %q", c.limit, log.String())
		}
	}
}

// TestFinding09LimitIsRaised: a soft limit below the hard one bounds nothing.
func TestFinding09LimitIsRaised(t *testing.T) {
	cmd := exec.Command("sh", "-c", fmt.Sprintf("ulimit -S -n 200 && ulimit -H -n 1135 && exec %q", os.Args[0]))
	cmd.Env = append(os.Environ(), childMode+"=limit")
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "1000\n" {
		t.Errorf("got %q, %v, want all 1000 connections", out, err)
	}
}
