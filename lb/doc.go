// Package lb is the contract between the agent and its balancers: what chooses
// the host of a service that the next call goes to, from the results of the
// calls before.
//
//	var b lb.Balancer = classic.New(classic.DefaultConfig(), start)
//	b.Update(endpoints, now)
//	host, ticket, verdict := b.Pick(now, route.Host{})  // call the host if verdict is Picked
//	effect := b.Observe(host, lb.Outcome{OK: 1, Ticket: ticket}, now)
//	events = b.Events(events[:0])                       // if effect has Changed
//	probes = b.Probes(probes[:0])                       // if effect has Asked: connect, then b.Probed
//	next := b.Tick(now)                                 // at that time, and TickAfter after the calls above
//
// A balancer serves one service. It is a pure state machine: no I/O, no log, no
// clock, no source of randomness of its own; now is monotonic time since any
// fixed moment and never goes back. Pick and Observe do not allocate.
//
// A balancer is not safe for concurrent use: the caller holds a lock around
// each call.
//
// Left out on purpose: which services exist, when a route is too old and has
// to be pulled again (package engine), and what is counted for the report
// service (package ledger). The policies are packages below this one: classic and
// adaptive. Package policy chooses one, and package shadow lets a second one look
// on.
package lb
