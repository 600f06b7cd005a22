package debug

import (
	"net"
	"sync"
)

// limitListener accepts no more connections while max of them are open; the
// others wait in the backlog of the kernel.
type limitListener struct {
	net.Listener
	slots chan struct{} // one element per open connection; never closed
	done  chan struct{} // closed by Close
	once  sync.Once
}

func limitConns(ln net.Listener, limit int) net.Listener {
	return &limitListener{Listener: ln, slots: make(chan struct{}, limit), done: make(chan struct{})}
}

func (l *limitListener) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.done:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &limitConn{Conn: c, release: sync.OnceFunc(func() { <-l.slots })}, nil
}

func (l *limitListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return l.Listener.Close()
}

// limitConn gives its slot back when it is closed for the first time.
type limitConn struct {
	net.Conn
	release func()
}

func (c *limitConn) Close() error {
	err := c.Conn.Close()
	c.release()
	return err
}
