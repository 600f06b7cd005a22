package keys

import (
	"cmp"
	"net/netip"
	"time"

	"lars.internal/access"
	"lars.internal/internal/config"
	"lars.internal/reactor"
)

// Defaults of the limits that only a configured server has: a program that
// embeds one sets its own.
const (
	maxPerAddress         = 256
	maxUnprovenPerAddress = 64
	frameTimeout          = 30 * time.Second
	keepAlive             = 5 * time.Second
	peerTimeout           = 8 * time.Second
)

// bindReactor declares the section [reactor] with defaults d.
func bindReactor(s *config.Set, c *reactor.ServerConfig, d reactor.ServerConfig) {
	s.Int(&c.MaxConns, "reactor", "maxConn", d.MaxConns, config.Between(1, 1_000_000), "connections at most")
	s.Int(&c.Loops, "reactor", "threadNum", d.Loops, config.Between(1, 256), "event loops that serve connections")
	bindAddr(s, &c.Addr, d.Addr)
	bindPlaces(s, c)
	bindDeadlines(s, c)
}

// bindPlaces declares what bounds connections beside maxConn.
func bindPlaces(s *config.Set, c *reactor.ServerConfig) {
	s.Int(&c.MaxPerAddr, "reactor", "max_per_address", maxPerAddress, config.Between(0, 1_000_000),
		"connections of one address at most, 0: no limit")
	var unproven int
	s.Int(&unproven, "reactor", "max_unproven", 0, config.Between(0, 1_000_000),
		"further connections that have not proven themselves, 0: as many as maxConn")
	s.Int(&c.MaxUnprovenPerAddr, "reactor", "max_unproven_per_address", maxUnprovenPerAddress, config.Between(0, 1_000_000),
		"unproven connections of one address at most, 0: no limit")
	join := func() { c.MaxUnproven = cmp.Or(unproven, c.MaxConns) }
	join()
	s.AfterLoad(join)
}

// bindDeadlines declares how long a peer may keep silent.
func bindDeadlines(s *config.Set, c *reactor.ServerConfig) {
	const day = 24 * time.Hour
	s.Duration(&c.UnprovenTimeout, "reactor", "unproven_timeout", 0, config.Between(0, day),
		"time to the first message of a connection, 0: no limit")
	s.Duration(&c.Conn.IdleTimeout, "reactor", "idle_timeout", 0, config.Between(0, day),
		"time between two messages of a connection, 0: no limit")
	s.Duration(&c.Conn.FrameTimeout, "reactor", "frame_timeout", frameTimeout, config.Between(time.Second, day),
		"time that a message may take to arrive")
	s.Duration(&c.Conn.KeepAlive, "reactor", "keep_alive", keepAlive, config.Between(time.Second, day),
		"silence after which the kernel asks for the peer's machine")
	s.Duration(&c.Conn.PeerTimeout, "reactor", "peer_timeout", peerTimeout, config.Between(time.Second, day),
		"time for which a peer's machine may leave output unacknowledged")
}

// Handover declares where a server offers its listening socket to the process that
// replaces it.
func Handover(s *config.Set) *string {
	path := new(string)
	s.String(path, "reactor", "handover", "", "Unix socket at which a new process takes over the listening socket; empty: none")
	return path
}

// bindAddr declares the two keys of the address to listen on.
func bindAddr(s *config.Set, addr *netip.AddrPort, d netip.AddrPort) {
	var ip netip.Addr
	var port int
	s.Addr(&ip, "reactor", "ip", d.Addr(), "address to listen on")
	s.Int(&port, "reactor", "port", int(d.Port()), config.Between(0, 65535), "port to listen on, 0 takes a free one")
	join := func() { *addr = netip.AddrPortFrom(ip, uint16(port)) }
	join()
	s.AfterLoad(join)
}

// bindAccess declares the section [access].
func bindAccess(s *config.Set, c *access.Config) {
	s.Prefixes(&c.Allow, "access", "allow", nil, "networks that may connect; empty: all")
	s.Secret((*config.Secret)(&c.Secret), "access", "secret", "what a peer has to know, at least 16 bytes; empty: nothing")
	legacy := true
	s.Bool(&legacy, "access", "legacy_proof", legacy, "take the proofs of older agents, with a warning")
	s.AfterLoad(func() { c.RefuseLegacy = !legacy })
}
