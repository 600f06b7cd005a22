package sim

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

const sec = time.Second

// wholeEnv makes the tests hold the cells too that take longer.
const wholeEnv = "LARS_TEST_BALANCING"

// table is a table of docs/balancing.md: what policies do in some cases. A row
// is a policy, a column a case, and a cell what a run has shown. Some cells have
// bounds; these leave room for other seeds.
type table struct {
	name    string
	corner  string // what stands above the rows
	rows    []row
	columns []column
	measure func(*Scenario, *Result) figures
	show    func(figures) string
	bounds  []cell
}

type row struct {
	name   string
	policy string
	change func(*Scenario) // nil: none
}

type column struct {
	name     string
	scenario Scenario
}

// cell is the bounds of what a policy does in a case.
type cell struct {
	row, column string
	bounds      []bound
	whole       bool // only held with wholeEnv
}

// figures are what a run has shown, by name.
type figures map[string]float64

type bound struct {
	name      string
	low, high float64
}

func atMost(name string, high float64) bound      { return bound{name, math.Inf(-1), high} }
func atLeast(name string, low float64) bound      { return bound{name, low, math.Inf(1)} }
func within(name string, low, high float64) bound { return bound{name, low, high} }

// in returns the bounds of a cell.
func in(row, column string, bounds ...bound) cell {
	return cell{row: row, column: column, bounds: bounds}
}

// wholly returns a cell whose bounds are held only with wholeEnv.
func wholly(c cell) cell {
	c.whole = true
	return c
}

func (f figures) check(t *testing.T, bounds []bound) {
	t.Helper()
	t.Log(f)
	for _, b := range bounds {
		if v, ok := f[b.name]; !ok || !(v >= b.low && v <= b.high) {
			t.Errorf("%s = %.4g, want %.4g to %.4g", b.name, v, b.low, b.high)
		}
	}
}

// tables are all of them, in the order of the page.
func tables() []table {
	return slices.Concat(deadTables(), returnTables(), healthyTables(), manyDeadTables(), latencyTables(), grayTables(), shareTables())
}

func (t *table) row(name string) (row, bool) {
	i := slices.IndexFunc(t.rows, func(r row) bool { return r.name == name })
	if i < 0 {
		return row{}, false
	}
	return t.rows[i], true
}

func (t *table) column(name string) (column, bool) {
	i := slices.IndexFunc(t.columns, func(c column) bool { return c.name == name })
	if i < 0 {
		return column{}, false
	}
	return t.columns[i], true
}

// run simulates a cell.
func (t *table) run(r row, c column) (figures, error) {
	s := c.scenario
	s.Steps = slices.Clone(s.Steps)
	if r.change != nil {
		r.change(&s)
	}
	if err := s.Validate(); err != nil {
		return nil, fmt.Errorf("table %s, %s, %s: %w", t.name, r.name, c.name, err)
	}
	p, err := PolicyOf(r.policy)
	if err != nil {
		return nil, fmt.Errorf("table %s, %s: %w", t.name, r.name, err)
	}
	return t.measure(&s, Run(s, p)), nil
}

// withoutRaces skips a test that makes long runs under the race detector. A run is
// one goroutine, so there is nothing to find, and it takes ten times as long. `make
// check` runs these tests without it.
func withoutRaces(t *testing.T) {
	t.Helper()
	if raceEnabled {
		t.Skip("skipped under the race detector: run go test ./sim")
	}
}

// TestTables holds the bounds of the tables: without wholeEnv a selection, which
// takes less than half a minute of a processor, with it all.
func TestTables(t *testing.T) {
	withoutRaces(t)
	whole := os.Getenv(wholeEnv) != ""
	for _, table := range tables() {
		for _, c := range table.bounds {
			if c.whole && !whole {
				continue
			}
			t.Run(table.name+"/"+c.row+"/"+c.column, func(t *testing.T) {
				t.Parallel()
				row, ok1 := table.row(c.row)
				column, ok2 := table.column(c.column)
				if !ok1 || !ok2 {
					t.Fatalf("the table has no such cell: rows %v, columns %v", ok1, ok2)
				}
				f, err := table.run(row, column)
				if err != nil {
					t.Fatal(err)
				}
				f.check(t, c.bounds)
			})
		}
	}
}

// policy returns the policy of a text.
func policy(t testing.TB, text string) Policy {
	t.Helper()
	p, err := PolicyOf(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// percent returns a share as the tables have it, with what matters of it.
func percent(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v < 0.0005:
		return "< 0.001 %"
	case v < 0.1:
		return trim(fmt.Sprintf("%.3f", v)) + " %"
	case v < 1:
		return trim(fmt.Sprintf("%.2f", v)) + " %"
	}
	return trim(fmt.Sprintf("%.1f", v)) + " %"
}

// count returns a number of calls as the tables have it.
func count(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return trim(fmt.Sprintf("%.1f", v))
}

func trim(s string) string { return strings.TrimSuffix(strings.TrimRight(s, "0"), ".") }

// The policies as the page names them.
var (
	roundRobinRow = row{name: "round robin", policy: "round-robin"}
	classicRow    = row{name: "classic", policy: "classic"}
	envoyRow      = row{name: "Envoy-like", policy: "envoy"}
	linkerdRow    = row{name: "linkerd-like", policy: "linkerd"}
	unprobedRow   = row{name: "adaptive, probe = off", policy: "adaptive probe=off"}
	adaptiveRow   = row{name: "adaptive", policy: "adaptive"}
)

// perRate returns a column for each rate and number of hosts.
func perRate(rates []float64, hosts []int, scenario func(n int, rate float64) Scenario) []column {
	var columns []column
	for _, rate := range rates {
		for _, n := range hosts {
			columns = append(columns, column{fmt.Sprintf("N=%d, %g/s", n, rate), scenario(n, rate)})
		}
	}
	return columns
}
