// Package metrics holds what a server counts, in the form that Prometheus reads.
//
//	set := metrics.NewSet("lars_dns_")
//	set.CounterFunc("lookups_total", "Requests for a route.", service.lookups)
//	set.GaugeFunc("store_up", "1 while the database answers.", service.up)
//	took := set.Histogram("load_seconds", "Time that loads took.", metrics.Seconds, "kind", "delta")
//	took.Observe(0.2)
//
// The names of constant labels and their values follow the help text in pairs. All
// metrics of one name have the same help text, type and label names.
//
// A hot path counts in plain counters, one block for each event loop; the function
// that is handed in adds them up when somebody scrapes. It is called from several
// goroutines at once, and has to return soon: a scrape waits for it.
//
// A Set is filled by one goroutine, before it is first scraped. Then it is safe for
// concurrent use.
package metrics

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// Seconds are the bounds of the buckets for times, from 0.5 ms to a minute.
var Seconds = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}

// Type is what a metric is to Prometheus.
type Type string

// The types of metrics.
const (
	Counter   Type = "counter"
	Gauge     Type = "gauge"
	Histogram Type = "histogram"
)

// Family describes all metrics of one name.
type Family struct {
	Name   string // with the prefix of the set
	Help   string
	Type   Type
	Labels []string // names, in the order of their declaration
}

// Set is a prometheus.Collector of the metrics of one server.
type Set struct {
	prefix     string
	families   []Family
	collectors []prometheus.Collector

	scrapes atomic.Uint64 // times that Collect was called
}

// NewSet returns a set whose metrics have names that begin with prefix.
func NewSet(prefix string) *Set { return &Set{prefix: prefix} }

// CounterFunc adds a counter that is read when somebody scrapes.
func (s *Set) CounterFunc(name, help string, read func() uint64, labels ...string) {
	opts := prometheus.CounterOpts(s.declare(Counter, name, help, labels))
	s.add(prometheus.NewCounterFunc(opts, func() float64 { return float64(read()) }))
}

// GaugeFunc adds a gauge that is read when somebody scrapes.
func (s *Set) GaugeFunc(name, help string, read func() float64, labels ...string) {
	opts := prometheus.GaugeOpts(s.declare(Gauge, name, help, labels))
	s.add(prometheus.NewGaugeFunc(opts, read))
}

// Counter adds a counter for paths that are not hot and returns it.
func (s *Set) Counter(name, help string, labels ...string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts(s.declare(Counter, name, help, labels)))
	s.add(c)
	return c
}

// Gauge adds a gauge for paths that are not hot and returns it.
func (s *Set) Gauge(name, help string, labels ...string) prometheus.Gauge {
	g := prometheus.NewGauge(prometheus.GaugeOpts(s.declare(Gauge, name, help, labels)))
	s.add(g)
	return g
}

// Histogram adds a histogram with these upper bounds of its buckets and returns it.
func (s *Set) Histogram(name, help string, bounds []float64, labels ...string) prometheus.Histogram {
	o := s.declare(Histogram, name, help, labels)
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: o.Name, Help: help, ConstLabels: o.ConstLabels, Buckets: bounds})
	s.add(h)
	return h
}

// Each adds metrics whose labels have values that are known only when somebody
// scrapes. The function read calls emit once for each of them, with a value for each
// name in labels. It bounds their number.
func (s *Set) Each(kind Type, name, help string, labels []string, read func(emit func(value float64, labelValues ...string))) {
	s.families = append(s.families, Family{s.prefix + name, help, kind, labels})
	valueType := prometheus.GaugeValue
	if kind == Counter {
		valueType = prometheus.CounterValue
	}
	s.add(&each{prometheus.NewDesc(s.prefix+name, help, labels, nil), valueType, read})
}

// declare notes a metric and returns what the constructors of Prometheus take.
func (s *Set) declare(kind Type, name, help string, labels []string) prometheus.Opts {
	f := Family{Name: s.prefix + name, Help: help, Type: kind}
	constant := make(prometheus.Labels)
	for pair := range slices.Chunk(labels, 2) {
		f.Labels = append(f.Labels, pair[0])
		constant[pair[0]] = pair[1]
	}
	known := func(other Family) bool { return other.Name == f.Name }
	if !slices.ContainsFunc(s.families, known) {
		s.families = append(s.families, f)
	}
	return prometheus.Opts{Name: f.Name, Help: help, ConstLabels: constant}
}

func (s *Set) add(c prometheus.Collector) { s.collectors = append(s.collectors, c) }

// Families returns what the set has, in the order in which it was added.
func (s *Set) Families() []Family { return slices.Clone(s.families) }

// Describe is for Prometheus.
func (s *Set) Describe(out chan<- *prometheus.Desc) {
	for _, c := range s.collectors {
		c.Describe(out)
	}
}

// Collect is for Prometheus.
func (s *Set) Collect(out chan<- prometheus.Metric) {
	s.scrapes.Add(1)
	for _, c := range s.collectors {
		c.Collect(out)
	}
}

// Once returns a function that calls read at most once for each scrape of the set, for
// metrics that are parts of one sum. Their values are of one moment.
func Once[T any](s *Set, read func() T) func() T {
	var (
		mu     sync.Mutex // guards value and scrape
		value  T
		scrape uint64 // that value is of; 0: none
	)
	return func() T {
		mu.Lock()
		defer mu.Unlock()
		if now := s.scrapes.Load(); now != scrape {
			value, scrape = read(), now
		}
		return value
	}
}

// each collects the metrics of Set.Each.
type each struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(emit func(value float64, labelValues ...string))
}

func (e *each) Describe(out chan<- *prometheus.Desc) { out <- e.desc }

func (e *each) Collect(out chan<- prometheus.Metric) {
	e.read(func(value float64, labelValues ...string) {
		out <- prometheus.MustNewConstMetric(e.desc, e.kind, value, labelValues...)
	})
}
