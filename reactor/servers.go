package reactor

import (
	"context"
	"fmt"
	"net/netip"
	"time"
)

// findServers begins a round over all servers, which are looked up first.
func (c *Client) findServers() {
	if c.cfg.Resolve == nil {
		c.choice.begin(c.cfg.Addrs)
		c.connect()
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.cfg.ResolveTimeout)
	c.lookup = cancel
	go func() { // ended by cancel, which stop calls; Run waits for the outcome
		defer cancel()
		addrs, err := c.cfg.Resolve(ctx)
		if err == nil && len(addrs) == 0 {
			err = fmt.Errorf("reactor: client: Resolve returned no server")
		}
		c.loop.Post(func() { c.found(addrs, err) }) // a loop that has ended connects nowhere
	}()
}

// found takes the outcome of Resolve.
func (c *Client) found(addrs []netip.AddrPort, err error) {
	c.lookup = nil
	switch {
	case c.stopping:
		close(c.gone)
		return
	case err != nil && len(c.choice.known) == 0:
		c.failed(netip.AddrPort{}, err)
		return
	case err != nil:
		c.tell(netip.AddrPort{}, err)
		addrs = c.choice.known
	}
	c.choice.begin(addrs)
	c.connect()
}

// planReturn sets the time of the return to the preferred server, if another
// one is in use.
func (c *Client) planReturn(addr netip.AddrPort) {
	if addr == c.choice.preferred {
		return
	}
	span := c.cfg.ReturnMax - c.cfg.ReturnMin
	wait := c.cfg.ReturnMin + time.Duration(float64(span)*c.cfg.Random())
	c.back = c.loop.After(wait, func() { c.tryPreferred(addr) })
}

// cancelReturn takes back what planReturn set.
func (c *Client) cancelReturn() {
	if c.back != nil {
		c.back.Stop()
		c.back = nil
	}
	if c.probe != nil {
		c.probe.abandon()
		c.probe = nil
	}
}

// tryPreferred connects to the preferred server beside the connection in use,
// to addr, and goes back to it if it can be reached.
func (c *Client) tryPreferred(addr netip.AddrPort) {
	d, err := startDial(c.loop, c.choice.preferred, c.cfg.ConnectTimeout, nil, func(d *dial, _ uint32, err error) {
		c.probe = nil
		if err != nil {
			c.planReturn(addr)
			return
		}
		d.abandon() // it has answered the question
		c.goBack()
	})
	if err != nil {
		c.planReturn(addr)
		return
	}
	c.probe = d
}

// goBack ends the connection in use in order; the next one is to the preferred
// server.
func (c *Client) goBack() {
	if conn := c.conn.Load(); conn != nil {
		conn.drain(ErrReturn)
	}
}
