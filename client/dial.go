package client

import (
	"errors"
	"net"
	"net/netip"
)

// dialTries is far above what chance needs: with three ports to avoid among
// some ten thousand, one second try is rare already.
const dialTries = 16

// dial returns a socket connected to the agent whose local address is not
// reserved. It keeps unsuitable ones open until the end, so that the kernel
// does not offer them again.
func dial(agent netip.AddrPort, reserved func(local netip.AddrPort) bool) (*net.UDPConn, error) {
	var refused []*net.UDPConn
	defer func() {
		for _, udp := range refused {
			udp.Close()
		}
	}()
	for range dialTries {
		udp, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(agent))
		if err != nil {
			return nil, err
		}
		if !reserved(udp.LocalAddr().(*net.UDPAddr).AddrPort()) {
			return udp, nil
		}
		refused = append(refused, udp)
	}
	return nil, errors.New("no local port outside the agent's own")
}

// agentPorts returns a test for the addresses of the agent itself. While no
// agent runs the kernel may give one of them to a client, which would then
// talk to itself and keep the agent from starting.
func agentPorts(first netip.AddrPort) func(netip.AddrPort) bool {
	return func(local netip.AddrPort) bool {
		offset := int(local.Port()) - int(first.Port())
		return local.Addr().Unmap() == first.Addr() && offset >= 0 && offset < ports
	}
}
