package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// stopTime is how long a server may take to drain before it is killed.
const stopTime = 10 * time.Second

// system is the three servers in a temporary folder, each a process of its own.
// Owned by the main goroutine, but for what is immutable.
type system struct {
	// Immutable after newSystem.
	bin   string
	dir   string
	agent string // the first of the agent's UDP ports
	pages string // the agent's pages

	dns, reporter string // addresses
	servers       []*server
	ended         context.CancelCauseFunc // is told of each server that ends
}

// endedError is what the demo ends with when a server does not live as long as it.
type endedError struct {
	name  string
	cause error // nil: it ended as if it had been told to
}

func (e *endedError) Error() string {
	if e.cause == nil {
		return e.name + " ended by itself"
	}
	return fmt.Sprintf("%s ended by itself: %v", e.name, e.cause)
}

// server is a process that runs until it is stopped.
type server struct {
	name string
	cmd  *exec.Cmd
	log  string
	done chan error // gets the result of the process, once
}

// newSystem chooses a folder and free ports. The caller stops the system. ended is
// called with an endedError for each server that ends.
func newSystem(bin string, ended context.CancelCauseFunc) (*system, error) {
	bin, err := filepath.Abs(bin)
	if err != nil {
		return nil, err
	}
	s := &system{bin: bin, ended: ended}
	for _, addr := range []*string{&s.dns, &s.reporter, &s.pages} {
		l, err := listenTCP()
		if err != nil {
			return nil, err
		}
		defer l.Close() // held until all are chosen, so that no two are the same
		*addr = l.Addr().String()
	}
	if s.agent, err = freeUDPRow(3); err != nil {
		return nil, err
	}
	s.dir, err = os.MkdirTemp("", "lars-demo-")
	return s, err
}

// start makes the tables and the route, then starts the servers.
func (s *system) start(ctx context.Context, backends []*backend) error {
	hosts := []string{"route", "add", service}
	for _, b := range backends {
		hosts = append(hosts, b.addr.String())
	}
	for _, args := range [][]string{{"db", "migrate"}, hosts} {
		if _, err := s.lars(ctx, args...); err != nil {
			return err
		}
	}
	for _, args := range [][]string{
		{"lars-dns", "-reactor.port", portOf(s.dns), "-debug.addr", "off"},
		{"lars-reporter", "-reactor.port", portOf(s.reporter), "-debug.addr", "off"},
		{"lars-agent", "-agent.port", portOf(s.agent), "-debug.addr", s.pages, "-dnsserver.addrs", s.dns, "-reporter.addrs", s.reporter},
	} {
		if err := s.launch(args[0], args[1:]); err != nil {
			return err
		}
	}
	return nil
}

func (s *system) environ() []string {
	return append(os.Environ(), "LARS_STORE_DSN=sqlite:"+filepath.Join(s.dir, "lars.db"))
}

func (s *system) launch(name string, args []string) error {
	v := &server{name: name, log: filepath.Join(s.dir, name+".log"), done: make(chan error, 1)}
	log, err := os.Create(v.log)
	if err != nil {
		return err
	}
	defer log.Close()
	v.cmd = exec.Command(filepath.Join(s.bin, name), args...)
	v.cmd.Env, v.cmd.Stdout, v.cmd.Stderr = s.environ(), log, log
	// A group of its own: the ^C of a terminal is for the demo, which stops the
	// servers in order. If the demo is killed, the kernel kills them.
	v.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := v.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w; make build makes it", name, err)
	}
	go func() { // ends with the process; stop waits
		err := v.cmd.Wait()
		s.ended(&endedError{name, err}) // without effect once stop has begun
		v.done <- err
	}()
	s.servers = append(s.servers, v)
	return nil
}

// stop stops the servers, agent first, and removes the folder. After a failure it
// prints how the logs end.
func (s *system) stop(failure error) error {
	var errs []error
	for i := len(s.servers) - 1; i >= 0; i-- {
		v := s.servers[i]
		if err := v.stop(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", v.name, err))
		}
	}
	if failure != nil && !errors.Is(failure, errInterrupted) {
		for _, v := range s.servers {
			v.printLog()
		}
	}
	return errors.Join(append(errs, os.RemoveAll(s.dir))...)
}

func (v *server) stop() error {
	v.cmd.Process.Signal(syscall.SIGTERM)
	late := time.AfterFunc(stopTime, func() { v.cmd.Process.Kill() })
	defer late.Stop()
	return <-v.done
}

func (v *server) printLog() {
	text, _ := os.ReadFile(v.log)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	for _, line := range lines[max(0, len(lines)-5):] {
		fmt.Fprintf(os.Stderr, "%s: %s\n", v.name, line)
	}
}

// lars runs the operator's command and returns what it printed.
func (s *system) lars(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "lars"), args...)
	cmd.Env = s.environ()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("lars %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return out.Bytes(), nil
}

func (s *system) larsJSON(ctx context.Context, v any, args ...string) error {
	out, err := s.lars(ctx, args...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(out, v); err != nil {
		return fmt.Errorf("lars %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

func portOf(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return port
}

// Ports are chosen below the range from which the kernel takes ports by itself: a
// port of that range may go to somebody else before the server binds it.
const firstPort, lastPort = 10_000, 32_000

func randomPort() string {
	return fmt.Sprintf("127.0.0.1:%d", firstPort+rand.IntN(lastPort-firstPort))
}

// listenTCP returns a listener on a free port.
func listenTCP() (l net.Listener, err error) {
	for range 100 {
		if l, err = net.Listen("tcp4", randomPort()); err == nil {
			return l, nil
		}
	}
	return nil, err
}

// freeUDPRow returns the first of n free ports in a row.
func freeUDPRow(n int) (string, error) {
	for range 100 {
		first, err := net.ListenPacket("udp4", randomPort())
		if err != nil {
			continue
		}
		free := restIsFree(first.LocalAddr().(*net.UDPAddr).Port, n)
		first.Close()
		if free {
			return first.LocalAddr().String(), nil
		}
	}
	return "", fmt.Errorf("no %d free UDP ports in a row", n)
}

func restIsFree(port, n int) bool {
	for p := port + 1; p < port+n; p++ {
		c, err := net.ListenPacket("udp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(p)))
		if err != nil {
			return false
		}
		c.Close()
	}
	return true
}
