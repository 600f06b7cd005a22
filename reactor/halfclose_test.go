package reactor

import (
	"bytes"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// big is a body that, sent a few times, fills all kernel buffers on the way.
var big = strings.Repeat("0123456789abcdef", 4000)

func TestPeerThatShutsItsWriteSideGetsAllReplies(t *testing.T) {
	const n = 300
	onClose, closed := closes(1)
	s := serve(t, ServerConfig{OnClose: onClose, Conn: ConnConfig{HardCap: 32 << 20}})
	p := dialPeer(t, s.Addr())
	go func() { // ends with the peer's deadline
		p.Write(bytes.Repeat(frame(1, big), n))
		p.CloseWrite()
	}()
	for range n {
		p.want(2, big)
	}
	p.wantEOF()
	if reason := await(t, closed, "close hook"); reason != io.EOF {
		t.Errorf("closed for %v, want %v", reason, io.EOF)
	}
}

// With an EOF hook the connection lives on: more is sent long after the
// peer's end, and each edge that comes with it tells of the end again.
func TestEOFHookRunsOnceAndOutputGoesOn(t *testing.T) {
	const n = 400
	var eofs atomic.Int64
	onClose, closed := closes(1)
	conns := make(chan *Conn, 2)
	s := serve(t, ServerConfig{
		OnClose: onClose, Conn: ConnConfig{HardCap: 64 << 20},
		OnEOF: func(c *Conn) { eofs.Add(1); conns <- c },
	})
	p := dialPeer(t, s.Addr())
	p.send(1, "before")
	p.CloseWrite()
	c := await(t, conns, "EOF hook")
	for range n {
		if err := c.Send(3, []byte(big)); err != nil {
			t.Fatal(err)
		}
	}
	p.want(2, "before")
	for range n {
		p.want(3, big)
	}
	if err := c.Send(4, []byte("last")); err != nil {
		t.Fatal(err)
	}
	c.Close()
	p.want(4, "last")
	p.wantEOF()
	if reason := await(t, closed, "close hook"); reason != ErrClosed {
		t.Errorf("closed for %v, want %v", reason, ErrClosed)
	}
	if eofs.Load() != 1 {
		t.Errorf("EOF hook ran %d times, want once", eofs.Load())
	}
}

// A peer that has finished writing and then goes away altogether must not
// leave a connection that no event will ever reach again.
func TestResetAfterEOF(t *testing.T) {
	for name, output := range map[string]int{"idle": 0, "output on its way": 300} {
		t.Run(name, func(t *testing.T) {
			var eofs atomic.Int64
			onClose, closed := closes(1)
			conns := make(chan *Conn, 2)
			s := serve(t, ServerConfig{
				OnClose: onClose, Conn: ConnConfig{HardCap: 64 << 20},
				OnEOF: func(c *Conn) { eofs.Add(1); conns <- c },
			})
			p := dialPeer(t, s.Addr())
			p.CloseWrite()
			c := await(t, conns, "EOF hook")
			for range output {
				c.Send(3, []byte(big))
			}
			p.reset()
			if reason := await(t, closed, "close hook"); reason == nil || reason == io.EOF {
				t.Errorf("closed for %v, want the error of the reset", reason)
			}
			if eofs.Load() != 1 {
				t.Errorf("EOF hook ran %d times, want once", eofs.Load())
			}
		})
	}
}

func TestCloseWriteThenInput(t *testing.T) {
	handled := make(chan string, 10)
	conns := make(chan *Conn, 1)
	r := NewRouter[*Conn]()
	r.Handle(1, func(c *Conn, b []byte) { handled <- string(b) })
	onClose, closed := closes(1)
	s := serve(t, ServerConfig{
		Router: r, OnClose: onClose, Conn: ConnConfig{HighWater: 64 << 20, HardCap: 64 << 20},
		OnStart: func(c *Conn) { conns <- c },
	})
	p := dialPeer(t, s.Addr())
	c := await(t, conns, "start hook")
	for range 200 {
		c.Send(2, []byte(big))
	}
	c.CloseWrite()
	if err := c.Send(2, nil); err != ErrClosed {
		t.Errorf("Send after CloseWrite: %v, want %v", err, ErrClosed)
	}
	p.send(1, "while output is on its way")
	if got := await(t, handled, "message"); got != "while output is on its way" {
		t.Errorf("got %q", got)
	}
	for range 200 {
		p.want(2, big)
	}
	p.wantEOF()
	p.send(1, "after the end of output")
	if got := await(t, handled, "message"); got != "after the end of output" {
		t.Errorf("got %q", got)
	}
	p.Close()
	if reason := await(t, closed, "close hook"); reason != io.EOF {
		t.Errorf("closed for %v, want %v", reason, io.EOF)
	}
}

// When both sides have shut their write side, in whatever order, there is
// nothing left to wait for.
func TestBothSidesShut(t *testing.T) {
	t.Run("peer first", func(t *testing.T) {
		onClose, closed := closes(1)
		s := serve(t, ServerConfig{OnClose: onClose, OnEOF: (*Conn).CloseWrite})
		p := dialPeer(t, s.Addr())
		p.CloseWrite()
		p.wantEOF()
		if reason := await(t, closed, "close hook"); reason != io.EOF {
			t.Errorf("closed for %v, want %v", reason, io.EOF)
		}
	})
	t.Run("this side first", func(t *testing.T) {
		onClose, closed := closes(1)
		eof := make(chan bool, 2)
		s := serve(t, ServerConfig{
			OnClose: onClose, OnStart: (*Conn).CloseWrite,
			OnEOF: func(*Conn) { eof <- true },
		})
		p := dialPeer(t, s.Addr())
		p.wantEOF()
		p.CloseWrite()
		await(t, eof, "EOF hook")
		if reason := await(t, closed, "close hook"); reason != io.EOF {
			t.Errorf("closed for %v, want %v", reason, io.EOF)
		}
	})
}

// What a peer sent before its reset is still dispatched when this side has
// shut its write side, or learns of the reset by writing.
func TestCloseWriteThenReset(t *testing.T) {
	const frames = 45
	var handled atomic.Int64
	release := make(chan struct{})
	onClose, closed := closes(1)
	s := serve(t, ServerConfig{
		Router: busy(&handled, release), OnClose: onClose,
		OnStart: (*Conn).CloseWrite,
	})
	p := dialPeer(t, s.Addr())
	p.send(1, "")
	eventually(t, "the loop is kept", func() bool { return handled.Load() == 1 })
	p.write(bytes.Repeat(frame(2, big[:1000]), frames))
	eventually(t, "all is in the server's kernel", func() bool { return unsentBytes(t, p) == 0 })
	p.reset()
	close(release)
	await(t, closed, "close hook")
	if n := handled.Load(); n != 1+frames {
		t.Errorf("%d frames handled, want %d", n, 1+frames)
	}
}

func TestIdlePeerIsClosed(t *testing.T) {
	onClose, closed := closes(1)
	s := serve(t, ServerConfig{OnClose: onClose, Conn: ConnConfig{IdleTimeout: 50 * time.Millisecond}})
	p := dialPeer(t, s.Addr())
	p.send(1, "hello")
	p.want(2, "hello")
	p.wantEOF()
	p.Close()
	if reason := await(t, closed, "close hook"); reason != ErrIdle {
		t.Errorf("closed for %v, want %v", reason, ErrIdle)
	}
}

// The clock of idleness is looked at by hand: a peer that sent something is
// not idle, nor is one that is not read because it reads slowly.
func TestIdleIsJudgedByInput(t *testing.T) {
	const idle = time.Hour
	cases := []struct {
		name   string
		ago    time.Duration // since the last input
		paused bool
		open   bool
	}{
		{"just now", 0, false, true},
		{"a little less", idle - time.Minute, false, true},
		{"for long enough", idle + time.Second, false, false},
		{"not read for so long", idle + time.Second, true, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			k := newCrank(t, unix.SOCK_STREAM, &endpoint{router: echoes(), cfg: ConnConfig{IdleTimeout: idle}})
			defer k.close()
			k.conn.paused = c.paused
			k.conn.lastInput = k.loop.clock() - c.ago
			k.conn.checkInput()
			if open := k.conn.state == stateOpen; open != c.open {
				t.Errorf("open: %v, want %v", open, c.open)
			}
			if c.open && k.conn.inputTimer.index < 0 {
				t.Error("the loop does not look again")
			}
		})
	}
}
