package reactor

import "time"

// Deadlines for what the peer sends share one timer: the peer is idle, half a
// frame does not become a whole one, an unproven peer does not prove itself. The
// timer runs at the earliest of them and looks at what has come meanwhile, so
// input costs no timer.

// listen begins the peer's deadlines anew, after a time in which this side did
// not read.
func (c *Conn) listen() { c.lastInput, c.frameSince = c.loop.now, c.loop.now }

// checkInput ends the connection if a deadline has passed, and comes back at the
// next one.
func (c *Conn) checkInput() {
	if c.state != stateOpen {
		return
	}
	at, reason := c.inputDeadline()
	switch {
	case reason == nil:
	case at > c.loop.clock():
		c.watchInput(at)
	case reason == ErrUnproven:
		c.reset(reason) // its place is wanted, and it was promised nothing
	default:
		c.drain(reason)
	}
}

// inputDeadline returns the earliest deadline and what its end means. A peer
// that is not read has all its time before it.
func (c *Conn) inputDeadline() (at time.Duration, reason error) {
	input, frame := c.lastInput, c.frameSince
	if c.paused || c.withheld {
		input = c.loop.clock()
		frame = input
	}
	consider := func(since, limit time.Duration, why error) {
		if limit > 0 && (reason == nil || since+limit < at) {
			at, reason = since+limit, why
		}
	}
	consider(input, c.end.cfg.IdleTimeout, ErrIdle)
	if c.holdsHalfFrame() {
		consider(frame, c.end.cfg.FrameTimeout, ErrSlowFrame)
	}
	if c.unproven {
		consider(c.started, c.end.unprovenTimeout, ErrUnproven)
	}
	return at, reason
}

// watchInput makes the timer run at a time, or earlier.
func (c *Conn) watchInput(at time.Duration) {
	switch {
	case c.inputTimer == nil:
		c.inputTimer = c.loop.After(at-c.loop.clock(), c.checkInput)
	case c.inputTimer.index < 0 || c.inputTimer.at > at:
		c.inputTimer.Reset(at - c.loop.clock())
	}
}

// frameBegan starts the deadline of the frame that is now the first of in.
func (c *Conn) frameBegan() {
	c.frameSince = c.loop.now
	if limit := c.end.cfg.FrameTimeout; limit > 0 {
		c.watchInput(c.frameSince + limit)
	}
}

// holdsHalfFrame reports whether the first frame of in is not complete, so that
// the connection waits for the peer and not for its turn.
func (c *Conn) holdsHalfFrame() bool {
	have := c.in[c.inStart:]
	if len(have) < HeaderSize {
		return len(have) > 0
	}
	_, size := header(have)
	return len(have) < HeaderSize+size
}
