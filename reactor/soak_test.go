package reactor

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

var soakFor = flag.Duration("soak", 0, "how long TestSoak works; 0: 2 s, or 20 s in CI")

// soakTime returns how long to work.
func soakTime() time.Duration {
	switch {
	case *soakFor > 0:
		return *soakFor
	case os.Getenv("CI") != "":
		return 20 * time.Second
	}
	return 2 * time.Second
}

// descriptors returns the number of open ones.
func descriptors(t *testing.T) int {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}

// soak is a server in the middle of everything that can happen to it.
type soak struct {
	t       *testing.T
	server  *Server
	udp     *UDPServer
	buffers *BufferPool
	until   time.Time

	started, closed, answered, pushed atomic.Int64
	guests                            sync.WaitGroup
}

// TestSoak mixes connects, resets, partial frames, floods, slow readers,
// half-closes, panics, tasks, timers, pushes to all connections and clients
// that come and go. At the end no goroutine, descriptor or buffer may be left,
// and everybody has only seen answers to what he asked.
func TestSoak(t *testing.T) {
	goroutines := goleak.IgnoreCurrent()
	before := descriptors(t)
	k := &soak{t: t, buffers: NewBufferPool(16 << 20), until: time.Now().Add(soakTime())}
	k.server = newServer(t, k.config())
	var err error
	k.udp, err = NewUDPServer(UDPConfig{Addr: loopback, Router: udpEchoes(), Batch: 8})
	if err != nil {
		t.Fatal(err)
	}
	if err := k.udp.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var hosts sync.WaitGroup
	hosts.Go(func() { k.check("Serve", k.server.Serve(ctx)) })
	hosts.Go(func() { k.check("UDP Serve", k.udp.Serve(ctx)) })

	k.invite()
	k.guests.Wait()
	cancel()
	hosts.Wait()

	if lent := k.buffers.Lent(); lent != 0 {
		t.Errorf("%d bytes of buffers are left", lent)
	}
	if n := k.server.Conns(); n != 0 || k.started.Load() != k.closed.Load() {
		t.Errorf("%d connections left; %d start hooks, %d close hooks", n, k.started.Load(), k.closed.Load())
	}
	if k.answered.Load() == 0 || k.pushed.Load() == 0 {
		t.Errorf("%d answers, %d pushes: nothing went on", k.answered.Load(), k.pushed.Load())
	}
	eventually(t, "all descriptors are closed", func() bool { return descriptors(t) == before })
	if err := goleak.Find(goroutines); err != nil {
		t.Error(err)
	}
	t.Logf("%d connections, %d answers, %d pushes", k.started.Load(), k.answered.Load(), k.pushed.Load())
}

func (k *soak) check(what string, err error) {
	if err != nil {
		k.t.Errorf("%s: %v", what, err)
	}
}

func (k *soak) over() bool { return time.Now().After(k.until) }

// config is a server whose limits are all within reach.
func (k *soak) config() ServerConfig {
	r := echoes()
	r.Handle(3, func(*Conn, []byte) { panic("three") })
	r.Handle(4, func(c *Conn, body []byte) { c.Send(2, body); c.Close() })
	r.Handle(5, func(c *Conn, _ []byte) { c.Abort() })
	r.Handle(6, func(c *Conn, body []byte) { c.Send(2, body); c.CloseWrite() })
	r.Handle(8, func(c *Conn, body []byte) {
		c.PauseReading()
		c.Loop().After(5*time.Millisecond, c.ResumeReading)
		c.Send(2, body)
	})
	return ServerConfig{
		Router: r, Loops: 2, MaxConns: 40, MaxUnproven: 8, UnprovenTimeout: 200 * time.Millisecond, MaxPerAddr: 46,
		DrainTimeout: 500 * time.Millisecond,
		OnStart: func(c *Conn) {
			k.started.Add(1)
			c.SetProperty(c.Loop().Every(5*time.Millisecond, func() { c.Send(7, nil) }))
		},
		OnClose: func(c *Conn, _ error) {
			k.closed.Add(1)
			c.Property().(*Timer).Stop()
		},
		OnEOF: func(c *Conn) { c.Send(2, []byte("late")); c.Close() },
		Conn: ConnConfig{
			MaxFrame: 200_000, HighWater: 64 << 10, HardCap: 512 << 10, Buffers: k.buffers,
			StallTimeout: 200 * time.Millisecond, IdleTimeout: 300 * time.Millisecond,
			FrameTimeout: 250 * time.Millisecond, PeerTimeout: 200 * time.Millisecond, CloseTimeout: 200 * time.Millisecond,
		},
	}
}

// invite starts all peers that take part until the time is over.
func (k *soak) invite() {
	for range 4 {
		k.guest(k.polite)
	}
	for _, rude := range []func(*peer){k.resetter, k.halfFrame, k.badFrame, k.flood, k.slowReader, k.halfCloser, k.provoker} {
		k.guest(rude)
	}
	k.guests.Go(k.pushes)
	k.guests.Go(k.tasks)
	k.guests.Go(k.clients)
	k.guests.Go(k.datagrams)
}

// guest makes one connection after the other and gives each to visit.
func (k *soak) guest(visit func(*peer)) {
	k.guests.Go(func() {
		for !k.over() {
			nc, err := net.Dial("tcp", k.server.Addr().String())
			if errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.ECONNRESET) {
				continue // the ports of a minute are used up; or pushed out of the pool at once
			}
			if err != nil {
				k.t.Error(err)
				return
			}
			p := newPeer(k.t, nc)
			p.SetDeadline(time.Now().Add(500 * time.Millisecond))
			visit(p)
			p.Close()
		}
	})
}

// polite asks and waits; an end may come at any time, a wrong answer not.
func (k *soak) polite(p *peer) {
	for range rand.IntN(50) {
		body := big[:rand.IntN(len(big))]
		if _, err := p.Write(frame(1, body)); err != nil {
			return
		}
		for {
			id, got, err := p.next()
			if err != nil {
				return
			}
			if id == 7 {
				continue // a push
			}
			if id != 2 || string(got) != body {
				k.t.Errorf("message %d of %d bytes answers one of %d", id, len(got), len(body))
			}
			k.answered.Add(1)
			break
		}
	}
}

func (k *soak) resetter(p *peer) { p.Write(frame(1, big)); p.reset() }

func (k *soak) halfFrame(p *peer) {
	f := frame(1, big)
	p.Write(f[:rand.IntN(len(f))])
	if rand.IntN(2) == 0 {
		p.next() // until the server finds it idle, or the deadline
	}
}

func (k *soak) badFrame(p *peer) {
	p.Write(append(frame(1, "good"), badHeader(int32(-1-rand.IntN(100)))...))
	p.next()
}

func (k *soak) flood(p *peer) {
	block := bytes.Repeat(frame(1, strings.Repeat("x", rand.IntN(2000))), 200)
	reading := until(func() error { _, _, err := p.next(); return err })
	for range 10 {
		if _, err := p.Write(block); err != nil {
			break
		}
	}
	p.Close()
	reading()
}

func (k *soak) slowReader(p *peer) {
	p.SetReadBuffer(4 << 10)
	for {
		if _, err := p.Write(frame(1, big)); err != nil {
			return // it was thrown out, or the time was up
		}
	}
}

func (k *soak) halfCloser(p *peer) {
	p.Write(bytes.Repeat(frame(1, big), rand.IntN(20)))
	p.CloseWrite()
	for {
		if _, _, err := p.next(); err != nil {
			return
		}
	}
}

// provoker sends what makes the handlers panic, close and abort.
func (k *soak) provoker(p *peer) {
	ids := []int32{3, 4, 5, 6, 8}
	p.Write(append(frame(1, "before"), frame(ids[rand.IntN(len(ids))], "now")...))
	p.Write(frame(1, "after"))
	for {
		if _, _, err := p.next(); err != nil {
			return
		}
	}
}

// pushes sends to every connection, from its loop.
func (k *soak) pushes() {
	for !k.over() {
		var done sync.WaitGroup
		done.Add(len(k.server.Loops()))
		k.server.RunOnAllLoops(func(l *Loop) {
			defer done.Done()
			l.each(func(p pollable) {
				if c, ok := p.(*Conn); ok && c.Send(7, []byte("push")) == nil {
					k.pushed.Add(1)
				}
			})
		})
		done.Wait()
	}
}

// tasks keeps the loops busy with tasks, timers and a queue.
func (k *soak) tasks() {
	l := k.server.Loops()[1]
	taken := 0
	q := NewQueue(l, 100, func(batch []int) { taken += len(batch) })
	for put := 0; !k.over(); {
		if q.Put(1) == nil {
			put++
		}
		l.Post(func() {
			l.After(time.Duration(rand.IntN(3))*time.Millisecond, func() {})
			l.After(time.Hour, func() {}).Stop()
		})
		if put%1000 == 0 {
			onLoop(k.t, l, func() {
				if rand.IntN(10) == 0 {
					l.protect("soak", func() { panic("soak") })
				}
			})
		}
		runtime.Gosched()
	}
}

// clients runs clients that come and go, on a server that lets them go too.
func (k *soak) clients() {
	for !k.over() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rand.IntN(200))*time.Millisecond)
		r := NewRouter[*Conn]()
		r.Handle(2, func(c *Conn, body []byte) { k.answered.Add(1); c.Send(1+int32(rand.IntN(6)), body) })
		c, err := NewClient(ClientConfig{
			Addrs: []netip.AddrPort{k.server.Addr()}, Router: r,
			BackoffMin: time.Millisecond, BackoffMax: 10 * time.Millisecond, DrainTimeout: 100 * time.Millisecond,
			OnStart: func(c *Conn) { c.Send(1, []byte(big)) },
			Conn:    ConnConfig{Buffers: k.buffers, CloseTimeout: 50 * time.Millisecond},
		})
		if err == nil {
			err = c.Run(ctx)
		}
		k.check("Run", err)
		cancel()
	}
}

// datagrams runs UDP clients that come and go beside raw noise.
func (k *soak) datagrams() {
	for !k.over() {
		noise, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(k.udp.Addr()))
		if err != nil {
			k.t.Error(err)
			return
		}
		var c *UDPClient
		r := NewRouter[*Packet]()
		r.Handle(2, func(_ *Packet, body []byte) { k.answered.Add(1); c.Send(1, body) })
		c, err = NewUDPClient(UDPConfig{Addr: k.udp.Addr(), Router: r})
		if err == nil {
			for i := range 30 {
				c.Send(1, []byte(numbered(i)))
				noise.Write([]byte(numbered(i)))
			}
			ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
			err = c.Run(ctx)
			cancel()
		}
		k.check("UDP Run", err)
		noise.Close()
	}
}
