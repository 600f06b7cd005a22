package reactor

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// waitLimit is how long a test waits for an event that has to come.
const waitLimit = 20 * time.Second

var loopback = netip.MustParseAddrPort("127.0.0.1:0")

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(serveShortOfDescriptors())
	}
	goleak.VerifyTestMain(m)
}

// await returns what comes out of c, or fails the test.
func await[T any](t testing.TB, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(waitLimit):
		t.Fatalf("no %s within %v", what, waitLimit)
		panic("unreachable")
	}
}

// eventually waits for a condition that no event announces.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(waitLimit); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", waitLimit, what)
		}
	}
}

// onLoop runs f on l and waits for it.
func onLoop(t testing.TB, l *Loop, f func()) {
	t.Helper()
	done := make(chan struct{})
	if err := l.Post(func() { f(); close(done) }); err != nil {
		t.Fatal(err)
	}
	await(t, done, "run of a task")
}

// runLoop runs a loop until the test ends.
func runLoop(t testing.TB) *Loop {
	t.Helper()
	l := NewLoop(nil)
	var running sync.WaitGroup
	running.Go(func() {
		if err := l.Run(context.Background()); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(func() { l.Stop(); running.Wait() })
	return l
}

// echoes answers message 1 with message 2 of the same body.
func echoes() *Router[*Conn] {
	r := NewRouter[*Conn]()
	r.Handle(1, func(c *Conn, body []byte) { c.Send(2, body) })
	return r
}

// newServer returns a server that listens; what cfg leaves out is filled in
// for tests: port 0, one loop, an echo.
func newServer(t testing.TB, cfg ServerConfig) *Server {
	t.Helper()
	if !cfg.Addr.IsValid() {
		cfg.Addr = loopback
	}
	cfg.Loops = cmp.Or(cfg.Loops, 1)
	if cfg.Router == nil {
		cfg.Router = echoes()
	}
	s, err := NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	return s
}

// serve runs a server until the test ends. Then Serve has to return nil and
// no buffer may be lent.
func serve(t testing.TB, cfg ServerConfig) *Server {
	t.Helper()
	s := newServer(t, cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := goServe(s, ctx)
	t.Cleanup(func() {
		cancel()
		if err := await(t, done, "return of Serve"); err != nil {
			t.Errorf("Serve: %v", err)
		}
		if lent := s.cfg.Conn.Buffers.Lent(); lent != 0 {
			t.Errorf("%d bytes of buffers are lent after Serve", lent)
		}
	})
	return s
}

// goServe runs Serve and returns where its result will be.
func goServe(s *Server, ctx context.Context) <-chan error {
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }() // ends with ctx; whoever takes the result waits for it
	return done
}

// connect runs a client until the test ends or stop is called.
func connect(t testing.TB, cfg ClientConfig) (c *Client, stop func()) {
	t.Helper()
	if cfg.Router == nil {
		cfg.Router = NewRouter[*Conn]()
	}
	if cfg.Random == nil {
		cfg.Random = func() float64 { return 0 } // the servers in the order of Addrs
	}
	c, err := NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }() // ends with ctx; stop waits for it
	stop = sync.OnceFunc(func() {
		cancel()
		if err := await(t, done, "return of Run"); err != nil {
			t.Errorf("Run: %v", err)
		}
		if lent := c.cfg.Conn.Buffers.Lent(); lent != 0 {
			t.Errorf("%d bytes of buffers are lent after Run", lent)
		}
	})
	t.Cleanup(stop)
	return c, stop
}

// peer is the other end of a connection, made with package net.
type peer struct {
	t testing.TB
	*net.TCPConn
	r *bufio.Reader
}

func dialPeer(t testing.TB, addr netip.AddrPort) *peer {
	t.Helper()
	nc, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return newPeer(t, nc)
}

func newPeer(t testing.TB, nc net.Conn) *peer {
	nc.SetDeadline(time.Now().Add(waitLimit))
	return &peer{t: t, TCPConn: nc.(*net.TCPConn), r: bufio.NewReader(nc)}
}

// listenPeer returns a listener of package net, and a function that accepts.
func listenPeer(t testing.TB) (addr netip.AddrPort, accept func() *peer) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	ln.(*net.TCPListener).SetDeadline(time.Now().Add(waitLimit))
	return netip.MustParseAddrPort(ln.Addr().String()), func() *peer {
		t.Helper()
		nc, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		return newPeer(t, nc)
	}
}

// write writes raw bytes.
func (p *peer) write(b []byte) {
	p.t.Helper()
	if _, err := p.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) send(id int32, body string) { p.t.Helper(); p.write(frame(id, body)) }

// next reads one frame. It may be used beside the test's goroutine.
func (p *peer) next() (id int32, body []byte, err error) {
	var h [HeaderSize]byte
	if _, err := io.ReadFull(p.r, h[:]); err != nil {
		return 0, nil, err
	}
	body = make([]byte, binary.LittleEndian.Uint32(h[4:]))
	_, err = io.ReadFull(p.r, body)
	return int32(binary.LittleEndian.Uint32(h[:])), body, err
}

func (p *peer) want(id int32, body string) {
	p.t.Helper()
	gotID, got, err := p.next()
	if err != nil {
		p.t.Fatalf("waiting for message %d %.40q: %v", id, body, err)
	}
	if gotID != id || string(got) != body {
		p.t.Fatalf("got message %d %.40q (%d bytes), want %d %.40q (%d bytes)", gotID, got, len(got), id, body, len(body))
	}
}

// wantEOF expects the orderly end of the stream.
func (p *peer) wantEOF() {
	p.t.Helper()
	if n, err := io.Copy(io.Discard, p.r); n != 0 || err != nil {
		p.t.Fatalf("got %d more bytes and %v, want the end of the stream", n, err)
	}
}

// reset closes the peer's end with a reset.
func (p *peer) reset() {
	p.SetLinger(0)
	p.Close()
}

// frame returns a frame in the wire format, put together by hand.
func frame(id int32, body string) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(id))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(body)))
	return append(b, body...)
}

// badHeader returns a header that announces a body of any length.
func badHeader(size int32) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 1)
	return binary.LittleEndian.AppendUint32(b, uint32(size))
}

// closes returns a close hook and the channel of its reasons.
func closes(n int) (func(*Conn, error), <-chan error) {
	c := make(chan error, n)
	return func(_ *Conn, reason error) { c <- reason }, c
}

// socketpair returns two connected, non-blocking Unix sockets.
func socketpair(t testing.TB, kind int) (a, b int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return fds[0], fds[1]
}

// unsentBytes returns what the peer's kernel has not got across yet.
func unsentBytes(t testing.TB, p *peer) (n int) {
	t.Helper()
	raw, err := p.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// logged collects the lines of a logger.
type logged struct {
	mu   sync.Mutex // guards everything below
	text strings.Builder
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// numbered is the body of the i-th message of a stream.
func numbered(i int) string { return fmt.Sprintf("message %d", i) }
