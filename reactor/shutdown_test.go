package reactor

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"
)

func TestShutdownDrains(t *testing.T) {
	const size = 20 << 20
	r := echoes()
	asked := make(chan bool, 1)
	r.Handle(3, func(c *Conn, _ []byte) { c.Send(4, make([]byte, size)); asked <- true })
	onClose, closed := closes(2)
	s := newServer(t, ServerConfig{
		Router: r, OnClose: onClose, Loops: 2, DrainTimeout: 10 * waitLimit,
		Conn: ConnConfig{MaxFrame: size, HardCap: size + HeaderSize, CloseTimeout: 10 * waitLimit},
	})
	done := goServe(s, context.Background())
	idle, slow := dialPeer(t, s.Addr()), dialPeer(t, s.Addr())
	idle.send(1, "hello")
	idle.want(2, "hello")
	slow.send(3, "")
	await(t, asked, "request")

	s.Shutdown(context.Background())
	idle.wantEOF()
	if nc, err := net.Dial("tcp", s.Addr().String()); err == nil {
		nc.Close()
		t.Error("a connection was made after Shutdown")
	}
	slow.want(4, string(make([]byte, size)))
	slow.wantEOF()
	select {
	case err := <-done:
		t.Fatalf("Serve returned %v while peers were open", err)
	default:
	}
	idle.Close()
	slow.Close()
	if err := await(t, done, "return of Serve"); err != nil {
		t.Error(err)
	}
	for range 2 {
		if reason := await(t, closed, "close hook"); reason != ErrClosed {
			t.Errorf("closed for %v, want %v", reason, ErrClosed)
		}
	}
	if s.Conns() != 0 || s.cfg.Conn.Buffers.Lent() != 0 {
		t.Errorf("%d connections, %d bytes of buffers left", s.Conns(), s.cfg.Conn.Buffers.Lent())
	}
}

func TestStopAcceptingLeavesTheConnections(t *testing.T) {
	s := newServer(t, ServerConfig{Router: echoes(), Loops: 2})
	done := goServe(s, context.Background())
	p := dialPeer(t, s.Addr())
	p.send(1, "hello")
	p.want(2, "hello")
	s.StopAccepting()
	s.StopAccepting()
	for deadline := time.Now().Add(waitLimit); ; {
		nc, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			break
		}
		nc.Close()
		if time.Now().After(deadline) {
			t.Fatal("connections are still made")
		}
	}
	p.send(1, "still there")
	p.want(2, "still there")
	p.Close()
	s.Shutdown(context.Background())
	if err := await(t, done, "return of Serve"); err != nil {
		t.Error(err)
	}
}

func TestShutdownFromAHandler(t *testing.T) {
	var s *Server
	r := NewRouter[*Conn]()
	r.Handle(1, func(c *Conn, _ []byte) {
		c.Send(2, []byte("last words"))
		s.Shutdown(context.Background())
	})
	s = newServer(t, ServerConfig{Router: r, Loops: 2})
	done := goServe(s, context.Background())
	p := dialPeer(t, s.Addr())
	p.send(1, "")
	p.want(2, "last words")
	p.wantEOF()
	p.Close()
	if err := await(t, done, "return of Serve"); err != nil {
		t.Error(err)
	}
}

// Peers that neither read nor close hold a drain up until its deadline.
func TestDrainEnds(t *testing.T) {
	cases := []struct {
		name  string
		drain time.Duration
		stop  func(s *Server, cancel func())
	}{
		{"by DrainTimeout after Shutdown", 50 * time.Millisecond, func(s *Server, _ func()) {
			s.Shutdown(context.Background())
		}},
		{"by DrainTimeout after the context", 50 * time.Millisecond, func(_ *Server, cancel func()) { cancel() }},
		{"by Shutdown's context", 10 * waitLimit, func(s *Server, _ func()) {
			ctx, cancel := context.WithCancel(context.Background())
			time.AfterFunc(50*time.Millisecond, cancel)
			s.Shutdown(ctx)
		}},
		{"by Close", 10 * waitLimit, func(s *Server, _ func()) { s.Close() }},
		{"by Close during Shutdown", 10 * waitLimit, func(s *Server, _ func()) {
			s.Shutdown(context.Background())
			<-s.stop
			s.Close()
		}},
		{"by Close after the context", 10 * waitLimit, func(s *Server, cancel func()) {
			cancel()
			s.Close()
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			onClose, closed := closes(1)
			s := newServer(t, ServerConfig{
				DrainTimeout: c.drain, OnClose: onClose,
				Conn: ConnConfig{CloseTimeout: 10 * waitLimit},
			})
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			done := goServe(s, ctx)
			p := dialPeer(t, s.Addr())
			p.send(1, "hello")
			p.want(2, "hello")
			c.stop(s, cancel)
			if err := await(t, done, "return of Serve"); err != nil {
				t.Error(err)
			}
			if reason := await(t, closed, "close hook"); reason != ErrClosed {
				t.Errorf("closed for %v, want %v", reason, ErrClosed)
			}
		})
	}
}

// One peer that did not close kept a server from ending for all of 5 s. It gets
// its answers and the end of the stream, and a moment to close.
func TestFinding50PeerThatDoesNotCloseHoldsUpNobody(t *testing.T) {
	s := newServer(t, ServerConfig{DrainTimeout: 10 * waitLimit, Conn: ConnConfig{CloseTimeout: 10 * waitLimit}})
	done := goServe(s, context.Background())
	p := dialPeer(t, s.Addr())
	p.send(1, "the last request")
	p.want(2, "the last request")
	s.Shutdown(context.Background())
	p.wantEOF()
	if err := await(t, done, "return of Serve"); err != nil {
		t.Error(err)
	}
}

// What was sent before the end is not cut short by it: the peer has CloseTimeout
// to take it.
func TestLingerBeginsWhenAllIsAcknowledged(t *testing.T) {
	const linger, answers = 10 * time.Millisecond, 6 // in the kernel, and not with the peer
	r := echoes()
	r.Handle(3, func(c *Conn, _ []byte) {
		for range answers {
			c.Send(2, []byte(big))
		}
		c.Close()
	})
	s := serve(t, ServerConfig{Router: r, Conn: ConnConfig{CloseTimeout: 10 * waitLimit, LingerTimeout: linger}})
	p := dialSlowPeer(t, s.Addr())
	p.send(3, "")
	late, loop := make(chan bool), s.Loops()[0]
	onLoop(t, loop, func() { loop.After(10*linger, func() { close(late) }) })
	await(t, late, "end of ten times the linger")
	p.send(1, "too late: a reset, if the connection has been closed")
	for range answers {
		p.want(2, big)
	}
	p.wantEOF()
}

func TestServeWithContextDone(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s := newServer(t, ServerConfig{Loops: 3})
	if err := s.Serve(ctx); err != nil {
		t.Errorf("Serve: %v", err)
	}
	if err := s.Serve(ctx); err == nil {
		t.Error("the second Serve returned nil")
	}
}

func TestCloseWithoutServe(t *testing.T) {
	s := newServer(t, ServerConfig{})
	s.Close()
	s.Close()
	if nc, err := net.Dial("tcp", s.Addr().String()); err == nil {
		nc.Close()
		t.Error("the address is still bound")
	}
	if err := s.Serve(context.Background()); err == nil {
		t.Error("Serve after Close returned nil")
	}
}

// A drain is the business of the server's own connections: a client that
// lives on one of its loops is still of use to handlers.
func TestDrainLeavesAClientOnTheLoopAlone(t *testing.T) {
	back := serve(t, ServerConfig{})
	front := newServer(t, ServerConfig{DrainTimeout: 10 * waitLimit})
	done := goServe(front, context.Background())
	answers := make(chan string, 1)
	r := NewRouter[*Conn]()
	r.Handle(2, func(_ *Conn, b []byte) { answers <- string(b) })
	ready := make(chan *Conn, 1)
	c, stop := connect(t, ClientConfig{
		Addrs: []netip.AddrPort{back.Addr()}, Router: r, Loop: front.Loops()[0],
		OnStart: func(c *Conn) { ready <- c },
	})
	await(t, ready, "connection")
	p := dialPeer(t, front.Addr())
	p.send(1, "in")
	p.want(2, "in")

	front.Shutdown(context.Background())
	p.wantEOF()
	if err := c.Send(1, []byte("during the drain")); err != nil {
		t.Errorf("Send during the drain: %v", err)
	} else if got := await(t, answers, "answer"); got != "during the drain" {
		t.Errorf("got %q", got)
	}
	stop()
	p.Close()
	if err := await(t, done, "return of Serve"); err != nil {
		t.Error(err)
	}
}
