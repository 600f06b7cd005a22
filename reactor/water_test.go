package reactor

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// dialSlowPeer connects with small kernel buffers, so that a peer that does
// not read is full soon. They are set before the connection is made: a window
// that shrinks makes the kernel drop what it has offered to take, and with it
// acknowledgements.
func dialSlowPeer(t testing.TB, addr netip.AddrPort) *peer {
	t.Helper()
	small := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		raw.Control(func(fd uintptr) {
			err = errors.Join(
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 16<<10),
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF, 16<<10))
		})
		return err
	}}
	nc, err := small.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return newPeer(t, nc)
}

// In the original, a slow reader with more than 8 MB queued aborts the
// process. Here it is no longer read above the high-water mark, so its output
// stops growing, and all goes on when it reads again.
func TestDefect09SlowReaderIsNotReadAboveTheMark(t *testing.T) {
	const requests, high = 600, 256 << 10
	var most atomic.Int64
	water := make(chan bool, 10*requests)
	r := NewRouter[*Conn]()
	r.Handle(1, func(c *Conn, _ []byte) {
		if err := c.Send(2, []byte(big)); err != nil {
			t.Errorf("Send with %d bytes pending: %v", c.Pending(), err)
		}
		most.Store(max(most.Load(), int64(c.Pending())))
	})
	s := serve(t, ServerConfig{
		Router: r, Conn: ConnConfig{HighWater: high, LowWater: 64 << 10},
		OnBackPressure: func(_ *Conn, full bool) { water <- full },
	})
	p := dialSlowPeer(t, s.Addr())
	p.write(bytes.Repeat(frame(1, ""), requests))
	if full := await(t, water, "high-water hook"); !full {
		t.Error("the first hook was told of the low mark")
	}
	good := dialPeer(t, s.Addr())
	good.send(1, "")
	good.want(2, big)

	for range requests {
		p.want(2, big)
	}
	if full := await(t, water, "low-water hook"); full {
		t.Error("the second hook was told of the high mark")
	}
	if limit := int64(high + len(big) + HeaderSize); most.Load() > limit {
		t.Errorf("%d bytes pending, want at most %d", most.Load(), limit)
	}
	for want := true; len(water) > 0; want = !want {
		if full := <-water; full != want {
			t.Fatal("two hooks in a row told the same")
		}
	}
}

// The marks must not stop a client that writes all its requests before it
// reads the first reply.
func TestClientThatWritesAllBeforeItReads(t *testing.T) {
	const requests = 900 // of about 1 KB: more than the small buffers of this peer, less than the mark
	s := serve(t, ServerConfig{OnBackPressure: func(*Conn, bool) { t.Error("the mark was reached") }})
	p := dialSlowPeer(t, s.Addr())
	body := big[:1000]
	for range requests {
		p.send(1, body)
	}
	for range requests {
		p.want(2, body)
	}
}

func TestHardCapFailsSend(t *testing.T) {
	const hardCap = 1 << 20
	conns := make(chan *Conn, 1)
	s := serve(t, ServerConfig{
		OnStart: func(c *Conn) { conns <- c },
		Conn:    ConnConfig{HighWater: hardCap, HardCap: hardCap},
	})
	p := dialSlowPeer(t, s.Addr())
	c := await(t, conns, "start hook")
	accepted := 0
	var err error
	for err == nil {
		if c.Pending() > hardCap {
			t.Fatalf("%d bytes pending, cap %d", c.Pending(), hardCap)
		}
		if err = c.Send(3, []byte(numbered(accepted)+big)); err == nil {
			accepted++
		}
	}
	if err != ErrOutputFull {
		t.Fatalf("Send: %v, want %v", err, ErrOutputFull)
	}
	for i := range accepted {
		p.want(3, numbered(i)+big)
	}
	eventually(t, "there is room again", func() bool { return c.Pending() == 0 })
	p.send(1, "as before")
	p.want(2, "as before")
}

func TestStalledPeerIsReset(t *testing.T) {
	onClose, closed := closes(2)
	conns := make(chan *Conn, 2)
	s := serve(t, ServerConfig{
		OnStart: func(c *Conn) { conns <- c }, OnClose: onClose,
		Conn: ConnConfig{StallTimeout: 100 * time.Millisecond},
	})
	good, bad := dialPeer(t, s.Addr()), dialSlowPeer(t, s.Addr())
	for range 2 {
		c := await(t, conns, "start hook")
		if c.RemoteAddr().String() == bad.LocalAddr().String() {
			for c.Send(2, []byte(big)) == nil { // until it is full
			}
		}
	}
	if reason := await(t, closed, "close hook"); reason != ErrStalled {
		t.Errorf("closed for %v, want %v", reason, ErrStalled)
	}
	if _, err := io.Copy(io.Discard, bad); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the stalled peer sees %v, want a reset", err)
	}
	good.send(1, "not me")
	good.want(2, "not me")
}

// The clock of the stall is looked at by hand.
func TestStallIsJudgedByOutput(t *testing.T) {
	const stall = time.Hour
	cases := []struct {
		name    string
		ago     time.Duration // since the kernel took output
		blocked bool
		open    bool
	}{
		{"took some just now", 0, true, true},
		{"took some a while ago", stall - time.Minute, true, true},
		{"took none for long enough", stall + time.Second, true, false},
		{"nothing to take", stall + time.Second, false, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			k := newCrank(t, unix.SOCK_STREAM, &endpoint{router: echoes(), cfg: ConnConfig{StallTimeout: stall}})
			defer k.close()
			k.conn.watchStall()
			k.conn.blocked = c.blocked
			k.conn.lastOutput = k.loop.clock() - c.ago
			k.conn.checkStall()
			if open := k.conn.state == stateOpen; open != c.open {
				t.Errorf("open: %v, want %v", open, c.open)
			}
		})
	}
}

// The clock starts when output begins to wait, not when the kernel last took
// any: that may be long ago.
func TestStallClockStartsWithTheOutput(t *testing.T) {
	for name, send := range map[string]func(*Conn, int32, []byte) error{"Send": (*Conn).Send, "Reply": (*Conn).Reply} {
		t.Run(name, func(t *testing.T) {
			k := newCrank(t, unix.SOCK_STREAM, &endpoint{router: echoes(), cfg: ConnConfig{StallTimeout: time.Hour}})
			defer k.close()
			fill := make([]byte, 1<<20)
			for _, err := writeFD(k.conn.fd, fill); err == nil; _, err = writeFD(k.conn.fd, fill) {
			}
			k.conn.lastOutput = k.loop.clock() - 2*time.Hour
			send(k.conn, 2, []byte("waits"))
			k.turn(0)
			if !k.conn.blocked {
				t.Fatal("the kernel is not full")
			}
			k.conn.checkStall()
			if k.conn.state != stateOpen {
				t.Errorf("closed for %v", k.conn.reason)
			}
		})
	}
}

func TestStallNever(t *testing.T) {
	k := newCrank(t, unix.SOCK_STREAM, &endpoint{router: echoes(), cfg: ConnConfig{StallTimeout: -1}})
	defer k.close()
	k.conn.waitForRoom()
	if k.conn.stallTimer != nil {
		t.Error("a timer waits for a stall that is never judged")
	}
}

// A frame that was held back above the mark, in a buffer of its own, is
// dispatched below it, without a further byte from the peer.
func TestHeldFramesGoOnBelowTheMark(t *testing.T) {
	handled := 0
	r := NewRouter[*Conn]()
	r.Handle(1, func(c *Conn, _ []byte) { handled++; c.Send(2, make([]byte, 1000)) })
	k := newCrank(t, unix.SOCK_STREAM, &endpoint{router: r, cfg: ConnConfig{HighWater: 2000, LowWater: 100}})
	defer k.close()
	k.conn.blocked = true // the kernel is full
	k.write(bytes.Repeat(frame(1, ""), 10))
	if handled != 2 {
		t.Fatalf("%d frames handled above the mark, want 2", handled)
	}
	k.turn(unix.EPOLLOUT)
	if handled != 10 {
		t.Errorf("%d frames handled, want all 10", handled)
	}
}
