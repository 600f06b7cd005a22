// Package agent is the load-balance agent: it tells the programs of its machine,
// over UDP, which host to call next, and learns from the results they report.
//
//	cfg := agent.Config{DNS: ..., Reporter: ...}
//	cfg.Log = log
//	a, err := agent.New(cfg)
//	err = a.Listen()       // a port in use ends the start here
//	err = a.Serve(ctx)     // returns nil when ctx is done and all is drained
//
// Routes come from a dns service and call statistics go to a report service,
// over one TCP connection each. Routes are pulled when a program asks for a
// service, pulled again when they are old or a connection starts, and changed
// by pushes. Without any dns service the agent goes on with what it knows,
// after a start with what it finds in its snapshot file. Call statistics stay in
// the agent until the report service has acknowledged them.
//
// Of several servers of a kind the agent begins with one drawn at random. It
// leaves a server that is gone, silent or hung within 10 s, and where no route
// is known, a dns service that answers nothing within 2 s. It returns to the
// first one minutes after that is back.
//
// With policy adaptive the agent also asks hosts by a TCP connect whether they are
// there: an address once for all services, at most 200 at a time. The connection is
// reset at once.
//
// All methods are safe for concurrent use. Each UDP port, each TCP client and the
// probes have an event loop; they meet in an engine whose parts have a lock each.
// Nothing waits for anything else while it holds one, and a request costs no
// allocation, no log line and no system call beyond receive and send.
//
// Time is monotonic throughout: only the times that reports and the snapshot
// file carry are of the wall clock, and nothing is decided by them.
//
// Left out on purpose: how a host is chosen (package lb), retries of calls
// (the program knows what it may repeat), and any way to change routes.
package agent
