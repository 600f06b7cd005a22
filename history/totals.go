package history

import (
	"math/bits"

	"lars.internal/route"
)

// Totals are sums over calls to one host of a service.
type Totals struct {
	Succ uint64 // calls that succeeded

	// Calls that failed, by kind: the host refused the connection, no answer came
	// in time, and everything else.
	Refused, Timeout, Failed uint64

	// Of the calls whose latency was told, whether they succeeded or not: the sum
	// in microseconds, and how they spread; nil: there was none. A Sketch that
	// stands here is not to be changed any more.
	LatencySum uint64
	Latency    *Sketch

	Ejections, Reinstatements uint64 // of the host, by agents
}

// Errs returns the calls that failed.
func (t *Totals) Errs() uint64 { return t.Refused + t.Timeout + t.Failed }

// IsZero reports whether nothing happened.
func (t *Totals) IsZero() bool {
	for _, n := range t.all() {
		if *n != 0 {
			return false
		}
	}
	return t.Latency.N() == 0
}

// all returns each number.
func (t *Totals) all() [7]*uint64 {
	return [...]*uint64{&t.Succ, &t.Refused, &t.Timeout, &t.Failed, &t.LatencySum, &t.Ejections, &t.Reinstatements}
}

// Add returns the sums.
func (t Totals) Add(o Totals) Totals {
	from := o.all()
	for i, n := range t.all() {
		*n += *from[i]
	}
	if o.Latency.N() > 0 {
		t.Latency = t.Latency.clone()
		t.Latency.Add(o.Latency)
	}
	return t
}

// Sub returns what was added to before until it became t, which must follow
// before.
func (t Totals) Sub(before Totals) Totals {
	from := before.all()
	for i, n := range t.all() {
		*n -= *from[i]
	}
	if before.Latency.N() > 0 {
		t.Latency = t.Latency.clone()
		t.Latency.Sub(before.Latency)
	}
	if t.Latency.N() == 0 {
		t.Latency = nil
	}
	return t
}

// Follows reports whether t may be a later state of the totals before: none went
// back. Otherwise the counter began anew, or t is the older of the two.
func (t Totals) Follows(before Totals) bool {
	from := before.all()
	for i, n := range t.all() {
		if *n < *from[i] {
			return false
		}
	}
	return t.Latency.follows(before.Latency)
}

// upTo returns what of t, spread evenly over whole parts, falls into the first
// part of them.
func (t Totals) upTo(part, whole uint64) Totals {
	for _, n := range t.all() {
		*n = share(*n, part, whole)
	}
	if t.Latency != nil {
		t.Latency = t.Latency.clone()
		for i, c := range t.Latency.counts {
			t.Latency.counts[i] = share(c, part, whole)
		}
	}
	return t
}

// share returns n * part / whole, part being at most whole.
func share(n, part, whole uint64) uint64 {
	hi, lo := bits.Mul64(n, part)
	if hi >= whole { // part == whole is n; more cannot be
		return n
	}
	q, _ := bits.Div64(hi, lo, whole)
	return q
}

// Counter identifies totals that only grow: of one host, as one start of an agent
// counts them until the host leaves its service.
type Counter struct {
	Caller uint32 // IPv4 of the calling machine, host-order integer
	Run    uint64 // of the agent; 0: it is a C++ agent
	Key    route.Key
	Host   route.Host
	Since  uint32 // Unix seconds at which the totals began
}
