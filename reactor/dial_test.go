package reactor

import (
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// silentAddr returns an address whose listener has a full backlog: the kernel
// drops what would make a further connection, so a connect is never answered.
func silentAddr(t *testing.T) netip.AddrPort {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeFD(fd) })
	if err := unix.Bind(fd, sockaddr(loopback)); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	addr := localAddr(fd)
	for !unanswered(t, addr) {
	}
	return addr
}

// unanswered makes one connection, and reports whether it hangs.
func unanswered(t *testing.T, addr netip.AddrPort) bool {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeFD(fd) })
	if err := unix.Connect(fd, sockaddr(addr)); err != nil && err != unix.EINPROGRESS {
		t.Fatal(err)
	}
	// On loopback an answer comes at once or never.
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, 100)
	if err != nil && err != unix.EINTR {
		t.Fatal(err)
	}
	return n == 0
}

func TestConnectTimeout(t *testing.T) {
	silent := silentAddr(t)
	s := serve(t, ServerConfig{})
	failed := make(chan error, 10)
	started := make(chan *Conn, 10)
	connect(t, hurried(ClientConfig{
		Addrs: []netip.AddrPort{silent, s.Addr()}, ConnectTimeout: 50 * time.Millisecond,
		OnStart:      func(c *Conn) { started <- c },
		OnDialFailed: func(_ netip.AddrPort, err error) { failed <- err },
	}))
	if err := await(t, failed, "hook of a failed connect"); err != ErrConnectTimeout {
		t.Errorf("hook was told %v, want %v", err, ErrConnectTimeout)
	}
	if c := await(t, started, "start hook"); c.RemoteAddr() != s.Addr() {
		t.Errorf("connected to %v, want %v", c.RemoteAddr(), s.Addr())
	}
}

func TestClientEndsDuringAnAttempt(t *testing.T) {
	l := runLoop(t)
	_, stop := connect(t, ClientConfig{
		Addrs: []netip.AddrPort{silentAddr(t)}, ConnectTimeout: time.Hour, Loop: l,
		OnDialFailed: func(netip.AddrPort, error) { t.Error("an attempt that was given up is no failure") },
	})
	dialing := func() (yes bool) {
		onLoop(t, l, func() {
			l.each(func(p pollable) {
				if _, ok := p.(*dial); ok {
					yes = true
				}
			})
		})
		return yes
	}
	eventually(t, "the attempt has begun", dialing)
	stop()
	if dialing() {
		t.Error("the attempt goes on after Run")
	}
	onLoop(t, l, func() {
		if len(l.timers) != 0 {
			t.Errorf("%d timers are left", len(l.timers))
		}
	})
}

func TestClientEndsDuringAPause(t *testing.T) {
	failed := make(chan bool, 1)
	_, stop := connect(t, ClientConfig{
		Addrs: []netip.AddrPort{deadAddr(t)}, BackoffMin: time.Hour, BackoffMax: time.Hour,
		OnDialFailed: func(netip.AddrPort, error) { failed <- true },
	})
	await(t, failed, "hook of a failed connect")
	stop()
}

// A socket that connects to a free port of the ephemeral range may get that
// very port, and meet itself. It is done on purpose here.
func TestSelfConnectIsFound(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, sockaddr(loopback)); err != nil {
		t.Fatal(err)
	}
	self := localAddr(fd)
	if err := unix.Connect(fd, sockaddr(self)); err != nil && err != unix.EINPROGRESS {
		t.Fatal(err)
	}
	l := runLoop(t)
	outcome := make(chan error, 1)
	onLoop(t, l, func() {
		d := &dial{loop: l, addr: self, fd: fd, done: func(_ *dial, _ uint32, err error) { outcome <- err }}
		d.late = l.After(time.Hour, func() {})
		if err := l.register(fd, streamEdge, d, &d.index); err != nil {
			t.Error(err)
		}
	})
	if err := await(t, outcome, "outcome"); err != ErrSelfConnect {
		t.Errorf("outcome %v, want %v", err, ErrSelfConnect)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != unix.EBADF {
		t.Errorf("the descriptor is still open: %v", err)
	}
}

func TestConnectThatFailsAtOnce(t *testing.T) {
	failed := make(chan error, 100)
	connect(t, hurried(ClientConfig{
		Addrs:        []netip.AddrPort{netip.MustParseAddrPort("255.255.255.255:9")}, // no connect to a broadcast address
		OnDialFailed: func(_ netip.AddrPort, err error) { failed <- err },
	}))
	for range 2 {
		if err := await(t, failed, "hook of a failed connect"); err == nil {
			t.Error("hook was told of no error")
		}
	}
}
