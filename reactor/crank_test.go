package reactor

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// crank is a connection whose loop is turned by hand, in the test's own
// goroutine: what it reads at a time is exactly what was written.
type crank struct {
	t    testing.TB
	loop *Loop
	conn *Conn
	peer int // the other end, non-blocking
}

// newCrank returns a cranked connection on one end of a socket pair of kind.
func newCrank(t testing.TB, kind int, end *endpoint) *crank {
	t.Helper()
	end.cfg.setDefaults()
	if end.onGone == nil {
		end.onGone = func(*Conn) {}
	}
	l := NewLoop(nil)
	if err := l.open(); err != nil {
		t.Fatal(err)
	}
	fd, peer := socketpair(t, kind)
	k := &crank{t: t, loop: l, conn: newConn(l, end, fd, netip.AddrPort{}), peer: peer}
	k.conn.start(-1)
	return k
}

// close ends the loop and expects all buffers back.
func (k *crank) close() {
	k.t.Helper()
	k.loop.shut()
	closeFD(k.peer)
	if lent := k.conn.end.cfg.Buffers.Lent(); lent != 0 {
		k.t.Errorf("%d bytes of buffers are lent after the end", lent)
	}
}

// write writes from the peer's side and lets the connection read it.
func (k *crank) write(b []byte) {
	k.t.Helper()
	if len(b) > 0 {
		if n, err := unix.Write(k.peer, b); n != len(b) || err != nil {
			k.t.Fatalf("wrote %d of %d bytes: %v", n, len(b), err)
		}
	}
	k.turn(unix.EPOLLIN)
}

// turn delivers events as the loop does, then all that follows from them.
func (k *crank) turn(events uint32) {
	index := k.conn.index
	k.loop.now = k.loop.clock()
	if k.conn.state != stateClosed {
		k.loop.deliver(&unix.EpollEvent{Events: events, Fd: index, Pad: int32(k.loop.slots[index].generation)})
	}
	for again := true; again; again = len(k.loop.ready) > 0 || k.loop.hasTasks() {
		k.loop.runReady()
		k.loop.runTasks()
	}
}

// record receives what one write of the connection brought, on a pair of kind
// SOCK_SEQPACKET; nil if there is nothing.
func (k *crank) record() []byte {
	k.t.Helper()
	b := make([]byte, 256<<10)
	n, err := unix.Read(k.peer, b)
	if err == unix.EAGAIN {
		return nil
	}
	if err != nil {
		k.t.Fatal(err)
	}
	return b[:n]
}
