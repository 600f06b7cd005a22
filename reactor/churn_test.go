package reactor

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// known is a connection, which may have ended, and what it alone may see.
type known struct {
	conn   *Conn
	secret string
}

// recent keeps the last connections that told their secret.
type recent struct {
	mu    sync.Mutex // guards everything below
	ring  [64]known
	count int
}

func (r *recent) add(k known) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ring[r.count%len(r.ring)] = k
	r.count++
}

// any returns a random one; its conn is nil as long as there is none.
func (r *recent) any() known {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ring[rand.IntN(min(max(r.count, 1), len(r.ring)))]
}

// Thousands of short connections use the same few descriptors again and again
// while other goroutines send to connections that may have ended. No byte may
// reach anybody but the connection that it was sent to: each one only ever
// sees its own secret, on both sides.
func TestDescriptorsUsedAgainKeepTheirBytesApart(t *testing.T) {
	const dialers, each = 4, 400
	var conns recent
	r := NewRouter[*Conn]()
	r.Handle(1, func(c *Conn, body []byte) {
		if c.Property() == nil {
			c.SetProperty(string(body))
			conns.add(known{c, string(body)})
		}
		if c.Property() != string(body) {
			t.Errorf("the server got %q from the connection of %q", body, c.Property())
		}
		c.Send(2, body)
	})
	s := serve(t, ServerConfig{
		Router: r, Loops: 2,
		Conn: ConnConfig{HighWater: 16 << 10, HardCap: 16 << 10},
	})

	var stops []func()
	var sent atomic.Int64
	for range 2 {
		stops = append(stops, until(func() error {
			if k := conns.any(); k.conn != nil {
				k.conn.Send(3, []byte(k.secret))
				if sent.Add(1)%50 == 0 {
					k.conn.Close()
				}
			}
			runtime.Gosched() // the loops share the processors
			return nil
		}))
	}
	var all sync.WaitGroup
	for d := range dialers {
		all.Go(func() {
			for i := range each {
				shortVisit(t, s, fmt.Sprintf("secret %d of dialer %d", i, d), i)
			}
		})
	}
	all.Wait()
	for _, stop := range stops {
		stop()
	}
	if n := s.Loops()[0].Stats().Opened + s.Loops()[1].Stats().Opened; n != dialers*each {
		t.Errorf("%d connections, want %d", n, dialers*each)
	}
	eventually(t, "all are gone", func() bool { return s.Conns() == 0 })
}

// shortVisit makes a connection, looks at some of what it is sent, and leaves
// in one of several ways.
func shortVisit(t *testing.T, s *Server, secret string, i int) {
	p := dialPeer(t, s.Addr())
	defer p.Close()
	p.Write(frame(1, secret))
	for range 1 + i%4 {
		_, body, err := p.next()
		if err != nil {
			return // the server may have closed it
		}
		if string(body) != secret {
			t.Errorf("%q saw %q", secret, body)
			return
		}
		if i%2 == 0 {
			p.Write(frame(1, secret))
		}
	}
	if i%3 == 0 {
		p.reset()
	}
}
