package lb

import (
	"time"

	"lars.internal/route"
)

// Balancer chooses among the hosts of one service. A host is identified by its
// address alone. Not safe for concurrent use. Every now is monotonic time since
// the same arbitrary moment. A policy ignores the arguments that it does not
// need.
type Balancer interface {
	// Update makes endpoints, of which the first of each host counts, the hosts
	// of the service. The ones that stay keep their state. The slice is not
	// kept.
	Update(endpoints []route.Endpoint, now time.Duration)

	// Pick returns the host of the next call, and a ticket for its Outcome. It
	// returns another host than avoid if it can; the zero Host avoids nothing.
	// Host and ticket are meaningful only if the verdict is Picked.
	Pick(now time.Duration, avoid route.Host) (route.Host, Ticket, Verdict)

	// Assign counts a call to host that was picked elsewhere: by another
	// balancer, or from Shares. It returns a ticket for its Outcome, 0 if the
	// host is not known.
	Assign(host route.Host, now time.Duration) Ticket

	// Observe takes the outcome of calls. The host may have left while they
	// ran; then the effect has not Counted.
	Observe(host route.Host, o Outcome, now time.Duration) Effect

	// Tick does what is due by time alone and returns when it has to be called
	// again; Never if there is no such time. An Update, a Pick, an Assign, an
	// Observe and a Probed since may make it due within TickAfter. Then Events and
	// Probes may have something new.
	Tick(now time.Duration) (next time.Duration)

	// Probes appends the hosts that are to be connected to now. Each is
	// appended once and answered by Probed.
	Probes(dst []Probe) []Probe

	// Probed takes the answer to a probe. Then Events and Probes may have
	// something new.
	Probed(host route.Host, answer Answer, now time.Duration)

	// Events appends what happened to hosts since the last call, the oldest
	// first. A bounded number is kept.
	Events(dst []Event) []Event

	// Counters returns totals since the balancer was made.
	Counters() Counters

	// Shares appends each host with the share of the calls that it gets at the
	// moment, for picks that are made elsewhere. The shares add up to at most 1; the
	// rest is refused.
	Shares(dst []Share) []Share

	// Explain appends the state of every host, those in rotation first, each in
	// the order of its queue. It changes nothing.
	Explain(dst []HostState) []HostState
}

// Never is the next time of a Tick that is not needed.
const Never = time.Duration(1<<63 - 1)

// TickAfter is the time within which a Tick is due after an Update, a Pick, an
// Assign, an Observe or a Probed, whatever the Tick before returned.
const TickAfter = 50 * time.Millisecond

// Ticket identifies a pick by its time. 0 is none.
type Ticket uint64

// TicketAt returns the ticket of a pick at a moment.
func TicketAt(now time.Duration) Ticket { return Ticket(now/time.Microsecond + 1) }

// Picked returns the moment of the pick, to the microsecond. t is not 0.
func (t Ticket) Picked() time.Duration { return time.Duration(t-1) * time.Microsecond }

// Probe is a host that is to be connected to, to see whether it takes
// connections.
type Probe struct {
	Host route.Host

	// Since is the moment from which on a connect counts: the answer to one that
	// began earlier says nothing new. It lets balancers that ask about the same
	// host share an answer.
	Since time.Duration
}

// Outcome is how calls to one host ended.
type Outcome struct {
	OK, Failed uint32        // calls; one of the two is 1 where each call is reported by itself
	Kind       Kind          // how the failed ones failed
	Latency    time.Duration // of a single call; 0: not known
	Ticket     Ticket        // of a single call; 0: not known
}

// Effect is what an Observe did, as bits.
type Effect uint8

const (
	// Counted: the balancer has the host.
	Counted Effect = 1 << iota

	// WindowClosed: the window in which the host's calls are counted for the
	// report service ended with this outcome.
	WindowClosed

	// Changed: Events has something new.
	Changed

	// Asked: Probes has something new.
	Asked
)

// Share is the part of all calls that a host gets, 0 to 1.
type Share struct {
	Host  route.Host
	Share float64
}

// HostState is what a balancer knows of one host, for people.
type HostState struct {
	Host    route.Host
	Ejected bool          // not in rotation
	Since   time.Duration // when it was added, ejected or reinstated last
	Share   float64       // of the calls, that it gets at the moment, 0 to 1

	Ejections, Reinstatements uint32 // since it was added

	Facts []Fact // the policy's own
}

// Fact is one thing that only its policy knows of a host.
type Fact struct {
	Name  string
	Value float64
}

// Fact returns the value of the fact of that name, 0 if there is none.
func (s *HostState) Fact(name string) float64 {
	for _, f := range s.Facts {
		if f.Name == name {
			return f.Value
		}
	}
	return 0
}

// Shadowed is a Balancer beside which another one looks on.
type Shadowed interface {
	Balancer

	// Shadow returns the one that looks on and answers nobody.
	Shadow() Balancer
}
