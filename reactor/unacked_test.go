package reactor

import "testing"

// What a program may take as arrived is what the peer's kernel has acknowledged.
func TestUnacknowledged(t *testing.T) {
	conns := make(chan *Conn, 1)
	left := make(chan int, 1)
	s := serve(t, ServerConfig{
		OnStart: func(c *Conn) { conns <- c },
		OnClose: func(c *Conn, _ error) { left <- c.Unacknowledged() },
	})
	p := dialSlowPeer(t, s.Addr())
	c := await(t, conns, "start hook")
	unacknowledged := func() (n int) {
		onLoop(t, c.Loop(), func() { n = c.Unacknowledged() })
		return n
	}
	if err := c.Send(2, []byte("read at once")); err != nil {
		t.Fatal(err)
	}
	p.want(2, "read at once")
	eventually(t, "all is acknowledged", func() bool { return c.Pending() == 0 && unacknowledged() == 0 })
	for c.Send(2, []byte(big)) == nil { // until it is full
	}
	eventually(t, "something is not acknowledged", func() bool { return unacknowledged() > 0 })
	p.reset()
	if n := await(t, left, "close hook"); n == 0 {
		t.Error("the close hook cannot see what was not acknowledged")
	}
	if n := unacknowledged(); n != 0 {
		t.Errorf("%d bytes after the end", n)
	}
}
