package handover

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeService has a listening socket.
type fakeService struct{ l *net.TCPListener }

func newFakeService(t *testing.T) fakeService {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return fakeService{l.(*net.TCPListener)}
}

func (s fakeService) Addr() netip.AddrPort { return netip.MustParseAddrPort(s.l.Addr().String()) }

func (s fakeService) ListenerFile() (*os.File, error) { return s.l.File() }

// run serves a unit and returns what Serve returned, and its end.
func run(t *testing.T, u *Unit) (done chan error, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done = make(chan error, 1)
	go func() { done <- u.Serve(ctx) }()
	t.Cleanup(cancel)
	return done, cancel
}

func result(t *testing.T, done chan error) error {
	t.Helper()
	select {
	case err := <-done:
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("the unit goes on")
		return nil
	}
}

// take takes the socket as soon as it is offered.
func take(t *testing.T, path string) *Taken {
	t.Helper()
	deadline, tick := time.After(20*time.Second), time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		taken, err := Take(path)
		if err != nil {
			t.Fatal(err)
		}
		if taken != nil {
			return taken
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("no socket is offered")
		}
	}
}

func config(path string, s Service, taken *Taken) Config {
	return Config{Path: path, Service: s, Taken: taken, Ready: func() error { return nil }, Log: slog.New(slog.DiscardHandler)}
}

func TestTheOldOneEndsWhenTheNewOneIsReady(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	service := newFakeService(t)
	oldDone, _ := run(t, New(config(path, service, nil)))
	taken := take(t, path)
	l, err := net.FileListener(taken.File())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if l.Addr().String() != service.l.Addr().String() {
		t.Errorf("the socket is that of %v, want %v", l.Addr(), service.l.Addr())
	}
	var ready atomic.Bool
	cfg := config(path, service, taken)
	cfg.Ready = func() error {
		if ready.Load() {
			return nil
		}
		return errors.New("not yet")
	}
	newDone, stop := run(t, New(cfg))
	select {
	case err := <-oldDone:
		t.Fatalf("the old one ended with %v before the new one was ready", err)
	case <-time.After(5 * readyEvery):
	}
	ready.Store(true)
	if err := result(t, oldDone); err != nil {
		t.Errorf("the old one ended with %v", err)
	}
	third := take(t, path) // from the new one
	third.release()
	third.conn.Close()
	stop()
	if err := result(t, newDone); err != nil {
		t.Errorf("the new one ended with %v", err)
	}
	if taken, err := Take(path); taken != nil || err != nil { // the path is still there
		t.Errorf("took %v, %v from a process that has ended", taken, err)
	}
}

func TestTheOldOneGoesOnWithoutAWordOfTheNewOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	done, stop := run(t, New(config(path, newFakeService(t), nil)))
	for range 2 {
		taken := take(t, path)
		taken.release()
		taken.conn.Close()
	}
	select {
	case err := <-done:
		t.Fatalf("the old one ended with %v", err)
	default:
	}
	stop()
	if err := result(t, done); err != nil {
		t.Error(err)
	}
}

func TestAnotherAddressIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	service := newFakeService(t)
	oldDone, _ := run(t, New(config(path, service, nil)))
	cfg := config(path, service, take(t, path))
	cfg.Addr = netip.MustParseAddrPort("127.0.0.1:1")
	var log bytes.Buffer // written before the old one ends, and read then
	cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
	cfg.Path = ""
	newDone, stop := run(t, New(cfg))
	if err := result(t, oldDone); err != nil {
		t.Error(err)
	}
	stop()
	if err := result(t, newDone); err != nil || !strings.Contains(log.String(), "configured=127.0.0.1:1") {
		t.Errorf("ended with %v, log: %s", err, &log)
	}
}

func TestNothingIsOffered(t *testing.T) {
	for _, path := range []string{"", filepath.Join(t.TempDir(), "none")} {
		if taken, err := Take(path); taken != nil || err != nil || taken.File() != nil || taken.Running() {
			t.Errorf("took %v, %v from %q", taken, err, path)
		}
	}
}

func TestTakeNamesTheWayOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err == nil {
			conn.Write([]byte("HTTP/1.1 400"))
			conn.Close()
		}
	}()
	if _, err := Take(path); err == nil || !strings.Contains(err.Error(), "[reactor] handover") {
		t.Errorf("got error %v, want one that names the key", err)
	}
}

func TestSocketsOfSystemd(t *testing.T) {
	for _, tt := range []struct {
		name, pid, fds string
		passed         bool
		want           string // in the error; empty: none
	}{
		{"none", "", "", false, ""},
		{"those of another process", "7", "1", false, ""},
		{"one", "42", "1", true, ""},
		{"no socket", "42", "0", false, ""},
		{"two", "42", "2", false, "want one"},
		{"no number", "42", "x", false, "want a number"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			env := map[string]string{"LISTEN_PID": tt.pid, "LISTEN_FDS": tt.fds}
			passed, err := passedBySystemd(func(name string) string { return env[name] }, 42)
			if passed != tt.passed || (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, %v; want %v and error %q", passed, err, tt.passed, tt.want)
			}
		})
	}
}
