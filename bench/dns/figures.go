package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"lars.internal/bench/measure"
)

// Metrics of lars-dns that count its loads: seconds in total, and how many.
const (
	fullSeconds  = `lars_dns_load_seconds_sum{kind="full"}`
	fullCount    = `lars_dns_load_seconds_count{kind="full"}`
	deltaSeconds = `lars_dns_load_seconds_sum{kind="delta"}`
)

// metrics returns what the service counts, by name with labels.
func (d *dnsServer) metrics() (map[string]float64, error) {
	answer, err := http.Get("http://" + d.pages + "/metrics")
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	figures := make(map[string]float64)
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			figures[name] = v
		}
	}
	return figures, lines.Err()
}

// awaitLoads waits until the service has read all routes n times and shows it.
func (d *dnsServer) awaitLoads(ctx context.Context, n int) (figures map[string]float64, err error) {
	err = measure.Await(ctx, "load of all routes", func() error {
		if figures, err = d.metrics(); err != nil {
			return err
		}
		if got := figures[fullCount]; got < float64(n) {
			return fmt.Errorf("%v loads, want %d", got, n)
		}
		return nil
	})
	return figures, err
}

// busy returns how much processor time the service uses while f runs.
func (d *dnsServer) busy(f func() error) (time.Duration, error) {
	before, err := d.CPU()
	if err != nil {
		return 0, err
	}
	if err := f(); err != nil {
		return 0, err
	}
	after, err := d.CPU()
	return after - before, err
}

// memory is what a process has resident, now and at most so far, in MiB.
type memory struct{ resident, peak float64 }

// memory reads proc(5).
func (d *dnsServer) memory() (m memory, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.PID()))
	if err != nil {
		return m, err
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) != 3 || f[2] != "kB" {
			continue
		}
		kib, err := strconv.ParseFloat(f[1], 64)
		if err != nil {
			return m, fmt.Errorf("memory of lars-dns: %w", err)
		}
		switch f[0] {
		case "VmRSS:":
			m.resident = kib / 1024
		case "VmHWM:":
			m.peak = kib / 1024
		}
	}
	return m, nil
}
