package lb

import (
	"math"
	"time"

	"lars.internal/route"
)

// node is one host of a Classic. 96 bytes, so that a service of five hosts
// fits half a kilobyte.
type node struct {
	host       route.Host
	prev, next int32 // in the ring of its state

	vsucc, verr           uint32
	rsucc, rerr           uint32
	continSucc, continErr uint32

	// Counts of windows that were closed since the last Collect.
	carrySucc, carryErr uint32

	totalSucc, totalErr uint64
	ejected, reinstated uint32

	window time.Duration // idle_ts, or overload_ts while ejected
	since  time.Duration // when the state began

	overload bool
	news     bool // has counts that no Collect has returned
	keep     bool // false but within Update
}

// count adds the result of one call.
func (n *node) count(ok bool) {
	n.news = true
	if ok {
		n.totalSucc++
		increment(&n.vsucc)
		increment(&n.rsucc)
		increment(&n.continSucc)
		n.continErr = 0
		return
	}
	n.totalErr++
	increment(&n.verr)
	increment(&n.rerr)
	increment(&n.continErr)
	n.continSucc = 0
}

// open closes the window, keeping its counts for the next Collect, and begins
// one with these virtual counts.
func (n *node) open(vsucc, verr int, now time.Duration) {
	n.carrySucc = add(n.carrySucc, n.rsucc)
	n.carryErr = add(n.carryErr, n.rerr)
	n.vsucc, n.verr = uint32(vsucc), uint32(verr)
	n.rsucc, n.rerr = 0, 0
	n.continSucc, n.continErr = 0, 0
	n.window = now
}

func (n *node) result() Result {
	return Result{
		Host:      n.host,
		Succ:      add(n.carrySucc, n.rsucc),
		Err:       add(n.carryErr, n.rerr),
		TotalSucc: n.totalSucc,
		TotalErr:  n.totalErr,
		Overload:  n.overload,
	}
}

func (n *node) state() HostState {
	return HostState{
		Host:        n.host,
		Overload:    n.overload,
		Since:       n.since,
		Window:      n.window,
		VirtualSucc: n.vsucc,
		VirtualErr:  n.verr,
		Succ:        n.rsucc,
		Err:         n.rerr,
		ContinSucc:  n.continSucc,
		ContinErr:   n.continErr,
		TotalSucc:   n.totalSucc,
		TotalErr:    n.totalErr,
		Ejected:     n.ejected,
		Reinstated:  n.reinstated,
	}
}

// share returns part / (part + rest). A report precedes every judgement, so
// one of the two is never zero.
func share(part, rest uint32) float64 {
	return float64(part) / (float64(part) + float64(rest))
}

// add returns a + b, the maximum if that does not fit.
func add(a, b uint32) uint32 {
	if b > math.MaxUint32-a {
		return math.MaxUint32
	}
	return a + b
}

func increment(c *uint32) {
	if *c != math.MaxUint32 {
		*c++
	}
}
