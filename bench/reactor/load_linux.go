package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"
	"unsafe"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"

	"lars.internal/bench/measure"
)

const headerSize = 8

// loadCase is a kind of load. In lock-step, inFlight is 1: each connection
// waits for its answer before it sends again.
type loadCase struct {
	Proto    string `json:"proto"` // tcp or udp
	Conns    int    `json:"conns"`
	InFlight int    `json:"in_flight"` // messages under way per connection
	Body     int    `json:"body"`      // bytes
}

func (c loadCase) String() string {
	return fmt.Sprintf("%s, %d conns, %d in flight, %d B", c.Proto, c.Conns, c.InFlight, c.Body)
}

// load drives one server from one goroutine on raw system calls, so that the
// generator is the same and as light as can be for every server.
type load struct {
	loadCase
	epfd     int
	links    map[int32]*link
	message  []byte // inFlight frames
	in       []byte
	messages uint64 // answers so far
	latency  *hdrhistogram.Histogram
	start    time.Time
}

// link is one connection.
type link struct {
	fd    int
	bytes int             // of the answer that is under way
	sent  []time.Duration // when each message that is under way was sent, oldest first
}

func newLoad(c loadCase, addr netip.AddrPort) (*load, error) {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	l := &load{loadCase: c, epfd: epfd, links: make(map[int32]*link), in: make([]byte, 1<<20), latency: measure.NewHistogram(), start: time.Now()}
	for range c.InFlight {
		l.message = binary.LittleEndian.AppendUint32(l.message, 1)
		l.message = binary.LittleEndian.AppendUint32(l.message, uint32(c.Body))
		l.message = append(l.message, make([]byte, c.Body)...)
	}
	for range c.Conns {
		if err := l.open(addr); err != nil {
			l.close()
			return nil, err
		}
	}
	return l, nil
}

// open connects one link and takes its descriptor out of the runtime's poller.
func (l *load) open(addr netip.AddrPort) error {
	c, err := net.DialTimeout(l.Proto, addr.String(), 5*time.Second)
	if err != nil {
		return err
	}
	f, err := c.(interface{ File() (*os.File, error) }).File()
	c.Close()
	if err != nil {
		return err
	}
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	if err := unix.EpollCtl(l.epfd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
		return os.NewSyscallError("epoll_ctl", err)
	}
	l.links[int32(fd)] = &link{fd: fd}
	return nil
}

func (l *load) close() {
	for _, k := range l.links {
		unix.Close(k.fd)
	}
	unix.Close(l.epfd)
}

// run drives the load for d. The first call fills every link.
func (l *load) run(d time.Duration) error {
	for _, k := range l.links {
		if err := l.send(k, l.InFlight-len(k.sent)); err != nil {
			return err
		}
	}
	events := make([]unix.EpollEvent, 1024)
	end := time.Since(l.start) + d
	for time.Since(l.start) < end {
		n, err := unix.EpollWait(l.epfd, events, 1000)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return os.NewSyscallError("epoll_wait", err)
		}
		if n == 0 && l.Proto == "tcp" {
			return fmt.Errorf("%v: no answer for a second after %d", l.loadCase, l.messages)
		}
		if n == 0 {
			l.resend()
		}
		for i := range n {
			if err := l.receive(l.links[events[i].Fd]); err != nil {
				return err
			}
		}
	}
	return nil
}

// resend starts UDP links anew whose datagrams were lost.
func (l *load) resend() {
	for _, k := range l.links {
		k.sent = k.sent[:0]
		l.send(k, l.InFlight)
	}
}

func (l *load) send(k *link, n int) error {
	now := time.Since(l.start)
	for range n {
		k.sent = append(k.sent, now)
	}
	size := headerSize + l.Body
	if l.Proto == "tcp" {
		return writeAll(k.fd, l.message[:n*size])
	}
	for range n {
		if err := writeAll(k.fd, l.message[:size]); err != nil {
			return err
		}
	}
	return nil
}

// writeAll writes b to a non-blocking socket. The kernel's buffers hold more
// than any case has under way, so a full one is an error.
func writeAll(fd int, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	if errno != 0 {
		return os.NewSyscallError("write", errno)
	}
	if int(n) != len(b) {
		return fmt.Errorf("write: %d of %d bytes", n, len(b))
	}
	return nil
}

// receive takes what has come on a link and sends as many messages as were
// answered.
func (l *load) receive(k *link) error {
	answered := 0
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(k.fd), uintptr(unsafe.Pointer(&l.in[0])), uintptr(len(l.in)))
		if errno == unix.EAGAIN {
			break
		}
		if errno != 0 || n == 0 {
			return fmt.Errorf("%v: the server ended a connection: %v", l.loadCase, errno)
		}
		if l.Proto == "udp" {
			answered++
			if answered < len(k.sent) {
				continue
			}
			break
		}
		k.bytes += int(n)
		answered += k.bytes / (headerSize + l.Body)
		k.bytes %= headerSize + l.Body
		if int(n) < len(l.in) {
			break
		}
	}
	return l.answered(k, min(answered, len(k.sent)))
}

func (l *load) answered(k *link, n int) error {
	now := time.Since(l.start)
	for _, sent := range k.sent[:n] {
		l.latency.RecordValue(int64(now - sent))
	}
	k.sent = append(k.sent[:0], k.sent[n:]...)
	l.messages += uint64(n)
	return l.send(k, n)
}
