package reactor

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// After its server had been restarted, a client stayed with the other one for
// ever.
func TestFinding04ClientReturnsToItsServer(t *testing.T) {
	addr := deadAddr(t)
	other := serve(t, ServerConfig{})
	started := make(chan *Conn, 10)
	onClose, closed := closes(10)
	connect(t, hurried(ClientConfig{
		Addrs: []netip.AddrPort{addr, other.Addr()}, OnStart: func(c *Conn) { started <- c }, OnClose: onClose,
		ReturnMin: 20 * time.Millisecond, ReturnMax: 50 * time.Millisecond,
	}))
	if c := await(t, started, "start hook"); c.RemoteAddr() != other.Addr() {
		t.Fatalf("connected to %v, want %v", c.RemoteAddr(), other.Addr())
	}
	s := newServer(t, ServerConfig{Addr: addr})
	done := goServe(s, context.Background())
	if reason := await(t, closed, "close hook"); reason != ErrReturn {
		t.Errorf("closed for %v, want %v", reason, ErrReturn)
	}
	if c := await(t, started, "start hook"); c.RemoteAddr() != addr {
		t.Errorf("connected to %v, want %v", c.RemoteAddr(), addr)
	}
	s.Close()
	await(t, done, "return of Serve")
}

// A server that cannot be reached costs the connection in use nothing.
func TestClientStaysWhileItsServerIsAway(t *testing.T) {
	other := serve(t, ServerConfig{})
	onClose, closed := closes(10)
	var draws atomic.Int64
	client, _ := connect(t, hurried(ClientConfig{
		Addrs: []netip.AddrPort{deadAddr(t), other.Addr()}, OnClose: onClose,
		Random:    func() float64 { draws.Add(1); return 0 },
		ReturnMin: time.Millisecond, ReturnMax: time.Millisecond,
	}))
	eventually(t, "there is a connection", func() bool { return client.Conn() != nil })
	before := draws.Load()
	eventually(t, "the way back was tried often", func() bool { return draws.Load() > before+10 })
	if len(closed) > 0 {
		t.Errorf("the connection ended: %v", <-closed)
	}
}

// Addresses could be numbers only, so a server that moved was lost.
func TestFinding44NamesAreLookedUpAgain(t *testing.T) {
	first, second := serve(t, ServerConfig{}), serve(t, ServerConfig{})
	var at atomic.Pointer[netip.AddrPort]
	move := func(a netip.AddrPort) { at.Store(&a) }
	move(first.Addr())
	started := make(chan *Conn, 10)
	connect(t, hurried(ClientConfig{
		Resolve: func(context.Context) ([]netip.AddrPort, error) { return []netip.AddrPort{*at.Load()}, nil },
		OnStart: func(c *Conn) { started <- c },
	}))
	for _, want := range []netip.AddrPort{first.Addr(), second.Addr()} {
		c := await(t, started, "start hook")
		if c.RemoteAddr() != want {
			t.Errorf("connected to %v, want %v", c.RemoteAddr(), want)
		}
		move(second.Addr())
		c.Abort()
	}
}

// All addresses of a name are tried, and a lookup that fails leaves those of the
// last one in use.
func TestFinding44AllAddressesOfANameAreTried(t *testing.T) {
	s, dead := serve(t, ServerConfig{}), deadAddr(t)
	lookups := 0
	started, failed := make(chan *Conn, 10), make(chan string, 100)
	connect(t, hurried(ClientConfig{
		Resolve: func(context.Context) ([]netip.AddrPort, error) {
			if lookups++; lookups != 2 {
				return nil, errors.New("no such host")
			}
			return []netip.AddrPort{dead, s.Addr()}, nil
		},
		OnStart:      func(c *Conn) { started <- c },
		OnDialFailed: func(_ netip.AddrPort, err error) { failed <- err.Error() },
	}))
	if text := await(t, failed, "hook of a failed lookup"); !strings.Contains(text, "no such host") {
		t.Errorf("hook was told %q", text)
	}
	for range 2 { // the second time the lookup fails again
		c := await(t, started, "start hook")
		if c.RemoteAddr() != s.Addr() {
			t.Errorf("connected to %v, want %v", c.RemoteAddr(), s.Addr())
		}
		c.Abort()
	}
}

// A resolver that hangs holds neither the loop nor the end of the client.
func TestFinding44LookupDoesNotBlockTheLoop(t *testing.T) {
	asked := make(chan bool, 1)
	client, stop := connect(t, ClientConfig{
		ResolveTimeout: time.Hour,
		Resolve: func(ctx context.Context) ([]netip.AddrPort, error) {
			asked <- true
			<-ctx.Done()
			return nil, ctx.Err()
		},
	})
	await(t, asked, "lookup")
	onLoop(t, client.Loop(), func() {})
	stop()
}

func TestResolveNames(t *testing.T) {
	for _, tt := range []struct {
		name  string
		names []string
		want  []netip.AddrPort // nil: an error that names the first name
	}{
		{"a number", []string{"127.0.0.1:7"}, []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:7")}},
		{"a name", []string{"localhost:7"}, []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:7")}},
		{"one of two is unknown", []string{"no.such.host.invalid:7", "127.0.0.2:8"}, []netip.AddrPort{netip.MustParseAddrPort("127.0.0.2:8")}},
		{"unknown", []string{"no.such.host.invalid:7"}, nil},
		{"no port", []string{"localhost"}, nil},
		{"port out of range", []string{"localhost:65536"}, nil},
		{"port zero", []string{"localhost:0"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
			defer cancel()
			got, err := ResolveNames(tt.names...)(ctx)
			switch {
			case tt.want == nil && (err == nil || !strings.Contains(err.Error(), tt.names[0])):
				t.Errorf("%v, error %v; want one that names %s", got, err, tt.names[0])
			case tt.want != nil && (err != nil || !slices.Equal(got, tt.want)):
				t.Errorf("%v, %v; want %v", got, err, tt.want)
			}
		})
	}
}
