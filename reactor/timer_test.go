package reactor

import (
	"slices"
	"testing"
	"time"
)

func TestTimersRunInOrder(t *testing.T) {
	l := runLoop(t)
	order := make(chan []int, 1)
	onLoop(t, l, func() {
		var got []int
		for _, ms := range []int{30, 10, 20, 5, 25} {
			l.After(time.Duration(ms)*time.Millisecond, func() { got = append(got, ms) })
		}
		l.After(60*time.Millisecond, func() { order <- got })
	})
	if got := await(t, order, "last timer"); !slices.IsSorted(got) || len(got) != 5 {
		t.Errorf("order %v", got)
	}
}

func TestTimerIsNotEarly(t *testing.T) {
	l := runLoop(t)
	early := make(chan time.Duration, 1)
	onLoop(t, l, func() {
		start := time.Now()
		l.After(30*time.Millisecond+500*time.Microsecond, func() { early <- time.Since(start) })
	})
	if d := await(t, early, "timer"); d < 30*time.Millisecond {
		t.Errorf("a timer of 30.5 ms ran after %v", d)
	}
}

func TestTimerStop(t *testing.T) {
	l := runLoop(t)
	onLoop(t, l, func() {
		var stopped []*Timer
		for i := range 20 {
			d := time.Duration(i) * time.Millisecond
			if i%3 == 0 {
				stopped = append(stopped, l.After(d, func() { t.Error("a timer ran after Stop") }))
			} else {
				l.After(d, func() {})
			}
		}
		for _, timer := range stopped {
			if !timer.Stop() {
				t.Error("Stop of a timer that is to come returned false")
			}
			if timer.Stop() {
				t.Error("the second Stop returned true")
			}
		}
	})
	done := make(chan bool)
	onLoop(t, l, func() { l.After(40*time.Millisecond, func() { close(done) }) })
	await(t, done, "timer after the stopped ones")
}

func TestTimerReset(t *testing.T) {
	l := runLoop(t)
	runs := make(chan string, 4)
	onLoop(t, l, func() {
		later := l.After(time.Millisecond, func() { runs <- "later" })
		sooner := l.After(time.Hour, func() { runs <- "sooner" })
		later.Reset(50 * time.Millisecond)
		sooner.Reset(5 * time.Millisecond)
	})
	if got := await(t, runs, "timer"); got != "sooner" {
		t.Errorf("%q came first", got)
	}
	if got := await(t, runs, "timer"); got != "later" {
		t.Errorf("%q came second", got)
	}
	again := make(chan int, 1)
	onLoop(t, l, func() {
		n := 0
		var timer *Timer
		timer = l.After(0, func() {
			if n++; n < 3 {
				timer.Reset(0)
				return
			}
			again <- n
		})
	})
	if n := await(t, again, "timer that sets itself"); n != 3 {
		t.Errorf("ran %d times, want 3", n)
	}
}

func TestEveryUntilItStopsItself(t *testing.T) {
	l := runLoop(t)
	runs := 0
	done := make(chan bool)
	onLoop(t, l, func() {
		var timer *Timer
		timer = l.Every(time.Millisecond, func() {
			if runs++; runs == 5 {
				if !timer.Stop() {
					t.Error("a periodic timer was not to come again in its own call")
				}
				l.After(20*time.Millisecond, func() { close(done) })
			}
		})
	})
	await(t, done, "end")
	onLoop(t, l, func() {
		if runs != 5 {
			t.Errorf("ran %d times, want 5", runs)
		}
	})
}

// A wait that ended before the timer is due would turn into many.
func TestTimerCostsOneWakeup(t *testing.T) {
	l := runLoop(t)
	woken := make(chan uint64, 1)
	onLoop(t, l, func() {
		before := l.Stats().Wakeups
		l.After(30*time.Millisecond+900*time.Microsecond, func() { woken <- l.Stats().Wakeups - before })
	})
	// A signal of the Go runtime may end a wait too.
	if n := await(t, woken, "timer"); n > 5 {
		t.Errorf("%d wake-ups for one timer", n)
	}
}

// A periodic timer whose loop was busy for several periods runs once for them.
func TestEveryDoesNotMakeUp(t *testing.T) {
	l := NewLoop(nil)
	runs := 0
	timer := l.Every(time.Second, func() { runs++ })
	timer.at = l.clock() - 10*time.Second
	l.runTimers()
	l.runTimers()
	if runs != 1 || timer.at <= l.clock() {
		t.Errorf("%d runs, next in %v", runs, timer.at-l.clock())
	}
}

// A timer that always sets itself for now must not keep the loop from its
// tasks.
func TestTimerThatSetsItselfLeavesTheLoopFree(t *testing.T) {
	l := runLoop(t)
	var timer *Timer
	onLoop(t, l, func() { timer = l.After(0, func() { timer.Reset(0) }) })
	for range 100 {
		onLoop(t, l, func() {})
	}
	onLoop(t, l, func() { timer.Stop() })
}

func TestManyTimers(t *testing.T) {
	l := runLoop(t)
	const n = 5000
	ran := 0
	done := make(chan bool)
	onLoop(t, l, func() {
		var all []*Timer
		for i := range n {
			all = append(all, l.After(time.Duration(i*7919%n)*time.Microsecond, func() {
				if ran++; ran == n/2 {
					close(done)
				}
			}))
		}
		for i, timer := range all {
			if i%2 == 0 {
				timer.Stop()
			}
		}
	})
	await(t, done, "last timer")
	onLoop(t, l, func() {
		if ran != n/2 || len(l.timers) != 0 {
			t.Errorf("%d ran, %d left; want %d and none", ran, len(l.timers), n/2)
		}
	})
}
