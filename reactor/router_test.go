package reactor

import (
	"fmt"
	"math"
	"testing"
)

// The original takes handlers by a remainder of signed numbers, and indexes
// before its array for negative ones.
func TestDefect12AnyMessageID(t *testing.T) {
	ids := []int32{math.MinInt32, -1, 0, 1, denseIDs - 1, denseIDs, denseIDs + 1, math.MaxInt32}
	r := NewRouter[*Conn]()
	for _, id := range ids {
		r.Handle(id, func(c *Conn, _ []byte) { c.Send(id, []byte(fmt.Sprint(id))) })
	}
	s := serve(t, ServerConfig{Router: r})
	p := dialPeer(t, s.Addr())
	for _, id := range ids {
		p.send(id, "")
		p.want(id, fmt.Sprint(id))
	}
	p.send(-2, "")
	p.send(denseIDs-2, "")
	p.send(0, "")
	p.want(0, "0")
	if n := s.Loops()[0].Stats().MessagesUnknown; n != 2 {
		t.Errorf("%d unknown messages counted, want 2", n)
	}
}

func TestHandleOther(t *testing.T) {
	r := echoes()
	r.HandleOther(func(c *Conn, id int32, body []byte) { c.Send(-id, body) })
	s := serve(t, ServerConfig{Router: r})
	p := dialPeer(t, s.Addr())
	p.send(77, "other")
	p.want(-77, "other")
	p.send(1, "known")
	p.want(2, "known")
}

func TestRouterIsShared(t *testing.T) {
	r := echoes()
	for range 3 {
		p := dialPeer(t, serve(t, ServerConfig{Router: r}).Addr())
		p.send(1, "shared")
		p.want(2, "shared")
	}
}
