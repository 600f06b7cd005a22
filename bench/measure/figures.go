package measure

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"
)

// NewHistogram holds latencies from 100 ns to 100 s, in nanoseconds, to three
// digits.
func NewHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(100, 100_000_000_000, 3)
}

// Micros returns the value at a percentile in microseconds.
func Micros(h *hdrhistogram.Histogram, percentile float64) float64 {
	return float64(h.ValueAtPercentile(percentile)) / 1e3
}

// Median returns the median of f over runs.
func Median[R any](runs []R, f func(R) float64) float64 {
	if len(runs) == 0 {
		return 0
	}
	var v []float64
	for _, r := range runs {
		v = append(v, f(r))
	}
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// GroupBy splits runs by key, in the order of first appearance.
func GroupBy[R any](runs []R, key func(R) string) [][]R {
	var groups [][]R
	index := map[string]int{}
	for _, r := range runs {
		k := key(r)
		if _, ok := index[k]; !ok {
			index[k] = len(groups)
			groups = append(groups, nil)
		}
		groups[index[k]] = append(groups[index[k]], r)
	}
	return groups
}

// Machine describes the machine of the runs.
func Machine() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return runtime.Version()
	}
	return fmt.Sprintf("Linux %s, %s, %d processors", unix.ByteSliceToString(u.Release[:]), runtime.Version(), runtime.NumCPU())
}

// Write writes a table to out.md and the raw runs to out.json; without out the
// table goes to standard output.
func Write(out, table string, runs any) error {
	if out == "" {
		fmt.Print(table)
		return nil
	}
	if err := os.WriteFile(out+".md", []byte(table), 0o644); err != nil {
		return err
	}
	raw, err := json.MarshalIndent(runs, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(out+".json", append(raw, '\n'), 0o644)
}

// Build compiles a package, seen from dir, into a program.
func Build(dir, program string, args ...string) error {
	return Command(dir, "go", append([]string{"build", "-o", program}, args...)...)
}

// BuildPrograms compiles commands of this project into dir, and says so on
// standard error.
func BuildPrograms(dir string, names ...string) error {
	for _, name := range names {
		fmt.Fprintln(os.Stderr, "building", name)
		if err := Build(".", dir+"/"+name, "lars.internal/cmd/"+name); err != nil {
			return err
		}
	}
	return nil
}

// Command runs a command in dir. Its output is part of the error.
func Command(dir, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	text, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(text)))
	}
	return nil
}
