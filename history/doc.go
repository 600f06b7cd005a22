// Package history says what happened to calls in each minute, from totals that
// agents report.
//
//	parts, ok := report.Minutes(stored) // what it adds to the stored totals
//	minute.Add(part)                    // of the same minute, service and host
//	p99 := minute.Totals.Latency.Quantile(0.99)
//
// An agent reports, for each host of a service, Totals that only grow; a
// Counter identifies them. Whoever stores minutes keeps the newest Totals of
// each Counter beside them. The difference to the next ones is what is new, so a
// report that was lost, repeated or overtaken by a newer one makes no sum wrong.
// The times of the minutes are as exact as the reports are frequent: what a report
// covers of more than a minute is spread evenly.
//
// Nothing here is safe for concurrent use. There is no clock, no I/O and no log.
package history
