package keys

import (
	"net/netip"

	"lars.internal/access"
	"lars.internal/internal/config"
	"lars.internal/reactor"
)

// bindReactor declares the section [reactor] with defaults d.
func bindReactor(s *config.Set, c *reactor.ServerConfig, d reactor.ServerConfig) {
	s.Int(&c.MaxConns, "reactor", "maxConn", d.MaxConns, config.Between(1, 1_000_000), "connections at most")
	s.Int(&c.Loops, "reactor", "threadNum", d.Loops, config.Between(1, 256), "event loops that serve connections")
	bindAddr(s, &c.Addr, d.Addr)
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
	s.Secret((*config.Secret)(&c.Secret), "access", "secret", "what a peer has to know; empty: nothing")
}
