package reactor

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// ConnConfig are the limits of one connection. The zero value is ready to use.
type ConnConfig struct {
	// MaxFrame is the longest body in bytes, either way. A peer that announces
	// a longer one is closed. Default 65,527.
	MaxFrame int

	// HighWater is the number of unsent bytes at which the connection is no
	// longer read, LowWater the one at which it is read again. Lower saves
	// memory with slow readers; too low stalls peers that write all their
	// requests before they read. Defaults 1 MiB and a quarter of HighWater.
	HighWater, LowWater int

	// HardCap is the number of unsent bytes at which Send fails with
	// ErrOutputFull. Default 8 MiB, at most 64 MiB.
	HardCap int

	// StallTimeout closes a connection whose peer took none of the unsent
	// bytes for so long. Default 30 s; negative: never.
	StallTimeout time.Duration

	// IdleTimeout closes a connection whose peer sent nothing for so long.
	// Default 0: never.
	IdleTimeout time.Duration

	// FrameTimeout closes a connection whose peer has sent a part of a frame and
	// not the rest for so long, however slowly it goes on. Lower gives memory
	// back sooner; too low cuts off peers on slow lines. Default 30 s; negative:
	// never.
	FrameTimeout time.Duration

	// CloseTimeout is how long a closed connection may take to drain its
	// output and to see the peer's end. Default 5 s.
	CloseTimeout time.Duration

	// LingerTimeout is how long it waits for the peer's end after the peer's
	// machine has acknowledged all output. Longer leaves the peer more time to
	// read it before its next message is answered by a reset; a peer that does
	// not close holds up the end of a server for so long. Default 500 ms, at
	// most CloseTimeout.
	LingerTimeout time.Duration

	// KeepAlive is how long a connection may be silent before the kernel asks
	// whether the peer's machine is still there, three times, a fifth of
	// KeepAlive apart, and ends the connection without an answer. Lower notices
	// sooner that a machine or the network is gone, and sends more packets on
	// idle connections. Default 5 s, which means an end after 8 s; negative:
	// never.
	KeepAlive time.Duration

	// PeerTimeout is the same for a connection with output on its way, which
	// keepalive leaves alone: how long the peer's machine may acknowledge
	// nothing. It is looked at each quarter of PeerTimeout. A machine that
	// acknowledges and does not take more, because its process does not read, is
	// the business of StallTimeout. Lower notices a silent network sooner, and
	// ends more connections that a short outage would have left alone. Default
	// 8 s; negative: never.
	PeerTimeout time.Duration

	// SingleFrameWrites gives each frame a write of its own, for peers that
	// cannot put together a frame that arrives in pieces. It costs a system
	// call per frame where replies would otherwise share one.
	SingleFrameWrites bool

	// Buffers is where connections borrow memory. Default: a pool of their
	// server's or client's own.
	Buffers *BufferPool
}

func (c *ConnConfig) setDefaults() {
	c.MaxFrame = cmp.Or(c.MaxFrame, DefaultMaxFrame)
	c.HighWater = cmp.Or(c.HighWater, 1<<20)
	c.LowWater = cmp.Or(c.LowWater, c.HighWater/4)
	c.HardCap = cmp.Or(c.HardCap, 8<<20)
	c.StallTimeout = cmp.Or(c.StallTimeout, 30*time.Second)
	c.FrameTimeout = cmp.Or(c.FrameTimeout, 30*time.Second)
	c.CloseTimeout = cmp.Or(c.CloseTimeout, 5*time.Second)
	c.LingerTimeout = min(cmp.Or(c.LingerTimeout, 500*time.Millisecond), c.CloseTimeout)
	c.KeepAlive = cmp.Or(c.KeepAlive, 5*time.Second)
	c.PeerTimeout = cmp.Or(c.PeerTimeout, 8*time.Second)
	c.Buffers = cmp.Or(c.Buffers, NewBufferPool(0))
}

func (c *ConnConfig) validate() error {
	const most = 1 << maxClassBits
	switch {
	case c.MaxFrame < 0 || c.MaxFrame > most-HeaderSize:
		return fmt.Errorf("reactor: MaxFrame %d: want 0..%d bytes", c.MaxFrame, most-HeaderSize)
	case c.HardCap < HeaderSize || c.HardCap > most:
		return fmt.Errorf("reactor: HardCap %d: want %d..%d bytes", c.HardCap, HeaderSize, most)
	case c.LowWater < 0 || c.LowWater > c.HighWater || c.HighWater > c.HardCap:
		return fmt.Errorf("reactor: water marks %d and %d: want low <= high <= HardCap %d bytes", c.LowWater, c.HighWater, c.HardCap)
	}
	return nil
}

// endpoint is what all connections of a server or a client share. Immutable
// once the first one starts.
type endpoint struct {
	cfg     ConnConfig
	router  *Router[*Conn]
	onStart func(*Conn)
	onClose func(*Conn, error)
	onEOF   func(*Conn)
	onWater func(*Conn, bool)
	onGone  func(*Conn) // after the descriptor is closed
	log     *slog.Logger

	// Of a server with a pool of unproven connections.
	prove           func(*Conn) error // nil: connections need no proof
	provenByMessage bool
	unprovenTimeout time.Duration
}

// state is where a connection is in its life. It only goes forward.
type state uint8

const (
	stateOpen      state = iota
	stateDraining        // closed on this side: output is still being written
	stateLingering       // all is written and the write side shut: input is thrown away until the peer's end
	stateClosed          // the close hook ran, the descriptor is closed
)

// Conn is a TCP connection on a loop. Send, Pending, Close, CloseWrite, Abort
// and the methods that read immutable facts are safe from any goroutine; the
// rest belongs to the loop goroutine, that is to handlers, hooks and tasks.
type Conn struct {
	// Immutable after start.
	loop   *Loop
	end    *endpoint
	remote netip.AddrPort
	local  netip.AddrPort

	// Owned by the loop goroutine.
	fd         int   // -1 once it is closed
	index      int32 // slot in the loop's table
	state      state
	reason     error  // why it ends; first cause wins
	readable   bool   // the kernel may hold input
	hup        bool   // the peer has ended: read on after a short read
	peerEOF    bool   // all input was read
	paused     bool   // output is above the high-water mark
	withheld   bool   // PauseReading was called
	blocked    bool   // the kernel takes no output at the moment
	queued     bool   // waits in loop.ready
	writeShut  bool   // CloseWrite was asked for, and is still to be done
	writeDone  bool   // CloseWrite is done
	outputErr  error  // output was dropped for it; the input is read to its end
	in         []byte // input that is not a whole frame yet, or waits for its turn
	inStart    int    // in[inStart:] is still to be parsed
	writing    []byte // output on its way to the kernel
	written    int    // writing[:written] is gone
	outHint    int    // length of the last output, bounded: the next may be like it
	replied    int    // bytes in writing that pending does not count yet
	inBatch    bool   // input is being dispatched: a flush follows
	frameEnd   int    // end in writing of the frame at written, for SingleFrameWrites
	lastInput  time.Duration
	lastOutput time.Duration // when the kernel last took output, or output began to wait
	started    time.Duration
	closeBy    time.Duration // deadline of a closed connection
	frameSince time.Duration // when the first frame of in became the first
	unproven   bool          // is in the server's pool, or was pushed out of it
	inputTimer *Timer
	stallTimer *Timer
	closeTimer *Timer
	peerTimer  *Timer
	property   any
	router     *Router[*Conn]

	// Guarded by the mu of the server's admission.
	place        place
	older, newer *Conn // neighbours in the pool of unproven connections

	ended   atomic.Bool  // no further frame is dispatched
	sealed  atomic.Bool  // sendErr is set
	hasOut  atomic.Bool  // out is not empty; written under mu
	pending atomic.Int64 // unsent bytes in writing and out; grows under mu

	mu        sync.Mutex // guards everything below
	out       []byte     // output that was sent, to follow writing
	scheduled bool       // a flush is certain to come: Send need not ask for one
	sendErr   error      // what Send returns from now on
}

// newConn returns the connection on a connected, non-blocking descriptor. It
// is adopted by loop with start.
func newConn(loop *Loop, end *endpoint, fd int, remote netip.AddrPort) *Conn {
	setOptions(fd, end.cfg.KeepAlive)
	return &Conn{loop: loop, end: end, fd: fd, remote: remote, local: localAddr(fd), router: end.router, unproven: end.prove != nil}
}

// start makes the connection live on its loop. index is the slot that it has
// already, or negative.
func (c *Conn) start(index int32) {
	c.loop.stats.opened.add(1)
	c.index = index
	if index < 0 {
		if err := c.loop.register(c.fd, streamEdge, c, &c.index); err != nil {
			c.loop.stats.closed.add(1)
			closeFD(c.fd)
			c.fd, c.state = -1, stateClosed
			c.end.onGone(c)
			return
		}
	} else {
		c.loop.slots[index].p = c
	}
	c.started = c.loop.clock()
	c.listen()
	c.checkInput()
	c.hook(func() {
		if c.end.onStart != nil {
			c.end.onStart(c)
		}
	})
}

// Loop returns the loop that the connection lives on.
func (c *Conn) Loop() *Loop { return c.loop }

// RemoteAddr returns the peer's address.
func (c *Conn) RemoteAddr() netip.AddrPort { return c.remote }

// LocalAddr returns the address on this side.
func (c *Conn) LocalAddr() netip.AddrPort { return c.local }

// Property returns what SetProperty stored. Call it on the loop only.
func (c *Conn) Property() any { return c.property }

// SetProperty stores a value of the user's with the connection, usually in
// the start hook. Call it on the loop only.
func (c *Conn) SetProperty(v any) { c.property = v }

// SetRouter makes r get the messages from the next one on, in place of the
// server's or client's router: a way to let a connection through stages, such
// as a login. Call it on the loop only.
func (c *Conn) SetRouter(r *Router[*Conn]) { c.router = r }

// PauseReading stops the reader: no further message is dispatched until
// ResumeReading, not even one that has arrived with the present one. What has
// been read stays, what comes fills the kernel's buffers, and then the peer
// cannot send: this is how a server that cannot keep up slows its peers down.
// Output is not affected. The peer's end is noticed only after what it sent
// before has been dispatched, that is after ResumeReading, and the idle deadline
// does not run meanwhile. Calling it again changes nothing. Call it on the loop
// only.
func (c *Conn) PauseReading() { c.withheld = true }

// ResumeReading lets the reader go on after PauseReading, in a further turn of
// the loop. Call it on the loop only.
func (c *Conn) ResumeReading() {
	if !c.withheld {
		return
	}
	c.withheld = false
	c.listen()
	c.again()
}

// Proven moves the connection out of the server's pool of unproven connections
// into a place of ServerConfig.MaxConns; without such a place it is closed, and
// OnRefuse is told. It reports whether the connection is open and has its place,
// which is so too if it was proven before or the server has no pool. Call it on
// the loop only.
func (c *Conn) Proven() bool {
	if c.state != stateOpen {
		return false
	}
	if !c.unproven {
		return true
	}
	if err := c.end.prove(c); err != nil {
		c.drain(err)
		return false
	}
	c.unproven = false
	return true
}

// Close ends the connection in order: no further frame is dispatched, Send
// fails from now on, what was sent before is written, the write side is shut,
// and the descriptor is closed when the peer has closed too, at the latest
// after CloseTimeout.
func (c *Conn) Close() { c.finish(ErrClosed, func() { c.drain(ErrClosed) }) }

// Abort ends the connection at once. Unsent output is dropped and the peer
// sees a reset.
func (c *Conn) Abort() { c.finish(ErrClosed, func() { c.reset(ErrClosed) }) }

// CloseWrite shuts the write side once what was sent before is written; Send
// fails from now on. Input is still dispatched until the peer closes.
func (c *Conn) CloseWrite() {
	c.failSends(ErrClosed)
	c.loop.Post(func() {
		c.writeShut = true
		c.flush()
	})
}

// finish stops the parser and the senders now, whichever goroutine calls, and
// the rest on the loop.
func (c *Conn) finish(cause error, rest func()) {
	c.ended.Store(true)
	c.failSends(cause)
	c.loop.Post(rest) // a loop that has stopped has closed the connection
}

func (c *Conn) failSends(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sendErr == nil {
		c.sendErr = cause
		c.sealed.Store(true)
	}
}

// onReady takes the connection's events.
func (c *Conn) onReady(events uint32) {
	if c.peerEOF && events&(unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		c.teardown(socketError(c.fd)) // nothing is left to read or to write
		return
	}
	if events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		c.readable = true
	}
	if events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		c.hup = true
	}
	if events&(unix.EPOLLOUT|unix.EPOLLHUP|unix.EPOLLERR) != 0 && c.blocked {
		c.blocked = false
		c.flush()
	}
	if c.readable || c.in != nil {
		c.read()
	}
}

// run is a further turn after a budget was used up.
func (c *Conn) run() {
	if c.state == stateClosed {
		return
	}
	c.queued = false
	c.flush()
	c.read()
}

// flusher is a connection as the task that Send asks for. It leaves the turn
// that the connection may be waiting for alone.
type flusher Conn

func (f *flusher) run() { (*Conn)(f).flush() }

// onLoopClosed ends the connection with its loop.
func (c *Conn) onLoopClosed() { c.teardown(ErrLoopClosed) }

// drain begins the orderly end. It does nothing if the end has begun.
func (c *Conn) drain(reason error) {
	if c.state != stateOpen {
		return
	}
	c.state = stateDraining
	c.reason = reason
	c.ended.Store(true)
	c.failSends(reason)
	c.releaseInput()
	c.closeBy = c.loop.clock() + c.end.cfg.CloseTimeout
	c.closeTimer = c.loop.After(c.end.cfg.CloseTimeout, c.checkClose)
	c.flush()
}

// checkClose closes the descriptor when the connection has had its time, or
// earlier when only the peer's end is still to come.
func (c *Conn) checkClose() {
	left := c.closeBy - c.loop.clock()
	if left <= 0 || c.state == stateLingering && c.Unacknowledged() == 0 {
		c.teardown(nil)
		return
	}
	c.closeTimer.Reset(min(left, c.end.cfg.LingerTimeout))
}

// reset ends the connection with a reset.
func (c *Conn) reset(reason error) {
	if c.state != stateClosed {
		// A failure leaves an ordinary close.
		_ = unix.SetsockoptLinger(c.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		c.teardown(reason)
	}
}

// drained goes on after the output is written, in whatever state.
func (c *Conn) drained() {
	switch {
	case c.state == stateDraining && c.peerEOF:
		c.teardown(nil)
	case c.state == stateDraining:
		c.state = stateLingering
		if err := unix.Shutdown(c.fd, unix.SHUT_WR); err != nil {
			c.teardown(err)
			return
		}
		c.closeTimer.Reset(min(c.closeBy-c.loop.clock(), c.end.cfg.LingerTimeout))
		c.read()
	case c.state == stateOpen && c.writeShut:
		c.writeShut, c.writeDone = false, true
		// It fails if the peer is gone, and then the reader will tell, after
		// what came before.
		_ = unix.Shutdown(c.fd, unix.SHUT_WR)
		if c.peerEOF {
			c.teardown(io.EOF)
		}
	}
}

// teardown runs the close hook and closes the descriptor, once. reason counts
// only if the end had not begun for another one.
func (c *Conn) teardown(reason error) {
	if c.state == stateClosed {
		return
	}
	if c.reason == nil {
		c.reason = reason
	}
	c.state = stateClosed
	c.ended.Store(true)
	c.failSends(c.reason)
	c.stopTimers()
	c.hook(func() {
		if c.end.onClose != nil {
			c.end.onClose(c, c.reason)
		}
	})
	c.loop.unregister(c.index)
	c.loop.stats.closed.add(1)
	c.releaseInput()
	c.releaseOutput()
	closeFD(c.fd)
	c.fd = -1
	c.end.onGone(c)
}

func (c *Conn) stopTimers() {
	for _, t := range []*Timer{c.inputTimer, c.stallTimer, c.closeTimer, c.peerTimer} {
		if t != nil {
			t.Stop()
		}
	}
}

// hook runs a hook of the user's. A panic ends this connection alone.
func (c *Conn) hook(f func()) {
	ok := false
	c.loop.protect("connection hook", func() {
		f()
		ok = true
	})
	if !ok && c.state == stateOpen {
		c.reset(ErrPanic)
	}
}

// socketError returns what ended a socket that is over in both directions.
func socketError(fd int) error {
	errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return err
	}
	if errno != 0 {
		return unix.Errno(errno)
	}
	return io.EOF
}

// closeReason returns what an error of a system call means for the connection.
func closeReason(n int, err error) error {
	if err == nil && n == 0 {
		return io.EOF
	}
	return err
}
