package reactor

import (
	"container/heap"
	"time"
)

// farTimer is how far from now a timer must be for a turn to do without reading
// the clock anew for it. Longer reads the clock more often; shorter risks that a
// timer waits for the end of a turn that takes longer.
const farTimer = 500 * time.Millisecond

// Timer is a call in the future on a loop. Owned by the loop goroutine.
type Timer struct {
	loop   *Loop
	at     time.Duration // loop time at which it is due
	period time.Duration // 0: once
	f      func()
	index  int // place in the heap; -1: not pending
}

// After runs f once on the loop, d from now. Call it on the loop only.
func (l *Loop) After(d time.Duration, f func()) *Timer {
	t := &Timer{loop: l, f: f, index: -1}
	t.Reset(d)
	return t
}

// Every runs f on the loop each d, first d from now. A run that comes late
// does not make up for the ones that were missed. Call it on the loop only.
func (l *Loop) Every(d time.Duration, f func()) *Timer {
	t := &Timer{loop: l, period: max(d, time.Millisecond), f: f, index: -1}
	t.Reset(d)
	return t
}

// Stop takes the timer back and reports whether it was still to come. Call it
// on the loop only.
func (t *Timer) Stop() bool {
	if t.index < 0 {
		return false
	}
	heap.Remove(&t.loop.timers, t.index)
	return true
}

// Reset lets the timer run d from now, pending or not. Call it on the loop
// only.
func (t *Timer) Reset(d time.Duration) {
	t.at = t.loop.clock() + max(d, 0)
	if t.index >= 0 {
		heap.Fix(&t.loop.timers, t.index)
		return
	}
	heap.Push(&t.loop.timers, t)
}

// runTimers runs what is due by now. A timer that is set for now by one that
// runs waits for the next turn, so the loop always gets back to its sockets.
func (l *Loop) runTimers() {
	if len(l.timers) == 0 || l.timers[0].at-l.now > farTimer {
		return
	}
	now := l.clock()
	for len(l.timers) > 0 && l.timers[0].at <= now {
		t := l.timers[0]
		if t.period > 0 {
			t.at = now + t.period
			heap.Fix(&l.timers, 0)
		} else {
			heap.Pop(&l.timers)
		}
		l.protect("timer", t.f)
	}
}

// untilTimer returns how long the loop may wait for events, in milliseconds
// rounded up; -1 is for ever.
func (l *Loop) untilTimer() int {
	if len(l.timers) == 0 {
		return -1
	}
	wait := l.timers[0].at - l.now
	if wait > 2*farTimer {
		wait -= farTimer // and then with a clock that is right
	} else if wait = l.timers[0].at - l.clock(); wait <= 0 {
		return 0
	}
	const day = 24 * time.Hour
	return int((min(wait, day) + time.Millisecond - 1) / time.Millisecond)
}

// timerHeap implements heap.Interface, the next timer first.
type timerHeap []*Timer

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].at < h[j].at }
func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *timerHeap) Push(x any) {
	t := x.(*Timer)
	t.index = len(*h)
	*h = append(*h, t)
}

func (h *timerHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	t.index = -1
	return t
}
