package reactor

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// tried returns the outcome of one attempt.
func tried(t *testing.T, l *Loop, addr netip.AddrPort, timeout time.Duration) error {
	t.Helper()
	outcome := make(chan error, 1)
	onLoop(t, l, func() {
		if err := l.TryConnect(addr, timeout, func(err error) { outcome <- err }); err != nil {
			outcome <- err
		}
	})
	return await(t, outcome, "outcome")
}

func TestTryConnect(t *testing.T) {
	l := runLoop(t)
	for _, c := range []struct {
		name    string
		addr    netip.AddrPort
		timeout time.Duration
		want    error
	}{
		{"taken", newServer(t, ServerConfig{}).Addr(), waitLimit, nil},
		{"refused", deadAddr(t), waitLimit, unix.ECONNREFUSED},
		{"not answered", silentAddr(t), 20 * time.Millisecond, ErrConnectTimeout},
		{"impossible", netip.MustParseAddrPort("255.255.255.255:9"), waitLimit, unix.ENETUNREACH},
	} {
		if err := tried(t, l, c.addr, c.timeout); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	onLoop(t, l, func() {
		if len(l.timers) != 0 || len(l.slots)-len(l.free) != 1 { // wakefd
			t.Errorf("%d timers and %d descriptors are left", len(l.timers), len(l.slots)-len(l.free))
		}
	})
}

// TestTryConnectLeavesNothing: no connection in TIME_WAIT, and none for the
// program that listens.
func TestTryConnectLeavesNothing(t *testing.T) {
	ln, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(loopback))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	addr := ln.Addr().(*net.TCPAddr).AddrPort()
	l := runLoop(t)
	for range 500 {
		if err := tried(t, l, addr, waitLimit); err != nil {
			t.Fatal(err)
		}
	}
	conn, err := net.DialTCP("tcp4", nil, ln.Addr().(*net.TCPAddr))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ln.SetDeadline(time.Now().Add(waitLimit))
	first, err := ln.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if first.RemoteAddr().String() != conn.LocalAddr().String() {
		t.Errorf("the first connection is from %v, not from %v: an attempt was accepted", first.RemoteAddr(), conn.LocalAddr())
	}
	if n := timeWaits(t, addr.Port()); n != 0 {
		t.Errorf("%d connections in TIME_WAIT", n)
	}
}

// TestTryConnectFillsNoBacklog: a program that accepts nothing is tried more often
// than its backlog is long, and goes on answering.
func TestTryConnectFillsNoBacklog(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer closeFD(fd)
	if err := errors.Join(unix.Bind(fd, sockaddr(loopback)), unix.Listen(fd, 1)); err != nil {
		t.Fatal(err)
	}
	l := runLoop(t)
	for i := range 20 {
		if err := tried(t, l, localAddr(fd), waitLimit); err != nil {
			t.Fatalf("attempt %d: %v", i, err)
		}
	}
}

// An attempt that is under way when the loop ends leaves no descriptor.
func TestTryConnectEndsWithItsLoop(t *testing.T) {
	silent := silentAddr(t)
	l := NewLoop(nil)
	running := make(chan error, 1)
	go func() { running <- l.Run(t.Context()) }() // stopped and awaited below
	var fd int
	onLoop(t, l, func() {
		if err := l.TryConnect(silent, time.Hour, func(err error) { t.Errorf("outcome %v", err) }); err != nil {
			t.Error(err)
		}
		l.each(func(p pollable) {
			if d, ok := p.(*dial); ok {
				fd = d.fd
			}
		})
	})
	l.Stop()
	if err := await(t, running, "end of the loop"); err != nil {
		t.Error(err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); fd == 0 || err != unix.EBADF {
		t.Errorf("descriptor %d is still open: %v", fd, err)
	}
}

// timeWaits returns how many connections to a port are in TIME_WAIT on this
// machine.
func timeWaits(t *testing.T, port uint16) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/net/tcp")
	if err != nil {
		t.Skipf("no list of connections: %v", err)
	}
	const timeWait = "06"
	remote, n := fmt.Sprintf("0100007F:%04X", port), 0
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 3 && f[2] == remote && f[3] == timeWait {
			n++
		}
	}
	return n
}
