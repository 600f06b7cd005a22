package debug

import (
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// scrapeTimeout is how long a scrape may take. Prometheus gives up after as long,
// unless it is told otherwise.
const scrapeTimeout = 10 * time.Second

// metrics returns the page that Prometheus scrapes. Two collectors with a name in
// common are an error of the program: it panics.
func (s *Server) metrics() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(s.cfg.Metrics...)
	registry.MustRegister(
		buildInfo(s.cfg.Program, s.cfg.Version),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog:            scrapeErrors{s},
		ErrorHandling:       promhttp.ContinueOnError, // one bad metric does not hide the others
		Timeout:             scrapeTimeout,
		CoalesceGather:      true,
		MaxRequestsInFlight: maxConns,
	})
}

func buildInfo(program, version string) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "lars_build_info",
		Help:        "1, with the program, its version and that of Go.",
		ConstLabels: prometheus.Labels{"program": program, "version": version, "goversion": runtime.Version()},
	}, func() float64 { return 1 })
}

// scrapeErrors logs what went wrong in a scrape.
type scrapeErrors struct{ s *Server }

func (e scrapeErrors) Println(v ...any) {
	e.s.log.Warn("debug: scrape of /metrics", "error", v)
}
