package reactor

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// probes is how often a prober asks beside a load, at least. The Go scheduler
// alone may take tens of milliseconds for each, with every processor busy.
const probes = 40

// probe makes echoes on a connection of its own, while work goes on beside it
// on the same loop: until there were enough, and the work has gone on.
func probe(t *testing.T, s *Server, work func() int64) {
	t.Helper()
	prober := dialPeer(t, s.Addr())
	eventually(t, "the work has begun", func() bool { return work() > 0 })
	before := work()
	for i := 0; i < probes || work() == before; i++ {
		prober.send(1, numbered(i))
		prober.want(2, numbered(i))
	}
	after := work()
	eventually(t, "the work goes on", func() bool { return work() > after })
}

// until runs f again and again in a goroutine that stop ends and waits for.
func until(f func() error) (stop func()) {
	var done atomic.Bool
	var running sync.WaitGroup
	running.Go(func() {
		for !done.Load() && f() == nil {
		}
	})
	return func() { done.Store(true); running.Wait() }
}

func TestFirehoseLeavesTimeForOthers(t *testing.T) {
	for name, body := range map[string]string{"small": "x", "large": big} {
		t.Run(name, func(t *testing.T) {
			var poured atomic.Int64
			r := echoes()
			r.Handle(3, func(*Conn, []byte) { poured.Add(1) })
			s := serve(t, ServerConfig{Router: r})
			hose := dialPeer(t, s.Addr())
			block := bytes.Repeat(frame(3, body), 1+(1<<20)/(HeaderSize+len(body)))
			stop := until(func() error { _, err := hose.Write(block); return err })
			defer stop()
			probe(t, s, poured.Load)
		})
	}
}

// In the original, a connection that is read all the time is never written.
func TestDefect13ReadsDoNotStarveWrites(t *testing.T) {
	var answered atomic.Int64
	s := serve(t, ServerConfig{})
	hose := dialPeer(t, s.Addr())
	block := bytes.Repeat(frame(1, "x"), 1<<16)
	stop := until(func() error { _, err := hose.Write(block); return err })
	defer stop()
	stopReading := until(func() error {
		_, _, err := hose.next()
		answered.Add(1)
		return err
	})
	probe(t, s, answered.Load)
	hose.Close()
	stopReading()
}

// A peer that reads as fast as others send to it keeps the kernel's buffer
// from ever being full; that must not keep the loop.
func TestFloodOfSendsLeavesTimeForOthers(t *testing.T) {
	conns := make(chan *Conn, 2)
	s := serve(t, ServerConfig{OnStart: func(c *Conn) { conns <- c }})
	reader := dialPeer(t, s.Addr())
	c := await(t, conns, "start hook")
	var read atomic.Int64
	stopReading := until(func() error {
		n, err := io.CopyN(io.Discard, reader.TCPConn, 1<<20)
		read.Add(n)
		return err
	})
	stop := until(func() error {
		if c.Send(2, []byte(big)) != nil {
			runtime.Gosched()
		}
		return nil
	})
	probe(t, s, read.Load)
	stop()
	reader.Close()
	stopReading()
}

// The budget of one turn, counted by hand: nobody gets more.
func TestTurnHasABudget(t *testing.T) {
	var frames []got
	l := runLoop(t)
	end := &endpoint{router: collect(&frames), onGone: func(*Conn) {}}
	end.cfg.setDefaults()
	fd, other := socketpair(t, unix.SOCK_STREAM)
	onLoop(t, l, func() {
		c := newConn(l, end, fd, loopback)
		c.start(-1)
		if n, err := writeFD(other, bytes.Repeat(frame(1, ""), 3*messageBudget)); n != 3*messageBudget*HeaderSize {
			t.Errorf("wrote %d bytes: %v", n, err)
		}
		c.readable = true
		c.read()
		if len(frames) != messageBudget {
			t.Errorf("%d frames in one turn, want %d", len(frames), messageBudget)
		}
	})
	all := func() (n int) {
		onLoop(t, l, func() { n = len(frames) })
		return n
	}
	eventually(t, "the rest comes in further turns", func() bool { return all() == 3*messageBudget })
	closeFD(other)
}

// Answers ask for a flush by a task, which must not give the reader a turn
// beside the one that it waits for: turns would double.
func TestAnswersDoNotBuyFurtherTurns(t *testing.T) {
	answers := map[string]func(*Conn, int32, []byte) error{"Send": (*Conn).Send, "Reply": (*Conn).Reply}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			handled := 0
			r := NewRouter[*Conn]()
			r.Handle(1, func(c *Conn, body []byte) { handled++; answer(c, 2, body) })
			k := newCrank(t, unix.SOCK_STREAM, &endpoint{router: r})
			defer k.close()
			if _, err := unix.Write(k.peer, bytes.Repeat(frame(1, ""), 10*messageBudget)); err != nil {
				t.Fatal(err)
			}
			k.conn.onReady(unix.EPOLLIN)
			for turns := 1; handled < 10*messageBudget; turns++ {
				if handled > turns*messageBudget || len(k.loop.ready) > 1 {
					t.Fatalf("%d frames after %d turns, %d turns to come", handled, turns, len(k.loop.ready))
				}
				k.loop.runReady()
				k.loop.runTasks()
			}
		})
	}
}

// The same for output, on a socket that never blocks, with a write a frame.
func TestWriteHasABudget(t *testing.T) {
	for size, frames := range map[int]int{0: 5000, 60_000: 100} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			sink, err := net.ListenPacket("udp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer sink.Close()
			fd, err := connectUDP(netip.MustParseAddrPort(sink.LocalAddr().String()), 1<<16)
			if err != nil {
				t.Fatal(err)
			}
			k := newCrank(t, unix.SOCK_STREAM, &endpoint{router: echoes(), cfg: ConnConfig{SingleFrameWrites: true}})
			defer k.close()
			stream := k.conn.fd
			k.conn.fd = fd
			for range frames {
				k.conn.Send(2, make([]byte, size))
			}
			before := k.conn.Pending()
			k.conn.flush()
			written := before - k.conn.Pending()
			if n := written / (HeaderSize + size); written > writeBudget+1<<16 || n > writeBudget/writeCost || n == 0 {
				t.Errorf("one turn wrote %d bytes in %d of %d frames", written, n, frames)
			}
			k.turn(0)
			if k.conn.Pending() != 0 {
				t.Errorf("%d bytes are left after further turns", k.conn.Pending())
			}
			closeFD(stream)
		})
	}
}
