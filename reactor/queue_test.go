package reactor

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

type put struct{ from, i int }

func TestQueueKeepsTheOrderOfEachSender(t *testing.T) {
	l := runLoop(t)
	const goroutines, values = 6, 5000
	var next [goroutines]int // owned by the loop
	batches := 0
	q := NewQueue(l, 256, func(batch []put) {
		batches++
		for _, v := range batch {
			if next[v.from] != v.i {
				t.Errorf("value %d of sender %d came when %d was due", v.i, v.from, next[v.from])
			}
			next[v.from] = v.i + 1
		}
	})
	var senders sync.WaitGroup
	for g := range goroutines {
		senders.Go(func() {
			for i := range values {
				for q.Put(put{g, i}) == ErrQueueFull {
					runtime.Gosched()
				}
			}
		})
	}
	senders.Wait()
	onLoop(t, l, func() {})
	onLoop(t, l, func() {
		for g, n := range next {
			if n != values {
				t.Errorf("%d values of sender %d came, want %d", n, g, values)
			}
		}
		if batches == 0 || q.Len() != 0 {
			t.Errorf("%d batches, %d values left", batches, q.Len())
		}
	})
}

func TestQueueTakesOneBatch(t *testing.T) {
	l := runLoop(t)
	batches := make(chan []int, 10)
	q := NewQueue(l, 10, func(batch []int) { batches <- append([]int(nil), batch...) })
	onLoop(t, l, func() { // while the loop is busy, values gather
		for i := range 10 {
			if err := q.Put(i); err != nil {
				t.Errorf("Put %d: %v", i, err)
			}
		}
		if err := q.Put(10); err != ErrQueueFull {
			t.Errorf("Put beyond the capacity: %v, want %v", err, ErrQueueFull)
		}
		if q.Len() != 10 {
			t.Errorf("%d values wait, want 10", q.Len())
		}
	})
	if got := await(t, batches, "batch"); len(got) != 10 || got[0] != 0 || got[9] != 9 {
		t.Errorf("batch %v, want 0 to 9", got)
	}
	if err := q.Put(11); err != nil {
		t.Errorf("Put after the batch: %v", err)
	}
	if got := await(t, batches, "batch"); len(got) != 1 || got[0] != 11 {
		t.Errorf("batch %v, want [11]", got)
	}
}

// What Put accepted reaches the handler, at whatever moment the loop stops.
func TestQueueLosesNothingAtTheEnd(t *testing.T) {
	for range 200 {
		l := NewLoop(nil)
		var accepted, handled atomic.Int64
		q := NewQueue(l, 8, func(batch []int) { handled.Add(int64(len(batch))) })
		var goroutines sync.WaitGroup
		for range 3 {
			goroutines.Go(func() {
				for {
					switch q.Put(1) {
					case nil:
						accepted.Add(1)
					case ErrLoopClosed:
						return
					default:
						runtime.Gosched()
					}
				}
			})
		}
		goroutines.Go(func() { l.Run(context.Background()) })
		goroutines.Go(func() {
			for accepted.Load() < 20 {
				runtime.Gosched()
			}
			l.Stop()
		})
		goroutines.Wait()
		if a, h := accepted.Load(), handled.Load(); a != h {
			t.Fatalf("%d values accepted, %d handled", a, h)
		}
	}
}

func TestQueueGoesOnAfterAPanic(t *testing.T) {
	l := runLoop(t)
	got := make(chan int, 1)
	q := NewQueue(l, 10, func(batch []int) {
		if batch[0] == 1 {
			panic("one")
		}
		got <- batch[0]
	})
	q.Put(1)
	onLoop(t, l, func() {})
	q.Put(2)
	if v := await(t, got, "value after the panic"); v != 2 {
		t.Errorf("got %d, want 2", v)
	}
}

func TestQueuePutFromItsHandler(t *testing.T) {
	l := runLoop(t)
	done := make(chan bool)
	var q *Queue[int]
	q = NewQueue(l, 1, func(batch []int) {
		if batch[0] == 0 {
			close(done)
			return
		}
		if err := q.Put(batch[0] - 1); err != nil {
			t.Errorf("Put from the handler: %v", err)
		}
	})
	q.Put(100)
	await(t, done, "last value")
}
