package agent

import (
	"testing"
	"time"

	"lars.internal/engine"
	"lars.internal/larspb"
	"lars.internal/lb"
	"lars.internal/route"
)

// told is the ports of an agent whose programs tell tickets, latencies and kinds,
// on a clock that the test sets, with one service of two hosts.
type told struct {
	*ports
	t     *testing.T
	clock *fakeClock
}

func newTold(t *testing.T, policy string) *told {
	t.Helper()
	cfg := Config{Policy: policy}
	cfg.setDefaults()
	w := &told{t: t, clock: newFakeClock()}
	w.ports = &ports{
		engine: newEngine(&cfg), clock: w.clock.read, tickets: newTickets(1 << 60),
		pull: func(route.Key) {}, changed: func() {}, asked: func() {},
	}
	w.engine.Restore(key12, route.Of(hostsN(2)...), w.clock.read(), w.clock.read())
	return w
}

// pick asks for a host as a program of that level does.
func (w *told) pick(level uint32, avoid route.Host) larspb.HostAnswer {
	w.t.Helper()
	q := larspb.HostQuery{Modid: key12.Modid, Cmdid: key12.Cmdid, Level: level}
	if avoid != (route.Host{}) {
		q.HasAvoid, q.AvoidIP, q.AvoidPort = true, int32(avoid.IP), int32(avoid.Port)
	}
	body, ok := w.getHost(nil, q.Append(nil))
	var a larspb.HostAnswer
	if err := a.Parse(body); err != nil || !ok || !a.HasHost {
		w.t.Fatalf("answer %+v, %v, %v", a, ok, err)
	}
	return a
}

// end reports the call that a pick began.
func (w *told) end(a larspb.HostAnswer, r larspb.CallReport) {
	r.Modid, r.Cmdid, r.HasHost, r.IP, r.Port = key12.Modid, key12.Cmdid, true, a.IP, a.Port
	w.report(r.Append(nil))
}

func hostOfAnswer(a larspb.HostAnswer) route.Host {
	return route.Host{IP: uint32(a.IP), Port: uint16(a.Port)}
}

func (w *told) state(h route.Host) engine.HostState {
	w.t.Helper()
	s, _ := w.engine.Explain(key12)
	for _, state := range s.Hosts {
		if state.Host == h {
			return state
		}
	}
	w.t.Fatalf("no host %v", h)
	return engine.HostState{}
}

// A program that shows no level is one of the C++ stack and gets the bytes that it
// has always got.
func TestTicketsAreForThoseWhoKnowThem(t *testing.T) {
	for _, policy := range []string{"classic", "adaptive"} {
		w := newTold(t, policy)
		if a := w.pick(0, route.Host{}); a.Ticket != 0 {
			t.Errorf("%s: a program without a level gets ticket %x", policy, a.Ticket)
		}
		if a := w.pick(1, route.Host{}); w.tickets.read(a.Ticket, w.clock.read()) == 0 {
			t.Errorf("%s: a program with a level gets ticket %x", policy, a.Ticket)
		}
	}
}

func TestAvoidedHostIsNotPicked(t *testing.T) {
	w := newTold(t, "adaptive")
	for range 50 {
		if h := hostOfAnswer(w.pick(1, hostN(0))); h == hostN(0) {
			t.Fatal("the host to avoid is picked")
		}
	}
	q := larspb.HostQuery{HasAvoid: true, AvoidIP: int32(hostN(0).IP), AvoidPort: 1<<16 + int32(hostN(0).Port)}
	if got := avoided(&q); got != (route.Host{}) {
		t.Errorf("a port that does not exist is one of %v", got)
	}
}

// TestOutcomes: the return code says whether a call worked, the kind how it failed.
func TestOutcomes(t *testing.T) {
	const ticket = 7
	for _, c := range []struct {
		name   string
		report larspb.CallReport
		want   lb.Outcome
	}{
		{"success", larspb.CallReport{}, lb.Outcome{OK: 1}},
		{"failure of a C++ program", larspb.CallReport{Retcode: 9}, lb.Outcome{Failed: 1}},
		{"refused", larspb.CallReport{Retcode: 1, Kind: larspb.Kind_KIND_REFUSED}, lb.Outcome{Failed: 1, Kind: lb.KindRefused}},
		{"time-out", larspb.CallReport{Retcode: 1, Kind: larspb.Kind_KIND_TIMEOUT, LatencyUS: 1_500_000}, lb.Outcome{Failed: 1, Kind: lb.KindTimeout, Latency: 1500 * time.Millisecond}},
		{"error", larspb.CallReport{Retcode: -1, Kind: larspb.Kind_KIND_ERROR}, lb.Outcome{Failed: 1, Kind: lb.KindError}},
		{"overloaded", larspb.CallReport{Retcode: 1, Kind: larspb.Kind_KIND_OVERLOADED}, lb.Outcome{Failed: 1, Kind: lb.KindOverloaded}},
		{"ignored", larspb.CallReport{Kind: larspb.Kind_KIND_IGNORED}, lb.Outcome{Kind: lb.KindIgnored}},
		{"ignored, with a return code", larspb.CallReport{Retcode: 1, Kind: larspb.Kind_KIND_IGNORED}, lb.Outcome{Kind: lb.KindIgnored}},
		{"success with a kind", larspb.CallReport{Kind: larspb.Kind_KIND_ERROR, LatencyUS: 3}, lb.Outcome{OK: 1, Latency: 3 * time.Microsecond}},
		{"a kind of the future", larspb.CallReport{Retcode: 1, Kind: 77}, lb.Outcome{Failed: 1}},
	} {
		c.want.Ticket = ticket
		if got := outcomeOf(&c.report, ticket, time.Minute); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

// TestLatencyOfATicket: without one that is told, the ticket says how long the call
// took; what is told goes first.
func TestLatencyOfATicket(t *testing.T) {
	w := newTold(t, "adaptive")
	for _, c := range []struct {
		report func(ticket uint64) larspb.CallReport
		want   float64 // s
	}{
		{func(ticket uint64) larspb.CallReport { return larspb.CallReport{Ticket: ticket} }, 0.030},
		{func(ticket uint64) larspb.CallReport { return larspb.CallReport{Ticket: ticket, LatencyUS: 20_000} }, 0.020},
	} {
		w.clock.advance(10 * time.Minute) // then a latency is all that counts
		a := w.pick(1, hostN(1))
		w.clock.advance(30 * time.Millisecond)
		w.end(a, c.report(a.Ticket))
		if s := w.state(hostN(0)); s.Fact("latency") != c.want || s.Fact("in_flight") != 0 {
			t.Errorf("latency %v, want %v; %v calls in flight", s.Fact("latency"), c.want, s.Fact("in_flight"))
		}
	}
}

// TestLatencyIsPossible: a program that counts in other units makes no host look as
// if it took an hour.
func TestLatencyIsPossible(t *testing.T) {
	const told = 3_000_000_000 // us
	pick := lb.Ticket(1 + time.Hour/time.Microsecond)
	for _, c := range []struct {
		name      string
		ticket    lb.Ticket
		latencyUS uint32
		want      time.Duration
	}{
		{"the pick was later", pick, told, 30 * time.Millisecond},
		{"the pick was just then", pick, 30_000, 30 * time.Millisecond},
		{"the pick was before", pick, 29_999, 29_999 * time.Microsecond},
		{"not told", pick, 0, 0},
		{"no ticket", 0, told, ticketAge},
		{"no ticket, and long", 0, 599_000_000, 599 * time.Second},
	} {
		now := time.Hour + 30*time.Millisecond + 999 // ns
		if got := outcomeOf(&larspb.CallReport{LatencyUS: c.latencyUS}, c.ticket, now); got.Latency != c.want {
			t.Errorf("%s: %v, want %v", c.name, got.Latency, c.want)
		}
	}
}

// TestIgnoredCallsCountNowhere: the call is over, and that is all. Without a ticket
// not even that.
func TestIgnoredCallsCountNowhere(t *testing.T) {
	for _, policy := range []string{"classic", "adaptive"} {
		w := newTold(t, policy)
		a, b := w.pick(1, hostN(1)), w.pick(1, hostN(1))
		w.end(a, larspb.CallReport{Kind: larspb.Kind_KIND_IGNORED, Ticket: a.Ticket})
		w.end(b, larspb.CallReport{Kind: larspb.Kind_KIND_IGNORED, Retcode: 1})
		w.end(b, larspb.CallReport{Kind: larspb.Kind_KIND_IGNORED, Ticket: b.Ticket + 1<<48})
		s := w.state(hostOfAnswer(b))
		if s.TotalSucc != 0 || s.TotalErr != 0 || w.engine.Counters().Reports != 0 || w.engine.WaitingAll() != 0 {
			t.Errorf("%s: %+v, %d to report", policy, s, w.engine.WaitingAll())
		}
		if policy == "adaptive" && s.Fact("in_flight") != 1 {
			t.Errorf("%v calls in flight, want the one without a ticket", s.Fact("in_flight"))
		}
		if n := w.void.Load(); n != 2 {
			t.Errorf("%s: %d tickets counted as void, want 2", policy, n)
		}
	}
}

// TestProgramOutlivesTheAgent: its tickets are those of another run, and its
// reports count like those of a C++ program.
func TestProgramOutlivesTheAgent(t *testing.T) {
	before := newTold(t, "adaptive")
	a := before.pick(1, hostN(1))
	w := newTold(t, "adaptive")
	w.tickets = newTickets(2 << 60)
	w.clock.advance(time.Second)
	w.end(a, larspb.CallReport{Ticket: a.Ticket})
	s := w.state(hostN(0))
	if s.TotalSucc != 1 || s.Fact("latency") > 0.002 || w.void.Load() != 1 {
		t.Errorf("%d calls, latency %v s, %d void tickets", s.TotalSucc, s.Fact("latency"), w.void.Load())
	}
}
