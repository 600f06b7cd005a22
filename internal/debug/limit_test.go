package debug

import (
	"errors"
	"net"
	"testing"
)

// newLimited returns a listener with this limit, to which n peers have connected.
func newLimited(t *testing.T, limit, n int) (*limitListener, []net.Conn) {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln := limitConns(inner, limit)
	t.Cleanup(func() { ln.Close() })
	peers := make([]net.Conn, n)
	for i := range peers { // all wait in the backlog
		if peers[i], err = net.Dial("tcp", inner.Addr().String()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { peers[i].Close() })
	}
	return ln, peers
}

func accept(t *testing.T, ln net.Listener) *limitConn {
	t.Helper()
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return c.(*limitConn)
}

func TestLimitClosesTheOldestIdle(t *testing.T) {
	ln, _ := newLimited(t, 3, 5)
	a, b, c := accept(t, ln), accept(t, ln), accept(t, ln)
	a.setBusy(true)
	accept(t, ln)
	if _, open := ln.conns[b]; open || len(ln.conns) != 3 {
		t.Errorf("at the limit of 3: %d connections, the oldest idle one among them: %v", len(ln.conns), open)
	}
	a.setBusy(false) // now a is the one that became idle last
	accept(t, ln)
	if _, open := ln.conns[c]; open || len(ln.conns) != 3 {
		t.Errorf("at the limit of 3: %d connections, the oldest idle one among them: %v", len(ln.conns), open)
	}
	if _, open := ln.conns[a]; !open {
		t.Error("the connection that became idle last was closed")
	}
}

func TestLimitWaitsWhileAllAreBusy(t *testing.T) {
	ln, _ := newLimited(t, 1, 3)
	first := accept(t, ln)
	first.setBusy(true)
	accepted := make(chan net.Conn)
	go func() { // ends with the second connection
		c, _ := ln.Accept()
		accepted <- c
	}()
	first.Close()
	first.Close() // a second close frees no second place
	second, ok := (<-accepted).(*limitConn)
	if !ok || len(ln.conns) != 1 {
		t.Fatalf("%d connections, want the second one alone", len(ln.conns))
	}
	second.setBusy(true)
	failed := make(chan error)
	go func() { // ends by ln.Close
		_, err := ln.Accept()
		failed <- err
	}()
	ln.Close()
	if err := <-failed; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept at the limit, then Close: got %v, want %v", err, net.ErrClosed)
	}
}
