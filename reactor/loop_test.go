package reactor

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestPostKeepsTheOrder(t *testing.T) {
	l := runLoop(t)
	const goroutines, tasks = 8, 1000
	var next [goroutines]int // owned by the loop
	var posters sync.WaitGroup
	for g := range goroutines {
		posters.Go(func() {
			for i := range tasks {
				l.Post(func() {
					if next[g] != i {
						t.Errorf("task %d of goroutine %d ran when %d was due", i, g, next[g])
					}
					next[g]++
				})
			}
		})
	}
	posters.Wait()
	onLoop(t, l, func() {
		for g, n := range next {
			if n != tasks {
				t.Errorf("%d tasks of goroutine %d ran, want %d", n, g, tasks)
			}
		}
	})
}

func TestPostFromTheLoopRunsInTheNextBatch(t *testing.T) {
	l := runLoop(t)
	done := make(chan []int, 1)
	l.Post(func() {
		var order []int
		l.Post(func() { order = append(order, 3) })
		l.Post(func() { done <- append(order, 4) })
		order = append(order, 1)
	})
	if got := await(t, done, "last task"); len(got) != 3 || got[0] != 1 || got[1] != 3 || got[2] != 4 {
		t.Errorf("order %v, want [1 3 4]", got)
	}
}

func TestPanicOfATask(t *testing.T) {
	l := runLoop(t)
	l.Post(func() { panic("task") })
	fired := make(chan bool)
	onLoop(t, l, func() {
		l.After(0, func() { panic("timer") })
		l.After(0, func() { close(fired) })
	})
	await(t, fired, "timer after the panic")
	if n := l.Stats().Panics; n != 2 {
		t.Errorf("%d panics counted, want 2", n)
	}
}

// What Post accepted runs, what it refused does not, at whatever moment the
// loop stops.
func TestNothingAcceptedIsLostAtTheEnd(t *testing.T) {
	for range 50 {
		l := NewLoop(nil)
		var accepted, ran atomic.Int64
		var goroutines sync.WaitGroup
		for range 3 {
			goroutines.Go(func() {
				for l.Post(func() { ran.Add(1) }) == nil {
					accepted.Add(1)
				}
			})
		}
		goroutines.Go(func() { l.Run(context.Background()) })
		goroutines.Go(func() {
			for accepted.Load() < 10 {
				runtime.Gosched()
			}
			l.Stop()
		})
		goroutines.Wait()
		if a, r := accepted.Load(), ran.Load(); a != r {
			t.Fatalf("%d tasks accepted, %d ran", a, r)
		}
		if err := l.Post(func() {}); err != ErrLoopClosed {
			t.Fatalf("Post after the end: %v, want %v", err, ErrLoopClosed)
		}
		await(t, l.Done(), "end")
	}
}

func TestContextEndsTheLoop(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	ran := false
	l := NewLoop(nil)
	l.Post(func() { ran = true })
	if err := l.Run(ctx); err != nil {
		t.Error(err)
	}
	if !ran {
		t.Error("a task that was accepted did not run")
	}
}

func TestRunOnAllLoops(t *testing.T) {
	s := serve(t, ServerConfig{Loops: 4})
	var mu sync.Mutex
	seen := make(map[*Loop]int)
	var all sync.WaitGroup
	all.Add(4)
	s.RunOnAllLoops(func(l *Loop) {
		mu.Lock()
		seen[l]++
		mu.Unlock()
		all.Done()
	})
	all.Wait()
	for i, l := range s.Loops() {
		if seen[l] != 1 {
			t.Errorf("ran %d times on loop %d, want once", seen[l], i)
		}
	}
}

// The original's event loop asserts when an event of the batch belongs to a
// descriptor that an earlier event of the same batch has closed.
func TestDefect13StaleEventHitsNobody(t *testing.T) {
	l := NewLoop(nil)
	if err := l.open(); err != nil {
		t.Fatal(err)
	}
	defer l.shut()
	old, peer := socketpair(t, unix.SOCK_STREAM)
	first, second := &counted{}, &counted{}
	if err := l.register(old, streamEdge, first, &first.index); err != nil {
		t.Fatal(err)
	}
	stale := unix.EpollEvent{Events: unix.EPOLLIN, Fd: first.index, Pad: int32(l.slots[first.index].generation)}
	l.deliver(&stale)
	l.unregister(first.index)
	closeFD(old)
	l.deliver(&stale) // nobody has the slot

	if err := l.register(peer, streamEdge, second, &second.index); err != nil {
		t.Fatal(err)
	}
	if second.index != first.index {
		t.Fatalf("slot %d was not used again", first.index)
	}
	l.deliver(&stale) // somebody else has it
	if first.events != 1 || second.events != 0 {
		t.Errorf("%d and %d events, want 1 and 0", first.events, second.events)
	}
	l.unregister(second.index)
	closeFD(peer)
}

// counted is a pollable that counts its events.
type counted struct {
	index  int32
	events int
}

func (c *counted) onReady(uint32) { c.events++ }
func (c *counted) onLoopClosed()  {}

// A handler that closes another connection of the same batch.
func TestHandlersCloseOthersOfTheBatch(t *testing.T) {
	const conns = 50
	all := make(map[*Conn]bool) // owned by the only loop
	r := NewRouter[*Conn]()
	r.Handle(1, func(c *Conn, _ []byte) {
		for other := range all {
			if other != c {
				other.teardown(ErrClosed)
			}
		}
	})
	s := serve(t, ServerConfig{
		Router:  r,
		OnStart: func(c *Conn) { all[c] = true },
		OnClose: func(c *Conn, _ error) { delete(all, c) },
	})
	var peers []*peer
	for range conns {
		peers = append(peers, dialPeer(t, s.Addr()))
	}
	eventually(t, "all are in", func() bool { return s.Loops()[0].Stats().Opened == conns })
	onLoop(t, s.Loops()[0], func() { // so that what they write comes in one batch
		for _, p := range peers {
			p.send(1, "")
		}
	})
	eventually(t, "one is left", func() bool { return s.Conns() == 1 })
}

// The original wakes up 100 times a second without work.
func TestDefect13NoWakeupsWithoutWork(t *testing.T) {
	s := serve(t, ServerConfig{Conn: ConnConfig{IdleTimeout: time.Hour}})
	for range 20 {
		p := dialPeer(t, s.Addr())
		p.send(1, "hello")
		p.want(2, "hello")
	}
	l := s.Loops()[0]
	rested := make(chan uint64, 1)
	var before uint64
	onLoop(t, l, func() {
		before = l.Stats().Wakeups
		l.After(500*time.Millisecond, func() { rested <- l.Stats().Wakeups })
	})
	// One is the timer's; a signal of the Go runtime may end a wait too.
	if n := await(t, rested, "timer") - before; n > 5 {
		t.Errorf("%d wake-ups between two events", n)
	}
}

func TestStats(t *testing.T) {
	s := serve(t, ServerConfig{})
	p := dialPeer(t, s.Addr())
	p.send(1, "hello")
	p.want(2, "hello")
	p.send(99, "unknown")
	p.send(1, "")
	p.want(2, "")
	onLoop(t, s.Loops()[0], func() {}) // it counts what it wrote after it wrote
	got := s.Loops()[0].Stats()
	got.Wakeups, got.Tasks = 0, 0
	want := LoopStats{
		Opened: 1, BytesIn: 3*HeaderSize + 5 + 7, BytesOut: 2*HeaderSize + 5,
		MessagesIn: 2, MessagesUnknown: 1,
	}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	p.Close()
	eventually(t, "the end is counted", func() bool { return s.Loops()[0].Stats().Closed == 1 })
}

func TestStatsCountWaitingTasks(t *testing.T) {
	l := NewLoop(nil)
	for range 3 {
		l.Post(func() {})
	}
	if n := l.Stats().Tasks; n != 3 {
		t.Errorf("%d tasks wait, want 3", n)
	}
	l.Stop()
	l.Run(t.Context())
	if n := l.Stats().Tasks; n != 0 {
		t.Errorf("%d tasks wait after the end", n)
	}
}
