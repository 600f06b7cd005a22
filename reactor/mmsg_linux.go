package reactor

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// datagramSize is the room in bytes for one datagram: no UDP datagram is
	// longer.
	datagramSize = 65535

	// slotStride is the distance in bytes between two slots. The odd number of
	// cache lines beyond 64 KiB keeps the first lines of all slots in
	// different sets of the processor's cache. Pages that no long datagram has
	// touched take no memory.
	slotStride = 65536 + 3*64
)

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32 // bytes received or sent
	_   [4]byte
}

// datagrams is a row of slots for recvmmsg or sendmmsg.
type datagrams struct {
	msgs  []mmsghdr
	iovs  []unix.Iovec
	bytes []byte
}

func newDatagrams(n int) *datagrams {
	d := &datagrams{
		msgs:  make([]mmsghdr, n),
		iovs:  make([]unix.Iovec, n),
		bytes: make([]byte, n*slotStride),
	}
	for i := range d.msgs {
		d.iovs[i].Base = &d.bytes[i*slotStride]
		d.iovs[i].SetLen(datagramSize)
		d.msgs[i].hdr.Iov = &d.iovs[i]
		d.msgs[i].hdr.SetIovlen(1)
	}
	return d
}

// slot returns the memory of slot i.
func (d *datagrams) slot(i int) []byte {
	return d.bytes[i*slotStride : i*slotStride+datagramSize : i*slotStride+datagramSize]
}

// receive fills slots from the front and returns how many.
func (d *datagrams) receive(fd int) (int, error) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&d.msgs[0])), uintptr(len(d.msgs)), unix.MSG_DONTWAIT, 0, 0)
		if errno == 0 {
			return int(n), nil
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// send sends slots [from, to) and returns how many went. An error belongs to
// the slot after them.
func (d *datagrams) send(fd, from, to int) (int, error) {
	if to-from == 1 {
		return d.sendOne(fd, from)
	}
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&d.msgs[from])), uintptr(to-from), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		if errno == 0 {
			return int(n), nil
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// sendOne is send for one slot: sendto and sendmsg cost less than sendmmsg.
func (d *datagrams) sendOne(fd, i int) (int, error) {
	const flags = unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL
	h, iov := &d.msgs[i].hdr, &d.iovs[i]
	for {
		var errno unix.Errno
		if h.Controllen > 0 {
			_, _, errno = unix.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(h)), flags)
		} else {
			_, _, errno = unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(iov.Base)), uintptr(iov.Len), flags, uintptr(unsafe.Pointer(h.Name)), uintptr(h.Namelen))
		}
		if errno == 0 {
			return 1, nil
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}
