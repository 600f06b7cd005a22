package classic

import (
	"math"
	"time"
)

// node is what one host is judged by. 64 bytes, a cache line.
type node struct {
	prev, next int32 // in the ring of its state

	vsucc, verr           uint32
	rsucc, rerr           uint32
	continSucc, continErr uint32

	ejected, reinstated uint32

	window time.Duration // idle_ts, or overload_ts while ejected
	since  time.Duration // when the state began

	overload bool
	keep     bool // false but within Update

	cause cause   // of the last ejection or return
	value float32 // what was compared then
}

// cause is the rule that ejected a host or brought it back.
type cause uint8

const (
	noCause    cause = iota
	errRate          // Config.ErrRate
	errsInRow        // Config.ContinErrLimit
	windowRate       // Config.WindowErrRate
	succRate         // Config.SuccRate
	succsInRow       // Config.ContinSuccLimit
	outLongAgo       // Config.OverloadTimeout
)

// count adds the result of one call.
func (n *node) count(ok bool) {
	if ok {
		increment(&n.vsucc)
		increment(&n.rsucc)
		increment(&n.continSucc)
		n.continErr = 0
		return
	}
	increment(&n.verr)
	increment(&n.rerr)
	increment(&n.continErr)
	n.continSucc = 0
}

// open closes the window and begins one with these virtual counts.
func (n *node) open(vsucc, verr int, now time.Duration) {
	n.vsucc, n.verr = uint32(vsucc), uint32(verr)
	n.rsucc, n.rerr = 0, 0
	n.continSucc, n.continErr = 0, 0
	n.window = now
}

// share returns part / (part + rest). A call is counted before every judgement,
// so one of the two is never zero.
func share(part, rest uint32) float64 {
	return float64(part) / (float64(part) + float64(rest))
}

func increment(c *uint32) {
	if *c != math.MaxUint32 {
		*c++
	}
}
