package reactor

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// hurried are the pauses of a client under test.
func hurried(cfg ClientConfig) ClientConfig {
	cfg.BackoffMin, cfg.BackoffMax = time.Millisecond, 20*time.Millisecond
	return cfg
}

// deadAddr returns an address on which no program listens.
func deadAddr(t *testing.T) netip.AddrPort {
	s := newServer(t, ServerConfig{})
	defer s.Close()
	return s.Addr()
}

// The original never tries a connect that failed again, and ends the process
// on other errors.
func TestDefect07ClientTriesForEver(t *testing.T) {
	addr := deadAddr(t)
	failed := make(chan error, 1000)
	started := make(chan *Conn, 10)
	closed := make(chan error, 10)
	client, _ := connect(t, hurried(ClientConfig{
		Addrs:        []netip.AddrPort{addr},
		OnStart:      func(c *Conn) { started <- c },
		OnClose:      func(_ *Conn, reason error) { closed <- reason },
		OnDialFailed: func(a netip.AddrPort, err error) { failed <- fmt.Errorf("%v: %w", a, err) },
	}))
	for range 5 {
		if err := await(t, failed, "hook of a failed connect"); !strings.Contains(err.Error(), "refused") || !strings.HasPrefix(err.Error(), addr.String()) {
			t.Errorf("hook was told %q", err)
		}
	}
	for range 3 { // the server comes and goes
		s := newServer(t, ServerConfig{Addr: addr})
		done := goServe(s, context.Background())
		c := await(t, started, "start hook")
		if c.RemoteAddr() != addr || c.LocalAddr().Port() == 0 {
			t.Errorf("connected from %v to %v, want to %v", c.LocalAddr(), c.RemoteAddr(), addr)
		}
		eventually(t, "the server has it", func() bool { return s.Conns() == 1 })
		s.Shutdown(context.Background())
		if reason := await(t, closed, "close hook"); reason != io.EOF {
			t.Errorf("closed for %v, want %v", reason, io.EOF)
		}
		await(t, done, "return of Serve")
	}
	if err := client.Send(1, nil); err != ErrNotConnected {
		t.Errorf("Send without a server: %v, want %v", err, ErrNotConnected)
	}
}

func TestClientTakesTheNextAddress(t *testing.T) {
	dead := deadAddr(t)
	first, second := serve(t, ServerConfig{}), serve(t, ServerConfig{})
	var mu sync.Mutex
	var tried []netip.AddrPort
	started := make(chan *Conn, 10)
	connect(t, hurried(ClientConfig{
		Addrs:   []netip.AddrPort{dead, first.Addr(), second.Addr()},
		OnStart: func(c *Conn) { started <- c },
		OnDialFailed: func(a netip.AddrPort, _ error) {
			mu.Lock()
			tried = append(tried, a)
			mu.Unlock()
		},
	}))
	for range 2 {
		for _, want := range []netip.AddrPort{first.Addr(), second.Addr()} {
			c := await(t, started, "start hook")
			if c.RemoteAddr() != want {
				t.Errorf("connected to %v, want %v", c.RemoteAddr(), want)
			}
			c.Abort()
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(tried) == 0 || slices.ContainsFunc(tried, func(a netip.AddrPort) bool { return a != dead }) {
		t.Errorf("failed attempts at %v, want %v alone", tried, dead)
	}
}

// addrsN returns n addresses.
func addrsN(n int) (addrs []netip.AddrPort) {
	for i := range n {
		addrs = append(addrs, netip.AddrPortFrom(loopback.Addr(), uint16(1+i)))
	}
	return addrs
}

func TestBackoff(t *testing.T) {
	const ms = time.Millisecond
	cases := []struct {
		name   string
		addrs  int
		random float64
		want   []time.Duration
	}{
		{"doubles up to the most", 1, 0, []time.Duration{500 * ms, 1000 * ms, 2000 * ms, 4000 * ms, 8000 * ms, 16000 * ms, 30000 * ms, 30000 * ms}},
		{"doubles when all addresses have failed", 3, 0, []time.Duration{500 * ms, 500 * ms, 500 * ms, 1000 * ms, 1000 * ms, 1000 * ms, 2000 * ms}},
		{"jitter on the first retry too", 1, 0.5, []time.Duration{375 * ms, 750 * ms, 1500 * ms}},
		{"at least half", 1, math.Nextafter(1, 0), []time.Duration{250 * ms, 500 * ms}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			client, err := NewClient(ClientConfig{
				Addrs: addrsN(c.addrs), Router: echoes(),
				Random: func() float64 { return c.random },
			})
			if err != nil {
				t.Fatal(err)
			}
			for i, want := range c.want {
				if got := client.backoff(); got.Round(ms) != want {
					t.Errorf("pause %d is %v, want %v", i, got, want)
				}
			}
			client.failures = 1 << 40
			if got := client.backoff(); got < 15*time.Second || got > 30*time.Second {
				t.Errorf("pause after very many failures is %v", got)
			}
		})
	}
}

// A server that accepts and hangs up at once must not be called all the time;
// one whose connection lasted is called again soon.
func TestBackoffAfterAConnection(t *testing.T) {
	c, err := NewClient(ClientConfig{Addrs: []netip.AddrPort{loopback}, Router: echoes(), BackoffMin: time.Hour, BackoffMax: 100 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	c.failures = 5
	c.since = c.loop.clock()
	c.ended(new(Conn))
	if c.failures != 6 {
		t.Errorf("%d failures after a short connection, want 6", c.failures)
	}
	c.since = c.loop.clock() - 2*time.Hour
	c.ended(new(Conn))
	if c.failures != 1 {
		t.Errorf("%d failures after a long connection, want 1", c.failures)
	}
}

// The original keeps its buffers across a reconnect, so that the rest of a
// frame goes out, or is taken in, on a connection that never saw its
// beginning.
func TestDefect08NewConnectionStartsClean(t *testing.T) {
	addr, accept := listenPeer(t)
	const size = 32 << 20 // more than the kernel buffers
	started := make(chan *Conn, 2)
	handled := make(chan string, 10)
	r := NewRouter[*Conn]()
	r.Handle(7, func(_ *Conn, b []byte) { handled <- string(b) })
	c, _ := connect(t, hurried(ClientConfig{
		Addrs: []netip.AddrPort{addr}, Router: r,
		Conn: ConnConfig{MaxFrame: size, HardCap: 63 << 20, HighWater: 63 << 20},
		OnStart: func(c *Conn) {
			c.Send(1, []byte("hello"))
			started <- c
		},
	}))
	first := accept()
	await(t, started, "start hook")
	for _, id := range []int32{2, 3} {
		if err := c.Send(id, make([]byte, size/2)); err != nil {
			t.Fatal(err)
		}
	}
	first.want(1, "hello")
	io.CopyN(io.Discard, first.r, 1000) // some of message 2
	first.write(frame(7, "half a frame")[:12])
	first.reset()

	second := accept()
	second.want(1, "hello")
	await(t, started, "start hook")
	if err := c.Send(4, []byte("next")); err != nil {
		t.Fatal(err)
	}
	second.want(4, "next")
	second.send(7, "whole")
	if got := await(t, handled, "message"); got != "whole" {
		t.Errorf("got %q, want the whole frame of the new connection", got)
	}
}

func TestSendWithoutAConnection(t *testing.T) {
	failed := make(chan bool, 1000)
	c, stop := connect(t, hurried(ClientConfig{
		Addrs:        []netip.AddrPort{deadAddr(t)},
		OnDialFailed: func(netip.AddrPort, error) { failed <- true },
	}))
	await(t, failed, "failed connect")
	if err := c.Send(1, nil); err != ErrNotConnected {
		t.Errorf("Send: %v, want %v", err, ErrNotConnected)
	}
	if c.Conn() != nil {
		t.Error("there is a connection")
	}
	stop()
	if err := c.Send(1, nil); err != ErrNotConnected {
		t.Errorf("Send after Run: %v, want %v", err, ErrNotConnected)
	}
}

// What was sent before Run's context ends is written by the time it returns.
func TestClientDrainsAtTheEnd(t *testing.T) {
	var got []string // the server's loop, then this goroutine
	r := NewRouter[*Conn]()
	r.Handle(1, func(_ *Conn, b []byte) { got = append(got, string(b)) })
	onClose, closed := closes(1)
	s := serve(t, ServerConfig{Router: r, OnClose: onClose})
	started := make(chan *Conn, 1)
	c, stop := connect(t, ClientConfig{Addrs: []netip.AddrPort{s.Addr()}, OnStart: func(c *Conn) { started <- c }})
	await(t, started, "start hook")
	const n = 100
	for i := range n {
		if err := c.Send(1, []byte(numbered(i)+big[:10000])); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	await(t, closed, "close hook")
	if len(got) != n || !strings.HasPrefix(got[n-1], numbered(n-1)) {
		t.Errorf("%d messages arrived, want %d", len(got), n)
	}
}

func TestClientDrainHasADeadline(t *testing.T) {
	for _, shared := range []bool{false, true} {
		t.Run(fmt.Sprintf("shared loop %v", shared), func(t *testing.T) {
			addr, accept := listenPeer(t)
			started := make(chan *Conn, 1)
			onClose, closed := closes(1)
			cfg := ClientConfig{
				Addrs: []netip.AddrPort{addr}, DrainTimeout: 50 * time.Millisecond,
				OnStart: func(c *Conn) { started <- c }, OnClose: onClose,
				Conn: ConnConfig{CloseTimeout: 10 * waitLimit},
			}
			if shared {
				cfg.Loop = runLoop(t)
			}
			c, stop := connect(t, cfg)
			accept()
			await(t, started, "start hook")
			for c.Send(1, []byte(big)) == nil { // more than the peer's kernel takes
			}
			stop()
			if len(closed) != 1 {
				t.Error("Run returned before the close hook had run")
			}
		})
	}
}

func TestClientsShareALoop(t *testing.T) {
	s := serve(t, ServerConfig{})
	l := runLoop(t)
	answers := make(chan string, 3)
	r := NewRouter[*Conn]()
	r.Handle(2, func(_ *Conn, b []byte) { answers <- string(b) })
	var stops []func()
	for i := range 3 {
		_, stop := connect(t, ClientConfig{
			Addrs: []netip.AddrPort{s.Addr()}, Router: r, Loop: l,
			OnStart: func(c *Conn) { c.Send(1, []byte(numbered(i))) },
		})
		stops = append(stops, stop)
	}
	for range 3 {
		await(t, answers, "answer")
	}
	for _, stop := range stops {
		stop()
	}
	onLoop(t, l, func() {
		l.each(func(p pollable) {
			if _, ok := p.(eventfd); !ok {
				t.Errorf("%T is left on the loop", p)
			}
		})
	})
	eventually(t, "the server sees them go", func() bool { return s.Conns() == 0 })
}

func TestClientEndsWithItsLoop(t *testing.T) {
	s := serve(t, ServerConfig{})
	l := NewLoop(nil)
	started := make(chan *Conn, 1)
	onClose, closed := closes(1)
	c, err := NewClient(ClientConfig{
		Addrs: []netip.AddrPort{s.Addr()}, Router: echoes(), Loop: l,
		OnStart: func(c *Conn) { started <- c }, OnClose: onClose,
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 2)
	go func() { done <- l.Run(context.Background()) }()
	go func() { done <- c.Run(context.Background()) }()
	conn := await(t, started, "start hook")
	l.Stop()
	for range 2 {
		if err := await(t, done, "return of Run"); err != nil && err != ErrLoopClosed {
			t.Errorf("Run: %v", err)
		}
	}
	if reason := await(t, closed, "close hook"); reason != ErrLoopClosed {
		t.Errorf("closed for %v, want %v", reason, ErrLoopClosed)
	}
	if err := conn.Send(1, nil); err != ErrLoopClosed {
		t.Errorf("Send: %v, want %v", err, ErrLoopClosed)
	}
	if err := c.Run(context.Background()); err != ErrLoopClosed {
		t.Errorf("Run on a closed loop: %v, want %v", err, ErrLoopClosed)
	}
}

func TestClientConfigIsChecked(t *testing.T) {
	addrs := []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:1")}
	cases := map[string]ClientConfig{
		"no router":      {Addrs: addrs},
		"no address":     {Router: echoes()},
		"zero address":   {Addrs: append(addrs, netip.AddrPort{}), Router: echoes()},
		"limits":         {Addrs: addrs, Router: echoes(), Conn: ConnConfig{HardCap: -1}},
		"backoff bounds": {Addrs: addrs, Router: echoes(), BackoffMin: time.Minute, BackoffMax: time.Second},
	}
	for name, cfg := range cases {
		t.Run(name, func(t *testing.T) {
			if _, err := NewClient(cfg); err == nil {
				t.Errorf("NewClient(%+v) returned no error", cfg)
			}
		})
	}
}

func TestClientPanicOfTheDialHook(t *testing.T) {
	calls := make(chan bool, 1000)
	connect(t, hurried(ClientConfig{
		Addrs:        []netip.AddrPort{deadAddr(t)},
		OnDialFailed: func(netip.AddrPort, error) { calls <- true; panic("dial") },
	}))
	for range 3 {
		await(t, calls, "attempt after the panic")
	}
}
