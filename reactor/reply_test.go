package reactor

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// replies answers message 1 as echoes does, by Reply.
func replies() *Router[*Conn] {
	r := NewRouter[*Conn]()
	r.Handle(1, func(c *Conn, body []byte) { c.Reply(2, body) })
	return r
}

func TestReplyToASlowReader(t *testing.T) {
	const n, high = 600, 256 << 10
	r := NewRouter[*Conn]()
	r.Handle(1, func(c *Conn, body []byte) {
		if err := c.Reply(2, body); err != nil {
			t.Errorf("Reply with %d bytes unsent: %v", c.unsent(), err)
		}
		if limit := high + len(body) + HeaderSize; c.unsent() > limit {
			t.Errorf("%d bytes unsent, want at most %d", c.unsent(), limit)
		}
	})
	water := make(chan bool, n)
	s := serve(t, ServerConfig{
		Router: r, Conn: ConnConfig{HighWater: high},
		OnBackPressure: func(_ *Conn, full bool) { water <- full },
	})
	p := dialSlowPeer(t, s.Addr())
	go p.Write(bytes.Repeat(frame(1, big), n)) // ends with the deadline of p
	if !await(t, water, "high-water hook") {
		t.Error("the first hook was told of the low mark")
	}
	for range n {
		p.want(2, big)
	}
}

// Replies and what the same goroutine sends keep their order, however they
// are mixed and wherever the flushes fall.
func TestReplyAndSendKeepTheirOrder(t *testing.T) {
	for pattern := range 1 << 6 {
		r := NewRouter[*Conn]()
		r.Handle(1, func(c *Conn, _ []byte) {
			for i := range 6 {
				if pattern&(1<<i) != 0 {
					c.Send(int32(i), nil)
				} else {
					c.Reply(int32(i), nil)
				}
				if i == pattern%6 {
					c.flush()
				}
			}
		})
		k := newCrank(t, unix.SOCK_STREAM, &endpoint{router: r})
		k.write(frame(1, ""))
		var want []byte
		for i := range 6 {
			want = append(want, frame(int32(i), "")...)
		}
		if got := k.record(); !bytes.Equal(got, want) {
			t.Errorf("pattern %06b: got %v, want %v", pattern, got, want)
		}
		k.close()
	}
}

func TestReplyLimits(t *testing.T) {
	k := newCrank(t, unix.SOCK_STREAM, &endpoint{router: replies(), cfg: ConnConfig{
		MaxFrame: 100, HighWater: 216, HardCap: 216, Buffers: NewBufferPool(4096),
	}})
	defer k.close()
	c := k.conn
	if err := c.Reply(1, make([]byte, 101)); err != ErrTooLong {
		t.Errorf("Reply of 101 bytes: %v, want %v", err, ErrTooLong)
	}
	for range 2 {
		if err := c.Reply(1, make([]byte, 100)); err != nil {
			t.Errorf("Reply up to the cap: %v", err)
		}
	}
	if err := c.Reply(1, nil); err != ErrOutputFull {
		t.Errorf("Reply beyond the cap: %v, want %v", err, ErrOutputFull)
	}
	k.turn(0)
	if c.Pending() != 0 || c.unsent() != 0 {
		t.Errorf("%d bytes pending, %d unsent after a flush", c.Pending(), c.unsent())
	}
	other, err := c.end.cfg.Buffers.get(1)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Reply(1, nil); err != ErrNoBuffers {
		t.Errorf("Reply without a buffer: %v, want %v", err, ErrNoBuffers)
	}
	c.end.cfg.Buffers.put(other)
	c.Close()
	if err := c.Reply(1, nil); err != ErrClosed {
		t.Errorf("Reply after Close: %v, want %v", err, ErrClosed)
	}
}

func TestReplyFromATaskAndATimer(t *testing.T) {
	conns := make(chan *Conn, 1)
	s := serve(t, ServerConfig{OnStart: func(c *Conn) { c.Reply(5, []byte("start")); conns <- c }})
	p := dialPeer(t, s.Addr())
	c := await(t, conns, "start hook")
	p.want(5, "start")
	onLoop(t, c.Loop(), func() {
		c.Reply(6, []byte("task"))
		c.Loop().After(time.Millisecond, func() { c.Reply(7, []byte("timer")); c.Close() })
	})
	p.want(6, "task")
	p.want(7, "timer")
	p.wantEOF()
}

// A long output that is cut short again and again while more is added to it.
func TestReplyBehindOutputThatIsCutShort(t *testing.T) {
	for _, single := range []bool{false, true} {
		t.Run(fmt.Sprintf("single frame writes %v", single), func(t *testing.T) {
			k := newCrank(t, unix.SOCK_STREAM, &endpoint{router: replies(), cfg: ConnConfig{
				SingleFrameWrites: single, HighWater: 4 << 20,
			}})
			defer k.close()
			var want, got []byte
			b := make([]byte, 7777)
			for i := 0; len(want) < 3<<20; i++ {
				body := numbered(i) + big[:i%3000]
				want = append(want, frame(2, body)...)
				if err := k.conn.Reply(2, []byte(body)); err != nil {
					t.Fatal(err)
				}
				if i%2 == 0 {
					k.turn(unix.EPOLLOUT)
				}
				if n, err := readFD(k.peer, b[:i%len(b)+1]); err == nil {
					got = append(got, b[:n]...)
				}
			}
			for len(got) < len(want) {
				k.turn(unix.EPOLLOUT)
				n, err := readFD(k.peer, b)
				if err != nil {
					t.Fatalf("after %d of %d bytes: %v", len(got), len(want), err)
				}
				got = append(got, b[:n]...)
			}
			if !bytes.Equal(got, want) {
				t.Error("the output is not what was sent")
			}
		})
	}
}

// A router that a handler sets gets the messages from the next one on, also
// when they are in the same batch.
func TestSetRouter(t *testing.T) {
	login := NewRouter[*Conn]()
	login.Handle(1, func(c *Conn, body []byte) {
		if string(body) == "password" {
			c.SetRouter(replies())
		}
	})
	s := serve(t, ServerConfig{Router: login})
	p := dialPeer(t, s.Addr())
	p.write(bytes.Join([][]byte{frame(1, "wrong"), frame(1, "password"), frame(1, "first"), frame(1, "second")}, nil))
	p.want(2, "first")
	p.want(2, "second")
}

func TestKeepAlive(t *testing.T) {
	cases := map[time.Duration][2]int{ // on, and seconds of silence
		0: {1, 5}, -1: {0, 0}, time.Millisecond: {1, 1}, 90 * time.Second: {1, 90},
	}
	for keepAlive, want := range cases {
		t.Run(fmt.Sprint(keepAlive), func(t *testing.T) {
			got := make(chan [2]int, 1)
			s := serve(t, ServerConfig{Conn: ConnConfig{KeepAlive: keepAlive}, OnStart: func(c *Conn) {
				on, _ := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE)
				idle, _ := unix.GetsockoptInt(c.fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE)
				got <- [2]int{on, idle * on}
			}})
			dialPeer(t, s.Addr())
			if got := await(t, got, "start hook"); got != want {
				t.Errorf("keep-alive %v, want %v", got, want)
			}
		})
	}
}
