// Package dns is the route service: it tells agents which hosts serve a
// service, and tells them again when that changes.
//
//	var cfg dns.Config
//	cfg.BadRows = dns.NewBadRows(log)
//	db, err := store.Open(dsn, store.Options{BadRow: cfg.BadRows.Report})
//	cfg.Store, cfg.Log = db, log
//	server, err := dns.New(cfg)
//	err = server.Serve(ctx)
//
// An agent sends a GetRouteRequest. That subscribes its connection to the
// service for as long as the connection lasts. The GetRouteResponse comes at
// once, and again after each change, always with the newest hosts; several
// changes in a row may come as one. A request that arrives before any routes
// are loaded is answered after the load.
//
// One goroutine watches the version of the routes in the store and replaces
// the table that all event loops answer from; they never wait for it. Each
// loop keeps the subscriptions of its own connections and shares nothing with
// the others. Everything exported is safe for concurrent use, and several
// services may run in one process.
//
// A route is cut at what one frame holds, about 3,800 hosts, and marked so; a
// service that long is named in the log and counted.
//
// The package writes nothing to the store and does not know its kind.
package dns
