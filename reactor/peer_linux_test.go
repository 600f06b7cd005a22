package reactor

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lars.internal/internal/netns"
)

// A network that went silent was noticed after 940 s when output was on its way:
// keepalive keeps quiet then, and the kernel repeats the output for so long.
// Both sides notice within 10 s, whichever side sends.
func TestFinding01SilentCutIsNoticed(t *testing.T) {
	const limit = 10 * time.Second
	cases := map[string]struct {
		server, client time.Duration // time between two messages of each; 0: none
		begin          time.Duration // time from the cut to the first message
	}{
		"idle":                        {},
		"the client sends":            {client: 10 * time.Millisecond},
		"the server sends":            {server: 10 * time.Millisecond},
		"both send":                   {server: 50 * time.Millisecond, client: time.Second},
		"first output after the cut":  {server: time.Hour, begin: 4 * time.Second},
		"while keepalive asks":        {client: time.Hour, begin: 6500 * time.Millisecond},
		"just before keepalive's end": {server: time.Hour, begin: 7700 * time.Millisecond},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			link := newLink(t)
			first := make(chan time.Time, 1)
			begin := func(conn *Conn, every time.Duration) {
				if every > 0 {
					onLoop(t, conn.Loop(), func() {
						conn.Loop().After(c.begin, func() { conn.Send(1, []byte("hello")) })
						conn.Loop().Every(every, func() { conn.Send(1, []byte("hello")) })
					})
				}
			}
			if c.begin > 0 {
				link.host.Cut()
				first <- time.Now()
			}
			begin(link.server, c.server)
			begin(link.client, c.client)
			if c.begin == 0 {
				eventually(t, "messages flow", func() bool { return link.flowing(c.server > 0, c.client > 0) })
				link.host.Cut()
				first <- time.Now()
			}
			cut := <-first
			for side, closed := range map[string]<-chan ending{"server": link.serverClosed, "client": link.clientClosed} {
				end := await(t, closed, "end on the side of the "+side)
				if end.reason != ErrPeerLost && !errors.Is(end.reason, syscall.ETIMEDOUT) {
					t.Errorf("%s: closed for %v", side, end.reason)
				}
				if took := end.at.Sub(cut); took > limit {
					t.Errorf("%s: noticed after %v, want %v at most", side, took, limit)
				}
			}
		})
	}
}

// ending is when and why a connection ended.
type ending struct {
	at     time.Time
	reason error
}

// link is a connection between two hosts.
type link struct {
	host                       *netns.Host // of the client
	server, client             *Conn       // its two ends
	serverClosed, clientClosed chan ending
	atServer, atClient         atomic.Int64 // messages that arrived
}

func newLink(t *testing.T) *link {
	network := netns.New(t)
	far, near := network.Host("server"), network.Host("client")
	l := &link{host: near, serverClosed: make(chan ending, 1), clientClosed: make(chan ending, 1)}
	router := func(n *atomic.Int64) *Router[*Conn] {
		r := NewRouter[*Conn]()
		r.Handle(1, func(*Conn, []byte) { n.Add(1) })
		return r
	}
	closing := func(c chan ending) func(*Conn, error) {
		return func(_ *Conn, reason error) { c <- ending{time.Now(), reason} }
	}
	conns := make(chan *Conn, 1)
	s, err := NewServer(ServerConfig{
		Addr: netip.AddrPortFrom(far.Addr(), 7000), Router: router(&l.atServer), Loops: 1,
		OnStart: func(c *Conn) { conns <- c }, OnClose: closing(l.serverClosed),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := far.Do(s.Listen); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(func() { cancel(); running.Wait() })
	running.Go(func() { s.Serve(ctx) })

	loop := NewLoop(nil)
	started := make(chan *Conn, 1)
	c, err := NewClient(ClientConfig{
		Addrs: []netip.AddrPort{s.Addr()}, Router: router(&l.atClient), Loop: loop, BackoffMin: time.Hour, BackoffMax: time.Hour,
		OnStart: func(c *Conn) { started <- c }, OnClose: closing(l.clientClosed),
	})
	if err != nil {
		t.Fatal(err)
	}
	running.Go(func() { near.Do(func() error { return loop.Run(ctx) }) })
	running.Go(func() { c.Run(ctx) })
	l.server, l.client = await(t, conns, "connection"), await(t, started, "connection")
	return l
}

// flowing reports whether something has arrived from each side that sends.
func (l *link) flowing(server, client bool) bool {
	return (!server || l.atClient.Load() > 0) && (!client || l.atServer.Load() > 0)
}

// A peer that does not read is not lost: its machine answers, whatever its
// window.
func TestPeerThatDoesNotReadIsNotLost(t *testing.T) {
	const timeout = 80 * time.Millisecond
	paused := make(chan *Conn, 1)
	onClose, closed := closes(1)
	r := NewRouter[*Conn]()
	var handled atomic.Int64
	r.Handle(1, func(c *Conn, _ []byte) {
		if handled.Add(1) == 1 {
			c.PauseReading()
			paused <- c
		}
	})
	s := serve(t, ServerConfig{Router: r})
	started := make(chan *Conn, 1)
	c, _ := connect(t, ClientConfig{
		Addrs: []netip.AddrPort{s.Addr()}, OnStart: func(c *Conn) { started <- c }, OnClose: onClose,
		Conn: ConnConfig{PeerTimeout: timeout, HardCap: 32 << 20, KeepAlive: -1},
	})
	conn := await(t, started, "connection")
	sent := int64(0)
	for c.Send(1, []byte(big)) == nil {
		sent++
	}
	reader := await(t, paused, "first message")
	looks := c.Loop().Stats().Wakeups + 20*peerChecks
	eventually(t, "the client has looked for 20 times the timeout", func() bool { return c.Loop().Stats().Wakeups > looks })
	if len(closed) > 0 {
		t.Fatalf("closed for %v", <-closed)
	}
	onLoop(t, conn.Loop(), func() {
		if conn.Unacknowledged() == 0 {
			t.Error("nothing was on its way: the case is not the one to be tested")
		}
	})
	onLoop(t, reader.Loop(), reader.ResumeReading)
	eventually(t, "all is handled", func() bool { return handled.Load() == sent })
}

func TestPeerLost(t *testing.T) {
	const timeout = 8 * time.Second
	cases := map[string]struct {
		info unix.TCPInfo
		lost bool
	}{
		"answers":                        {unix.TCPInfo{Unacked: 1, Last_ack_recv: 10, Last_data_recv: 90_000}, false},
		"silent, nothing repeated":       {unix.TCPInfo{Unacked: 1, Last_ack_recv: 90_000, Last_data_recv: 90_000}, false},
		"silent, repeated once":          {unix.TCPInfo{Unacked: 1, Last_ack_recv: 90_000, Last_data_recv: 90_000, Retransmits: 1}, false},
		"silent, repeated":               {unix.TCPInfo{Unacked: 1, Last_ack_recv: 6000, Last_data_recv: 6000, Retransmits: 2}, true},
		"silent for too short":           {unix.TCPInfo{Unacked: 1, Last_ack_recv: 5999, Last_data_recv: 90_000, Retransmits: 9}, false},
		"sends and does not acknowledge": {unix.TCPInfo{Unacked: 1, Last_ack_recv: 90_000, Last_data_recv: 100, Retransmits: 9}, false},
		"closed window":                  {unix.TCPInfo{Notsent_bytes: 1, Last_ack_recv: 50_000, Last_data_recv: 90_000, Probes: 1}, false},
		"silent with a closed window":    {unix.TCPInfo{Notsent_bytes: 1, Last_ack_recv: 50_000, Last_data_recv: 90_000, Probes: 2}, true},
	}
	for name, c := range cases {
		if got := peerLost(&c.info, timeout); got != c.lost {
			t.Errorf("%s: lost %v, want %v", name, got, c.lost)
		}
	}
}
