package reactor

import (
	"net/netip"
	"sync"
)

// admission counts a server's connections and decides which of them may stay.
// The unproven ones have a pool of their own, in which a new connection takes
// the place of the oldest: peers that keep silent, however many, push out each
// other, and no peer that proves itself soon.
type admission struct {
	// Immutable after NewServer; 0 is no limit. See ServerConfig.
	maxConns, maxPerAddr, maxUnproven, maxUnprovenPerAddr int

	pooled bool // connections begin unproven

	mu       sync.Mutex // guards everything below, and Conn.place, older and newer
	proven   int
	unproven int
	oldest   *Conn // of the unproven
	newest   *Conn
	perAddr  map[netip.Addr]addrCount
}

// newAdmission returns the admission of a server without connections.
func newAdmission(cfg *ServerConfig) *admission {
	return &admission{
		maxConns: cfg.MaxConns, maxPerAddr: cfg.MaxPerAddr,
		maxUnproven: cfg.MaxUnproven, maxUnprovenPerAddr: cfg.MaxUnprovenPerAddr,
		pooled:  cfg.MaxUnproven > 0,
		perAddr: make(map[netip.Addr]addrCount),
	}
}

// addrCount is the number of connections of an address.
type addrCount struct{ all, unproven int }

// place is what a connection counts as.
type place uint8

const (
	placeNone place = iota // it was pushed out, or has ended
	placeUnproven
	placeProven
)

// mayEnter reports why a peer may not connect. The acceptor alone lets in, so
// what it says still holds when the connection enters.
func (a *admission) mayEnter(peer netip.Addr) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	count := a.perAddr[network(peer)]
	switch {
	case a.fullLocked():
		return ErrMaxConns
	case a.maxPerAddr > 0 && count.all >= a.maxPerAddr:
		return ErrMaxPerAddr
	case a.maxUnprovenPerAddr > 0 && count.unproven >= a.maxUnprovenPerAddr:
		return ErrMaxPerAddr
	}
	return nil
}

func (a *admission) fullLocked() bool {
	return a.maxConns > 0 && a.proven >= a.maxConns
}

// enter counts a new connection, and returns the one that has to give way to it,
// if any.
func (a *admission) enter(c *Conn) (displaced *Conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.pooled {
		a.proven++
		c.place = placeProven
		a.countLocked(c, 1, 0)
		return nil
	}
	if a.unproven >= a.maxUnproven {
		displaced = a.oldest
		a.leavePoolLocked(displaced, placeNone)
		a.countLocked(displaced, -1, 0)
	}
	a.unproven++
	c.place = placeUnproven
	a.countLocked(c, 1, 1)
	c.older = a.newest
	if c.older != nil {
		c.older.newer = c
	} else {
		a.oldest = c
	}
	a.newest = c
	return displaced
}

// prove moves a connection out of the pool. It fails if there is no place for
// it, or if it has been displaced.
func (a *admission) prove(c *Conn) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case c.place == placeNone:
		return ErrUnproven
	case c.place == placeProven:
		return nil
	case a.fullLocked():
		return ErrMaxConns
	}
	a.leavePoolLocked(c, placeProven)
	a.proven++
	return nil
}

// leave counts a connection that has ended.
func (a *admission) leave(c *Conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch c.place {
	case placeNone:
		return
	case placeUnproven:
		a.leavePoolLocked(c, placeNone)
	case placeProven:
		a.proven--
		c.place = placeNone
	}
	a.countLocked(c, -1, 0)
}

func (a *admission) leavePoolLocked(c *Conn, to place) {
	a.unproven--
	c.place = to
	a.countLocked(c, 0, -1)
	if c.older != nil {
		c.older.newer = c.newer
	} else {
		a.oldest = c.newer
	}
	if c.newer != nil {
		c.newer.older = c.older
	} else {
		a.newest = c.older
	}
	c.older, c.newer = nil, nil
}

// countLocked changes the numbers of a connection's address, if anybody asks
// for them.
func (a *admission) countLocked(c *Conn, all, unproven int) {
	if a.maxPerAddr == 0 && a.maxUnprovenPerAddr == 0 {
		return
	}
	key := network(c.remote.Addr())
	count := a.perAddr[key]
	count.all += all
	count.unproven += unproven
	if count == (addrCount{}) {
		delete(a.perAddr, key)
		return
	}
	a.perAddr[key] = count
}

// unprovenNow returns the number of connections in the pool.
func (a *admission) unprovenNow() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.unproven
}

// network returns what counts as one address: an IPv6 host has a /64 of them.
func network(addr netip.Addr) netip.Addr {
	if addr.Is4() {
		return addr
	}
	if p, err := addr.Prefix(64); err == nil {
		return p.Addr()
	}
	return addr
}
