package adaptive

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"lars.internal/lb"
	"lars.internal/route"
)

// history drives a balancer and the model through the same calls.
type history struct {
	b       *Balancer
	m       *model
	now     time.Duration
	flying  []pickedCall
	probing []route.Host // asked for, not answered
}

type pickedCall struct {
	host   route.Host
	ticket lb.Ticket
}

// drawConfig draws the shipped configuration, or one so tight that every rule
// fires within a few calls.
func drawConfig(t *rapid.T) Config {
	c := DefaultConfig()
	c.Probe = rapid.IntRange(0, 4).Draw(t, "probe") > 0
	if rapid.Bool().Draw(t, "zones") {
		c.Zone = "a"
	}
	if rapid.Bool().Draw(t, "tight") {
		c.Evidence = rapid.SampledFrom([]float64{4, 8, 15}).Draw(t, "evidence")
		c.TestEvery = rapid.IntRange(1, 30).Draw(t, "test_every")
		c.MaxEjected = rapid.SampledFrom([]float64{0, 0.3, 0.5, 1}).Draw(t, "max_ejected")
		c.Doubtful = rapid.IntRange(1, 5).Draw(t, "doubtful")
		c.Forget = rapid.IntRange(1, 3).Draw(t, "forget")
		c.LoadLimit = rapid.SampledFrom([]float64{0, 1, 2}).Draw(t, "load_limit")
	}
	return c
}

func drawHost(t *rapid.T) route.Host { return id(rapid.IntRange(0, 7).Draw(t, "host")) }

func (h *history) update(t *rapid.T) {
	weights := rapid.SampledFrom([]uint32{0, 100, 100, 100, 50, 400})
	if rapid.Bool().Draw(t, "equal") {
		weights = rapid.Just(uint32(100))
	}
	endpoints := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) route.Endpoint {
		return route.Endpoint{Host: drawHost(t), Weight: weights.Draw(t, "weight"), Zone: rapid.SampledFrom([]string{"a", "b", ""}).Draw(t, "zone")}
	}), 0, 12).Draw(t, "endpoints")
	h.b.Update(endpoints, h.now)
	h.m.update(endpoints, h.now)
}

func (h *history) pickOne(t *rapid.T, avoid route.Host) {
	got, ticket, verdict := h.b.Pick(h.now, avoid)
	want, wantVerdict := h.m.pick(h.now, avoid)
	if got != want || verdict != wantVerdict {
		t.Fatalf("Pick at %v = %v, %v; the model says %v, %v", h.now, got, verdict, want, wantVerdict)
	}
	if verdict == lb.Picked {
		if m := h.m.find(got); m == nil || m.weight == 0 {
			t.Fatalf("picked %v, which is drained or gone", got)
		}
		h.flying = append(h.flying, pickedCall{got, ticket})
	}
}

func (h *history) pick(t *rapid.T) {
	var avoid route.Host
	if rapid.Bool().Draw(t, "avoids") {
		avoid = drawHost(t)
	}
	for range rapid.IntRange(1, 20).Draw(t, "times") {
		h.pickOne(t, avoid)
	}
}

// assign tells of calls that were picked elsewhere.
func (h *history) assign(t *rapid.T) {
	for range rapid.IntRange(1, 5).Draw(t, "times") {
		host := drawHost(t)
		ticket := h.b.Assign(host, h.now)
		h.m.assign(host, h.now)
		if known := h.m.find(host) != nil; known != (ticket != 0) {
			t.Fatalf("Assign of %v: ticket %d; the model knows it: %v", host, ticket, known)
		}
		if ticket != 0 {
			h.flying = append(h.flying, pickedCall{host, ticket})
		}
	}
}

func (h *history) reconfigure(t *rapid.T) {
	cfg := drawConfig(t)
	h.b.Reconfigure(cfg, h.now)
	h.m.reconfigure(cfg, h.now)
}

func (h *history) observe(t *rapid.T, host route.Host, o lb.Outcome) {
	effect := h.b.Observe(host, o, h.now)
	if known := h.m.observe(host, o, h.now); known != (effect&lb.Counted != 0) {
		t.Fatalf("Observe of %v: counted %v; the model says %v", host, effect, known)
	}
}

func drawOutcome(t *rapid.T) lb.Outcome {
	o := lb.Outcome{OK: 1}
	if rapid.IntRange(0, 2).Draw(t, "fails") == 0 {
		o = lb.Outcome{Failed: 1, Kind: lb.Kind(rapid.IntRange(0, 5).Draw(t, "kind"))}
	}
	if rapid.Bool().Draw(t, "told") {
		o.Latency = rapid.SampledFrom([]time.Duration{300 * time.Microsecond, 5 * ms, 80 * ms, sec}).Draw(t, "latency")
	}
	return o
}

// finish ends calls that were picked, in any order.
func (h *history) finish(t *rapid.T) {
	for range rapid.IntRange(1, 30).Draw(t, "times") {
		if len(h.flying) == 0 {
			return
		}
		at := rapid.IntRange(0, len(h.flying)-1).Draw(t, "call")
		c, o := h.flying[at], drawOutcome(t)
		h.flying = slices.Delete(h.flying, at, at+1)
		if rapid.Bool().Draw(t, "ticket") {
			o.Ticket = c.ticket
		}
		h.observe(t, c.host, o)
		h.check(t)
	}
}

// burst ends calls of one host in one way, so that the limits are reached.
func (h *history) burst(t *rapid.T) {
	host, o := drawHost(t), drawOutcome(t)
	for range rapid.IntRange(1, 25).Draw(t, "times") {
		h.observe(t, host, o)
		h.check(t)
	}
}

// several tells of several calls at once, as a program does that batches.
func (h *history) several(t *rapid.T) {
	h.observe(t, drawHost(t), lb.Outcome{OK: uint32(rapid.IntRange(0, 5).Draw(t, "ok")), Failed: uint32(rapid.IntRange(0, 5).Draw(t, "failed"))})
}

// tick also sees that a Tick before the time that the one before has returned
// changes nothing.
func (h *history) tick(t *rapid.T) {
	next := time.Duration(0)
	for range rapid.SampledFrom([]int{1, 2, 5, 50}).Draw(t, "times") {
		h.now += 50 * ms
		before, shed, early := hotHalves(h.b), h.b.shed, h.now < next
		next = h.b.Tick(h.now)
		h.m.tick(h.now)
		if early && (!slices.Equal(before, hotHalves(h.b)) || shed != h.b.shed || len(h.b.probes)+len(h.b.events) > 0) {
			t.Fatalf("at %v: Tick did something before its time, or asks for %v, tells %v", h.now, h.b.probes, h.b.events)
		}
		if next < h.now {
			t.Fatalf("at %v: the next Tick is due at %v", h.now, next)
		}
		h.check(t)
	}
}

// hotHalves returns the hosts without the places of their cold halves, which are
// given back when a Tick happens to see that they can be.
func hotHalves(b *Balancer) []host {
	hosts := slices.Clone(b.hosts)
	for i := range hosts {
		hosts[i].cold = 0
	}
	return hosts
}

// serve makes calls that all work, each ended before the next one begins.
func (h *history) serve(t *rapid.T) {
	for range rapid.IntRange(1, 800).Draw(t, "calls") {
		flying := len(h.flying)
		if h.pickOne(t, route.Host{}); len(h.flying) == flying {
			return
		}
		c := h.flying[flying]
		h.flying = h.flying[:flying]
		h.now += ms
		h.observe(t, c.host, lb.Outcome{OK: 1, Latency: ms, Ticket: c.ticket})
	}
}

func (h *history) wait(t *rapid.T) {
	h.now += rapid.SampledFrom([]time.Duration{
		0, 1, 999 * time.Microsecond, ms, 170 * ms, sec, 5 * sec, 31 * sec, 5 * time.Minute, 10 * time.Minute,
		510 * sec, 520 * sec, 1024 * sec, 1024*sec + 100*ms, // a generation's time of 16 bits wraps
	}).Draw(t, "wait")
}

// answer answers probes; those that are not answered go on.
func (h *history) answer(t *rapid.T) {
	for len(h.probing) > 0 && rapid.IntRange(0, 4).Draw(t, "stop") > 0 {
		at := rapid.IntRange(0, len(h.probing)-1).Draw(t, "probe")
		host, a := h.probing[at], lb.Answer(rapid.IntRange(0, 3).Draw(t, "answer"))
		h.probing = slices.Delete(h.probing, at, at+1)
		h.b.Probed(host, a, h.now)
		h.m.probed(host, a, h.now)
		h.check(t)
	}
}

func (h *history) check(t *rapid.T) {
	var probes []route.Host
	for _, p := range h.b.Probes(nil) {
		if p.Since > h.now {
			t.Fatalf("at %v: an answer from %v on is asked for", h.now, p.Since)
		}
		probes = append(probes, p.Host)
	}
	if !slices.Equal(probes, h.m.probes) {
		t.Fatalf("at %v: probes of %v; the model asks for %v", h.now, probes, h.m.probes)
	}
	h.probing, h.m.probes = append(h.probing, probes...), nil
	var events []string
	for _, e := range h.b.Events(nil) {
		events = append(events, e.Host.String()+" "+e.Kind.String())
		if e.Reason == "evidence of failures" {
			checkCap(t, h.b)
		}
	}
	if !slices.Equal(events, h.m.events) {
		t.Fatalf("at %v: events %v; the model has %v", h.now, events, h.m.events)
	}
	h.m.events = nil
	if len(h.b.hosts) != len(h.m.hosts) || h.b.shed != h.m.shed || h.b.littleOff != h.m.littleOff {
		t.Fatalf("at %v: %d hosts, %d refused, Little off %v; the model has %d, %d, %v", h.now,
			len(h.b.hosts), h.b.shed, h.b.littleOff, len(h.m.hosts), h.m.shed, h.m.littleOff)
	}
	for i, m := range h.m.hosts {
		h.checkHost(t, int32(i), m)
	}
	checkInvariants(t, h.b)
	flying := map[route.Host]int{}
	for _, c := range h.flying {
		flying[c.host]++
	}
	for i, id := range h.b.ids {
		if n := int(h.b.hosts[i].inFlight); n > flying[id] {
			t.Fatalf("at %v: %d calls to %v in flight, %d were picked and have not ended", h.now, n, id, flying[id])
		}
	}
}

// checkCap sees, right after an ejection by evidence, that there are not too
// many and that somebody is left.
func checkCap(t rapid.TB, b *Balancer) {
	t.Helper()
	broken, alive, rotation := 0.0, 0.0, 0
	for i := range b.hosts {
		switch h := &b.hosts[i]; {
		case h.drained() || h.state != up && b.coldOf(int32(i)).reason == dead:
		case h.state == up:
			alive++
			rotation++
		default:
			alive++
			broken++
		}
	}
	if rotation == 0 || broken > max(1, b.cfg.MaxEjected*alive) {
		t.Fatalf("%v of %v hosts are out by evidence, %d in rotation, max_ejected is %v", broken, alive, rotation, b.cfg.MaxEjected)
	}
}

// seen is what both know of a host, in the same terms.
type seen struct {
	id                                                                   route.Host
	state                                                                state
	suspect, measure, ramping, probation, probing, trusted, worked, wait bool
	latency, fast, slow, area                                            float32
	inFlight, older, calls, failures, score, row, ejections, level       int
	reason                                                               reason
}

func (h *history) checkHost(t *rapid.T, i int32, m *modelHost) {
	p, c := &h.b.hosts[i], h.b.coldOf(i)
	got := seen{
		h.b.ids[i], p.state, p.has(suspect), p.has(measure), p.has(ramping), p.has(probation), p.has(probing), p.has(trusted), p.has(worked), c.waiting,
		p.latency, p.fastRate, p.slowRate, p.area, int(p.inFlight), int(p.older), int(p.calls), int(p.failures), int(p.score), int(p.row),
		int(c.ejections), int(c.level), c.reason,
	}
	want := seen{
		m.id, m.state, m.suspect, m.measure, m.ramping, m.probation, m.probing, m.trusted, m.worked, m.waiting,
		m.latency, m.fast, m.slow, m.area, m.inFlight, m.older, m.calls, m.failures, m.score, m.row,
		m.ejections, m.level, m.reason,
	}
	if got != want {
		t.Fatalf("at %v:\n got %+v\nwant %+v", h.now, got, want)
	}
}

// checkInvariants sees what must hold after each step.
func checkInvariants(t rapid.TB, b *Balancer) {
	t.Helper()
	inRotation, callable, sum := 0, 0, 0.0
	places := map[int32]bool{}
	for i := range b.hosts {
		h := &b.hosts[i]
		if h.older > h.inFlight || h.failures > h.calls || h.failures == 0 && h.calls+h.score != 0 {
			t.Fatalf("host %d: %+v", i, *h)
		}
		if h.cold != 0 && places[h.cold] {
			t.Fatalf("two hosts share the cold half %d", h.cold)
		}
		places[h.cold] = true
		if h.state != up && h.cold == 0 {
			t.Fatalf("host %d is ejected and has no cold half", i)
		}
		if h.drained() {
			continue
		}
		callable++
		if h.state == up {
			inRotation++
		}
	}
	if callable > 0 && inRotation == 0 != b.panicky {
		t.Fatalf("%d of %d hosts in rotation, panic %v", inRotation, callable, b.panicky)
	}
	for k, i := range b.rot {
		if h := &b.hosts[i]; h.drained() || h.state != up && !b.panicky || k < b.local && h.has(remote) && !b.panicky {
			t.Fatalf("host %d is in the table: %+v", i, *h)
		}
	}
	for _, s := range b.Shares(nil) {
		if s.Share < 0 || math.IsNaN(s.Share) {
			t.Fatalf("share %v of %v", s.Share, s.Host)
		}
		sum += s.Share
	}
	if want := 1 - float64(b.shed)/(1<<32); callable > 0 && math.Abs(sum-want) > 1e-6 {
		t.Fatalf("the shares add up to %v, want %v", sum, want)
	}
	if b.cold[0] != (cold{}) {
		t.Fatalf("the empty cold half was written: %+v", b.cold[0])
	}
}

func TestAdaptiveEqualsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := drawConfig(t)
		if err := cfg.Validate(); err != nil {
			t.Fatal(err)
		}
		h := &history{b: New(cfg, 7), m: &model{cfg: cfg, random: 7, answered: -time.Hour}, now: 100 * sec}
		if rapid.Bool().Draw(t, "old") { // times and picks of 32 bits wrap soon
			h.now, h.b.picks = 1<<32*ms-20*sec, 1<<32-200
			h.m.picks = h.b.picks
		}
		h.update(t)
		actions := map[string]func(*rapid.T){
			"pick": h.pick, "finish": h.finish, "burst": h.burst, "several": h.several,
			"tick": h.tick, "tock": h.tick, "wait": h.wait, "answer": h.answer, "update": h.update,
			"assign": h.assign, "reconfigure": h.reconfigure, "serve": h.serve,
			"": h.check,
		}
		for range rapid.IntRange(1, 8).Draw(t, "length") {
			t.Repeat(actions)
		}
	})
}
