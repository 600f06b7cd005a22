package reactor

import "golang.org/x/sys/unix"

const (
	// writeBudget is what one connection writes in one turn of the loop, in
	// bytes; each write costs writeCost of it. Then the others have their turn:
	// a peer that reads as fast as others send to it never blocks.
	writeBudget = 1 << 20
	writeCost   = 4 << 10
)

// maxOutHint bounds what a connection borrows for output in one go, in bytes.
const maxOutHint = 64 << 10

// Send sends a message. The frame is appended to the output, which is written
// when the present batch of input is done, or soon when the call comes from
// elsewhere. It never blocks; the body may be reused when it returns. It
// fails with ErrTooLong, ErrOutputFull, ErrNoBuffers, or the reason for which
// the connection has ended.
func (c *Conn) Send(id int32, body []byte) error {
	if len(body) > c.end.cfg.MaxFrame {
		return ErrTooLong
	}
	wake, err := c.enqueue(id, body)
	if wake {
		c.loop.wake()
	}
	return err
}

// enqueue appends the frame and reports whether the loop has to be woken.
func (c *Conn) enqueue(id int32, body []byte) (wake bool, err error) {
	size := HeaderSize + len(body)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sendErr != nil {
		return false, c.sendErr
	}
	pending := c.Pending() + size
	if pending > c.end.cfg.HardCap {
		return false, ErrOutputFull
	}
	out, err := c.end.cfg.Buffers.grow(c.out, size)
	if err != nil {
		return false, err
	}
	c.out = out
	c.hasOut.Store(true) // before the flush is asked for: it may run at once and then waits for mu
	// While the kernel takes nothing no flush comes, and yet the loop has to
	// learn that the high-water mark is reached.
	high := c.end.cfg.HighWater
	if !c.scheduled || pending >= high && pending-size < high {
		if err := c.loop.enqueue((*flusher)(c)); err != nil {
			return false, err
		}
		c.scheduled, wake = true, true
	}
	c.out = appendFrame(c.out, id, body)
	c.pending.Add(int64(size))
	return wake, nil
}

// Reply is Send for handlers, hooks and whatever else runs on the
// connection's loop: it takes no lock, so answering many small messages costs
// less. Replies and what the same goroutine sends keep their order.
func (c *Conn) Reply(id int32, body []byte) error {
	size := HeaderSize + len(body)
	if c.sealed.Load() || c.hasOut.Load() || len(body) > c.end.cfg.MaxFrame {
		return c.Send(id, body) // fails, or follows what was sent before
	}
	if c.unsent()+size > c.end.cfg.HardCap {
		return ErrOutputFull
	}
	if cap(c.writing)-len(c.writing) < size {
		if err := c.makeOutputRoom(size); err != nil {
			return err
		}
	}
	if c.written == len(c.writing) {
		c.lastOutput = c.loop.now
	}
	c.writing = appendFrame(c.writing, id, body)
	c.replied += size
	if !c.inBatch {
		c.again()
	}
	return nil
}

// makeOutputRoom gives writing room for n more bytes than it has.
func (c *Conn) makeOutputRoom(n int) error {
	if c.writing == nil {
		n = max(n, c.outHint)
	}
	if c.written > len(c.writing)/2 {
		c.writing = c.writing[:copy(c.writing, c.writing[c.written:])]
		c.frameEnd -= c.written
		c.written = 0
	}
	var err error
	c.writing, err = c.end.cfg.Buffers.grow(c.writing, n)
	return err
}

// Pending returns the number of bytes that were sent and not yet written.
// Replies of the batch that is being handled are not in it yet.
func (c *Conn) Pending() int { return int(c.pending.Load()) }

// Unacknowledged returns how many of the bytes that were written the peer's
// kernel has not acknowledged yet. 0 with Pending 0 means that all of them have
// arrived at its machine, which is not to say that its process has read them.
// It may be asked for up to the close hook, and is 0 after it. Call it on the
// loop only.
func (c *Conn) Unacknowledged() int {
	n, err := unix.IoctlGetInt(c.fd, unix.SIOCOUTQ)
	if err != nil {
		return 0 // the descriptor is closed
	}
	return n
}

// unsent is Pending with those replies, for the loop.
func (c *Conn) unsent() int { return c.Pending() + c.replied }

// flush writes output until there is no more, the kernel takes no more, or the
// budget is used up.
func (c *Conn) flush() {
	c.pending.Add(int64(c.replied))
	c.replied = 0
	if c.state == stateLingering || c.state == stateClosed {
		return
	}
	if c.blocked {
		c.watchWater() // there may be more output than when it blocked
		return
	}
	for left := writeBudget; c.nextOutput(); {
		if left <= 0 {
			c.watchWater()
			c.again()
			return
		}
		n, err := writeFD(c.fd, c.chunk())
		if err == unix.EAGAIN {
			c.waitForRoom()
			c.watchWater()
			return
		}
		if err != nil {
			c.outputFailed(err)
			return
		}
		c.wrote(n)
		left -= n + writeCost
	}
	c.watchWater()
	c.drained()
}

// nextOutput makes writing hold output that is still to be written: what it
// holds, then what was sent from elsewhere.
func (c *Conn) nextOutput() bool {
	if c.written < len(c.writing) {
		return true
	}
	c.written, c.frameEnd = 0, 0
	if len(c.writing) > 0 {
		c.outHint = min(len(c.writing), maxOutHint)
	}
	if !c.hasOut.Load() {
		c.end.cfg.Buffers.put(c.writing)
		c.writing = nil
		return false
	}
	c.lastOutput = c.loop.now
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end.cfg.Buffers.put(c.writing)
	c.writing, c.out = c.out, nil
	c.hasOut.Store(false)
	c.scheduled = false
	return true
}

// chunk is what the next write offers to the kernel.
func (c *Conn) chunk() []byte {
	b := c.writing[c.written:]
	if !c.end.cfg.SingleFrameWrites {
		return b
	}
	if c.frameEnd == c.written {
		_, size := header(b)
		c.frameEnd += HeaderSize + size
	}
	return b[:c.frameEnd-c.written]
}

func (c *Conn) wrote(n int) {
	c.written += n
	c.loop.stats.bytesOut.add(uint64(n))
	c.lastOutput = c.loop.now
	c.pending.Add(int64(-n))
	if c.peerTimer == nil || c.peerTimer.index < 0 {
		c.watchPeer()
	}
}

// waitForRoom waits for the edge that says the kernel takes output again.
func (c *Conn) waitForRoom() {
	c.blocked = true
	c.watchStall()
}

// watchWater stops the reader above the high-water mark and lets it go on
// below the low one.
func (c *Conn) watchWater() {
	pending := c.Pending()
	switch {
	case !c.paused && pending >= c.end.cfg.HighWater:
		c.paused = true
		c.tellWater()
	case c.paused && pending <= c.end.cfg.LowWater:
		c.paused = false
		c.listen()
		c.tellWater()
		c.again() // there may be frames that are held, or input in the kernel
	}
}

func (c *Conn) tellWater() {
	if c.end.onWater != nil && c.state == stateOpen {
		c.hook(func() { c.end.onWater(c, c.paused) })
	}
}

// outputFailed drops the output: the peer is gone and takes nothing more.
// What it sent before is still read, up to its end.
func (c *Conn) outputFailed(err error) {
	c.releaseOutput()
	c.failSends(err)
	if c.state != stateOpen || c.peerEOF {
		c.teardown(err)
		return
	}
	c.outputErr = err
	c.paused = false
	c.readable, c.hup = true, true
	c.again()
}

// watchStall makes sure that a timer looks at the output.
func (c *Conn) watchStall() {
	stall := c.end.cfg.StallTimeout
	if stall < 0 {
		return
	}
	if c.stallTimer == nil {
		c.stallTimer = c.loop.After(stall, c.checkStall)
	} else if c.stallTimer.index < 0 {
		c.stallTimer.Reset(stall)
	}
}

// checkStall runs when the output may have stalled for long enough, and comes
// back when it cannot have.
func (c *Conn) checkStall() {
	if !c.blocked {
		return
	}
	if left := c.lastOutput + c.end.cfg.StallTimeout - c.loop.clock(); left > 0 {
		c.stallTimer.Reset(left)
		return
	}
	c.reset(ErrStalled)
}

func (c *Conn) releaseOutput() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end.cfg.Buffers.put(c.writing)
	c.end.cfg.Buffers.put(c.out)
	c.writing, c.out = nil, nil
	c.written = 0
	c.pending.Store(0)
	c.hasOut.Store(false)
	c.replied = 0
	c.frameEnd = 0
}
