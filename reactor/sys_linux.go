package reactor

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Calls that cannot block go by RawSyscall, which does not tell the Go
// scheduler; the one that waits goes by Syscall6, so the processor is free for
// other goroutines. EINTR is handled here and nowhere else.

// epollWait waits for events: msec -1 for ever, 0 not at all.
func epollWait(epfd int, events []unix.EpollEvent, msec int) (int, error) {
	for {
		var n uintptr
		var errno unix.Errno
		if msec == 0 {
			n, _, errno = unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epfd), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
		} else {
			n, _, errno = unix.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(epfd), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), uintptr(msec), 0, 0)
		}
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
			if msec > 0 {
				return 0, nil // the loop works the timeout out anew
			}
		default:
			return 0, errno
		}
	}
}

// readFD reads from a non-blocking descriptor. b is not empty.
func readFD(fd int, b []byte) (int, error) {
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
		if errno == 0 {
			return int(n), nil
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// writeFD writes to a non-blocking socket. b is not empty. A peer that is
// gone gives EPIPE, not a signal.
func writeFD(fd int, b []byte) (int, error) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), unix.MSG_NOSIGNAL, 0, 0)
		if errno == 0 {
			return int(n), nil
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// tcpInfo fills info with the kernel's view of a TCP connection.
func tcpInfo(fd int, info *unix.TCPInfo) error {
	size := uint32(unsafe.Sizeof(*info))
	_, _, errno := unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.IPPROTO_TCP, unix.TCP_INFO,
		uintptr(unsafe.Pointer(info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// wakeEventfd makes an eventfd readable. It can only fail when the counter is
// at its limit, and then the descriptor is readable already.
func wakeEventfd(fd int) {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&one[0])), uintptr(len(one)))
}

// closeFD closes a descriptor once. Linux has freed it even if close fails,
// so there is nothing to do about an error.
func closeFD(fd int) {
	if fd >= 0 {
		unix.Close(fd)
	}
}
