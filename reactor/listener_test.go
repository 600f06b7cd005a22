package reactor

import (
	"context"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// While a server was replaced, its address refused connections, and a peer that
// tries once only was lost for good. A new server takes over the listening
// socket: connections that wait in its queue, and those that come between the
// end of the old server and the start of the new one, reach the new one.
func TestFinding58ListenerIsTakenOver(t *testing.T) {
	old := newServer(t, ServerConfig{})
	oldDone := goServe(old, context.Background())
	p := dialPeer(t, old.Addr())
	p.send(1, "to the old server")
	p.want(2, "to the old server")

	f, err := old.ListenerFile()
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
	old.Shutdown(context.Background())
	if err := await(t, oldDone, "return of the old Serve"); err != nil {
		t.Fatal(err)
	}
	between := dialPeer(t, old.Addr())
	between.send(1, "between the servers")

	next := newServer(t, ServerConfig{Addr: netip.MustParseAddrPort("192.0.2.1:1"), Listener: f})
	f.Close()
	if next.Addr() != old.Addr() {
		t.Errorf("the new server listens on %v, want %v", next.Addr(), old.Addr())
	}
	nextDone := goServe(next, context.Background())
	between.want(2, "between the servers")
	after := dialPeer(t, old.Addr())
	after.send(1, "to the new server")
	after.want(2, "to the new server")
	next.Close()
	if err := await(t, nextDone, "return of the new Serve"); err != nil {
		t.Error(err)
	}
}

// Both servers live for a while: what the new one accepts must not wake the old
// one, whose descriptor is closed while the socket lives on.
func TestHandedOverListenerMakesNoEvents(t *testing.T) {
	old := newServer(t, ServerConfig{Loops: 1})
	oldDone := goServe(old, context.Background())
	kept := dialPeer(t, old.Addr())
	kept.send(1, "one")
	kept.want(2, "one")
	f, err := old.ListenerFile()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	loop := old.Loops()[0]
	onLoop(t, loop, old.acceptor.close)
	onLoop(t, loop, func() {})
	before := loop.Stats().Wakeups
	for range 20 {
		dialPeer(t, old.Addr()).Close() // waits in the queue
	}
	onLoop(t, loop, func() {})
	if woken := loop.Stats().Wakeups - before; woken > 3 {
		t.Errorf("the old loop woke %d times", woken)
	}
	kept.Close()
	old.Close()
	if err := await(t, oldDone, "return of Serve"); err != nil {
		t.Error(err)
	}
}

func TestListenerIsChecked(t *testing.T) {
	pipe, other, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	defer other.Close()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	silent := os.NewFile(uintptr(fd), "socket that does not listen")
	defer silent.Close()
	ln, err := net.Listen("unix", t.TempDir()+"/s")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	local, err := ln.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	for name, f := range map[string]*os.File{"pipe": pipe, "does not listen": silent, "unix socket": local} {
		t.Run(name, func(t *testing.T) {
			s, err := NewServer(ServerConfig{Router: echoes(), Listener: f})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Listen(); err == nil || !strings.Contains(err.Error(), f.Name()) {
				t.Errorf("Listen: %v; want an error that names %s", err, f.Name())
			}
		})
	}
}

func TestListenerFileOutsideOfListening(t *testing.T) {
	s, err := NewServer(ServerConfig{Addr: loopback, Router: echoes()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.ListenerFile(); err == nil {
		t.Error("a listener was handed out before Listen")
	}
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if _, err := s.ListenerFile(); err == nil {
		t.Error("a listener was handed out after Close")
	}
}
