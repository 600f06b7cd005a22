package debug

import (
	"errors"
	"net"
	"testing"
)

func TestLimitHoldsBackConnections(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln := limitConns(inner, 2).(*limitListener)
	for range 4 { // all wait in the backlog
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	first, second := accept(t, ln), accept(t, ln)
	if len(ln.slots) != 2 {
		t.Errorf("%d slots taken by two connections", len(ln.slots))
	}
	first.Close()
	first.Close() // a second close must not free a second slot
	if len(ln.slots) != 1 {
		t.Errorf("%d slots taken by one connection", len(ln.slots))
	}
	third := accept(t, ln)
	failed := make(chan error, 1)
	go func() { // ends by ln.Close, awaited by <-failed
		_, err := ln.Accept()
		failed <- err
	}()
	ln.Close()
	if err := <-failed; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept at the limit, then Close: got %v, want %v", err, net.ErrClosed)
	}
	second.Close()
	third.Close()
	if len(ln.slots) != 0 {
		t.Errorf("%d slots taken at the end", len(ln.slots))
	}
}

func accept(t *testing.T, ln net.Listener) net.Conn {
	t.Helper()
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return c
}
