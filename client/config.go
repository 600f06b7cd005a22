package client

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"time"
)

const (
	// DefaultAgent is where the agent of a machine listens unless told
	// otherwise.
	DefaultAgent = "127.0.0.1:8888"

	// DefaultTimeout is some hundred times what an agent on the same machine
	// needs to answer.
	DefaultTimeout = 100 * time.Millisecond

	// ports is the number of UDP ports of an agent, in a row.
	ports = 3
)

// Config says where the agent is. The zero value is an agent on this machine.
type Config struct {
	// Agent is the agent's address and the first of its three UDP ports,
	// which are consecutive: "127.0.0.1:8888", the default. A host name is
	// resolved once, by New. No host, or 0.0.0.0, means this machine.
	Agent string

	// Timeout is the longest time that one question to the agent may take,
	// 100 ms by default; a context with an earlier deadline shortens it. A
	// question without an answer is sent once more at half of the time.
	// Lower: a lost agent is noticed sooner, and a busy machine takes a slow
	// agent for a lost one. Higher: the reverse.
	Timeout time.Duration
}

func (c *Config) setDefaults() {
	c.Agent = cmp.Or(c.Agent, DefaultAgent)
	c.Timeout = cmp.Or(c.Timeout, DefaultTimeout)
}

// resolve validates c and returns the address of the agent's first port.
func (c *Config) resolve() (netip.AddrPort, error) {
	if c.Timeout < 0 {
		return netip.AddrPort{}, fmt.Errorf("timeout %v: want a positive duration", c.Timeout)
	}
	udp, err := net.ResolveUDPAddr("udp4", c.Agent)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("agent address %q: want IPv4:PORT, for example %s: %w", c.Agent, DefaultAgent, err)
	}
	if udp.Port < 1 || udp.Port > 65535-ports+1 {
		return netip.AddrPort{}, fmt.Errorf("agent address %q: want a port in 1..%d, the first of %d", c.Agent, 65535-ports+1, ports)
	}
	ip := udp.AddrPort().Addr().Unmap()
	if !ip.IsValid() || ip.IsUnspecified() {
		ip = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return netip.AddrPortFrom(ip, uint16(udp.Port)), nil
}

// portOf returns which of the agent's ports a service goes to, 0 to 2. The
// sum has 64 bits, so no pair overflows.
func portOf(modid, cmdid int32) int {
	return int(((int64(modid)+int64(cmdid))%ports + ports) % ports)
}
