package reactor

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"
)

// runUDPClient runs a client until the test ends.
func runUDPClient(t testing.TB, cfg UDPConfig) *UDPClient {
	t.Helper()
	c, err := NewUDPClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	goUDPClient(t, c)
	return c
}

// goUDPClient runs c until the test ends or stop is called.
func goUDPClient(t testing.TB, c *UDPClient) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }() // ends with ctx; stop waits for it
	stop = sync.OnceFunc(func() {
		cancel()
		if err := await(t, done, "return of Run"); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// answering returns a router that hands over the bodies of message 2.
func answering(n int) (*Router[*Packet], <-chan string) {
	answers := make(chan string, n)
	r := NewRouter[*Packet]()
	r.Handle(2, func(_ *Packet, b []byte) { answers <- string(b) })
	return r, answers
}

func TestUDPClientSendsInOrder(t *testing.T) {
	const n = 300
	s := serveUDP(t, UDPConfig{})
	r, answers := answering(2 * n)
	c, err := NewUDPClient(UDPConfig{Addr: s.Addr(), Router: r, Batch: 16})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n { // before there is a socket
		if err := c.Send(1, []byte(numbered(i))); err != nil {
			t.Fatal(err)
		}
	}
	goUDPClient(t, c)
	for i := range n {
		if got := await(t, answers, "answer"); got != numbered(i) {
			t.Fatalf("answer %q, want %q", got, numbered(i))
		}
	}
	for i := range n {
		if err := c.Send(1, []byte(numbered(i))); err != nil {
			t.Fatal(err)
		}
		if got := await(t, answers, "answer"); got != numbered(i) {
			t.Fatalf("answer %q, want %q", got, numbered(i))
		}
	}
}

func TestUDPClientFromManyGoroutines(t *testing.T) {
	const goroutines, each = 4, 100
	s := serveUDP(t, UDPConfig{})
	r, answers := answering(goroutines * each)
	c := runUDPClient(t, UDPConfig{Addr: s.Addr(), Router: r})
	var all sync.WaitGroup
	for range goroutines {
		all.Go(func() {
			for i := range each {
				if err := c.Send(1, []byte(numbered(i))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	seen := make(map[string]int)
	for range goroutines * each {
		seen[await(t, answers, "answer")]++
	}
	for i := range each {
		if n := seen[numbered(i)]; n != goroutines {
			t.Errorf("%d answers to %q, want %d", n, numbered(i), goroutines)
		}
	}
}

// A peer that is not there makes errors on the socket; when it comes, the
// client works.
func TestUDPClientOutlivesARefusal(t *testing.T) {
	nc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.MustParseAddrPort(nc.LocalAddr().String())
	nc.Close()
	r, answers := answering(100)
	c := runUDPClient(t, UDPConfig{Addr: addr, Router: r})
	for range 50 {
		if err := c.Send(1, []byte("anybody?")); err != nil {
			t.Fatal(err)
		}
		onLoop(t, c.Loop(), func() {})
	}
	serveUDP(t, UDPConfig{Addr: addr})
	tick := time.NewTicker(time.Millisecond) // a datagram may fall to the last refusal
	defer tick.Stop()
	late := time.After(waitLimit)
	for {
		select {
		case got := <-answers:
			if got != "now" {
				t.Errorf("answer %q", got)
			}
			return
		case <-tick.C:
			c.Send(1, []byte("now"))
		case <-late:
			t.Fatal("no answer")
		}
	}
}

// Only the peer's datagrams reach the client.
func TestUDPClientHearsItsPeerAlone(t *testing.T) {
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	server.SetDeadline(time.Now().Add(waitLimit))
	r, answers := answering(10)
	c := runUDPClient(t, UDPConfig{Addr: netip.MustParseAddrPort(server.LocalAddr().String()), Router: r})
	c.Send(1, nil)
	_, client, err := server.ReadFrom(make([]byte, 100))
	if err != nil {
		t.Fatal(err)
	}
	stranger := dialUDP(t, netip.MustParseAddrPort(client.String()))
	stranger.Write(frame(2, "from a stranger"))
	server.WriteTo(frame(2, "short")[:10], client)
	server.WriteTo(frame(2, "from the peer"), client)
	if got := await(t, answers, "answer"); got != "from the peer" {
		t.Errorf("got %q", got)
	}
	onLoop(t, c.Loop(), func() {}) // it counts at the end of a batch
	if n := c.Loop().Stats().Dropped; n != 1 {
		t.Errorf("%d datagrams dropped, want 1", n)
	}
}

func TestUDPClientReplies(t *testing.T) {
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	server.SetDeadline(time.Now().Add(waitLimit))
	c := runUDPClient(t, UDPConfig{Addr: netip.MustParseAddrPort(server.LocalAddr().String()), Router: udpEchoes()})
	c.Send(9, []byte("first"))
	b := make([]byte, 100)
	n, client, err := server.ReadFrom(b)
	if err != nil || string(b[:n]) != string(frame(9, "first")) {
		t.Fatalf("got %q, %v", b[:n], err)
	}
	server.WriteTo(frame(1, "question"), client)
	if n, _, err = server.ReadFrom(b); err != nil || string(b[:n]) != string(frame(2, "question")) {
		t.Errorf("got %q, %v", b[:n], err)
	}
}

func TestUDPClientLimits(t *testing.T) {
	s := serveUDP(t, UDPConfig{})
	c, err := NewUDPClient(UDPConfig{Addr: s.Addr(), Router: udpEchoes()})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Send(1, make([]byte, maxDatagramBody+1)); err != ErrTooLong {
		t.Errorf("Send beyond a datagram: %v, want %v", err, ErrTooLong)
	}
	n := 0
	for err == nil && n <= maxClientOutput {
		err = c.Send(99, make([]byte, maxDatagramBody))
		n += maxDatagramBody + HeaderSize
	}
	if err != ErrOutputFull || n < maxClientOutput {
		t.Errorf("after %d bytes: %v, want %v", n, err, ErrOutputFull)
	}
	stop := goUDPClient(t, c)
	eventually(t, "there is room again", func() bool { return c.Send(99, nil) == nil })
	stop()
	if err := c.Send(1, nil); err != ErrLoopClosed {
		t.Errorf("Send after Run: %v, want %v", err, ErrLoopClosed)
	}
}

func TestUDPClientThatCannotBegin(t *testing.T) {
	broadcast := netip.MustParseAddrPort("255.255.255.255:9") // not allowed without an option
	c, err := NewUDPClient(UDPConfig{Addr: broadcast, Router: udpEchoes()})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Run(t.Context()); err == nil {
		t.Error("Run returned nil")
	}
	if err := c.Send(1, nil); err != ErrLoopClosed {
		t.Errorf("Send after Run: %v, want %v", err, ErrLoopClosed)
	}
}

// A datagram that the kernel refuses in the middle of a batch costs itself
// alone.
func TestUDPBatchWithABadDatagram(t *testing.T) {
	sink, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	sink.SetDeadline(time.Now().Add(waitLimit))
	for _, bad := range []int{0, 2, 4} {
		l := NewLoop(nil)
		fd, err := connectUDP(netip.MustParseAddrPort(sink.LocalAddr().String()), 1<<16)
		if err != nil {
			t.Fatal(err)
		}
		s := &udpSocket{loop: l, fd: fd}
		d := newDatagrams(5)
		for i := range 5 {
			d.slot(i)[0] = byte(i)
			d.iovs[i].SetLen(1)
		}
		d.iovs[bad].SetLen(datagramSize) // 28 bytes more than IPv4 takes
		s.sendAll(d, 5)
		b := make([]byte, 10)
		for i := range 5 {
			if i == bad {
				continue
			}
			if n, _, err := sink.ReadFrom(b); n != 1 || b[0] != byte(i) {
				t.Errorf("got %d of %v, %v; want datagram %d", n, b[:n], err, i)
			}
		}
		if n := l.Stats().Dropped; n != 1 {
			t.Errorf("%d dropped, want 1", n)
		}
		s.close()
	}
}
