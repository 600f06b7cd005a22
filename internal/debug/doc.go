// Package debug is the HTTP server that shows operators the inside of a running
// service: metrics, health, profiles, and pages in JSON.
//
//	cfg := debug.Bind(set, "127.0.0.1:7780") // [debug] addr
//	cfg.Metrics = []*metrics.Set{service.Metrics()}
//	cfg.Ready = service.Ready // nil: ready
//	srv := debug.New(cfg)
//	srv.JSON("/debug/services", func(r *http.Request) (any, error) { return service.List(), nil })
//	err := srv.Serve(ctx)
//
// It answers /metrics (Prometheus text), /healthz (the process is alive),
// /readyz (200, or 503 with the reason), /debug/pprof/, the mounted pages, and
// a list of all that at /.
//
// A service has its own metrics.Set and registers what it counts by callback.
// A hot path counts in plain counters, one block for each event loop; the
// callback adds the blocks up when somebody scrapes:
//
//	set.NewGauge(`lars_dns_lookups_total`, func() float64 { return float64(service.Stats().Lookups) })
//
// Mount pages before Serve. Pages, Ready and the callbacks are called from
// several goroutines at once. They have to return soon after the request's
// context is done: Serve waits for them, for up to five seconds.
//
// There is no login and no way to change anything: methods other than GET and
// HEAD are refused, and on loopback so are requests under a foreign host name,
// which a browser sends for a page that turned its name to this address.
package debug
