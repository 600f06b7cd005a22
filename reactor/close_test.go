package reactor

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// closing returns a router whose message 1 is answered with a body of size
// bytes, after which the connection is closed by end.
func closing(size int, end func(*Conn)) *Router[*Conn] {
	r := NewRouter[*Conn]()
	r.Handle(1, func(c *Conn, _ []byte) {
		c.Send(2, make([]byte, size))
		end(c)
	})
	return r
}

func TestCloseDrainsThenWaitsForThePeer(t *testing.T) {
	const size = 20 << 20 // more than the kernel buffers
	onClose, closed := closes(1)
	s := serve(t, ServerConfig{
		Router: closing(size, (*Conn).Close), OnClose: onClose,
		Conn: ConnConfig{MaxFrame: size, HardCap: size + HeaderSize, CloseTimeout: 10 * waitLimit},
	})
	p := dialPeer(t, s.Addr())
	p.send(1, "")
	p.want(2, string(make([]byte, size)))
	p.wantEOF()
	select {
	case reason := <-closed:
		t.Errorf("closed for %v before the peer was", reason)
	default:
	}
	p.Close()
	if reason := await(t, closed, "close hook"); reason != ErrClosed {
		t.Errorf("closed for %v, want %v", reason, ErrClosed)
	}
}

// What the peer goes on sending after this side has closed must not turn into
// a reset, which would take the reply from it.
func TestCloseThrowsInputAway(t *testing.T) {
	var handled atomic.Int64
	r := NewRouter[*Conn]()
	r.Handle(1, func(c *Conn, _ []byte) {
		handled.Add(1)
		c.Send(2, []byte("bye"))
		c.Close()
	})
	s := serve(t, ServerConfig{Router: r, Conn: ConnConfig{CloseTimeout: 10 * waitLimit}})
	p := dialPeer(t, s.Addr())
	p.write(bytes.Repeat(frame(1, strings.Repeat("x", 1000)), 3000))
	p.want(2, "bye")
	p.wantEOF()
	p.send(1, "after the end")
	p.Close()
	eventually(t, "the connection is gone", func() bool { return s.Conns() == 0 })
	if n := handled.Load(); n != 1 {
		t.Errorf("%d frames handled, want 1", n)
	}
}

func TestCloseLingersToADeadline(t *testing.T) {
	for name, size := range map[string]int{"peer does not close": 10, "peer does not read": 20 << 20} {
		t.Run(name, func(t *testing.T) {
			onClose, closed := closes(1)
			s := serve(t, ServerConfig{
				Router: closing(size, (*Conn).Close), OnClose: onClose,
				Conn: ConnConfig{MaxFrame: 20 << 20, HardCap: 32 << 20, CloseTimeout: 50 * time.Millisecond},
			})
			p := dialPeer(t, s.Addr())
			p.send(1, "")
			if reason := await(t, closed, "close hook"); reason != ErrClosed {
				t.Errorf("closed for %v, want %v", reason, ErrClosed)
			}
		})
	}
}

func TestAbortResets(t *testing.T) {
	const size = 20 << 20
	onClose, closed := closes(1)
	s := serve(t, ServerConfig{
		Router: closing(size, (*Conn).Abort), OnClose: onClose,
		Conn: ConnConfig{MaxFrame: size, HardCap: size + HeaderSize},
	})
	p := dialPeer(t, s.Addr())
	p.send(1, "")
	if n, err := io.Copy(io.Discard, p); !errors.Is(err, syscall.ECONNRESET) || n >= size {
		t.Errorf("got %d bytes and %v, want less than %d and a reset", n, err, size)
	}
	if reason := await(t, closed, "close hook"); reason != ErrClosed {
		t.Errorf("closed for %v, want %v", reason, ErrClosed)
	}
}

func TestSendAfterTheEnd(t *testing.T) {
	conns := make(chan *Conn, 1)
	onClose, closed := closes(1)
	s := serve(t, ServerConfig{OnStart: func(c *Conn) { conns <- c }, OnClose: onClose})
	p := dialPeer(t, s.Addr())
	c := await(t, conns, "start hook")
	c.Close()
	if err := c.Send(1, nil); err != ErrClosed {
		t.Errorf("Send after Close: %v, want %v", err, ErrClosed)
	}
	p.wantEOF()
	p.Close()
	await(t, closed, "close hook")
	c.Close()
	c.Abort()
	c.CloseWrite()
	if err := c.Send(1, nil); err != ErrClosed {
		t.Errorf("Send after the end: %v, want %v", err, ErrClosed)
	}
	onLoop(t, c.Loop(), func() {})
	if len(closed) != 0 {
		t.Error("the close hook ran again")
	}
}

// The hook runs once, whatever ends the connection and however many ends
// come together, and the descriptor is still the connection's while it runs.
func TestCloseHookRunsOnceBeforeTheDescriptorCloses(t *testing.T) {
	const conns = 300
	var hooks sync.Map
	var ended atomic.Int64
	r := NewRouter[*Conn]()
	r.Handle(1, func(c *Conn, _ []byte) { c.Close() })
	r.Handle(2, func(c *Conn, _ []byte) { c.Abort() })
	r.Handle(3, func(c *Conn, _ []byte) { panic("three") })
	r.Handle(4, func(c *Conn, _ []byte) { go c.Abort(); go c.Close(); c.Send(1, make([]byte, 10)) })
	s := serve(t, ServerConfig{
		Router: r, Loops: 2, Conn: ConnConfig{CloseTimeout: 50 * time.Millisecond},
		OnClose: func(c *Conn, _ error) {
			if _, err := unix.Getpeername(c.fd); err == unix.EBADF || err == unix.ENOTSOCK {
				t.Errorf("descriptor %d was closed before the hook", c.fd)
			}
			if _, again := hooks.LoadOrStore(c, true); again {
				t.Errorf("close hook of %v ran again", c.RemoteAddr())
			}
			ended.Add(1)
		},
	})
	for i := range conns {
		p := dialPeer(t, s.Addr())
		p.write(slices.Concat(frame(int32(i%6), ""), frame(2, ""), frame(1, "")))
		if i%2 == 0 {
			p.reset()
		} else {
			p.Close()
		}
	}
	eventually(t, "all hooks have run", func() bool { return ended.Load() == conns })
	eventually(t, "all are gone", func() bool { return s.Conns() == 0 })
}

// busy returns a router whose message 1 keeps the loop until release is
// closed, and counts all messages.
func busy(handled *atomic.Int64, release <-chan struct{}) *Router[*Conn] {
	r := NewRouter[*Conn]()
	r.HandleOther(func(c *Conn, id int32, _ []byte) {
		handled.Add(1)
		c.Send(9, []byte("reply"))
		if id == 1 {
			<-release
		}
	})
	return r
}

func TestAllBytesBeforeTheEndAreDelivered(t *testing.T) {
	for _, reset := range []bool{false, true} {
		t.Run(fmt.Sprintf("reset %v", reset), func(t *testing.T) {
			const frames = 45
			var handled atomic.Int64
			release := make(chan struct{})
			onClose, closed := closes(1)
			s := serve(t, ServerConfig{Router: busy(&handled, release), OnClose: onClose})
			p := dialPeer(t, s.Addr())
			p.send(1, "")
			eventually(t, "the loop is kept", func() bool { return handled.Load() == 1 })
			p.write(bytes.Repeat(frame(2, strings.Repeat("x", 1000)), frames))
			eventually(t, "all is in the server's kernel", func() bool { return unsentBytes(t, p) == 0 })
			if reset {
				p.reset()
			} else {
				p.Close()
			}
			close(release)
			reason := await(t, closed, "close hook")
			if n := handled.Load(); n != 1+frames {
				t.Errorf("%d frames handled before the end for %v, want %d", n, reason, 1+frames)
			}
			if reason == nil || reset && reason == io.EOF {
				t.Errorf("closed for %v after a reset", reason)
			}
		})
	}
}

func TestManyBytesThenEOF(t *testing.T) {
	const frames = 5000
	var handled atomic.Int64
	r := NewRouter[*Conn]()
	r.Handle(1, func(*Conn, []byte) { handled.Add(1) })
	onClose, closed := closes(1)
	s := serve(t, ServerConfig{Router: r, OnClose: onClose})
	p := dialPeer(t, s.Addr())
	p.write(bytes.Repeat(frame(1, strings.Repeat("x", 2000)), frames))
	p.Close()
	if reason := await(t, closed, "close hook"); reason != io.EOF {
		t.Errorf("closed for %v, want %v", reason, io.EOF)
	}
	if n := handled.Load(); n != frames {
		t.Errorf("%d frames handled, want %d", n, frames)
	}
}

func TestHandlerThatClosesStopsTheParse(t *testing.T) {
	for name, end := range map[string]func(*Conn){"Close": (*Conn).Close, "Abort": (*Conn).Abort} {
		for _, first := range []string{"", "h"} { // the rest of a held frame takes another way
			t.Run(name+first, func(t *testing.T) {
				handled := 0
				r := NewRouter[*Conn]()
				r.Handle(1, func(c *Conn, _ []byte) {
					if handled++; handled == 3 {
						end(c)
					}
				})
				k := newCrank(t, unix.SOCK_STREAM, &endpoint{router: r})
				defer k.close()
				stream := bytes.Repeat(frame(1, "hello"), 10)
				k.write(stream[:len(first)])
				k.write(stream[len(first):])
				if handled != 3 {
					t.Errorf("%d frames handled, want 3", handled)
				}
			})
		}
	}
}

func TestPanicEndsThatConnectionAlone(t *testing.T) {
	var log logged
	r := echoes()
	r.Handle(3, func(*Conn, []byte) { panic("at the third") })
	onClose, closed := closes(2)
	s := serve(t, ServerConfig{Router: r, OnClose: onClose, Log: log.logger()})
	good, bad := dialPeer(t, s.Addr()), dialPeer(t, s.Addr())
	bad.write(slices.Concat(frame(1, "one"), frame(3, ""), frame(1, "two")))
	bad.want(2, "one")
	bad.wantEOF()
	bad.Close()
	if reason := await(t, closed, "close hook"); reason != ErrPanic {
		t.Errorf("closed for %v, want %v", reason, ErrPanic)
	}
	good.send(1, "good")
	good.want(2, "good")
	if n := s.Loops()[0].Stats().Panics; n != 1 {
		t.Errorf("%d panics counted, want 1", n)
	}
	if !strings.Contains(log.String(), "at the third") {
		t.Errorf("the log does not tell of the panic: %q", log.String())
	}
}

func TestPanicOfHooks(t *testing.T) {
	boom := func() { panic("boom") }
	cases := map[string]struct {
		cfg  ServerConfig
		want error // reason of the close hook
	}{
		"start": {ServerConfig{OnStart: func(*Conn) { boom() }}, ErrPanic},
		"EOF":   {ServerConfig{OnEOF: func(*Conn) { boom() }}, ErrPanic},
		"water": {ServerConfig{
			OnBackPressure: func(*Conn, bool) { boom() },
			Conn:           ConnConfig{HighWater: 1},
			OnStart: func(c *Conn) {
				for c.Send(1, make([]byte, 60_000)) == nil { // to the hard cap
				}
			},
		}, ErrPanic},
		"close": {ServerConfig{}, io.EOF},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			closed := make(chan error, 2)
			c.cfg.OnClose = func(_ *Conn, reason error) { closed <- reason; boom() }
			s := serve(t, c.cfg)
			nc, err := net.Dial("tcp", s.Addr().String())
			if err == nil { // the reset may have come already
				defer nc.Close()
				p := newPeer(t, nc)
				if name != "water" { // whose peer has to be slow
					p.CloseWrite()
					io.Copy(io.Discard, p)
				}
			}
			if reason := await(t, closed, "close hook"); reason != c.want {
				t.Errorf("closed for %v, want %v", reason, c.want)
			}
			eventually(t, "the connection is gone", func() bool { return s.Conns() == 0 })
			if s.Loops()[0].Stats().Panics == 0 {
				t.Error("no panic counted")
			}
		})
	}
}
