// Package metricstest shows tests what a collector of metrics has counted.
package metricstest

import (
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
)

// Text returns the metrics of c as a scrape shows them: one a line, a name with its
// labels, a blank, the value. Comments are left out, and numbers have no exponent.
func Text(t testing.TB, c prometheus.Collector) string {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(c); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&text, f); err != nil {
			t.Fatal(err)
		}
	}
	var lines strings.Builder
	for line := range strings.Lines(text.String()) {
		if !strings.HasPrefix(line, "#") {
			lines.WriteString(plain(t, strings.TrimSpace(line)) + "\n")
		}
	}
	return lines.String()
}

// plain writes the number at the end of a line without an exponent.
func plain(t testing.TB, line string) string {
	t.Helper()
	at := strings.LastIndexByte(line, ' ') + 1
	value, err := strconv.ParseFloat(line[at:], 64)
	if err != nil {
		t.Fatal(err)
	}
	return line[:at] + strconv.FormatFloat(value, 'f', -1, 64)
}
