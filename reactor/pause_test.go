package reactor

import (
	"bytes"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A handler could not stop the reader, so a server whose database hung had to
// drop what its peers went on sending. A paused connection is not read: the
// kernel's buffers fill, the peer waits, and all of it arrives after the pause.
func TestFinding13PausedConnectionHoldsItsPeerBack(t *testing.T) {
	const frames = 400 // of 64 KB: far more than the kernel's buffers hold
	var handled atomic.Int64
	conns := make(chan *Conn, 1)
	r := NewRouter[*Conn]()
	r.Handle(1, func(c *Conn, _ []byte) {
		if handled.Add(1) == 1 {
			c.PauseReading()
			conns <- c
		}
	})
	s := serve(t, ServerConfig{Router: r})
	p := dialSlowPeer(t, s.Addr())
	var sent atomic.Int64
	written := make(chan bool)
	go func() { // ends with the peer's deadline
		defer close(written)
		for range frames {
			if n, _ := p.Write(frame(1, big)); n != HeaderSize+len(big) {
				return
			}
			sent.Add(1)
		}
	}()
	c := await(t, conns, "first message")
	blocked := func() bool {
		before := sent.Load()
		onLoop(t, c.Loop(), func() {})
		return unsentBytes(t, p) > 0 && sent.Load() == before && before < frames
	}
	eventually(t, "the peer has to wait", blocked)
	other := dialPeer(t, s.Addr())
	other.send(1, "")
	eventually(t, "others are read", func() bool { return handled.Load() == 2 })
	onLoop(t, c.Loop(), c.ResumeReading)
	await(t, written, "end of the peer's writing")
	eventually(t, "all is handled", func() bool { return handled.Load() == frames+1 })
}

// pausing returns a cranked connection whose messages of id 1 pause it and are
// counted, and the reasons for which it is closed.
func pausing(t *testing.T, handled *int) (*crank, <-chan error) {
	r := NewRouter[*Conn]()
	r.Handle(1, func(c *Conn, _ []byte) { *handled++; c.PauseReading() })
	onClose, closed := closes(1)
	return newCrank(t, unix.SOCK_STREAM, &endpoint{router: r, onClose: onClose}), closed
}

func TestPauseHoldsWhatHasArrived(t *testing.T) {
	three := bytes.Repeat(frame(1, "body"), 3)
	cases := map[string][][]byte{
		"with the first":     {three},
		"after the first":    {three[:12], three[12:]},
		"in pieces":          {three[:20], three[20:25], three[25:]},
		"first in two parts": {three[:5], three[5:]},
	}
	for name, writes := range cases {
		t.Run(name, func(t *testing.T) {
			handled := 0
			k, _ := pausing(t, &handled)
			defer k.close()
			for _, b := range writes {
				k.write(b)
			}
			for want := 1; want <= 3; want++ {
				k.turn(unix.EPOLLIN) // a further edge does not end the pause
				if handled != want {
					t.Fatalf("%d messages handled, want %d", handled, want)
				}
				k.conn.ResumeReading()
				k.turn(0)
			}
		})
	}
}

// The end of the peer comes after what it sent, also when both wait for the
// end of the pause.
func TestPeerEndsDuringAPause(t *testing.T) {
	handled := 0
	k, closed := pausing(t, &handled)
	defer k.close()
	k.write(bytes.Repeat(frame(1, ""), 2))
	if err := unix.Shutdown(k.peer, unix.SHUT_WR); err != nil {
		t.Fatal(err)
	}
	k.turn(unix.EPOLLIN | unix.EPOLLRDHUP)
	if handled != 1 || len(closed) != 0 {
		t.Fatalf("%d messages handled, closed: %v; want 1 and an open connection", handled, len(closed) != 0)
	}
	k.conn.ResumeReading()
	k.turn(0)
	k.conn.ResumeReading()
	k.turn(0)
	if reason := await(t, closed, "close hook"); handled != 2 || reason != io.EOF {
		t.Errorf("%d messages handled, closed for %v; want 2 and %v", handled, reason, io.EOF)
	}
}

func TestResetDuringAPause(t *testing.T) {
	var handled atomic.Int64
	onClose, closed := closes(1)
	conns := make(chan *Conn, 1)
	r := NewRouter[*Conn]()
	r.Handle(1, func(*Conn, []byte) { handled.Add(1) })
	s := serve(t, ServerConfig{
		Router: r, OnClose: onClose,
		OnStart: func(c *Conn) { c.PauseReading(); conns <- c },
	})
	p := dialPeer(t, s.Addr())
	c := await(t, conns, "start hook")
	p.write(bytes.Repeat(frame(1, "x"), 5))
	eventually(t, "all is in the server's kernel", func() bool { return unsentBytes(t, p) == 0 })
	p.reset()
	if n := handled.Load(); n != 0 {
		t.Errorf("%d messages handled during the pause", n)
	}
	onLoop(t, c.Loop(), c.ResumeReading)
	if reason := await(t, closed, "close hook"); reason == io.EOF || reason == nil || handled.Load() != 5 {
		t.Errorf("%d messages handled, closed for %v; want 5 and the reset", handled.Load(), reason)
	}
}

// A connection that is closed on this side ends whether it is paused or not.
func TestCloseDuringAPause(t *testing.T) {
	for name, end := range map[string]func(*Conn){"Close": (*Conn).Close, "Abort": (*Conn).Abort} {
		t.Run(name, func(t *testing.T) {
			onClose, closed := closes(1)
			conns := make(chan *Conn, 1)
			s := serve(t, ServerConfig{
				OnClose: onClose,
				OnStart: func(c *Conn) { c.PauseReading(); conns <- c },
			})
			p := dialPeer(t, s.Addr())
			p.send(1, "not read")
			c := await(t, conns, "start hook")
			end(c)
			if name == "Close" {
				p.wantEOF()
			}
			p.Close()
			if reason := await(t, closed, "close hook"); reason != ErrClosed {
				t.Errorf("closed for %v, want %v", reason, ErrClosed)
			}
			onLoop(t, c.Loop(), c.ResumeReading) // of no effect
		})
	}
}

// A pause is none of the peer's idleness.
func TestPauseStopsTheIdleClock(t *testing.T) {
	k := newCrank(t, unix.SOCK_STREAM, &endpoint{router: echoes(), cfg: ConnConfig{IdleTimeout: time.Hour}})
	defer k.close()
	k.conn.PauseReading()
	k.conn.lastInput = k.loop.clock() - 2*time.Hour
	k.conn.checkInput()
	k.conn.ResumeReading()
	k.conn.checkInput()
	if k.conn.state != stateOpen {
		t.Errorf("closed for %v", k.conn.reason)
	}
}
