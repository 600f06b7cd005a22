package reactor

import (
	"fmt"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// acceptBudget is how many connections one turn of the loop accepts.
	acceptBudget = 64

	// acceptRest is how long the listener rests when descriptors are short.
	acceptRest = 100 * time.Millisecond
)

// acceptor is a server's listener. It lives on the server's first loop.
type acceptor struct {
	// Immutable after newAcceptor.
	server *Server
	fd     int

	// Owned by the accepting loop.
	loop     *Loop
	index    int32
	live     bool // registered
	waiting  bool // in loop.ready
	resting  bool
	sick     bool // accept fails for a reason of the listener's own
	accepted uint64
	reserve  int // a descriptor to give up when there is no other

	mu     sync.Mutex // guards closed, which only the accepting loop sets
	closed bool       // fd is no longer ours
}

func newAcceptor(s *Server) (*acceptor, error) {
	fd, err := s.listener()
	if err != nil {
		return nil, err
	}
	return &acceptor{server: s, fd: fd, loop: s.loops[0], reserve: openReserve()}, nil
}

// start registers the listener. It runs on the loop.
func (a *acceptor) start() {
	if a.closed {
		return
	}
	if err := a.loop.register(a.fd, inputEdge, a, &a.index); err != nil {
		a.loop.log.Error("reactor: the listener cannot be watched", "addr", a.server.Addr(), "error", err)
		a.server.Close()
		return
	}
	a.live = true
}

// close closes the listener, once. It runs on the loop, or after it has ended.
func (a *acceptor) close() {
	if a.closed {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	if a.live {
		// Another process may hold the socket as well, and then closing it does
		// not end its events here.
		_ = unix.EpollCtl(a.loop.epfd, unix.EPOLL_CTL_DEL, a.fd, nil)
		a.loop.unregister(a.index)
	}
	closeFD(a.fd)
	closeFD(a.reserve)
}

// file returns a duplicate of the listening socket.
func (a *acceptor) file() (*os.File, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil, fmt.Errorf("reactor: hand over the listening socket: %w", ErrClosed)
	}
	fd, err := duplicate(a.fd)
	if err != nil {
		return nil, fmt.Errorf("reactor: hand over the listening socket: %w", err)
	}
	return os.NewFile(uintptr(fd), "listener "+localAddr(fd).String()), nil
}

func (a *acceptor) onLoopClosed()  { a.close() }
func (a *acceptor) onReady(uint32) { a.accept() }

// run is a further turn after the budget was used up.
func (a *acceptor) run() {
	a.waiting = false
	a.accept()
}

func (a *acceptor) accept() {
	for range acceptBudget {
		if a.closed || a.resting || !a.acceptOne() {
			return
		}
	}
	if !a.waiting {
		a.waiting = true
		a.loop.ready = append(a.loop.ready, a)
	}
}

// acceptOne takes one connection and reports whether there may be more.
func (a *acceptor) acceptOne() bool {
	fd, sa, err := unix.Accept4(a.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	switch err {
	case nil:
		a.sick = false
		a.admit(fd, addrPort(sa))
		return true
	case unix.EAGAIN:
		return false
	case unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.ENOBUFS:
		a.shed()
		return false
	case unix.EBADF, unix.EFAULT, unix.EINVAL, unix.ENOTSOCK, unix.EOPNOTSUPP, unix.EPERM:
		a.sicken(err)
		return false
	}
	// A peer that gave up while it waited (ECONNABORTED), a signal, or an
	// error of that one connection's network (accept(2)): the next may be well.
	return true
}

func (a *acceptor) admit(fd int, peer netip.AddrPort) {
	if err := a.mayConnect(peer); err != nil {
		closeFD(fd)
		a.server.refuse(a.loop, peer, err)
		return
	}
	loop := a.server.place(a.accepted)
	a.accepted++
	c := newConn(loop, a.server.end, fd, peer)
	if old := a.server.admission.enter(c); old != nil {
		a.server.displace(old)
	}
	if loop == a.loop {
		c.start(-1)
		return
	}
	if loop.Post(func() { c.start(-1) }) != nil {
		closeFD(fd)
		a.server.gone(c)
	}
}

// mayConnect asks the Admit hook first: a peer that is not wanted learns
// nothing about the limit. A peer is refused if the hook panics.
func (a *acceptor) mayConnect(peer netip.AddrPort) error {
	if admit := a.server.cfg.Admit; admit != nil {
		err := ErrPanic
		a.loop.protect("admit hook", func() { err = admit(peer) })
		if err != nil {
			return err
		}
	}
	return a.server.admission.mayEnter(peer.Addr())
}

// shed turns the waiting peers away when there is no descriptor for them: the
// reserve is given up for the time of one accept each, so they see an end and
// not silence. Then the listener rests, so that it does not spin.
func (a *acceptor) shed() {
	for range acceptBudget {
		if a.reserve < 0 {
			break
		}
		closeFD(a.reserve)
		fd, sa, err := unix.Accept4(a.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err == nil {
			closeFD(fd)
		}
		a.reserve = openReserve()
		if err != nil {
			break
		}
		a.server.refuse(a.loop, addrPort(sa), ErrNoDescriptors)
	}
	a.rest()
}

// sicken goes on after an error that has nothing to do with the peers, and
// logs the first of a row.
func (a *acceptor) sicken(err error) {
	if !a.sick {
		a.sick = true
		a.loop.log.Error("reactor: the listener does not accept", "addr", a.server.Addr(), "error", err)
	}
	a.rest()
}

// rest keeps the listener from spinning on an error that stays.
func (a *acceptor) rest() {
	a.resting = true
	a.loop.After(acceptRest, a.resume)
}

// resume ends the rest. Connections that came meanwhile made their edge, so
// they have to be looked for.
func (a *acceptor) resume() {
	if a.closed {
		return
	}
	a.resting = false
	if a.reserve < 0 {
		a.reserve = openReserve()
	}
	a.accept()
}

// openReserve opens a descriptor to be given up later; -1 if there is none.
func openReserve() int {
	fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	return fd
}
