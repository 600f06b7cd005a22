package lars_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/metrics"

	"lars.internal/agent"
	"lars.internal/dns"
	"lars.internal/reporter"
)

// TestMetricsDocumented: docs/metrics.md has a line for each metric of the
// services, and for nothing else.
func TestMetricsDocumented(t *testing.T) {
	text, err := os.ReadFile("docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(lars_[a-z_]+)").FindAllStringSubmatch(string(text), -1) {
		documented = append(documented, m[1])
	}
	have := metricNames(t)
	for _, name := range have {
		if !slices.Contains(documented, name) {
			t.Errorf("docs/metrics.md has no line for %s", name)
		}
	}
	for _, name := range documented {
		if !slices.Contains(have, name) {
			t.Errorf("docs/metrics.md has a line for %s, which no service counts", name)
		}
	}
}

// metricNames returns the names of all metrics of the three services, without labels.
func metricNames(t *testing.T) []string {
	t.Helper()
	d, err := dns.New(dns.Config{Store: struct{ dns.Store }{}, Snapshot: t.TempDir() + "/dns.snapshot"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := reporter.New(reporter.Config{Sink: struct{ reporter.Sink }{}})
	if err != nil {
		t.Fatal(err)
	}
	a, err := agent.New(agent.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, set := range []*metrics.Set{d.Metrics(), r.Metrics(), a.Metrics()} {
		for _, name := range set.ListMetricNames() {
			name, _, _ = strings.Cut(name, "{")
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if names = slices.Compact(names); len(names) < 20 {
		t.Fatalf("only %d metrics found: %q", len(names), names)
	}
	return names
}

// TestPagesNamedInReadme: a page that nothing leads to is not found.
func TestPagesNamedInReadme(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	walk(t, func(name string) {
		if strings.HasPrefix(name, "docs/") && !strings.Contains(string(text), name) {
			t.Errorf("README.md does not name %s", name)
		}
	})
}

// TestTargetsHaveHelp: `make` prints a line for each target that people use.
func TestTargetsHaveHelp(t *testing.T) {
	text, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"build", "demo", "test", "race", "lint", "fuzz", "bench", "generate", "check", "clean"} {
		if !regexp.MustCompile(`(?m)^` + name + `:.* ## \S`).Match(text) {
			t.Errorf("Makefile has no line of help for %s", name)
		}
	}
}
