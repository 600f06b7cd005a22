package reactor

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// udpEchoes answers message 1 with message 2 of the same body, in place.
func udpEchoes() *Router[*Packet] {
	r := NewRouter[*Packet]()
	r.Handle(1, func(p *Packet, body []byte) { p.Reply(2, append(p.Buffer(), body...)) })
	return r
}

// serveUDP runs a UDP server until the test ends; what cfg leaves out is
// filled in for tests.
func serveUDP(t testing.TB, cfg UDPConfig) *UDPServer {
	t.Helper()
	if !cfg.Addr.IsValid() {
		cfg.Addr = loopback
	}
	if cfg.Router == nil {
		cfg.Router = udpEchoes()
	}
	s, err := NewUDPServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }() // ends with ctx; the cleanup waits for it
	t.Cleanup(func() {
		cancel()
		if err := await(t, done, "return of Serve"); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s
}

// udpPeer is a socket of package net that talks to one server.
type udpPeer struct {
	t testing.TB
	*net.UDPConn
}

func newUDPPeer(t testing.TB, addr netip.AddrPort) udpPeer {
	nc := dialUDP(t, addr)
	nc.SetDeadline(time.Now().Add(waitLimit))
	return udpPeer{t, nc}
}

func (p udpPeer) send(b []byte) {
	p.t.Helper()
	if _, err := p.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

func (p udpPeer) want(id int32, body string) {
	p.t.Helper()
	b := make([]byte, 1<<16)
	n, err := p.Read(b)
	if err != nil {
		p.t.Fatalf("waiting for message %d %.40q: %v", id, body, err)
	}
	if !bytes.Equal(b[:n], frame(id, body)) {
		p.t.Fatalf("got a datagram of %d bytes %.60q, want message %d %.40q", n, b[:n], id, body)
	}
}

func TestUDPBodies(t *testing.T) {
	s := serveUDP(t, UDPConfig{})
	p := newUDPPeer(t, s.Addr())
	for _, size := range []int{0, 1, 16, 1024, 9000, maxDatagramBody - 1, maxDatagramBody} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			body := strings.Repeat("x", size)
			p.send(frame(1, body))
			p.want(2, body)
		})
	}
}

func TestUDPOverIPv6(t *testing.T) {
	from := make(chan netip.AddrPort, 1)
	r := udpEchoes()
	r.Handle(3, func(p *Packet, _ []byte) { from <- p.From() })
	s := serveUDP(t, UDPConfig{Addr: ipv6Loopback(t), Router: r})
	p := newUDPPeer(t, s.Addr())
	p.send(frame(1, "six"))
	p.want(2, "six")
	p.send(frame(3, ""))
	if got, want := await(t, from, "sender").String(), p.LocalAddr().String(); got != want {
		t.Errorf("sender is %s, want %s", got, want)
	}
}

func TestUDPSender(t *testing.T) {
	for _, listen := range []string{"127.0.0.1:0", "[::]:0"} {
		t.Run(listen, func(t *testing.T) {
			ipv6Loopback(t)
			from := make(chan netip.AddrPort, 1)
			r := NewRouter[*Packet]()
			r.Handle(1, func(p *Packet, _ []byte) { from <- p.From() })
			s := serveUDP(t, UDPConfig{Addr: netip.MustParseAddrPort(listen), Router: r})
			p := newUDPPeer(t, netip.AddrPortFrom(loopback.Addr(), s.Addr().Port()))
			p.send(frame(1, ""))
			if got, want := await(t, from, "sender").String(), p.LocalAddr().String(); got != want {
				t.Errorf("sender is %s, want %s", got, want)
			}
		})
	}
}

// notFrames are datagrams that are not exactly one frame.
var notFrames = map[string][]byte{
	"empty":          {},
	"half a header":  frame(1, "")[:HeaderSize-1],
	"body too short": frame(1, "hello")[:HeaderSize+4],
	"bytes after it": append(frame(1, "hello"), 'x'),
	"two frames":     append(frame(1, "a"), frame(1, "b")...),
	"negative":       badHeader(-1),
	"least number":   badHeader(math.MinInt32),
	"much too long":  badHeader(math.MaxInt32),
}

func TestUDPDropsWhatIsNotAFrame(t *testing.T) {
	for name, datagram := range notFrames {
		t.Run(name, func(t *testing.T) {
			s := serveUDP(t, UDPConfig{})
			p := newUDPPeer(t, s.Addr())
			p.send(datagram)
			p.send(frame(1, "after"))
			p.want(2, "after")
			st := s.Loop().Stats()
			if st.Dropped != 1 || st.MessagesIn != 1 || st.BytesIn != uint64(len(datagram)+HeaderSize+5) {
				t.Errorf("%+v: want one dropped, one message", st)
			}
		})
	}
}

func FuzzDatagram(f *testing.F) {
	for _, b := range notFrames {
		f.Add(b)
	}
	f.Add(frame(-5, "hello"))
	f.Fuzz(func(t *testing.T, b []byte) {
		id, body, ok := datagramFrame(b)
		frames, valid := dumbFrames(b, math.MaxInt32)
		want := valid && len(frames) == 1 && len(b) == HeaderSize+len(frames[0].Body)
		if ok != want {
			t.Fatalf("a frame: %v, want %v", ok, want)
		}
		if ok && (id != frames[0].ID || string(body) != frames[0].Body) {
			t.Errorf("message %d %q, want %v", id, body, frames[0])
		}
	})
}

// held keeps the loop until release is called, so that what is sent to it
// meanwhile comes in one batch.
func held(t *testing.T, l *Loop) (release func()) {
	t.Helper()
	busy, free := make(chan bool), make(chan bool)
	if err := l.Post(func() { close(busy); <-free }); err != nil {
		t.Fatal(err)
	}
	await(t, busy, "run of a task")
	return func() { close(free) }
}

// Answers of one batch reach the senders of the requests, whatever the sizes
// of batches and however many answers there are to one request.
func TestUDPAnswersReachTheirSenders(t *testing.T) {
	const peers, each, answers = 10, 15, 3
	for _, batch := range []int{1, 2, 7, 64, 1024} {
		t.Run(fmt.Sprint(batch), func(t *testing.T) {
			r := NewRouter[*Packet]()
			r.Handle(1, func(p *Packet, body []byte) {
				for i := range answers {
					p.Reply(int32(i), body)
				}
			})
			s := serveUDP(t, UDPConfig{Router: r, Batch: batch})
			release := held(t, s.Loop())
			var all []udpPeer
			for range peers {
				all = append(all, newUDPPeer(t, s.Addr()))
			}
			for i := range each {
				for n, p := range all {
					p.send(frame(1, fmt.Sprintf("request %d of peer %d", i, n)))
				}
			}
			release()
			for i := range each {
				for n, p := range all {
					for a := range answers {
						p.want(int32(a), fmt.Sprintf("request %d of peer %d", i, n))
					}
				}
			}
		})
	}
}

func TestUDPPanicCostsOneDatagram(t *testing.T) {
	r := udpEchoes()
	r.Handle(3, func(*Packet, []byte) { panic("three") })
	s := serveUDP(t, UDPConfig{Router: r})
	p := newUDPPeer(t, s.Addr())
	release := held(t, s.Loop())
	for _, id := range []int32{1, 3, 3, 1, 99, 3, 1} {
		p.send(frame(id, numbered(int(id))))
	}
	release()
	for range 3 {
		p.want(2, numbered(1))
	}
	p.send(frame(1, "after"))
	p.want(2, "after")
	if st := s.Loop().Stats(); st.Panics != 3 || st.MessagesUnknown != 1 {
		t.Errorf("%d panics and %d unknown messages, want 3 and 1", st.Panics, st.MessagesUnknown)
	}
}

func TestUDPReply(t *testing.T) {
	tooLong := make(chan error, 1)
	r := NewRouter[*Packet]()
	r.Handle(1, func(p *Packet, body []byte) {
		p.Reply(10, nil)
		p.Reply(11, []byte("memory of its own"))
		p.Reply(12, append(p.Buffer(), "in place"...))
		p.Reply(13, body)
		tooLong <- p.Reply(14, make([]byte, maxDatagramBody+1))
		p.Reply(15, append(p.Buffer(), make([]byte, maxDatagramBody)...))
	})
	s := serveUDP(t, UDPConfig{Router: r})
	p := newUDPPeer(t, s.Addr())
	p.send(frame(1, "the request"))
	p.want(10, "")
	p.want(11, "memory of its own")
	p.want(12, "in place")
	p.want(13, "the request")
	p.want(15, string(make([]byte, maxDatagramBody)))
	if err := await(t, tooLong, "result"); err != ErrTooLong {
		t.Errorf("Reply beyond a datagram: %v, want %v", err, ErrTooLong)
	}
}

// A sender must not be able to keep the loop: tasks go on in a flood.
func TestUDPFloodLeavesTimeForTasks(t *testing.T) {
	s := serveUDP(t, UDPConfig{})
	var stops []func()
	for range 2 {
		flood := dialUDP(t, s.Addr())
		datagram := frame(9, "flood")
		stops = append(stops, until(func() error { _, err := flood.Write(datagram); return err }))
	}
	eventually(t, "the flood has begun", func() bool { return s.Loop().Stats().MessagesUnknown > 0 })
	for range 50 {
		onLoop(t, s.Loop(), func() {})
	}
	for _, stop := range stops {
		stop()
	}
}

func TestUDPServersAndClientsInOneProcess(t *testing.T) {
	var all sync.WaitGroup
	for range 3 {
		s := serveUDP(t, UDPConfig{})
		for range 2 {
			p := newUDPPeer(t, s.Addr())
			all.Go(func() {
				for i := range 50 {
					p.Write(frame(1, numbered(i)))
					b := make([]byte, 100)
					if n, err := p.Read(b); !bytes.Equal(b[:n], frame(2, numbered(i))) {
						t.Errorf("got %q, %v", b[:n], err)
					}
				}
			})
		}
	}
	all.Wait()
}

func TestUDPServerLife(t *testing.T) {
	first, err := NewUDPServer(UDPConfig{Addr: loopback, Router: udpEchoes()})
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Listen(); err != nil {
		t.Fatal(err)
	}
	second, err := NewUDPServer(UDPConfig{Addr: first.Addr(), Router: udpEchoes()})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Serve(t.Context()); err == nil || !strings.Contains(err.Error(), first.Addr().String()) {
		t.Errorf("Serve on a port in use: %v", err)
	}
	first.Close()
	first.Close()
	if err := first.Serve(t.Context()); err == nil {
		t.Error("Serve after Close returned nil")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := second.Serve(ctx); err != nil {
		t.Errorf("Serve on a port that is free again: %v", err)
	}
	if err := second.Serve(ctx); err == nil {
		t.Error("the second Serve returned nil")
	}
}

func TestUDPConfigIsChecked(t *testing.T) {
	cases := map[string]UDPConfig{
		"no router":      {Addr: loopback},
		"no address":     {Router: udpEchoes()},
		"negative batch": {Addr: loopback, Router: udpEchoes(), Batch: -1},
		"huge batch":     {Addr: loopback, Router: udpEchoes(), Batch: 1025},
	}
	for name, cfg := range cases {
		t.Run(name, func(t *testing.T) {
			if _, err := NewUDPServer(cfg); err == nil {
				t.Errorf("NewUDPServer(%+v) returned no error", cfg)
			}
			if _, err := NewUDPClient(cfg); err == nil {
				t.Errorf("NewUDPClient(%+v) returned no error", cfg)
			}
		})
	}
}

// The kernel makes an edge of output for each datagram that has left. It is
// nothing to wake up for.
func TestUDPWakesForInputAlone(t *testing.T) {
	const n = 50
	s := serveUDP(t, UDPConfig{})
	p := newUDPPeer(t, s.Addr())
	onLoop(t, s.Loop(), func() {})
	before := s.Loop().Stats().Wakeups
	for i := range n {
		p.send(frame(1, numbered(i)))
		p.want(2, numbered(i))
	}
	onLoop(t, s.Loop(), func() {})
	if woken := s.Loop().Stats().Wakeups - before; woken > n+n/2 { // onLoop takes one or two
		t.Errorf("%d datagrams woke the loop %d times", n, woken)
	}
}

func TestUDPOverflow(t *testing.T) {
	const n = 1000
	s := serveUDP(t, UDPConfig{ReceiveBuffer: 1})
	p := newUDPPeer(t, s.Addr())
	held, free := make(chan struct{}), make(chan struct{})
	if err := s.Loop().Post(func() { close(held); <-free }); err != nil {
		t.Fatal(err)
	}
	await(t, held, "the loop")
	for range n {
		p.send(frame(1, "x"))
	}
	close(free)
	p.want(2, "x")
	eventually(t, "all are counted", func() bool { return s.Loop().Stats().MessagesIn+s.Overflow() == n })
	if s.Overflow() == 0 {
		t.Error("nothing was dropped")
	}
}

// An error of recvmmsg that stays, such as ENOMEM, put the socket in line again
// at once: the loop took all of a processor.
func TestFinding10ReceiveErrorDoesNotSpin(t *testing.T) {
	var log logged
	s := serveUDP(t, UDPConfig{Log: log.logger()})
	p := newUDPPeer(t, s.Addr())
	p.send(frame(1, "well"))
	p.want(2, "well")
	broken, err := os.Open(".") // not a socket
	if err != nil {
		t.Fatal(err)
	}
	defer broken.Close()
	socket, fd := s.socket, s.socket.fd
	onLoop(t, s.Loop(), func() {
		socket.fd = int(broken.Fd())
		socket.onReady(unix.EPOLLIN)
	})
	before := s.Loop().Stats()
	eventually(t, "it has been tried some times", func() bool {
		return s.Loop().Stats().ReceiveErrors > before.ReceiveErrors+3*batchBudget
	})
	if woken := s.Loop().Stats().Wakeups - before.Wakeups; woken > 40 {
		t.Errorf("the loop woke %d times", woken)
	}
	if n := strings.Count(log.String(), "cannot be received"); n != 1 {
		t.Errorf("%d log lines, want 1: %s", n, log.String())
	}
	onLoop(t, s.Loop(), func() { socket.fd = fd })
	p.send(frame(1, "well again"))
	p.want(2, "well again")
}

// A page that showed the number waited for each loop: with a handler that hung,
// it hung too, just when it was needed.
func TestFinding15NumbersOfAWedgedLoop(t *testing.T) {
	s := serveUDP(t, UDPConfig{ReceiveBuffer: 1})
	p := newUDPPeer(t, s.Addr())
	release := held(t, s.Loop())
	defer release()
	for range 1000 {
		p.send(frame(1, "x"))
	}
	numbers := make(chan uint64)
	go func() { // the test waits for it
		s.Loop().Stats()
		numbers <- s.Overflow()
	}()
	if n := await(t, numbers, "number of a loop that hangs"); n == 0 {
		t.Error("nothing was dropped")
	}
}

func TestUDPOverflowWithoutALoop(t *testing.T) {
	s, err := NewUDPServer(UDPConfig{Addr: loopback, Router: udpEchoes()})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	if n := s.Overflow(); n != 0 {
		t.Errorf("before Serve: %d", n)
	}
	s.Close()
	if n := s.Overflow(); n != 0 {
		t.Errorf("after Close: %d", n)
	}
}
