package reactor

import (
	"io"

	"golang.org/x/sys/unix"
)

const (
	// readBudget and messageBudget are what one connection gets done in one
	// turn of the loop, in bytes and frames. Then the others have their turn.
	readBudget    = 256 << 10
	messageBudget = 512
)

// read takes input from the kernel and dispatches whole frames, until the
// kernel has no more, the reader is paused, or the budget is used up.
func (c *Conn) read() {
	if c.state == stateLingering || c.state == stateDraining {
		c.discard()
		return
	}
	c.inBatch = true
	budget := &turn{bytes: readBudget, messages: messageBudget}
	if err := c.take(budget); err != nil {
		c.endInput(err)
	}
	c.inBatch = false
	c.flush()
	if budget.spent() && c.mayRead() {
		c.again()
	}
}

// turn is what is left of a connection's budget.
type turn struct{ bytes, messages int }

func (t *turn) spent() bool { return t.bytes <= 0 || t.messages <= 0 }

// again asks the loop for a further turn.
func (c *Conn) again() {
	if !c.queued {
		c.queued = true
		c.loop.ready = append(c.loop.ready, c)
	}
}

// take runs the reader within its budget. An error is the end of the input.
func (c *Conn) take(t *turn) error {
	if err := c.parseHeld(t); err != nil {
		return err
	}
	for c.readable && !c.peerEOF && !t.spent() && c.mayRead() {
		n, err := c.readOnce(t)
		if err == unix.EAGAIN {
			c.readable = false
			return nil
		}
		if err != nil {
			return err
		}
		t.bytes -= n
	}
	return nil
}

// mayRead reports whether frames may be dispatched: not while the output is
// above the high-water mark, nor after PauseReading.
func (c *Conn) mayRead() bool {
	return c.state == stateOpen && !c.ended.Load() && !c.paused && !c.withheld
}

// readOnce reads once and dispatches what came. Input goes straight from the
// loop's buffer to the handlers; only the beginning of a frame whose rest has
// not come is kept, in a buffer that holds the whole frame. The next read goes
// to the loop's buffer all the same and completes it, so that frames that are
// split do not make reads small; the rest of a very long frame is read in place.
func (c *Conn) readOnce(t *turn) (int, error) {
	b := c.loop.readBuf
	inPlace := c.in != nil && c.missing() > len(b)/2
	if inPlace {
		if err := c.makeRoom(c.missing()); err != nil {
			return 0, err
		}
		b = c.in[len(c.in):cap(c.in)]
	}
	n, err := readFD(c.fd, b)
	if n == 0 || err != nil {
		return 0, closeReason(n, err)
	}
	c.loop.stats.bytesIn.add(uint64(n))
	c.lastInput = c.loop.now
	if n < len(b) && !c.hup {
		c.readable = false // the next byte is a new edge
	}
	if inPlace {
		c.in = c.in[:len(c.in)+n]
		return n, c.parseHeld(t)
	}
	rest, err := c.complete(b[:n], t)
	if err != nil {
		return n, err
	}
	if rest, err = c.dispatch(rest, t); err != nil {
		return n, err
	}
	return n, c.hold(rest)
}

// complete gives the frame that is held its rest, the beginning of b, dispatches
// it, and returns what comes after it. If the frame has to wait for its turn, so
// has all of b.
func (c *Conn) complete(b []byte, t *turn) ([]byte, error) {
	for c.in != nil && len(b) > 0 {
		need := len(b)
		if c.holdsHalfFrame() {
			need = c.missing()
		}
		if err := c.makeRoom(need); err != nil {
			return nil, err
		}
		n := min(need, len(b))
		c.in = append(c.in, b[:n]...)
		b = b[n:]
		if err := c.parseHeld(t); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// missing returns how many bytes the frame that is held still needs, or its
// header, if that is not complete; at least one.
func (c *Conn) missing() int {
	have := c.in[c.inStart:]
	need := HeaderSize
	if len(have) >= HeaderSize {
		_, size := header(have)
		need += size
	}
	return max(need-len(have), 1)
}

// makeRoom gives c.in room for n more bytes.
func (c *Conn) makeRoom(n int) error {
	if cap(c.in)-len(c.in) >= n {
		return nil
	}
	c.in, c.inStart = c.in[:copy(c.in, c.in[c.inStart:])], 0
	var err error
	c.in, err = c.end.cfg.Buffers.grow(c.in, n)
	return err
}

// hold keeps input for later.
func (c *Conn) hold(rest []byte) error {
	if len(rest) == 0 || c.ended.Load() {
		return nil
	}
	b, err := c.end.cfg.Buffers.get(len(rest))
	if err != nil {
		return err
	}
	c.in, c.inStart = append(b, rest...), 0
	c.frameBegan()
	return nil
}

// parseHeld dispatches what is held.
func (c *Conn) parseHeld(t *turn) error {
	if c.in == nil {
		return nil
	}
	rest, err := c.dispatch(c.in[c.inStart:], t)
	if c.in == nil {
		return err // a handler ended the connection
	}
	switch start := len(c.in) - len(rest); {
	case len(rest) == 0:
		c.releaseInput()
	case start != c.inStart:
		c.inStart = start
		c.frameBegan()
	}
	return err
}

// dispatch runs the handlers of the whole frames in b and returns the rest.
// A panic in a handler is the end of this connection alone.
func (c *Conn) dispatch(b []byte, t *turn) (rest []byte, err error) {
	var known, unknown uint64
	defer func() {
		c.loop.stats.messagesIn.add(known)
		c.loop.stats.messagesUnknown.add(unknown)
		if p := recover(); p != nil {
			c.loop.reportPanic("message handler", p)
			rest, err = nil, ErrPanic
		}
	}()
	for len(b) >= HeaderSize && t.messages > 0 && c.mayRead() {
		id, size := header(b)
		if size < 0 || size > c.end.cfg.MaxFrame {
			return nil, ErrFrame
		}
		if len(b)-HeaderSize < size {
			break
		}
		end := HeaderSize + size
		t.messages--
		if c.router.dispatch(c, id, b[HeaderSize:end:end]) {
			known++
		} else {
			unknown++
		}
		b = b[end:]
		if c.unsent() >= c.end.cfg.HighWater {
			c.flush()
		}
	}
	if known > 0 && c.unproven && c.end.provenByMessage {
		c.Proven()
	}
	return b, nil
}

// endInput ends the connection, or its input, for the reason that the reader
// met. A peer that has only finished writing still gets what was sent to it.
func (c *Conn) endInput(err error) {
	if err == io.EOF && c.outputErr != nil {
		c.teardown(c.outputErr)
		return
	}
	if err != io.EOF {
		if err == ErrFrame || err == ErrPanic || err == ErrNoBuffers {
			c.drain(err)
			return
		}
		c.teardown(err)
		return
	}
	c.peerEOF = true
	c.readable = false
	if c.end.onEOF != nil && c.state == stateOpen {
		c.hook(func() { c.end.onEOF(c) })
		if c.writeDone {
			c.teardown(io.EOF)
		}
		return
	}
	c.drain(io.EOF)
}

// discard throws input away until the peer's end, after this side has closed.
// While output is being drained the peer's end alone matters: a peer that
// never reads again must not keep its output alive by writing.
func (c *Conn) discard() {
	for range readBudget / readBufferSize {
		if !c.readable || c.peerEOF {
			return
		}
		n, err := readFD(c.fd, c.loop.readBuf)
		switch {
		case err == unix.EAGAIN:
			c.readable = false
		case err != nil:
			c.teardown(err)
			return
		case n == 0:
			c.peerEOF = true
			if c.state == stateLingering {
				c.teardown(nil)
			}
			return
		}
	}
	c.again()
}

func (c *Conn) releaseInput() {
	c.end.cfg.Buffers.put(c.in)
	c.in, c.inStart = nil, 0
}
