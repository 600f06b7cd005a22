package reactor

import (
	"encoding/binary"
	"net/netip"
	"os"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// defaultBatch is the default number of datagrams in a system call.
	defaultBatch = 64

	// batchBudget is the number of full batches that one turn of the loop
	// takes from a socket.
	batchBudget = 8

	// receiveRest is how long a socket rests when receiving fails again and again.
	receiveRest = 100 * time.Millisecond

	// defaultSocketBuffer is the default size in bytes of the kernel's buffer
	// for datagrams that wait to be received.
	defaultSocketBuffer = 4 << 20
)

// udpSocket is a UDP socket on a loop, the part that server and client share.
// Owned by the loop goroutine from start on.
type udpSocket struct {
	// Immutable after start.
	loop   *Loop
	router *Router[*Packet]
	fd     int
	asked  bool // the kernel adds the asked address to each datagram

	index    int32
	live     bool // registered
	waiting  bool // in loop.ready
	resting  bool
	sick     bool // receiving failed at the last look
	rx, tx   *datagrams
	names    []unix.RawSockaddrInet6 // senders of rx; large enough for IPv4 too
	infos    []pktinfo               // addresses that were asked, of rx; nil: the socket has one address
	answers  int                     // slots of tx that wait to be sent
	answered uint64                  // bytes in them
	packet   Packet

	mu     sync.Mutex // guards everything below; close alone sets closed
	closed bool
	lost   uint64 // datagrams that the kernel had dropped at the last look
}

// Packet is a datagram on its way through a handler. It is valid until the
// handler returns.
type Packet struct {
	socket *udpSocket
	i      int // slot in rx
}

// openUDP returns a non-blocking socket for addresses of a's family.
func openUDP(a netip.AddrPort, buffer int) (int, error) {
	fd, err := unix.Socket(family(a), unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	// Beyond the system's limit only with the right to; within it always.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, buffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, buffer)
	}
	return fd, nil
}

// start makes the socket live on its loop, with batches of n.
func (s *udpSocket) start(n int) error {
	s.rx, s.tx = newDatagrams(n), newDatagrams(n)
	s.names = make([]unix.RawSockaddrInet6, n)
	for i := range s.names {
		s.rx.msgs[i].hdr.Name = (*byte)(unsafe.Pointer(&s.names[i]))
	}
	if s.asked {
		s.infos = make([]pktinfo, n)
		for i := range s.infos {
			s.rx.msgs[i].hdr.Control = &s.infos[i][0]
		}
	}
	s.empty(n)
	s.packet.socket = s
	if err := s.loop.register(s.fd, inputEdge, s, &s.index); err != nil {
		return err
	}
	s.live = true
	return nil
}

// close closes the socket, once.
func (s *udpSocket) close() {
	if s.closed {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.lost = overflow(s.fd)
	if s.live {
		s.loop.unregister(s.index)
	}
	closeFD(s.fd)
}

// overflow returns how many datagrams the kernel has dropped for want of room.
// It may be called from any goroutine.
func (s *udpSocket) overflow() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.lost = overflow(s.fd)
	}
	return s.lost
}

func (s *udpSocket) onLoopClosed() { s.close() }

func (s *udpSocket) onReady(events uint32) {
	if events&(unix.EPOLLIN|unix.EPOLLERR) != 0 {
		s.receive()
	}
}

// run is a further turn after the budget was used up.
func (s *udpSocket) run() {
	s.waiting = false
	s.receive()
}

// receive takes batches until the socket is empty: fewer datagrams than slots
// mean that the next one is a new edge.
func (s *udpSocket) receive() {
	if s.closed || s.resting {
		return
	}
	failed := 0
	for range batchBudget {
		n, err := s.rx.receive(s.fd)
		if err == unix.EAGAIN {
			return
		}
		// An error is usually an ICMP answer to an earlier datagram, and comes
		// once; what waits after it is still to be received.
		if err != nil {
			if failed++; failed == batchBudget {
				s.rest(err)
				return
			}
			s.loop.stats.receiveErrors.add(1)
			continue
		}
		s.sick = false
		for i := 0; i < n; {
			i = s.handle(i, n)
		}
		s.flush()
		s.empty(n)
		if n < len(s.rx.msgs) {
			return
		}
	}
	if !s.waiting {
		s.waiting = true
		s.loop.ready = append(s.loop.ready, s)
	}
}

// empty prepares the first n slots of rx for the next batch: the kernel has
// written the lengths of what came there.
func (s *udpSocket) empty(n int) {
	for i := range n {
		h := &s.rx.msgs[i].hdr
		h.Namelen = unix.SizeofSockaddrInet6
		if s.infos != nil {
			h.SetControllen(len(s.infos[i]))
		}
	}
}

// rest keeps the loop from spinning on an error that stays, such as ENOMEM, and
// logs the first of a row.
func (s *udpSocket) rest(err error) {
	s.loop.stats.receiveErrors.add(1)
	if !s.sick {
		s.sick = true
		s.loop.log.Error("reactor: datagrams cannot be received", "addr", localAddr(s.fd), "error", err)
	}
	s.resting = true
	s.loop.After(receiveRest, func() {
		s.resting = false
		s.receive()
	})
}

// handle runs the handlers of datagrams [from, n) and returns the first one
// that is still to be handled: a panic costs one datagram.
func (s *udpSocket) handle(from, n int) (next int) {
	var bytes, known, unknown, dropped uint64
	defer func() {
		stats := &s.loop.stats
		stats.bytesIn.add(bytes)
		stats.messagesIn.add(known)
		stats.messagesUnknown.add(unknown)
		stats.dropped.add(dropped)
		if p := recover(); p != nil {
			s.loop.reportPanic("datagram handler", p)
			next = s.packet.i + 1
		}
	}()
	for i := from; i < n; i++ {
		s.packet.i = i
		m := &s.rx.msgs[i]
		bytes += uint64(m.n)
		id, body, ok := datagramFrame(s.rx.slot(i)[:m.n])
		switch {
		case !ok || m.hdr.Flags&unix.MSG_TRUNC != 0 || m.hdr.Namelen == 0:
			dropped++
		case s.router.dispatch(&s.packet, id, body):
			known++
		default:
			unknown++
		}
	}
	return n
}

// datagramFrame splits a datagram that is exactly one frame.
func datagramFrame(b []byte) (id int32, body []byte, ok bool) {
	if len(b) < HeaderSize {
		return 0, nil, false
	}
	id, size := header(b)
	return id, b[HeaderSize:], size == len(b)-HeaderSize
}

// flush sends the answers that have gathered.
func (s *udpSocket) flush() {
	if s.answers > 0 {
		s.loop.stats.bytesOut.add(s.answered)
		s.sendAll(s.tx, s.answers)
		s.answers, s.answered = 0, 0
	}
}

// sendAll sends the first n slots of d. A datagram that cannot be sent is
// dropped; when the kernel takes none at all, so is the rest.
func (s *udpSocket) sendAll(d *datagrams, n int) {
	for from := 0; from < n; {
		sent, err := d.send(s.fd, from, n)
		from += sent
		switch err {
		case nil:
		case unix.EAGAIN, unix.ENOBUFS:
			s.loop.stats.dropped.add(uint64(n - from))
			return
		default:
			s.loop.stats.dropped.add(1)
			from++
		}
	}
}

// From returns the sender's address.
func (p *Packet) From() netip.AddrPort {
	name := &p.socket.names[p.i]
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&name.Port))[:])
	if name.Family == unix.AF_INET {
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
		return netip.AddrPortFrom(netip.AddrFrom4(v4.Addr), port)
	}
	return netip.AddrPortFrom(netip.AddrFrom16(name.Addr).Unmap(), port)
}

// Buffer returns empty memory for the body of the next Reply, which is then
// not copied: p.Reply(id, append(p.Buffer(), ...)).
func (p *Packet) Buffer() []byte {
	slot := p.socket.tx.slot(p.socket.answers)
	return slot[HeaderSize:HeaderSize:len(slot)]
}

// Reply answers the sender with a message. It is sent when the batch is done.
// It fails with ErrTooLong for a body that no datagram holds. A handler may
// reply more than once.
func (p *Packet) Reply(id int32, body []byte) error {
	if len(body) > maxDatagramBody {
		return ErrTooLong
	}
	s := p.socket
	k := s.answers
	slot := s.tx.slot(k)
	if len(body) > 0 && &body[0] != &slot[HeaderSize] {
		copy(slot[HeaderSize:], body)
	}
	putHeader(slot, id, len(body))
	s.tx.iovs[k].SetLen(HeaderSize + len(body))
	to, from := &s.tx.msgs[k].hdr, &s.rx.msgs[p.i].hdr
	to.Name, to.Namelen = from.Name, from.Namelen
	if s.infos != nil {
		s.infos[p.i].anyInterface()
		to.Control, to.Controllen = from.Control, from.Controllen
	}
	s.answered += uint64(HeaderSize + len(body))
	s.answers++
	if s.answers == len(s.tx.msgs) {
		s.flush()
	}
	return nil
}
