package reactor

import (
	"fmt"
	"testing"
)

func TestBufferClasses(t *testing.T) {
	p := NewBufferPool(0)
	cases := []struct{ want, size int }{
		{0, 4096}, {1, 4096}, {4096, 4096}, {4097, 8192}, {8192, 8192},
		{65535, 65536}, {1 << 20, 1 << 20}, {1<<20 + 1, 2 << 20}, {64 << 20, 64 << 20},
	}
	for _, c := range cases {
		t.Run(fmt.Sprint(c.want), func(t *testing.T) {
			b, err := p.get(c.want)
			if err != nil {
				t.Fatal(err)
			}
			if cap(b) != c.size || len(b) != 0 || p.Lent() != int64(c.size) {
				t.Errorf("len %d, cap %d, lent %d; want 0, %d, %d", len(b), cap(b), p.Lent(), c.size, c.size)
			}
			p.put(b)
			if p.Lent() != 0 {
				t.Errorf("%d bytes are lent after put", p.Lent())
			}
		})
	}
	if _, err := p.get(64<<20 + 1); err != ErrNoBuffers {
		t.Errorf("beyond the largest class: %v, want %v", err, ErrNoBuffers)
	}
}

func TestBuffersAreUsedAgain(t *testing.T) {
	p := NewBufferPool(0)
	a, _ := p.get(100)
	a = append(a, "old"...)
	p.put(a)
	b, _ := p.get(4000)
	if &a[0] != &b[:1][0] || len(b) != 0 {
		t.Error("a free buffer of the class was not used")
	}
	p.put(b)
	p.put(nil)
	if p.Lent() != 0 {
		t.Errorf("%d bytes are lent", p.Lent())
	}
}

func TestPoolKeepsABoundedNumberOfFreeBuffers(t *testing.T) {
	p := NewBufferPool(0)
	var all [][]byte
	for range 20 {
		b, _ := p.get(1 << 20)
		all = append(all, b)
	}
	for _, b := range all {
		p.put(b)
	}
	class := classOf(1 << 20)
	if n := len(p.free[class]); n != keepPerClass>>20 {
		t.Errorf("%d free buffers kept, want %d", n, keepPerClass>>20)
	}
}

func TestGrowKeepsTheContent(t *testing.T) {
	p := NewBufferPool(16 << 10)
	var b []byte
	for i := range 8 << 10 {
		var err error
		if b, err = p.grow(b, 1); err != nil {
			t.Fatal(err)
		}
		b = append(b, byte(i))
	}
	bigger, err := p.grow(b, 1) // 8 and 16 KiB at a time are too much
	if err != ErrNoBuffers || len(bigger) != len(b) || &bigger[0] != &b[0] {
		t.Errorf("grow at the ceiling: %d bytes, %v; want the same %d bytes, %v", len(bigger), err, len(b), ErrNoBuffers)
	}
	for i, v := range bigger {
		if v != byte(i) {
			t.Fatalf("byte %d is %d", i, v)
		}
	}
	p.put(bigger)
	if p.Lent() != 0 {
		t.Errorf("%d bytes are lent", p.Lent())
	}
}

// In the original, the ceiling of the buffer pool ends the process, while it
// holds the pool's lock. Here it ends one connection, or fails one Send.
func TestDefect15PoolCeilingCostsOneConnection(t *testing.T) {
	pool := NewBufferPool(32 << 10)
	onClose, closed := closes(3)
	r := echoes()
	r.Handle(3, func(c *Conn, _ []byte) {
		if err := c.Send(4, []byte(big)); err != ErrNoBuffers {
			t.Errorf("Send beyond the ceiling: %v, want %v", err, ErrNoBuffers)
		}
		c.Send(5, []byte("sorry"))
	})
	s := serve(t, ServerConfig{Router: r, OnClose: onClose, Conn: ConnConfig{Buffers: pool}})
	good, sender, receiver := dialPeer(t, s.Addr()), dialPeer(t, s.Addr()), dialPeer(t, s.Addr())

	receiver.send(3, "")
	receiver.want(5, "sorry")
	receiver.send(1, "still here")
	receiver.want(2, "still here")

	sender.write(frame(1, big)[:10000]) // half a frame that needs 64 KiB
	for range 50 {
		if _, err := sender.Write([]byte(big[:100])); err != nil {
			break // the end may have come
		}
		if len(closed) > 0 {
			break
		}
	}
	sender.CloseWrite()
	if reason := await(t, closed, "close hook"); reason != ErrNoBuffers {
		t.Errorf("closed for %v, want %v", reason, ErrNoBuffers)
	}
	good.send(1, "good")
	good.want(2, "good")
	eventually(t, "all buffers are back", func() bool { return pool.Lent() == 0 })
}
