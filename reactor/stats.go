package reactor

import "sync/atomic"

// counter has one writer, the loop goroutine, and any number of readers. What
// happens often is added once per batch: an atomic store is not free.
type counter struct{ v atomic.Uint64 }

func (c *counter) add(n uint64) {
	if n > 0 {
		c.v.Store(c.v.Load() + n)
	}
}

type loopCounters struct {
	wakeups, panics             counter
	opened, closed              counter
	bytesIn, bytesOut           counter
	messagesIn, messagesUnknown counter
	dropped, receiveErrors      counter
}

// LoopStats are the totals of one loop since it was made.
type LoopStats struct {
	Wakeups         uint64 // returns from epoll_wait
	Panics          uint64 // panics of handlers, hooks, tasks and timers
	Opened, Closed  uint64 // connections
	BytesIn         uint64 // read from sockets, in bytes
	BytesOut        uint64 // written to sockets, in bytes
	MessagesIn      uint64 // frames that reached a handler
	MessagesUnknown uint64 // frames whose id has no handler
	Dropped         uint64 // datagrams that were not frames, or could not be sent
	ReceiveErrors   uint64 // failed calls to receive datagrams
	Tasks           int    // tasks that wait now
}

// Stats returns the loop's totals. It is safe from any goroutine and costs
// the loop nothing.
func (l *Loop) Stats() LoopStats {
	l.mu.Lock()
	tasks := len(l.tasks)
	l.mu.Unlock()
	s := &l.stats
	return LoopStats{
		Wakeups:         s.wakeups.v.Load(),
		Panics:          s.panics.v.Load(),
		Opened:          s.opened.v.Load(),
		Closed:          s.closed.v.Load(),
		BytesIn:         s.bytesIn.v.Load(),
		BytesOut:        s.bytesOut.v.Load(),
		MessagesIn:      s.messagesIn.v.Load(),
		MessagesUnknown: s.messagesUnknown.v.Load(),
		Dropped:         s.dropped.v.Load(),
		ReceiveErrors:   s.receiveErrors.v.Load(),
		Tasks:           tasks,
	}
}
