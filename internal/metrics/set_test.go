package metrics_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"lars.internal/internal/metrics"
	"lars.internal/internal/metrics/metricstest"
)

func TestSet(t *testing.T) {
	set := metrics.NewSet("lars_test_")
	const refused = "Connections refused."
	set.CounterFunc("refused_total", refused, func() uint64 { return 1 << 40 }, "reason", "limit")
	set.Counter("refused_total", refused, "reason", "access").Add(2)
	set.Gauge("up", "1 while all is well.").Set(1)
	set.GaugeFunc("age_seconds", "Age of the routes.", func() float64 { return -1 })
	set.Histogram("load_seconds", "Time that loads took.", []float64{1, 2}, "kind", "full").Observe(1.5)
	set.Each(metrics.Gauge, "hosts", "Hosts of a service.", []string{"service", "state"}, func(emit func(float64, ...string)) {
		emit(3, "1/2", "ejected")
		emit(4, "1/2", "rotation")
	})
	set.Each(metrics.Counter, "picks_total", "Picks of a service.", []string{"service"}, func(emit func(float64, ...string)) {})

	want := `lars_test_age_seconds -1
lars_test_hosts{service="1/2",state="ejected"} 3
lars_test_hosts{service="1/2",state="rotation"} 4
lars_test_load_seconds_bucket{kind="full",le="1"} 0
lars_test_load_seconds_bucket{kind="full",le="2"} 1
lars_test_load_seconds_bucket{kind="full",le="+Inf"} 1
lars_test_load_seconds_sum{kind="full"} 1.5
lars_test_load_seconds_count{kind="full"} 1
lars_test_refused_total{reason="access"} 2
lars_test_refused_total{reason="limit"} 1099511627776
lars_test_up 1
`
	if diff := cmp.Diff(want, metricstest.Text(t, set)); diff != "" {
		t.Error(diff)
	}
	families := []metrics.Family{
		{Name: "lars_test_refused_total", Help: refused, Type: metrics.Counter, Labels: []string{"reason"}},
		{Name: "lars_test_up", Help: "1 while all is well.", Type: metrics.Gauge},
		{Name: "lars_test_age_seconds", Help: "Age of the routes.", Type: metrics.Gauge},
		{Name: "lars_test_load_seconds", Help: "Time that loads took.", Type: metrics.Histogram, Labels: []string{"kind"}},
		{Name: "lars_test_hosts", Help: "Hosts of a service.", Type: metrics.Gauge, Labels: []string{"service", "state"}},
		{Name: "lars_test_picks_total", Help: "Picks of a service.", Type: metrics.Counter, Labels: []string{"service"}},
	}
	if diff := cmp.Diff(families, set.Families()); diff != "" {
		t.Error(diff)
	}
}

func TestOnceReadsOncePerScrape(t *testing.T) {
	set, reads := metrics.NewSet("lars_test_"), 0
	sum := metrics.Once(set, func() int { reads++; return reads })
	for _, state := range []string{"a", "b", "c"} {
		set.GaugeFunc("hosts", "Hosts.", func() float64 { return float64(sum()) }, "state", state)
	}
	for scrape := 1; scrape <= 2; scrape++ {
		metricstest.Text(t, set)
		if reads != scrape {
			t.Errorf("scrape %d: %d reads, want one for each scrape", scrape, reads)
		}
	}
}
