package reactor

import (
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// dial is an attempt to connect. Owned by the loop goroutine.
type dial struct {
	loop  *Loop
	addr  netip.AddrPort
	fd    int
	index int32
	late  *Timer
	done  func(d *dial, events uint32, err error)
}

// startDial begins to connect a socket that prepare, if not nil, has set options
// of. done runs on the loop with the outcome, unless the attempt could not even
// begin. Without an error the descriptor, with its
// slot in the loop, is the callee's, and events are those that came with it.
func startDial(l *Loop, addr netip.AddrPort, timeout time.Duration, prepare func(fd int), done func(*dial, uint32, error)) (*dial, error) {
	fd, err := unix.Socket(family(addr), unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if prepare != nil {
		prepare(fd)
	}
	// A signal during connect leaves it going on, as EINPROGRESS does.
	if err := unix.Connect(fd, sockaddr(addr)); err != nil && err != unix.EINPROGRESS && err != unix.EINTR {
		closeFD(fd)
		return nil, os.NewSyscallError("connect", err)
	}
	d := &dial{loop: l, addr: addr, fd: fd, done: done}
	if err := l.register(fd, streamEdge, d, &d.index); err != nil {
		closeFD(fd)
		return nil, err
	}
	d.late = l.After(timeout, func() { d.fail(ErrConnectTimeout) })
	return d, nil
}

func (d *dial) onLoopClosed() { d.abandon() }

// onReady looks at the outcome once the kernel has one.
func (d *dial) onReady(events uint32) {
	if events&(unix.EPOLLOUT|unix.EPOLLERR|unix.EPOLLHUP) == 0 {
		return
	}
	if err := d.outcome(); err != nil {
		d.fail(err)
		return
	}
	d.late.Stop()
	d.done(d, events, nil)
}

func (d *dial) outcome() error {
	errno, err := unix.GetsockoptInt(d.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return os.NewSyscallError("getsockopt", err)
	}
	if errno != 0 {
		return os.NewSyscallError("connect", unix.Errno(errno))
	}
	peer, err := unix.Getpeername(d.fd)
	if err != nil {
		return os.NewSyscallError("connect", err)
	}
	// A port of the ephemeral range that nobody listens on can be chosen as
	// the source port too, and then the socket meets itself.
	if addrPort(peer) == localAddr(d.fd) {
		return ErrSelfConnect
	}
	return nil
}

func (d *dial) fail(err error) {
	d.abandon()
	d.done(d, 0, err)
}

// abandon ends the attempt without an outcome.
func (d *dial) abandon() {
	d.late.Stop()
	d.loop.unregister(d.index)
	closeFD(d.fd)
}
