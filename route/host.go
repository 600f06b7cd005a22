package route

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
)

// Host is the address of one host of a service: IPv4 as a host-order integer,
// as tables and messages carry it, and the port. The zero Host is no address.
type Host struct {
	IP   uint32
	Port uint16
}

// NewHost returns the host with these numbers, as a table or a message holds
// them. It fails for an address or a port that cannot be called.
func NewHost(ip uint32, port int64) (Host, error) {
	if ip == 0 {
		return Host{}, fmt.Errorf("host 0.0.0.0:%d: the address is zero", port)
	}
	if port < 1 || port > 65535 {
		return Host{}, fmt.Errorf("host %v:%d: the port is outside 1..65535", addr(ip), port)
	}
	return Host{ip, uint16(port)}, nil
}

// HostOf returns the host at an address. It fails for an address that is not
// IPv4, and as NewHost does.
func HostOf(ap netip.AddrPort) (Host, error) {
	a := ap.Addr().Unmap()
	if !a.Is4() {
		return Host{}, fmt.Errorf("host %v: not an IPv4 address", ap)
	}
	b := a.As4()
	return NewHost(binary.BigEndian.Uint32(b[:]), int64(ap.Port()))
}

// ParseHost reads a host as people write it: "192.168.1.113:7777".
func ParseHost(s string) (Host, error) {
	ap, err := netip.ParseAddrPort(s)
	if err != nil {
		return Host{}, fmt.Errorf("host %q: want IPv4:PORT, for example 192.168.1.113:7777", s)
	}
	return HostOf(ap)
}

// AddrPort returns the address in the form of the standard library.
func (h Host) AddrPort() netip.AddrPort { return netip.AddrPortFrom(addr(h.IP), h.Port) }

// String returns the host as people write it.
func (h Host) String() string { return h.AddrPort().String() }

// LogValue returns the host for a log, as people write it.
func (h Host) LogValue() slog.Value { return slog.StringValue(h.String()) }

// Compare orders hosts by address, then port: -1, 0 or +1.
func (h Host) Compare(o Host) int {
	switch {
	case h == o:
		return 0
	case h.IP < o.IP || h.IP == o.IP && h.Port < o.Port:
		return -1
	}
	return 1
}

func addr(ip uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], ip)
	return netip.AddrFrom4(b)
}

// maxJoined bounds the hosts that JoinHosts names.
const maxJoined = 20

// JoinHosts returns hosts as a log line names them: the first 20, and how many
// more there are.
func JoinHosts(hosts []Host) string {
	var texts []string
	for _, h := range hosts[:min(len(hosts), maxJoined)] {
		texts = append(texts, h.String())
	}
	if more := len(hosts) - maxJoined; more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(texts, " ")
}
