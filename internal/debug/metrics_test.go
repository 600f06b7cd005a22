package debug_test

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"lars.internal/internal/debug"
	"lars.internal/internal/metrics"
)

// scrape parses the page of the metrics as Prometheus does.
func scrape(t *testing.T, base string) map[string]*dto.MetricFamily {
	t.Helper()
	code, body := ask(t, "GET", base+"/metrics", "")
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if code != 200 || err != nil {
		t.Fatalf("code %d, %v, in:\n%s", code, err, body)
	}
	return families
}

// TestFinding33PrometheusReadsThePage: histograms once had buckets of a form in which
// histogram_quantile finds nothing, and no metric had a type or a text of help.
func TestFinding33PrometheusReadsThePage(t *testing.T) {
	set := metrics.NewSet("lars_test_")
	set.CounterFunc("lookups_total", "Requests for a route.", func() uint64 { return 42 })
	set.GaugeFunc("up", "1 while all is well.", func() float64 { return 1 }, "kind", "a")
	set.Histogram("load_seconds", "Time that loads took.", metrics.Seconds, "kind", "full").Observe(0.02)
	families := scrape(t, start(t, debug.New(&debug.Config{
		Addr: "127.0.0.1:0", Metrics: []prometheus.Collector{set}, Program: "lars-test", Version: "v1",
	})))
	for name, f := range families {
		if f.GetHelp() == "" {
			t.Errorf("%s has no text of help", name)
		}
		if f.Type == nil || f.GetType() == dto.MetricType_UNTYPED {
			t.Errorf("%s has no type", name)
		}
	}
	if c := families["lars_test_lookups_total"].GetMetric(); len(c) != 1 || c[0].GetCounter().GetValue() != 42 {
		t.Errorf("the counter is %v, want 42", c)
	}
	histogram := families["lars_test_load_seconds"].GetMetric()
	if len(histogram) != 1 {
		t.Fatalf("no histogram: %v", histogram)
	}
	for _, b := range histogram[0].GetHistogram().GetBucket() {
		want := uint64(0)
		if b.GetUpperBound() >= 0.02 {
			want = 1
		}
		if b.GetCumulativeCount() != want {
			t.Errorf("bucket le=%g has %d, want %d", b.GetUpperBound(), b.GetCumulativeCount(), want)
		}
	}
	build := families["lars_build_info"].GetMetric()
	if len(build) != 1 || build[0].GetGauge().GetValue() != 1 {
		t.Fatalf("lars_build_info is %v, want 1", build)
	}
	labels := map[string]string{}
	for _, l := range build[0].GetLabel() {
		labels[l.GetName()] = l.GetValue()
	}
	if labels["program"] != "lars-test" || labels["version"] != "v1" || labels["goversion"] == "" {
		t.Errorf("lars_build_info has the labels %v", labels)
	}
}
