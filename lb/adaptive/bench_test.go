package adaptive

import (
	"fmt"
	"testing"
	"time"
	"unsafe"

	"lars.internal/lb"
	"lars.internal/route"
)

// TestSize: picks and outcomes touch one cache line of a host.
func TestSize(t *testing.T) {
	if got := unsafe.Sizeof(host{}); got != 64 {
		t.Errorf("a host has %d bytes, want 64", got)
	}
	t.Logf("the cold half has %d bytes", unsafe.Sizeof(cold{}))
}

// outcomes drives a balancer as a busy service does: one call in a hundred
// fails, and suspects answer their probes.
type outcomes struct {
	*subject
	random random
	probes []lb.Probe
	at     int
}

func (o *outcomes) outcome() lb.Outcome {
	out := lb.Outcome{OK: 1, Latency: 5*ms + o.now%(3*ms), Ticket: lb.Ticket(toUS(o.now) + 1)}
	if o.random.next()%100 == 0 {
		out.OK, out.Failed, out.Kind = 0, 1, lb.KindError
	}
	return out
}

func (o *outcomes) observe(h route.Host) {
	if o.Observe(h, o.outcome(), o.now)&lb.Asked == 0 {
		return
	}
	o.probes = o.Probes(o.probes[:0])
	for _, p := range o.probes {
		o.Probed(p.Host, lb.ProbeOK, o.now)
	}
}

func (o *outcomes) pickOne() route.Host {
	o.now += time.Microsecond
	h, _, _ := o.Pick(o.now, route.Host{})
	return h
}

// reportOne reports on the hosts in turn.
func (o *outcomes) reportOne() {
	o.now += time.Microsecond
	if o.at++; o.at == len(o.hosts) {
		o.at = 0
	}
	o.hosts[o.at].inFlight = 1
	o.observe(o.ids[o.at])
}

func forEachShape(t testing.TB, run func(name string, o *outcomes)) {
	for _, n := range []int{1, 3, 10, 100, 500} {
		for _, weights := range [][]uint32{nil, {1, 2, 3, 4, 5}} {
			s := newSubject(t, n, nil, weights...)
			o := &outcomes{subject: s, random: 3, probes: make([]lb.Probe, 0, n)}
			run(fmt.Sprintf("hosts=%d/weighted=%v", n, weights != nil), o)
		}
	}
}

func TestNothingIsAllocated(t *testing.T) {
	forEachShape(t, func(name string, o *outcomes) {
		t.Run(name, func(t *testing.T) {
			round := func() {
				for range 1000 {
					o.observe(o.pickOne())
					o.reportOne()
				}
			}
			round()
			if got := testing.AllocsPerRun(20, round); got != 0 {
				t.Errorf("1,000 picks and outcomes allocate %v times", got)
			}
		})
	})
}

func bench(b *testing.B, one func(o *outcomes)) {
	forEachShape(b, func(name string, o *outcomes) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				one(o)
			}
		})
	})
}

// BenchmarkPick forgets the call at once, so that nothing is measured but the
// pick.
func BenchmarkPick(b *testing.B) {
	bench(b, func(o *outcomes) {
		h := o.pickOne()
		host := &o.hosts[o.index.Find(o.ids, h)]
		host.inFlight, host.lastPick = 0, uint32(o.picks)
	})
}

func BenchmarkReport(b *testing.B) { bench(b, (*outcomes).reportOne) }

// BenchmarkPickReport is a pick and its outcome back to back, each of which
// waits for what the other stored.
func BenchmarkPickReport(b *testing.B) {
	bench(b, func(o *outcomes) { o.observe(o.pickOne()) })
}
