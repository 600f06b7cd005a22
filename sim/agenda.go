package sim

import "time"

// occasion is what happens at a moment.
type occasion uint8

const (
	arrives  occasion = iota // an agent is asked for a host
	finishes                 // a host finishes a call
	reports                  // a program learns the outcome of a call
	expires                  // a program gives up a call
	ticks                    // a balancer is due
	probed                   // a probe is answered
	steps                    // a step of the scenario
)

// entry is one occasion of an agenda. Entries of the same time keep their order.
type entry struct {
	at   time.Duration
	seq  uint64
	kind occasion
	x, y int32
}

func (e *entry) before(o *entry) bool { return e.at < o.at || e.at == o.at && e.seq < o.seq }

// agenda is what is to happen: a binary heap. container/heap would box each of
// the millions of entries.
type agenda struct {
	heap []entry
	seq  uint64
}

func (a *agenda) add(at time.Duration, k occasion, x, y int32) {
	a.seq++
	h := append(a.heap, entry{at, a.seq, k, x, y})
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if !h[i].before(&h[up]) {
			break
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
	a.heap = h
}

// next takes the next entry out. There must be one.
func (a *agenda) next() entry {
	h := a.heap
	first, last := h[0], len(h)-1
	h[0] = h[last]
	h = h[:last]
	for i := 0; ; {
		down := 2*i + 1
		if down >= last {
			break
		}
		if down+1 < last && h[down+1].before(&h[down]) {
			down++
		}
		if !h[down].before(&h[i]) {
			break
		}
		h[i], h[down] = h[down], h[i]
		i = down
	}
	a.heap = h
	return first
}
