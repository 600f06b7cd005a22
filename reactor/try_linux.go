package reactor

import (
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// TryConnect finds out whether addr takes TCP connections. It connects, and ends
// the connection at once with a reset, so that none stays in TIME_WAIT. The last
// packet of the handshake is kept back: so the program that listens sees no
// connection, and the backlog of one that hangs does not fill.
//
// done runs on the loop with nil or the reason: ErrConnectTimeout, ErrSelfConnect
// or the error of the system. If the attempt cannot even begin, the error is
// returned and done does not run. Nor does it when the loop ends first. Call it on
// the loop only.
func (l *Loop) TryConnect(addr netip.AddrPort, timeout time.Duration, done func(error)) error {
	_, err := startDial(l, addr, timeout, delayAck, func(d *dial, _ uint32, err error) {
		if err == nil {
			_ = unix.SetsockoptLinger(d.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}) // else a FIN ends it
			d.abandon()
		}
		l.protect("outcome of a connect", func() { done(err) })
	})
	return err
}

// delayAck makes the kernel wait for data to send with an acknowledgement, at
// most 200 ms. It is a favour, so failing is no error.
func delayAck(fd int) { _ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_QUICKACK, 0) }
