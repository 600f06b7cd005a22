// Package dns is the route service: it answers agents which hosts serve a
// service, and pushes every change to them.
//
//	var cfg dns.Config
//	cfg.BadRows = dns.NewBadRows(log)
//	db, err := store.Open(dsn, store.Options{BadRow: cfg.BadRows.Report})
//	cfg.Store, cfg.Log = db, log
//	server, err := dns.New(cfg)
//	err = server.Serve(ctx)
//
// An agent sends a GetRouteRequest. That subscribes its connection to the
// service until an Unsubscribe or the end of the connection. The
// GetRouteResponse comes at once, and again after each change, always with the
// newest hosts; several changes in a row may come as one. A request that
// arrives before any routes are loaded is answered after the load.
//
// An agent that gives its level is told the version of the routes, whether they
// are stale, and whether a service is empty because an edit made it so. Others,
// such as those of the C++ stack, get the messages and fields that they know.
//
// One goroutine watches the record of edits in the store and replaces the
// table that all event loops answer from; they never wait for it. Each
// loop keeps the subscriptions of its own connections and shares nothing with
// the others. Everything exported is safe for concurrent use, and several
// services may run in one process.
//
// All routes are read from time to time, to find what was written without a
// record. If that would remove a large share of all hosts, it is held back: the
// table stays, edits are served all the same, and an operator decides.
//
// A route is cut at what one frame holds, about 3,800 hosts, and marked so; a
// service that long is named in the log and counted.
//
// The package writes nothing to the store and does not know its kind.
package dns
