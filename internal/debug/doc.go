// Package debug is the HTTP server with which operators inspect a running server:
// metrics, health, profiles, and pages in JSON.
//
//	cfg := debug.Bind(set, "127.0.0.1:7780") // [debug] addr
//	cfg.Metrics = []prometheus.Collector{service.Metrics()}
//	cfg.Ready = service.Ready // nil: ready
//	srv := debug.New(cfg)
//	srv.JSON("/debug/services", func(r *http.Request) (any, error) { return service.List(), nil })
//	err := srv.Serve(ctx)
//
// It answers /metrics (Prometheus text), /healthz (the process is alive),
// /readyz (200, or 503 with the reason), /debug/pprof/ (on loopback, or if asked for),
// the mounted pages, and a list of all that at /.
//
// It takes 64 connections. At the limit a new one takes the place of the one that
// has waited for a request for the longest time. It holds a few descriptors in
// reserve, so that it answers when the process has used up all others.
//
// A scrape that takes longer than ten seconds is answered with code 503; the next
// one waits for the same collection and starts no second.
//
// Mount pages before Serve. Pages, Ready and the collectors are called from
// several goroutines at once. They have to return soon after the request's
// context is done: Serve waits for them, for up to five seconds.
//
// There is no login and no way to change anything: methods other than GET and
// HEAD are refused, and on loopback so are requests under a foreign host name,
// which a browser sends for a page that turned its name to this address.
package debug
