package history

import (
	"math"
	"math/bits"
	"time"
)

const (
	// Up to 2^subBits buckets share an octave.
	subBits = 3

	// buckets is how many there are: one for each microsecond below 16, then eight
	// for each octave up to 2^32 us, as far as latency_us of a ReportRequest goes.
	buckets = (32 - subBits + 1) << subBits

	maxLatency = 1<<32 - 1 // microseconds; what takes longer counts as this

	// maxShift halves the resolution often enough for every sketch to fit
	// MaxEncoded bytes: 15 buckets of at most 10 bytes are left.
	maxShift = 4
)

// Sketch counts latencies in buckets with fixed limits, eight to an octave, from
// 1 us to 71 minutes, so that sketches of hosts and times can be added up and
// subtracted. Latencies count in whole microseconds. A quantile is off by at most
// 1/16 of its value.
//
// A sketch that Append had to make smaller has fewer buckets: four to an octave,
// two or one, and the error doubles with each step: 1/8, 1/4, 1/2 of the value,
// or, below 8 us, up to 4 us. One bucket for two octaves is left only where counts
// come near 2^64.
//
// The zero Sketch is empty and ready to use. The methods that change nothing take
// nil for an empty one. It takes 1.9 KiB; what is kept of many is better kept
// as Append writes it.
type Sketch struct {
	// counts[i] is of the latencies whose index is i, or with shift s up to
	// i + 2^s - 1. Invariant: 0 unless i is a multiple of 2^s.
	counts [buckets]uint64
	shift  uint8 // how often neighbours were joined
}

// indexOf returns the bucket of a latency in microseconds: the number of octaves
// above 16 us, and the four highest bits.
func indexOf(us uint64) int {
	e := max(bits.Len64(us)-subBits-1, 0)
	return e<<subBits + int(us>>e)
}

// lowest returns the least latency in microseconds of a bucket.
func lowest(i int) uint64 {
	e := max(i>>subBits-1, 0)
	return uint64(i-e<<subBits) << e
}

// Count notes one latency.
func (s *Sketch) Count(latency time.Duration) {
	us := min(uint64(max(latency, 0)/time.Microsecond), maxLatency)
	s.counts[indexOf(us)>>s.shift<<s.shift]++
}

// N returns how many latencies were counted.
func (s *Sketch) N() uint64 {
	if s == nil {
		return 0
	}
	n := uint64(0)
	for _, c := range s.counts {
		n += c
	}
	return n
}

// Quantile returns the latency that a share q of all, 0 to 1, does not exceed; 0
// if there is none.
func (s *Sketch) Quantile(q float64) time.Duration {
	n := s.N()
	if n == 0 {
		return 0
	}
	rank := max(uint64(math.Ceil(min(max(q, 0), 1)*float64(n))), 1)
	last := 0
	for i, c := range s.counts {
		if c == 0 {
			continue
		}
		if last = i; rank <= c {
			break
		}
		rank -= c
	}
	return s.middle(last)
}

// middle returns what stands for all latencies of a bucket.
func (s *Sketch) middle(i int) time.Duration {
	lo, next := lowest(i), lowest(i+1<<s.shift)
	return time.Duration(lo+(next-1-lo)/2) * time.Microsecond
}

// Add adds the counts of o, and halves the resolution of s to that of o if need
// be.
func (s *Sketch) Add(o *Sketch) { s.combine(o, 1) }

// Sub takes the counts of o away, which must be part of s, and halves the
// resolution of s to that of o if need be.
func (s *Sketch) Sub(o *Sketch) { s.combine(o, math.MaxUint64) }

// combine adds times x o, modulo 2^64.
func (s *Sketch) combine(o *Sketch, times uint64) {
	if o == nil {
		return
	}
	s.coarsen(o.shift)
	for i, c := range o.counts {
		s.counts[i>>s.shift<<s.shift] += times * c
	}
}

// coarsen joins neighbours until the resolution has been halved shift times.
func (s *Sketch) coarsen(shift uint8) {
	if shift <= s.shift {
		return
	}
	s.shift = shift
	for i, c := range s.counts {
		if to := i >> shift << shift; to != i {
			s.counts[i] = 0
			s.counts[to] += c
		}
	}
}

// clone returns a copy, an empty sketch for nil.
func (s *Sketch) clone() *Sketch {
	if s == nil {
		return new(Sketch)
	}
	c := *s
	return &c
}

// follows reports whether s may be a later state of o: no bucket has less.
func (s *Sketch) follows(o *Sketch) bool {
	if o.N() == 0 {
		return true
	}
	if s == nil {
		return false
	}
	a, b := *s, *o
	a.coarsen(b.shift)
	b.coarsen(a.shift)
	for i := range a.counts {
		if a.counts[i] < b.counts[i] {
			return false
		}
	}
	return true
}
