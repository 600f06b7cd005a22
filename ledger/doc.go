// Package ledger keeps what was counted of calls until the report service has
// it, of hosts and services that are present and of those that are gone.
//
//	var l ledger.Ledger
//	a := l.Open(key, hosts, now)
//	l.Count(a, host, outcome, effect, now)     // a call ended
//	l.Happened(a, &event, now)                 // its host was ejected, or came back
//	a, results, ok := l.Take(results[:0], now) // send these
//	l.Acked(a)                                 // the report service has them
//	l.Returned(a)                              // or: they may be lost
//
// A report has, for each host, the calls of the window that is open and of all
// windows that were closed since the last report: the balancer says when a
// window ends, and the report service replaces what it had. At most one report
// of a service is in flight. What is returned joins what was counted meanwhile,
// so memory is bounded by the number of services and hosts; of hosts and
// services that are gone a fixed number of results is kept, and what finds no
// room is counted as lost.
//
// Beside the windows a report has totals, which only grow, so a report that is
// repeated or replaced by a newer one loses no count: package history makes
// minutes of their differences. How calls failed, how long they took and how
// often a host was ejected takes room only for hosts that have it: 48 bytes, and
// 2 KiB with the first call that was measured.
//
// A Ledger is not safe for concurrent use: the caller holds a lock around each
// call. It has no clock, no I/O and no log: now is monotonic time since any moment.
package ledger
