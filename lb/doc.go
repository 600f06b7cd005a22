// Package lb holds balancers: what chooses the host of a service that the
// next call goes to, from the results of the calls before.
//
//	b, err := lb.New("classic", lb.DefaultConfig())
//	b.Update(hosts, now)
//	host, verdict := b.Pick(now)      // call the host if verdict is Picked
//	change := b.Report(host, ok, now) // Ejected: log it
//	results = b.Collect(results[:0])  // for the report service
//
// A balancer serves one service. It is a pure state machine: no I/O, no log,
// no clock, no random numbers; now is monotonic time since any fixed moment
// and never goes back. Pick and Report do not allocate, and their cost does
// not depend on the number of hosts.
//
// A balancer is not safe for concurrent use: the caller holds a lock around
// each call.
//
// Left out on purpose: which services exist, when a route is too old and has
// to be fetched again, and when to send what Collect returns.
package lb
