package reactor

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// readBufferSize is what one read of a connection takes at most, in bytes.
	readBufferSize = 128 << 10

	// maxEvents is the number of events that one wait takes at most.
	maxEvents = 256

	// yieldEvery is how long after the last time a loop lets the Go scheduler have
	// its processor, at the end of a turn. To the scheduler, a goroutine that it
	// has not run anew for 10 ms is a hog (forcePreemptNS in runtime/proc.go): it
	// takes the processor away in each system call and looks for the next one to
	// take each 20 us, which costs a loop with little to do a quarter of its CPU
	// time or more. Half of the 10 ms, since a turn may come as much later.
	yieldEvery = 5 * time.Millisecond
)

// What a descriptor is registered for, once: edge-triggered, so no epoll_ctl is
// needed from then on. Output is asked for by streams alone: a socket for
// datagrams has an edge of output for each one that has left, and would wake the
// loop for nothing.
const (
	inputEdge  = unix.EPOLLIN | unix.EPOLLET&0xffffffff
	streamEdge = inputEdge | unix.EPOLLOUT | unix.EPOLLRDHUP
)

// pollable is what a descriptor belongs to.
type pollable interface {
	onReady(events uint32) // descriptor is ready; runs on the loop
	onLoopClosed()         // the loop ends: release the descriptor now
}

// runnable is something that waits for its turn on the loop.
type runnable interface{ run() }

// task makes a plain function runnable.
type task func()

func (t task) run() { t() }

// slot is a place in the loop's table of descriptors. An event carries the
// slot's index and its generation, so an event of a descriptor that was closed
// earlier in the same batch has no effect, even if the slot is in use again.
type slot struct {
	generation uint32
	p          pollable
}

// Loop is an event loop: one goroutine that waits for sockets, tasks and
// timers and runs what belongs to them. Post and Stop are safe from any
// goroutine; everything else belongs to the loop goroutine.
//
// Servers and clients make loops of their own. A loop by itself, with a Queue
// in front, is a worker that takes its work in batches.
type Loop struct {
	// Immutable after NewLoop.
	log   *slog.Logger
	epoch time.Time
	done  chan struct{} // closed when Run is over

	// Owned by the loop goroutine.
	epfd     int
	now      time.Duration // clock at the last wake-up
	yielded  time.Duration // now at the last yield
	slots    []slot
	free     []int32
	timers   timerHeap
	readBuf  []byte
	tcpInfo  unix.TCPInfo // memory for checkPeer
	ready    []runnable   // has more to do without an event; runs in the next turn
	wasReady []runnable   // memory of the last batch of ready, empty
	spare    []runnable   // memory of the last batch of tasks, empty
	stopping bool
	stats    loopCounters // written here, read anywhere

	sleeping atomic.Bool  // the loop is about to wait, or waits
	waking   atomic.Int32 // goroutines that may be about to write wakefd
	wakefd   int          // eventfd; valid while sleeping may be true

	mu     sync.Mutex // guards everything below
	tasks  []runnable
	closed bool // nothing is accepted any more
}

// NewLoop returns a loop that does not run yet. Panics of tasks go to log;
// nil discards them.
func NewLoop(log *slog.Logger) *Loop {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Loop{log: log, epoch: time.Now(), done: make(chan struct{}), epfd: -1, wakefd: -1}
}

// Run runs the loop until ctx is done or Stop is called. Tasks that were
// accepted by then run; sockets that are still open are closed. It may be
// called once.
func (l *Loop) Run(ctx context.Context) error {
	if err := l.open(); err != nil {
		l.Stop()
		l.shut()
		return err
	}
	cancel := context.AfterFunc(ctx, l.Stop)
	defer cancel()
	err := l.turns()
	l.shut()
	return err
}

// Stop ends Run. It does not wait: Done is closed when Run is over.
func (l *Loop) Stop() {
	l.Post(func() { l.stopping = true })
}

// Done is closed when Run is over.
func (l *Loop) Done() <-chan struct{} { return l.done }

// Post runs f on the loop, after the events of the present turn. What one
// goroutine posts runs in that order. It fails with ErrLoopClosed once the
// loop has stopped; what was accepted is run.
func (l *Loop) Post(f func()) error { return l.post(task(f)) }

func (l *Loop) post(r runnable) error {
	if err := l.enqueue(r); err != nil {
		return err
	}
	l.wake()
	return nil
}

// enqueue puts r in line. The caller calls wake once it holds no lock.
func (l *Loop) enqueue(r runnable) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrLoopClosed
	}
	l.tasks = append(l.tasks, r)
	return nil
}

// wake ends the loop's wait, if it waits. Many calls between two waits cost
// one write.
func (l *Loop) wake() {
	if !l.sleeping.Load() {
		return
	}
	l.waking.Add(1) // from here on shut does not close wakefd
	if l.sleeping.CompareAndSwap(true, false) {
		wakeEventfd(l.wakefd)
	}
	l.waking.Add(-1)
}

func (l *Loop) open() error {
	// The Go runtime opens a poller of its own for the first timer of a process
	// and throws if it cannot: have it done before descriptors are short.
	time.AfterFunc(time.Hour, func() {}).Stop()
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("reactor: %w", os.NewSyscallError("epoll_create1", err))
	}
	l.epfd = epfd
	l.wakefd, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("reactor: %w", os.NewSyscallError("eventfd", err))
	}
	l.readBuf = make([]byte, readBufferSize)
	return l.register(l.wakefd, inputEdge, eventfd{}, new(int32))
}

// turns runs the loop: wait, events, leftovers, tasks, timers.
func (l *Loop) turns() error {
	events := make([]unix.EpollEvent, maxEvents)
	for !l.stopping {
		n, err := epollWait(l.epfd, events, l.prepareWait())
		l.sleeping.Store(false)
		if err != nil {
			return fmt.Errorf("reactor: %w", os.NewSyscallError("epoll_wait", err))
		}
		l.now = l.clock()
		l.stats.wakeups.add(1)
		for i := range n {
			l.deliver(&events[i])
		}
		l.runReady()
		l.runTasks()
		l.runTimers()
		l.yield()
	}
	return nil
}

// yield lets other goroutines run, if it is time.
func (l *Loop) yield() {
	if l.now-l.yielded >= yieldEvery {
		l.yielded = l.now
		runtime.Gosched()
	}
}

// prepareWait returns the timeout of the next wait in milliseconds. A task
// that is enqueued before sleeping is true is seen here; one that is enqueued
// after it wakes the loop.
func (l *Loop) prepareWait() int {
	if len(l.ready) > 0 {
		return 0
	}
	timeout := l.untilTimer()
	if timeout == 0 {
		return 0
	}
	l.sleeping.Store(true)
	if l.hasTasks() {
		l.sleeping.Store(false)
		return 0
	}
	return timeout
}

func (l *Loop) hasTasks() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.tasks) > 0
}

func (l *Loop) deliver(ev *unix.EpollEvent) {
	s := &l.slots[ev.Fd]
	if s.p != nil && s.generation == uint32(ev.Pad) {
		s.p.onReady(ev.Events)
	}
}

// runReady gives another turn to all that stopped at their budget.
func (l *Loop) runReady() {
	if len(l.ready) == 0 {
		return
	}
	batch := l.ready
	l.ready, l.wasReady = l.wasReady, nil
	for _, r := range batch {
		r.run()
	}
	clear(batch)
	l.wasReady = batch[:0]
}

func (l *Loop) runTasks() {
	l.mu.Lock()
	batch := l.tasks
	l.tasks, l.spare = l.spare, nil
	l.mu.Unlock()

	for _, r := range batch {
		l.runTask(r)
	}

	clear(batch)
	l.spare = batch[:0]
}

func (l *Loop) runTask(r runnable) {
	defer l.recovered("task")
	r.run()
}

// protect runs f and keeps a panic from ending the loop.
func (l *Loop) protect(what string, f func()) {
	defer l.recovered(what)
	f()
}

// recovered is deferred around code that is not ours.
func (l *Loop) recovered(what string) {
	if p := recover(); p != nil {
		l.reportPanic(what, p)
	}
}

func (l *Loop) reportPanic(what string, p any) {
	l.stats.panics.add(1)
	l.log.Error("reactor: panic", "in", what, "panic", p, "stack", string(debug.Stack()))
}

// register adds a descriptor for some events and stores its place in the table
// in *index.
func (l *Loop) register(fd int, events uint32, p pollable, index *int32) error {
	i := int32(len(l.slots))
	if n := len(l.free); n > 0 {
		i, l.free = l.free[n-1], l.free[:n-1]
	} else {
		l.slots = append(l.slots, slot{})
	}
	ev := unix.EpollEvent{Events: events, Fd: i, Pad: int32(l.slots[i].generation)}
	if err := unix.EpollCtl(l.epfd, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		l.free = append(l.free, i)
		return os.NewSyscallError("epoll_ctl", err)
	}
	l.slots[i].p = p
	*index = i
	return nil
}

// unregister frees a place in the table. The caller closes the descriptor
// after it, which takes it out of epoll.
func (l *Loop) unregister(index int32) {
	s := &l.slots[index]
	s.generation++
	s.p = nil
	l.free = append(l.free, index)
}

// each calls f for everything that is registered.
func (l *Loop) each(f func(pollable)) {
	for i := range l.slots {
		if p := l.slots[i].p; p != nil {
			f(p)
		}
	}
}

// shut ends the loop: what was accepted runs, what is open closes.
func (l *Loop) shut() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.runTasks()
	l.each(pollable.onLoopClosed)
	for l.waking.Load() > 0 {
		runtime.Gosched()
	}
	closeFD(l.wakefd)
	closeFD(l.epfd)
	close(l.done)
}

// clock returns the loop's time: monotonic, since NewLoop.
func (l *Loop) clock() time.Duration { return time.Since(l.epoch) }

// eventfd is the pollable of wakefd. It is registered edge-triggered and
// never read: each write is an edge.
type eventfd struct{}

func (eventfd) onReady(uint32) {}
func (eventfd) onLoopClosed()  {}
