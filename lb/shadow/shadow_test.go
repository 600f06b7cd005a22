package shadow

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lars.internal/lb"
	"lars.internal/lb/adaptive"
	"lars.internal/lb/classic"
	"lars.internal/route"
)

func host(i int) route.Host { return route.Host{IP: 0x0a000001 + uint32(i), Port: 7777} }

func endpoints(n int) []route.Endpoint {
	e := make([]route.Endpoint, n)
	for i := range e {
		e[i] = route.Endpoint{Host: host(i), Weight: route.DefaultWeight}
	}
	return e
}

func newClassic() *classic.Balancer   { return classic.New(classic.DefaultConfig(), 0) }
func newAdaptive() *adaptive.Balancer { return adaptive.New(adaptive.DefaultConfig(), 1) }

// call picks and reports; host 0 is dead. It answers probes.
func call(b lb.Balancer, now time.Duration) route.Host {
	h, ticket, verdict := b.Pick(now, route.Host{})
	if verdict != lb.Picked {
		return route.Host{}
	}
	o := lb.Outcome{OK: 1, Ticket: ticket}
	if h == host(0) {
		o = lb.Outcome{Failed: 1, Kind: lb.KindRefused, Ticket: ticket}
	}
	b.Observe(h, o, now)
	b.Tick(now)
	for _, p := range b.Probes(nil) {
		answer := lb.ProbeOK
		if p.Host == host(0) {
			answer = lb.ProbeRefused
		}
		b.Probed(p.Host, answer, now)
	}
	return h
}

// The balancer that answers picks, ejects and explains as if it were alone.
func TestFirstIsAsAlone(t *testing.T) {
	alone, b := newClassic(), New(newClassic(), newAdaptive())
	random := rand.New(rand.NewPCG(1, 2))
	now := time.Duration(0)
	for range 20_000 {
		now += time.Duration(random.IntN(20)) * time.Millisecond
		switch random.IntN(100) {
		case 0:
			hosts := endpoints(1 + random.IntN(8))
			alone.Update(hosts, now)
			b.Update(hosts, now)
		case 1, 2, 3, 4, 5:
			h, o := host(random.IntN(8)), lb.Outcome{Failed: 1}
			if got, want := b.Observe(h, o, now)&^lb.Asked, alone.Observe(h, o, now); got != want {
				t.Fatalf("effect %b, alone %b", got, want)
			}
		default:
			if got, want := call(b, now), call(alone, now); got != want {
				t.Fatalf("picked %v, alone %v", got, want)
			}
		}
		if diff := cmp.Diff(alone.Events(nil), b.Events(nil)); diff != "" {
			t.Fatalf("events (-alone +with a shadow):\n%s", diff)
		}
	}
	if diff := cmp.Diff(alone.Explain(nil), b.Explain(nil)); diff != "" {
		t.Errorf("states (-alone +with a shadow):\n%s", diff)
	}
	c := b.Counters()
	if alone.Counters() == (lb.Counters{}) || c.ShadowEjected == 0 || c.ShadowPicks == 0 || c.ShadowProbes == 0 {
		t.Errorf("alone %+v, with a shadow %+v: nothing happened", alone.Counters(), c)
	}
	c.ShadowEjected, c.ShadowReinstated, c.ShadowPicks, c.ShadowProbes = 0, 0, 0, 0
	if c != alone.Counters() {
		t.Errorf("counters %+v, alone %+v", c, alone.Counters())
	}
}

// A dead host that classic still calls is ejected by the adaptive shadow after one
// failed call.
func TestAdaptiveLooksOn(t *testing.T) {
	b := New(newClassic(), newAdaptive())
	b.Update(endpoints(3), 0)
	now := time.Duration(0)
	for range 1100 { // 11 s; the first probe of each host is within 10 s
		now += 10 * time.Millisecond
		if h, _, _ := b.Pick(now, route.Host{}); h != (route.Host{}) {
			b.Observe(h, lb.Outcome{OK: 1}, now)
		}
		b.Tick(now)
		for _, p := range b.Probes(nil) {
			b.Probed(p.Host, lb.ProbeOK, now)
		}
	}
	if c := b.Counters(); c.ShadowEjected != 0 || c.ShadowProbes != 3 {
		t.Fatalf("%+v while all is well", c)
	}
	dead := uint64(0)
	for range 100 {
		if call(b, now) == host(0) {
			dead++
		}
	}
	c := b.Counters()
	if c.ShadowEjected != 1 || c.ShadowPicks != dead-1 || dead < 10 {
		t.Errorf("%d ejections, %d picks of the dead host, %d of these after it was ejected; want 1 ejection after the first",
			c.ShadowEjected, dead, c.ShadowPicks)
	}
	for _, s := range b.Shadow().Explain(nil) {
		if s.Ejected != (s.Host == host(0)) {
			t.Errorf("in the shadow %v is ejected: %v", s.Host, s.Ejected)
		}
	}
	b.Update(endpoints(3)[1:], now)
	b.Update(endpoints(3), now)
	before := b.Counters().ShadowPicks
	for range 10 {
		b.Assign(host(0), now)
	}
	if got := b.Counters().ShadowPicks; got != before {
		t.Errorf("%d picks of an ejected host after it left and came back", got-before)
	}
}

// The reverse: classic looks on, and ejects only after many failures in a row.
func TestClassicLooksOn(t *testing.T) {
	b := New(newAdaptive(), newClassic())
	b.Update(endpoints(3), 0)
	for range 14 {
		b.Assign(host(0), 0)
		b.Observe(host(0), lb.Outcome{Failed: 1}, 0)
	}
	if c := b.Counters(); c.ShadowEjected != 0 {
		t.Fatalf("%+v after 14 failures", c)
	}
	b.Observe(host(0), lb.Outcome{Failed: 1}, 0)
	b.Assign(host(0), 0)
	if c := b.Counters(); c.ShadowEjected != 1 || c.ShadowPicks != 1 {
		t.Errorf("%+v after 15 failures and one more call", c)
	}
	for range 6 {
		b.Observe(host(0), lb.Outcome{OK: 1}, 0)
	}
	b.Assign(host(0), 0)
	if c := b.Counters(); c.ShadowReinstated != 1 || c.ShadowPicks != 1 {
		t.Errorf("%+v after 6 successes and one more call", c)
	}
}

// What the second balancer does is no effect for those who count calls; but the probes
// that it wants, and the time at which it is to be ticked, are.
func TestEffects(t *testing.T) {
	b := New(newAdaptive(), newClassic())
	b.Update(endpoints(1), 0)
	if effect := b.Observe(host(0), lb.Outcome{OK: 1}, 15*time.Second); effect != lb.Counted {
		t.Errorf("effect %b of a call that closes the window of classic, want %b", effect, lb.Counted)
	}
	for _, b := range []*Balancer{New(newAdaptive(), newClassic()), New(newClassic(), newAdaptive())} {
		b.Update(endpoints(1), 0)
		b.Pick(time.Second, route.Host{})
		if next := b.Tick(time.Second); next > 2*time.Second {
			t.Errorf("next tick at %v with a call under way", next)
		}
		if effect := b.Observe(host(0), lb.Outcome{Failed: 1, Kind: lb.KindRefused}, time.Second); effect != lb.Counted|lb.Asked {
			t.Errorf("effect %b of a refused call, want %b", effect, lb.Counted|lb.Asked)
		}
	}
}

// An ejection by a probe is seen at once.
func TestProbeEjects(t *testing.T) {
	b := New(newClassic(), newAdaptive())
	b.Update(endpoints(2), 0)
	for i := range 2 {
		b.Probed(host(i), lb.ProbeOK, 0)
	}
	b.Observe(host(0), lb.Outcome{Failed: 1, Kind: lb.KindRefused}, 2*time.Second)
	for _, p := range b.Probes(nil) {
		b.Probed(p.Host, lb.ProbeRefused, 2*time.Second)
	}
	if c := b.Counters(); c.ShadowEjected != 1 {
		t.Errorf("%+v", c)
	}
}

// A program that echoes the ticket makes the latency known to the one that wants it.
func TestTicketIsOfTheOneThatNeedsIt(t *testing.T) {
	for _, b := range []*Balancer{New(newClassic(), newAdaptive()), New(newAdaptive(), newClassic())} {
		b.Update(endpoints(1), 0)
		if _, ticket, _ := b.Pick(time.Second, route.Host{}); ticket != 1_000_001 {
			t.Errorf("ticket %d, want that of the adaptive balancer", ticket)
		}
	}
}

func TestNoAllocation(t *testing.T) {
	b := New(newClassic(), newAdaptive())
	b.Update(endpoints(10), 0)
	now := time.Duration(0)
	for range 1000 {
		now += time.Millisecond
		call(b, now)
	}
	n := testing.AllocsPerRun(1000, func() {
		now += time.Millisecond
		h, ticket, _ := b.Pick(now, route.Host{})
		b.Observe(h, lb.Outcome{OK: 1, Ticket: ticket}, now)
	})
	if n != 0 {
		t.Errorf("%v allocations for a call", n)
	}
}
