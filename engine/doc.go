// Package engine holds the services of one machine: the route of each, the
// balancer that picks among its hosts, and what was counted and is not reported
// yet.
//
//	e := engine.New(engine.Config{NewBalancer: classicBalancer})
//	host, ticket, verdict, pull := e.Pick(key, route.Host{}, now)
//	effect := e.Observe(key, host, lb.Outcome{OK: 1, Ticket: ticket}, now)
//	outcome := e.Update(key, engine.Route{Hosts: hosts, Version: 7}, now)
//	keys := e.ConnectionStarted()  // Renew each
//	due := e.Tick(now)             // once a second: pull due.Pulls
//	probes, _ := e.TickBalancers(nil, now) // each lb.TickAfter: connect to these
//	probes, _ = e.Probed(key, host, lb.ProbeOK, nil, now)
//	gone := e.TakeGone(nil)        // unsubscribe these
//	report, results, ok := e.TakeReport(part, results[:0], now)
//
// A service is NEW, or PULLING while an answer to a pull is awaited. A route is
// pulled by the request that finds its service NEW and the route older than
// update_timeout, or not known; Tick finds the others that a program uses. A
// connection to a dns service that starts makes every service NEW, since pulls
// may have died with the old one.
//
// All methods are safe for concurrent use: the services are split into parts
// with a lock each, and nothing waits while it holds one. Pick and Observe do
// not allocate. There is no I/O, no log and no clock: now is monotonic and
// handed in.
//
// Left out on purpose: messages and their return codes, connections, and how a
// host is chosen (package lb).
package engine
