package reactor

import (
	"net/netip"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A socket that is bound to 0.0.0.0 or [::] answers from the address that the
// kernel would choose for a new datagram, which need not be the one that was
// asked, and then the peer drops the answer. Such a socket gets the asked
// address with each datagram (IP_PKTINFO of ip(7), IPV6_PKTINFO of ipv6(7)) and
// hands it back with the answer, in the memory in which it came. A socket that is
// bound to one address does without: there it costs and changes nothing.

// pktinfo is the memory for the address of one datagram: the largest control
// message, and what aligns it.
type pktinfo [unix.SizeofCmsghdr + unix.SizeofInet6Pktinfo + 4]byte

// askForPktinfo makes the kernel add the asked address to each datagram, if addr
// leaves it open.
func askForPktinfo(fd int, addr netip.AddrPort) (asked bool, err error) {
	if !addr.Addr().IsUnspecified() {
		return false, nil
	}
	level, option := unix.IPPROTO_IP, unix.IP_PKTINFO
	if addr.Addr().Is6() {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO
	}
	return true, os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, level, option, 1))
}

// anyInterface makes what came with a datagram fit for its answer: from the same
// address, by whatever interface leads to the sender.
func (p *pktinfo) anyInterface() {
	h := (*unix.Cmsghdr)(unsafe.Pointer(p))
	data := unsafe.Pointer(&p[unix.SizeofCmsghdr])
	switch {
	case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO:
		(*unix.Inet4Pktinfo)(data).Ifindex = 0
	case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO:
		(*unix.Inet6Pktinfo)(data).Ifindex = 0
	}
}
