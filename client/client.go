package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"lars.internal/larspb"
	"lars.internal/route"
)

const (
	registerTries = 3
	registerPause = 50 * time.Millisecond
)

// Client asks one agent. Safe for concurrent use.
type Client struct {
	// Immutable after New.
	timeout time.Duration
	conns   [ports]*conn
	closing chan struct{} // closed by Close

	lastSeq  atomic.Uint32
	counts   counters
	budgets  budgets // of second tries
	once     sync.Once
	closeErr error // set within once
}

// New returns a client of the agent that cfg names. It opens the sockets but
// sends nothing, so the agent need not run yet. The caller closes the client.
func New(cfg Config) (*Client, error) {
	cfg.setDefaults()
	first, err := cfg.resolve()
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	c := &Client{timeout: cfg.Timeout, closing: make(chan struct{})}
	// A random start keeps late answers to an earlier process, which had the
	// same local port, from matching.
	c.lastSeq.Store(rand.Uint32())
	for i := range c.conns {
		agent := netip.AddrPortFrom(first.Addr(), first.Port()+uint16(i))
		udp, err := dial(agent, agentPorts(first))
		if err != nil {
			c.Close()
			return nil, fmt.Errorf("client: open a socket to the agent at %v: %w", agent, err)
		}
		// Best effort: with the kernel's own limit the client works as well.
		_ = udp.SetReadBuffer(receiveBuffer)
		c.conns[i] = startConn(udp, agent, c)
	}
	return c, nil
}

// Close ends all calls that wait with ErrClosed, closes the sockets and
// returns when no goroutine is left. Later calls of Close do nothing.
func (c *Client) Close() error {
	c.once.Do(func() {
		close(c.closing)
		for _, n := range c.conns {
			if n != nil {
				c.closeErr = errors.Join(c.closeErr, n.close())
			}
		}
	})
	return c.closeErr
}

// Stats returns the counters.
func (c *Client) Stats() Stats { return c.counts.read() }

// Register makes the agent learn the hosts of a service. A program calls it
// once for each service, before the first GetHost. It asks for the route up
// to three times, 50 ms apart, until it is not empty.
//
// It returns ErrNoService if the route stayed empty, and ErrAgent if the last
// try got no answer.
func (c *Client) Register(ctx context.Context, modid, cmdid int32) error {
	key := route.Key{Modid: modid, Cmdid: cmdid}
	for try := 1; ; try++ {
		_, err := c.askRoute(ctx, key)
		if err == nil || errors.Is(err, ErrTruncated) {
			return nil
		}
		again := errors.Is(err, ErrNoService) || errors.Is(err, ErrAgent)
		if !again || try == registerTries {
			return registerError(key, try, err)
		}
		if err := c.pause(ctx, registerPause); err != nil {
			return fmt.Errorf("client: register %v: %w", key, err)
		}
	}
}

func registerError(key route.Key, try int, err error) error {
	hint := ""
	if errors.Is(err, ErrNoService) {
		hint = fmt.Sprintf("; add hosts: lars route add %v IP:PORT", key)
	}
	return fmt.Errorf("client: register %v (try %d of %d): %w%s", key, try, registerTries, err, hint)
}

// pause waits for d, unless ctx or the client ends first.
func (c *Client) pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.closing:
		return ErrClosed
	}
}

// GetHost picks the host to call now, as C++ programs do. The caller reports
// the result of that call with Report. A question that is sent again may count
// as two picks. Pick does the same and tells the agent which pick a result
// belongs to.
//
// It returns ErrNoService, ErrOverload, ErrSystem, ErrAgent, ErrClosed or the
// error of ctx.
func (c *Client) GetHost(ctx context.Context, modid, cmdid int32) (netip.AddrPort, error) {
	p, err := c.pick(ctx, newQuestion(larspb.IDGetHostResponse, route.Key{Modid: modid, Cmdid: cmdid}))
	return p.Addr, err
}

// GetRoute returns all hosts of a service, ejected ones among them.
//
// It returns ErrNoService if the agent knows none, the hosts that fit one
// datagram together with ErrTruncated if there are more, and else ErrAgent,
// ErrClosed or the error of ctx.
func (c *Client) GetRoute(ctx context.Context, modid, cmdid int32) ([]netip.AddrPort, error) {
	key := route.Key{Modid: modid, Cmdid: cmdid}
	addrs, err := c.askRoute(ctx, key)
	if err != nil {
		return addrs, fmt.Errorf("client: get route of %v: %w", key, err)
	}
	return addrs, nil
}

func (c *Client) askRoute(ctx context.Context, key route.Key) ([]netip.AddrPort, error) {
	k := newQuestion(larspb.IDAPIGetRouteResponse, key)
	defer k.release()
	if err := c.ask(ctx, k); err != nil {
		return nil, err
	}
	addrs := c.addresses(k.route.Host)
	switch {
	case len(addrs) == 0:
		return nil, ErrNoService
	case k.route.Truncated:
		return addrs, ErrTruncated
	}
	return addrs, nil
}

// addresses leaves out, and counts, the hosts whose address cannot be called.
func (c *Client) addresses(hosts []*larspb.HostInfo) []netip.AddrPort {
	addrs := make([]netip.AddrPort, 0, len(hosts))
	for _, info := range hosts {
		h, err := route.NewHost(uint32(info.Ip), int64(info.Port))
		if err != nil {
			c.counts.malformed.Add(1)
			continue
		}
		addrs = append(addrs, h.AddrPort())
	}
	return addrs
}
