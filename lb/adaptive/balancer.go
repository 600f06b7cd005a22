package adaptive

import (
	"math"
	"time"

	"lars.internal/lb"
	"lars.internal/route"
)

const (
	// maxEvents is how many events are kept for Events. The caller takes them
	// after each Observe, Probed and Tick.
	maxEvents = 64

	none = int32(-1) // the index that means no host
)

// Balancer implements lb.Balancer. Not safe for concurrent use.
type Balancer struct {
	// Read by each pick.
	hosts   []host
	rot     []int32  // the hosts to draw from, the local ones first
	keep    []uint32 // alias table over rot: chance, of 2^32, that a place is kept
	alias   []int32  // and the place taken else; empty if all weights are equal
	local   int      // how many of rot are local; all, if zones are off
	share   uint32   // chance, of 2^32, that a pick stays local
	shed    uint32   // chance, of 2^32, that a pick is refused
	halve   uint32   // picks in which half of a latency is forgotten
	doubt   uint8    // Config.Doubtful
	random  random
	picks   uint64
	trials  []int32
	budget  float32 // calls of trials that may begin
	ids     []route.Host
	index   route.Index
	panicky bool // rot holds hosts that are not in rotation

	cfg    Config          // changed by Reconfigure only
	added  []time.Duration // of each host
	zones  []string        // of each host
	cold   []cold          // the first one is not used
	free   []int32         // places of cold
	uneven bool            // weights differ

	testPicks uint64        // picks at the last test of any host
	seen      time.Duration // the time of the last call that was no pick

	// Probes.
	probes   []lb.Probe    // asked for, not taken yet
	base     []route.Host  // never probed yet
	baseGap  time.Duration // between two of these
	nextBase time.Duration
	answered time.Duration // when a probe was answered last
	control  route.Host    // probed on behalf of the hosts that wait; zero: none

	// Distress of the live hosts.
	limit       uint32  // what shed rises to
	ended, busy uint32  // outcomes of this second, of them time-outs and overloads
	lateShare   float32 // of the last second in which calls ended
	nextShed    time.Duration

	// Generations of calls in flight, and whether Little's law holds.
	nextTurn      time.Duration
	turnEnds      uint64 // outcomes, halved now and then
	turnForgotten uint64 // calls never reported, halved likewise
	littleOff     bool
	littleUsed    bool // some latency was learned by it

	up, down uint16 // steps of the CUSUM, from cfg
	started  bool   // hosts were named once
	events   []lb.Event
	counters lb.Counters
	scratch  scratch
}

// scratch is memory that is used within one call only.
type scratch struct {
	rates        []float64
	weights      []float64
	small, large []int32
}

// New returns a balancer without hosts. cfg must be valid. seed is where its
// random numbers begin.
func New(cfg Config, seed uint64) *Balancer {
	up, down := cfg.steps()
	return &Balancer{
		cfg: cfg, random: random(seed), doubt: uint8(cfg.Doubtful), up: up, down: down,
		cold:     make([]cold, 1),
		answered: -time.Hour,
	}
}

// random is a splitmix generator (Steele, Lea, Flood 2014).
type random uint64

func (r *random) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	z := uint64(*r)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// float returns a number from 0 to below 1.
func (r *random) float() float64 { return float64(r.next()>>11) / (1 << 53) }

// below returns a number from 0 to below n.
func (r *random) below(n int) int { return int(r.next() >> 32 * uint64(n) >> 32) }

// jitter returns 75 % to 125 % of d, so that machines do not act in step.
func (r *random) jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.75 + 0.5*r.float()))
}

// chance returns the share p of 2^32, for comparison with 32 random bits.
func chance(p float64) uint32 { return uint32(min(max(p, 0), 1) * math.MaxUint32) }

func toMS(now time.Duration) uint32 { return uint32(uint64(now) / 1e6) }

func toUS(now time.Duration) uint64 { return uint64(now) / 1e3 }

// Events appends what happened since the last call. The first 64 are kept.
func (b *Balancer) Events(dst []lb.Event) []lb.Event {
	dst = append(dst, b.events...)
	b.events = b.events[:0]
	return dst
}

func (b *Balancer) happened(e lb.Event) {
	if len(b.events) < maxEvents {
		b.events = append(b.events, e)
	}
}

// Counters returns totals since New.
func (b *Balancer) Counters() lb.Counters { return b.counters }
