package main

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
)

// backend is a TCP server that answers each connection with one byte: fine or
// failed.
type backend struct {
	what string // for people
	addr netip.AddrPort

	listener net.Listener // nil: dead
	fails    func(call uint64) bool
	calls    atomic.Uint64
	serving  sync.WaitGroup
}

// What a backend answers.
const (
	fine   = '+'
	failed = '-'
)

func never(uint64) bool { return false }

func everyOther(call uint64) bool { return call%2 == 0 }

// farm is all backends. The last one joins the route later.
type farm struct {
	backends []*backend
}

// newFarm starts the backends on free ports.
func newFarm() (*farm, error) {
	f := &farm{}
	for _, b := range []*backend{
		{what: "healthy", fails: never},
		{what: "healthy", fails: never},
		{what: "healthy", fails: never},
		{what: "fails half", fails: everyOther},
		{what: "dead"},
		{what: "added, removed", fails: never},
	} {
		if err := b.start(); err != nil {
			f.close()
			return nil, err
		}
		f.backends = append(f.backends, b)
	}
	return f, nil
}

// first returns the backends that the route has from the start.
func (f *farm) first() []*backend { return f.backends[:len(f.backends)-1] }

// late returns the backend that is added on the way.
func (f *farm) late() *backend { return f.backends[len(f.backends)-1] }

// close ends all backends and waits for them.
func (f *farm) close() {
	for _, b := range f.backends {
		if b.listener != nil {
			b.listener.Close()
		}
		b.serving.Wait()
	}
}

func (b *backend) start() error {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("start a backend: %w", err)
	}
	b.addr = l.Addr().(*net.TCPAddr).AddrPort()
	if b.fails == nil {
		return l.Close() // a port where nobody listens refuses every call
	}
	b.listener = l
	b.serving.Go(b.serve) // ends when close closes the listener
	return nil
}

func (b *backend) serve() {
	for {
		conn, err := b.listener.Accept()
		if err != nil {
			return
		}
		b.serving.Go(func() { b.answer(conn) }) // ends when the caller hangs up
	}
}

func (b *backend) answer(conn net.Conn) {
	defer conn.Close()
	result := byte(fine)
	if b.fails(b.calls.Add(1)) {
		result = failed
	}
	if _, err := conn.Write([]byte{result}); err == nil {
		io.Copy(io.Discard, conn) // the caller hangs up first
	}
}
