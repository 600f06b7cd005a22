package main

import (
	"strings"
	"testing"
	"time"
)

func TestShareCountsWholeBins(t *testing.T) {
	var r pushRun
	for _, ms := range []int{0, 4, 5, 24, 25, 26, 400, 900} {
		r.bin(time.Duration(ms) * time.Millisecond)
	}
	for _, c := range []struct {
		ms   int
		want float64
	}{{5, 2. / 8}, {25, 4. / 8}, {50, 6. / 8}, {500, 7. / 8}, {10_000, 1}} {
		if got := r.share(c.ms); got != c.want {
			t.Errorf("share within %d ms: %v, want %v", c.ms, got, c.want)
		}
	}
	if got := new(pushRun).share(100); got != 0 {
		t.Errorf("share of nothing: %v, want 0", got)
	}
}

func TestRowsOfRoutes(t *testing.T) {
	for _, c := range []struct {
		name          string
		i, perService int
		want          string
	}{
		{"first host", 0, 5, "(1,1,167772160,7000)"},
		{"marked host", 4, 5, "(1,1,184549376,1)"},
		{"next service", 5, 5, "(1,2,167772165,7000)"},
		{"next modid", 5000, 5, "(2,1,167777160,7000)"},
		{"one host per service", 1, 1, "(1,2,184549377,1)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := string(appendRow(nil, c.i, c.perService)); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// TestTableHoldsWhatWasMeasured: each row has as many cells as its header.
func TestTableHoldsWhatWasMeasured(t *testing.T) {
	r := results{
		Lookups: make([]lookupRun, 1), Pushes: make([]pushRun, 1), Picks: make([]pickRun, 1),
		Bursts: make([]burstRun, 1), Edits: make([]editRun, 1),
		Loads: []loadRun{{Starts: make([]startRun, 2)}},
	}
	r.Lookups[0].Seconds = 1
	sections := strings.Split(r.table(), "\n## ")[1:]
	if len(sections) != 8 {
		t.Fatalf("%d sections, want 8", len(sections))
	}
	for _, s := range sections {
		title, _, _ := strings.Cut(s, "\n")
		var rows []string
		for line := range strings.Lines(s) {
			if strings.HasPrefix(line, "|") {
				rows = append(rows, line)
			}
		}
		if len(rows) != 3 {
			t.Errorf("%s: %d rows, want 3", title, len(rows))
		}
		for _, row := range rows {
			if got, want := strings.Count(row, "|"), strings.Count(rows[0], "|"); got != want {
				t.Errorf("%s: %d cells, want %d: %s", title, got-1, want-1, row)
			}
		}
	}
	if got := (&results{}).table(); strings.Contains(got, "## ") {
		t.Errorf("a section without figures:\n%s", got)
	}
}
