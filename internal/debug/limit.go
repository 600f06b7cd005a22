package debug

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"
)

// spareDescriptors is how many descriptors a limitListener holds in reserve.
const spareDescriptors = 8

// limitListener accepts connections up to a limit. At the limit a new connection
// takes the place of the one that has waited for a request for the longest time. If
// requests are in progress on all of them, the new one waits.
//
// It holds descriptors in reserve, so that the pages answer when the process has used
// up all others.
type limitListener struct {
	net.Listener
	limit int

	mu     sync.Mutex // guards the following fields and those of each limitConn
	conns  map[*limitConn]struct{}
	freed  *sync.Cond // a connection was closed or has no request any more, or closed was set
	spares []*os.File
	closed bool
}

func limitConns(ln net.Listener, limit int) *limitListener {
	l := &limitListener{Listener: ln, limit: limit, conns: make(map[*limitConn]struct{})}
	l.freed = sync.NewCond(&l.mu)
	l.refill()
	return l
}

// Accept returns the next connection when there is a place for it.
func (l *limitListener) Accept() (net.Conn, error) {
	inner, err := l.accept()
	if err != nil {
		return nil, err
	}
	c := &limitConn{Conn: inner, listener: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.conns) >= l.limit && !l.closed {
		if oldest := l.oldestIdle(); oldest != nil {
			delete(l.conns, oldest)
			oldest.Conn.Close()
			continue
		}
		l.freed.Wait()
	}
	if l.closed {
		inner.Close()
		return nil, net.ErrClosed
	}
	c.since = time.Now()
	l.conns[c] = struct{}{}
	return c, nil
}

// accept gives up a descriptor of the reserve if there is no other.
func (l *limitListener) accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		used := errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
		if !used || !l.giveUpSpare() {
			return c, err
		}
	}
}

func (l *limitListener) giveUpSpare() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.spares)
	if n == 0 {
		return false
	}
	l.spares[n-1].Close()
	l.spares = l.spares[:n-1]
	return true
}

// refill takes descriptors into the reserve until it is full or there are none.
// Called with mu held, or before the listener is used.
func (l *limitListener) refill() {
	for len(l.spares) < spareDescriptors && !l.closed {
		f, err := os.Open(os.DevNull)
		if err != nil {
			return
		}
		l.spares = append(l.spares, f)
	}
}

// oldestIdle returns the connection that has waited for a request for the longest
// time, or nil. Called with mu held.
func (l *limitListener) oldestIdle() *limitConn {
	var oldest *limitConn
	for c := range l.conns {
		if !c.busy && (oldest == nil || c.since.Before(oldest.since)) {
			oldest = c
		}
	}
	return oldest
}

// Close stops accepting and gives up the reserve. Connections stay open.
func (l *limitListener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, f := range l.spares {
		f.Close()
	}
	l.spares = nil
	l.freed.Broadcast()
	return l.Listener.Close()
}

// limitConn gives its place back when it is closed.
type limitConn struct {
	net.Conn
	listener *limitListener

	busy  bool      // a request is in progress
	since time.Time // when busy changed
}

func (c *limitConn) Close() error {
	err := c.Conn.Close()
	l := c.listener
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
	l.refill()
	l.freed.Signal()
	return err
}

// setBusy says whether a request is in progress.
func (c *limitConn) setBusy(busy bool) {
	l := c.listener
	l.mu.Lock()
	defer l.mu.Unlock()
	c.busy, c.since = busy, time.Now()
	if !busy {
		l.freed.Signal()
	}
}

// connKey is the key of the limitConn in the context of a request.
type connKey struct{}

func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// markBusy lets the listener know which connections have a request in progress.
func markBusy(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(connKey{}).(*limitConn); ok {
			c.setBusy(true)
			defer c.setBusy(false)
		}
		next.ServeHTTP(w, r)
	})
}
