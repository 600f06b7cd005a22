package lars_test

import (
	"flag"
	"fmt"
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"lars.internal/agent"
	"lars.internal/dns"
	"lars.internal/internal/metrics"
	"lars.internal/reporter"
)

var update = flag.Bool("update", false, "write the tables of docs/metrics.md anew")

const metricsFile = "docs/metrics.md"

// TestFinding33MetricsDocumented: the tables of docs/metrics.md are what the servers
// say of their metrics: names, types, labels with their values, help texts. The
// page once named labels that a server did not have, and no types at all.
func TestFinding33MetricsDocumented(t *testing.T) {
	text, err := os.ReadFile(metricsFile)
	if err != nil {
		t.Fatal(err)
	}
	page, _, _ := strings.Cut(string(text), "\n## ")
	for _, s := range servers(t) {
		page += "\n## " + s.program + "\n\n" + metricsTable(t, s.metrics)
	}
	if page == string(text) {
		return
	}
	if !*update {
		t.Fatalf("%s is not what the servers say of their metrics: run make generate", metricsFile)
	}
	if err := os.WriteFile(metricsFile, []byte(page), 0o644); err != nil {
		t.Fatal(err)
	}
}

type server struct {
	program string
	metrics prometheus.Collector
}

func servers(t *testing.T) []server {
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
	return []server{{"lars-dns", d.Metrics()}, {"lars-reporter", r.Metrics()}, {"lars-agent", a.Metrics()}}
}

func metricsTable(t *testing.T, c prometheus.Collector) string {
	t.Helper()
	families := c.(interface{ Families() []metrics.Family }).Families()
	if len(families) < 10 {
		t.Fatalf("only %d metrics", len(families))
	}
	values := labelValues(t, c)
	var table strings.Builder
	table.WriteString("| metric | type | labels | meaning |\n|---|---|---|---|\n")
	for _, f := range families {
		if !strings.HasSuffix(f.Help, ".") || strings.Contains(f.Help, "|") {
			t.Errorf("%s: help %q: want a sentence that ends in a full stop", f.Name, f.Help)
		}
		if (f.Type == metrics.Counter) != strings.HasSuffix(f.Name, "_total") {
			t.Errorf("%s is a %s: a counter, and nothing else, has a name that ends in _total", f.Name, f.Type)
		}
		var labels []string
		for _, l := range f.Labels {
			labels = append(labels, describeLabel(l, values[f.Name+" "+l]))
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s | %s |\n", f.Name, f.Type, strings.Join(labels, "; "), f.Help)
	}
	return table.String()
}

// describeLabel names the values of a label that are words; those that are numbers
// differ from server to server.
func describeLabel(label string, values []string) string {
	if len(values) == 0 || strings.Trim(values[0], "0123456789") == "" {
		return "`" + label + "`"
	}
	return "`" + label + "`: `" + strings.Join(values, "`, `") + "`"
}

// labelValues returns the values of each label of a metric that is there from the
// start, by the names of metric and label.
func labelValues(t *testing.T, c prometheus.Collector) map[string][]string {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string][]string)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				at := f.GetName() + " " + l.GetName()
				values[at] = append(values[at], l.GetValue())
			}
		}
	}
	return values
}

// TestPagesNamedInReadme: a page that nothing leads to is not found, nor is a
// picture that no page shows.
func TestPagesNamedInReadme(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	walk(t, func(name string) {
		page, ok := strings.CutPrefix(name, "docs/")
		switch {
		case !ok:
		case strings.HasSuffix(name, ".md"):
			if !strings.Contains(string(text), name) {
				t.Errorf("README.md does not name %s", name)
			}
		case !shown(t, page):
			t.Errorf("no page of docs shows %s", name)
		}
	})
}

// shown reports whether a page of docs has a link to the file.
func shown(t *testing.T, file string) bool {
	t.Helper()
	pages, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "]("+file+")") {
			return true
		}
	}
	return false
}

// TestLinksInPagesExist: a link to a file that moved leads nowhere.
func TestLinksInPagesExist(t *testing.T) {
	walk(t, func(name string) {
		if !strings.HasSuffix(name, ".md") {
			return
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range regexp.MustCompile(`\]\(([^):#]+)[)#]`).FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(name), link[1])); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// TestTestsNamedInPagesExist: the promises of CHANGELOG.md and of the pages are held
// by tests, which a page may name after they are gone.
func TestTestsNamedInPagesExist(t *testing.T) {
	tests := map[string]bool{}
	for _, f := range sources(t) {
		for _, d := range f.ast.Decls {
			if fun, ok := d.(*ast.FuncDecl); ok && f.isTest() {
				tests[fun.Name.Name] = true
			}
		}
	}
	walk(t, func(name string) {
		if !strings.HasSuffix(name, ".md") {
			return
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, test := range regexp.MustCompile(`\bTest[A-Z0-9]\w+`).FindAllString(string(text), -1) {
			if !tests[test] {
				t.Errorf("%s names %s, which is no test", name, test)
			}
		}
	})
}

// TestTargetsHaveHelp: `make` prints a line for each target that people use.
func TestTargetsHaveHelp(t *testing.T) {
	text, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"build", "demo", "test", "race", "lint", "fuzz", "bench", "generate", "balancing", "check", "check-all", "clean"} {
		if !regexp.MustCompile(`(?m)^` + name + `:.* ## \S`).Match(text) {
			t.Errorf("Makefile has no line of help for %s", name)
		}
	}
}
