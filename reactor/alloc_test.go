package reactor

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/netip"
	"testing"
)

// burst is the number of messages in one run: an allocation for every one of
// them, or for every other one, counts.
const burst = 16

func wantNoAllocs(t *testing.T, run func()) {
	t.Helper()
	for range 20 {
		run() // buffers and slices grow to their size
	}
	if n := testing.AllocsPerRun(100, run); n != 0 {
		t.Errorf("%v allocations for %d messages, want none", n, burst)
	}
}

func TestTCPEchoDoesNotAllocate(t *testing.T) {
	cases := []struct {
		name   string
		router *Router[*Conn]
		size   int
	}{
		{"small by Send", echoes(), 16}, {"large by Send", echoes(), 20_000},
		{"small by Reply", replies(), 16}, {"large by Reply", replies(), 20_000},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, ServerConfig{Router: c.router})
			p := dialPeer(t, s.Addr())
			one := frame(1, big[:c.size])
			answer := make([]byte, burst*len(one))
			wantNoAllocs(t, func() {
				for i := range burst { // in lock-step
					p.write(one)
					io.ReadFull(p.TCPConn, answer[i*len(one):(i+1)*len(one)])
				}
			})
			all := bytes.Repeat(one, burst)
			wantNoAllocs(t, func() { // and pipelined
				p.write(all)
				io.ReadFull(p.TCPConn, answer)
			})
		})
	}
}

func TestClientSendDoesNotAllocate(t *testing.T) {
	s := serve(t, ServerConfig{})
	answers := make(chan bool, burst)
	r := NewRouter[*Conn]()
	r.Handle(2, func(*Conn, []byte) { answers <- true })
	started := make(chan *Conn, 1)
	c, _ := connect(t, ClientConfig{
		Addrs: []netip.AddrPort{s.Addr()}, Router: r,
		OnStart: func(c *Conn) { started <- c },
	})
	await(t, started, "start hook")
	body := []byte("hello")
	wantNoAllocs(t, func() {
		for range burst {
			c.Send(1, body)
		}
		for range burst {
			<-answers
		}
	})
}

func TestUDPEchoDoesNotAllocate(t *testing.T) {
	s := serveUDP(t, UDPConfig{})
	nc := dialUDP(t, s.Addr())
	one := frame(1, "0123456789abcdef")
	answer := make([]byte, 100)
	wantNoAllocs(t, func() {
		for range burst {
			nc.Write(one)
		}
		for range burst {
			nc.Read(answer)
		}
	})
}

func TestUDPClientDoesNotAllocate(t *testing.T) {
	s := serveUDP(t, UDPConfig{})
	answers := make(chan bool, burst)
	r := NewRouter[*Packet]()
	r.Handle(2, func(*Packet, []byte) { answers <- true })
	c := runUDPClient(t, UDPConfig{Addr: s.Addr(), Router: r})
	body := []byte("hello")
	wantNoAllocs(t, func() {
		for range burst {
			c.Send(1, body)
		}
		for range burst {
			<-answers
		}
	})
}

func TestQueueDoesNotAllocate(t *testing.T) {
	l := runLoop(t)
	taken := make(chan int, burst)
	q := NewQueue(l, burst, func(batch []int) {
		for _, v := range batch {
			taken <- v
		}
	})
	wantNoAllocs(t, func() {
		for i := range burst {
			q.Put(i)
		}
		for range burst {
			<-taken
		}
	})
}

func BenchmarkTCPEcho(b *testing.B) {
	s, err := NewServer(ServerConfig{Addr: loopback, Router: echoes(), Loops: 1})
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Listen(); err != nil {
		b.Fatal(err)
	}
	done := goServe(s, context.Background())
	p := dialPeer(b, s.Addr())
	one := frame(1, "0123456789abcdef")
	b.ReportAllocs()
	for b.Loop() {
		p.write(one)
		if _, err := io.ReadFull(p.TCPConn, one); err != nil {
			b.Fatal(err)
		}
		one[0] = 1
	}
	p.Close()
	s.Close()
	<-done
}

func BenchmarkUDPEcho(b *testing.B) {
	s := serveUDP(b, UDPConfig{})
	nc := dialUDP(b, s.Addr())
	one := frame(1, "0123456789abcdef")
	b.ReportAllocs()
	for b.Loop() {
		nc.Write(one)
		if _, err := nc.Read(one); err != nil {
			b.Fatal(err)
		}
		one[0] = 1
	}
}

// dialUDP returns a socket of package net that is connected to addr.
func dialUDP(t testing.TB, addr netip.AddrPort) *net.UDPConn {
	t.Helper()
	nc, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(addr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return nc
}
