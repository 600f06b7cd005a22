package reactor

import (
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// family returns the socket family of an address.
func family(a netip.AddrPort) int {
	if a.Addr().Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

// addrPort is the inverse of sockaddr; anything else is the zero AddrPort. An
// IPv4 peer of a listener on [::] has its IPv4 address, so that it compares
// with other IPv4 addresses.
func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

// localAddr returns the address that a socket is bound to.
func localAddr(fd int) netip.AddrPort {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}
	}
	return addrPort(sa)
}

// overflow returns how many datagrams the kernel dropped for want of room in the
// socket's buffer: SK_MEMINFO_DROPS, the last number of SO_MEMINFO.
func overflow(fd int) uint64 {
	var info [9]uint32 // SK_MEMINFO_VARS of linux/sock_diag.h
	size := uint32(unsafe.Sizeof(info))
	unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0) // without it the numbers stay 0
	return uint64(info[8])
}

const (
	// keepAliveProbes is how many questions of the kernel in a row may go without
	// an answer.
	keepAliveProbes = 3

	// keepAliveShare of KeepAlive is the time between two of them.
	keepAliveShare = 5
)

// setOptions sets what every TCP connection gets. The kernel refuses none of
// it, and a connection that lacks it would still work.
//
// TCP_USER_TIMEOUT is left out on purpose: since Linux 5.11 it also ends a
// connection whose peer is well and has closed its window, which is how a paused
// connection holds its peer back. PeerTimeout tells the two apart.
func setOptions(fd int, keepAlive time.Duration) {
	// Frames are written whole, so waiting for more would only delay them.
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if keepAlive < 0 {
		return
	}
	idle := max(int(keepAlive/time.Second), 1)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, idle)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, max(idle/keepAliveShare, 1))
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, keepAliveProbes)
}
