package larspb

import (
	"encoding/binary"
	"net/netip"
)

// AddrOf returns the IPv4 address that a message carries as a host-order
// integer: 192.168.1.113 is 0xC0A80171, a negative int32.
func AddrOf(ip int32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(ip))
	return netip.AddrFrom4(b)
}

// IPOf is the inverse of AddrOf. An address that is not IPv4 is 0.
func IPOf(a netip.Addr) int32 {
	a = a.Unmap()
	if !a.Is4() {
		return 0
	}
	b := a.As4()
	return int32(binary.BigEndian.Uint32(b[:]))
}

// AddrPort returns the address of a host. A port outside 0..65535 gives the
// zero AddrPort, which is not valid.
func (h *HostInfo) AddrPort() netip.AddrPort {
	if h.GetPort() < 0 || h.GetPort() > 65535 {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(AddrOf(h.GetIp()), uint16(h.GetPort()))
}

// NewHostInfo is the inverse of AddrPort.
func NewHostInfo(ap netip.AddrPort) *HostInfo {
	return &HostInfo{Ip: IPOf(ap.Addr()), Port: int32(ap.Port())}
}
