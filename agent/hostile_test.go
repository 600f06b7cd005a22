package agent

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"lars.internal/engine"
	"lars.internal/larspb"
	"lars.internal/lb"
	"lars.internal/route"
)

// hostile is an agent of policy adaptive whose programs say what they like, under
// a clock and with probes that the test moves.
type hostile struct {
	*told
	random  *rand.Rand
	hosts   []route.Host
	asked   int
	tickets []uint64 // of picks
	ticked  time.Duration
}

func newHostile(t *testing.T, seed uint64) *hostile {
	h := &hostile{told: newTold(t, "adaptive"), random: rand.New(rand.NewPCG(seed, 1)), hosts: hostsN(5)}
	h.engine.Update(key12, engine.Route{Hosts: route.Of(h.hosts...).Hosts}, h.clock.read())
	return h
}

// oneOf draws a value.
func oneOf[T any](r *rand.Rand, values ...T) T { return values[r.IntN(len(values))] }

func (h *hostile) ask() {
	h.asked++
	r := h.random
	q := larspb.HostQuery{
		Modid: key12.Modid, Cmdid: key12.Cmdid, Level: oneOf(r, 0, 1, r.Uint32()),
		HasAvoid: r.IntN(2) == 0, AvoidIP: oneOf(r, int32(h.hosts[0].IP), int32(r.Uint32())),
		AvoidPort: oneOf(r, int32(h.hosts[0].Port), int32(r.Uint32())),
	}
	body, ok := h.getHost(nil, q.Append(nil))
	var a larspb.HostAnswer
	if err := a.Parse(body); err != nil || !ok {
		h.t.Fatalf("%+v is answered by %+v, %v", q, a, err)
	}
	if a.HasHost && !slices.Contains(h.hosts, hostOfAnswer(a)) {
		h.t.Fatalf("%+v is answered by the host %v", q, hostOfAnswer(a))
	}
	if len(h.tickets) < 1000 {
		h.tickets = append(h.tickets, a.Ticket)
	}
}

// lie reports a call that may never have been made.
func (h *hostile) lie() {
	r := h.random
	host := oneOf(r, h.hosts...)
	lie := larspb.CallReport{
		Modid: key12.Modid, Cmdid: key12.Cmdid, HasHost: r.IntN(50) != 0,
		IP: oneOf(r, int32(host.IP), int32(host.IP), int32(r.Uint32())), Port: oneOf(r, int32(host.Port), int32(host.Port), int32(r.Uint32())),
		Retcode:   oneOf(r, 0, 0, 1, int32(r.Uint32())),
		Ticket:    oneOf(r, 0, r.Uint64(), 1<<60|r.Uint64()&ticketMask, h.anyTicket(), h.anyTicket()),
		LatencyUS: oneOf(r, 0, 1, 20_000, math.MaxUint32, r.Uint32()),
		Kind:      larspb.Kind(oneOf(r, r.Int32N(6), 99, -1, math.MinInt32, int32(r.Uint32()))),
	}
	h.report(lie.Append(nil))
}

// anyTicket returns one of a pick, which may have been used before.
func (h *hostile) anyTicket() uint64 {
	if len(h.tickets) == 0 {
		return 0
	}
	return h.tickets[h.random.IntN(len(h.tickets))]
}

// pass lets time go by. Probes are answered at once.
func (h *hostile) pass(d time.Duration, answer func() lb.Answer) {
	h.clock.advance(d)
	now := h.clock.read()
	if now-h.ticked < lb.TickAfter {
		return
	}
	h.ticked = now
	probes, _ := h.engine.TickBalancers(nil, now)
	for len(probes) > 0 {
		p := probes[0]
		probes, _ = h.engine.Probed(p.Key, p.Host, answer(), probes[1:], now)
	}
}

// check holds what the balancer may not lose, whatever it is told.
func (h *hostile) check() {
	h.t.Helper()
	if err := h.engine.Check(); err != nil {
		h.t.Fatal(err)
	}
	s, _ := h.engine.Explain(key12)
	if len(s.Hosts) != len(h.hosts) {
		h.t.Fatalf("%d hosts, want %d", len(s.Hosts), len(h.hosts))
	}
	for _, host := range s.Hosts {
		for _, f := range host.Facts {
			if math.IsNaN(f.Value) || math.IsInf(f.Value, 0) {
				h.t.Fatalf("%v: %s is %v", host.Host, f.Name, f.Value)
			}
		}
		if n := host.Fact("in_flight"); n < 0 || n > float64(h.asked) {
			h.t.Fatalf("%v: %v calls in flight", host.Host, n)
		}
	}
}

// serve makes honest calls of 10 to 30 ms for a time, and returns how many went to each
// host.
func (h *hostile) serve(d time.Duration) map[route.Host]int {
	h.t.Helper()
	calls := make(map[route.Host]int)
	for end := h.clock.read() + d; h.clock.read() < end; {
		q := larspb.HostQuery{Modid: key12.Modid, Cmdid: key12.Cmdid, Level: 1}
		h.asked++
		body, _ := h.getHost(nil, q.Append(nil))
		var a larspb.HostAnswer
		if err := a.Parse(body); err != nil {
			h.t.Fatal(err)
		}
		took := 10_000 + h.random.Uint32N(20_000)
		h.pass(time.Duration(took)*time.Microsecond, func() lb.Answer { return lb.ProbeOK })
		if a.HasHost {
			h.end(a, larspb.CallReport{Ticket: a.Ticket, LatencyUS: took})
			calls[hostOfAnswer(a)]++
		}
	}
	return calls
}

// Programs that report what never happened, with tickets made up or used before,
// kinds that do not exist and latencies of more than an hour, break nothing, and
// what they did to their own service is forgotten: a call that nobody reports
// counts for 16 minutes at most.
func TestHostileReports(t *testing.T) {
	for seed := range uint64(2) {
		h := newHostile(t, seed)
		for i := range 20_000 {
			if h.random.IntN(2) == 0 {
				h.ask()
			} else {
				h.lie()
			}
			h.pass(time.Duration(h.random.Int64N(int64(50*time.Millisecond))), func() lb.Answer {
				return oneOf(h.random, lb.ProbeOK, lb.ProbeRefused, lb.ProbeSilent, lb.ProbeNone)
			})
			if i%100 == 0 {
				h.check()
			}
		}
		h.serve(20 * time.Minute)
		h.check()
		calls := h.serve(time.Minute)
		for _, host := range h.hosts {
			if n := calls[host]; n < 100 { // of some 3,000 among five
				t.Errorf("seed %d: %v got %d calls in a minute after the lies", seed, host, n)
			}
		}
	}
}
