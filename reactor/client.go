package reactor

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"time"
)

// ClientConfig describes a TCP client. Router must be set, and Addrs or Resolve.
type ClientConfig struct {
	// Addrs are the servers. One connection is in use at a time. A client
	// begins with one of them drawn at random, so that a fleet of clients
	// spreads over all. When it cannot connect or the connection ends, the
	// others have their turn, in a random order.
	Addrs []netip.AddrPort

	// Resolve returns the servers instead of Addrs, at least one. It is called
	// before each round over all of them, in a goroutine of its own; it must
	// return when its context is done.
	// When it fails, the servers that it last returned are tried again.
	// ResolveNames makes one for host names.
	Resolve func(context.Context) ([]netip.AddrPort, error)

	// ReturnMin and ReturnMax bound the time, drawn at random, after which a
	// client that had to leave the server it began with tries whether that one
	// can be reached again. If so, it closes the connection in use and goes
	// back. Shorter: balance is restored sooner. Longer: a server that comes
	// and goes disturbs less. Defaults 2 min and 10 min.
	ReturnMin, ReturnMax time.Duration

	// Router gets the messages.
	Router *Router[*Conn]

	// OnStart runs at the first connection and at each one after it, before
	// the first message; OnClose once when a connection ends, with the reason.
	// Both run on the client's loop.
	OnStart func(*Conn)
	OnClose func(*Conn, error)

	// OnDialFailed runs when a connection could not be made. The address is
	// not valid if Resolve failed.
	OnDialFailed func(addr netip.AddrPort, err error)

	// ConnectTimeout is how long one attempt may take. Default 3 s.
	ConnectTimeout time.Duration

	// ResolveTimeout is how long one call of Resolve may take. Default 10 s.
	ResolveTimeout time.Duration

	// BackoffMin and BackoffMax bound the pause before the next attempt. It
	// doubles each time all addresses have failed, and a random part of up to
	// half is taken off, from the first retry on, so that clients that lost
	// the same server do not come back all at once. Shorter finds a server
	// that is back sooner and costs it more. Defaults 0.5 s and 30 s.
	BackoffMin, BackoffMax time.Duration

	// Random returns a number in [0, 1) for pauses and the choice of servers.
	// Default: math/rand/v2.
	Random func() float64

	// DrainTimeout is how long the connection may take to end after Run's
	// context is done. Default 5 s.
	DrainTimeout time.Duration

	// Loop to live on, run by somebody else. Default: one of the client's own.
	Loop *Loop

	// Conn are the limits of the connection.
	Conn ConnConfig

	// Log gets panics of handlers. Default: discarded.
	Log *slog.Logger
}

// Client keeps one connection to one of several servers, for ever. Send,
// Conn, Loop and Run are safe from any goroutine.
//
// A new connection starts clean: what was sent on the old one and not yet
// written is dropped with it, always in complete messages. A program that needs more sends
// again from OnStart.
type Client struct {
	// Immutable after NewClient.
	cfg  ClientConfig
	end  *endpoint
	loop *Loop
	gone chan struct{} // closed when stopping and the last connection is gone

	conn atomic.Pointer[Conn] // nil while not connected

	// Owned by the loop goroutine.
	choice   choice
	failures int // attempts in a row that led to no lasting connection
	since    time.Duration
	dial     *dial
	retry    *Timer
	back     *Timer             // tries the preferred server while another one is in use
	probe    *dial              // the attempt of back
	lookup   context.CancelFunc // not nil: Resolve runs
	stopping bool
}

// NewClient returns a client that does not connect yet.
func NewClient(cfg ClientConfig) (*Client, error) {
	if cfg.Router == nil {
		return nil, fmt.Errorf("reactor: client of %v: no Router", cfg.Addrs)
	}
	if len(cfg.Addrs) == 0 && cfg.Resolve == nil {
		return nil, fmt.Errorf("reactor: client: no address to connect to")
	}
	for _, a := range cfg.Addrs {
		if !a.IsValid() {
			return nil, fmt.Errorf("reactor: client of %v: not every address is valid", cfg.Addrs)
		}
	}
	cfg.ConnectTimeout = cmp.Or(cfg.ConnectTimeout, 3*time.Second)
	cfg.ResolveTimeout = cmp.Or(cfg.ResolveTimeout, 10*time.Second)
	cfg.BackoffMin = cmp.Or(cfg.BackoffMin, 500*time.Millisecond)
	cfg.BackoffMax = cmp.Or(cfg.BackoffMax, 30*time.Second)
	cfg.DrainTimeout = cmp.Or(cfg.DrainTimeout, 5*time.Second)
	cfg.ReturnMin = cmp.Or(cfg.ReturnMin, 2*time.Minute)
	cfg.ReturnMax = cmp.Or(cfg.ReturnMax, max(10*time.Minute, cfg.ReturnMin))
	if cfg.ReturnMin < 0 || cfg.ReturnMin > cfg.ReturnMax {
		return nil, fmt.Errorf("reactor: client of %v: return after %v to %v: want 0 < min <= max", cfg.Addrs, cfg.ReturnMin, cfg.ReturnMax)
	}
	if cfg.BackoffMin < 0 || cfg.BackoffMin > cfg.BackoffMax {
		return nil, fmt.Errorf("reactor: client of %v: back-off from %v to %v: want 0 < min <= max", cfg.Addrs, cfg.BackoffMin, cfg.BackoffMax)
	}
	cfg.Conn.setDefaults()
	if err := cfg.Conn.validate(); err != nil {
		return nil, err
	}
	if cfg.Random == nil {
		cfg.Random = rand.Float64
	}
	c := &Client{cfg: cfg, loop: cfg.Loop, gone: make(chan struct{}), choice: choice{random: cfg.Random}}
	if c.loop == nil {
		c.loop = NewLoop(cfg.Log)
	}
	if len(cfg.Addrs) > 0 {
		c.choice.know(cfg.Addrs)
	}
	c.end = &endpoint{cfg: cfg.Conn, router: cfg.Router, log: cfg.Log, onStart: c.started, onClose: c.closed, onGone: c.ended}
	return c, nil
}

// Loop returns the loop that the client lives on.
func (c *Client) Loop() *Loop { return c.loop }

// Conn returns the connection in use, nil if there is none.
func (c *Client) Conn() *Conn { return c.conn.Load() }

// Servers returns how many servers there are to choose from, as far as is known.
// Call it on the loop only.
func (c *Client) Servers() int { return len(c.choice.known) }

// Send sends a message on the connection in use. Without one it fails with
// ErrNotConnected; otherwise as Conn.Send does.
func (c *Client) Send(id int32, body []byte) error {
	conn := c.conn.Load()
	if conn == nil {
		return ErrNotConnected
	}
	return conn.Send(id, body)
}

// Run connects, and connects again whenever the connection ends, until ctx is
// done. Then the connection drains for DrainTimeout, and Run returns when
// nothing of the client is left. It may be called once.
func (c *Client) Run(ctx context.Context) error {
	if c.cfg.Loop != nil {
		return c.runOn(ctx)
	}
	loopCtx, stop := context.WithCancel(context.Background())
	defer stop()
	result := make(chan error, 1)
	go func() { result <- c.loop.Run(loopCtx) }() // stopped and awaited below
	c.loop.Post(c.connect)
	select {
	case <-ctx.Done():
		c.drain()
	case <-c.loop.Done():
	}
	stop()
	return <-result
}

// runOn is Run for a loop that somebody else runs.
func (c *Client) runOn(ctx context.Context) error {
	if err := c.loop.Post(c.connect); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		c.drain()
		return nil
	case <-c.loop.Done():
		return ErrLoopClosed
	}
}

// drain ends the client in order and waits for it, up to DrainTimeout.
func (c *Client) drain() {
	if c.loop.Post(c.stop) != nil {
		return
	}
	late := time.NewTimer(c.cfg.DrainTimeout)
	defer late.Stop()
	select {
	case <-c.gone:
	case <-c.loop.Done():
	case <-late.C:
		c.loop.Post(func() {
			if conn := c.conn.Load(); conn != nil {
				conn.reset(ErrClosed)
			}
		})
		select {
		case <-c.gone:
		case <-c.loop.Done():
		}
	}
}

// stop ends what is going on: an attempt, a pause or a connection.
func (c *Client) stop() {
	c.stopping = true
	if c.retry != nil {
		c.retry.Stop()
	}
	if c.dial != nil {
		c.dial.abandon()
	}
	c.cancelReturn()
	conn := c.conn.Load()
	switch {
	case conn != nil:
		conn.drain(ErrClosed)
	case c.lookup != nil:
		c.lookup() // its outcome is awaited
	default:
		close(c.gone)
	}
}

// connect begins an attempt at the next address of the round, or a round.
func (c *Client) connect() {
	if c.stopping {
		return
	}
	addr, ok := c.choice.next()
	if !ok {
		c.findServers()
		return
	}
	d, err := startDial(c.loop, addr, c.cfg.ConnectTimeout, nil, c.dialed)
	if err != nil {
		c.failed(addr, err)
		return
	}
	c.dial = d
}

// dialed takes the outcome of an attempt.
func (c *Client) dialed(d *dial, events uint32, err error) {
	c.dial = nil
	if err != nil {
		c.failed(d.addr, err)
		return
	}
	conn := newConn(c.loop, c.end, d.fd, d.addr)
	c.since = c.loop.clock()
	c.conn.Store(conn)
	c.planReturn(d.addr)
	conn.start(d.index)
	if conn.state == stateOpen {
		conn.onReady(events)
	}
}

func (c *Client) failed(addr netip.AddrPort, err error) {
	c.tell(addr, err)
	c.pause()
}

// tell runs the hook for an attempt that failed.
func (c *Client) tell(addr netip.AddrPort, err error) {
	if f := c.cfg.OnDialFailed; f != nil {
		c.loop.protect("dial hook", func() { f(addr, err) })
	}
}

// pause waits before the next attempt.
func (c *Client) pause() { c.retry = c.loop.After(c.backoff(), c.connect) }

// backoff counts a failure and returns how long to wait after it.
func (c *Client) backoff() time.Duration {
	rounds := c.failures / max(len(c.choice.known), 1)
	c.failures++
	wait := c.cfg.BackoffMax
	if rounds < 16 && c.cfg.BackoffMin<<rounds < wait {
		wait = c.cfg.BackoffMin << rounds
	}
	return wait - time.Duration(float64(wait)/2*c.cfg.Random())
}

func (c *Client) started(conn *Conn) {
	if c.cfg.OnStart != nil {
		c.cfg.OnStart(conn)
	}
}

func (c *Client) closed(conn *Conn, reason error) {
	c.conn.Store(nil)
	if c.cfg.OnClose != nil {
		c.cfg.OnClose(conn, reason)
	}
}

// ended goes on after a connection: with the next attempt, or the end. A
// connection that lasted starts the back-off anew.
func (c *Client) ended(conn *Conn) {
	c.conn.Store(nil)
	c.cancelReturn()
	c.choice.end(conn.RemoteAddr())
	if c.stopping {
		close(c.gone)
		return
	}
	if c.loop.clock()-c.since >= c.cfg.BackoffMin {
		c.failures = 0
	}
	c.pause()
}
