package main

import (
	"fmt"
	"time"

	"lars.internal/sim"
)

// hosts is how many backends a service has.
const hosts = 5

// firstStep is when the first thing happens: hosts have to answer a base probe
// before probes say anything of them, and that takes up to ten seconds.
const firstStep = 12 * time.Second

// early is how long the first part of the time with a fault is.
const early = 10 * time.Second

// faultCase is one thing that goes wrong, told in the language of scenarios:
// the simulator and the processes get the same one.
type faultCase struct {
	name  string
	text  string
	root  bool // needs network namespaces
	goals []goal
}

// goal is what a run with the adaptive policy is to reach.
type goal struct {
	text string
	met  func(*run) bool
	rate int // the only rate at which it applies; 0: all
}

// cases are the faults of host 0 unless they name others. dark is always the
// first, since that host lives in a namespace of its own.
var cases = []faultCase{
	{name: "refused", text: "length 50s\nat 12s host 0 dies\nat 40s host 0 heals", goals: []goal{
		failedEarly(3), failedLater(0), back(1500 * time.Millisecond)}},
	{name: "dark", text: "length 50s\nat 12s host 0 dark\nat 40s host 0 heals", root: true, goals: []goal{
		at(200, failedEarly(3)), at(2000, failedEarly(8)), failedLater(0), back(1500 * time.Millisecond)}},
	{name: "hung", text: "length 50s\nat 12s host 0 hangs\nat 40s host 0 heals", goals: []goal{
		at(200, failedEarly(5)), at(2000, failedEarly(15)), failedShareLater(0.001)}},
	{name: "20 % errors", text: "length 45s\nat 12s host 0 errors 0.2", goals: []goal{
		at(2000, failedShareLater(0.001))}},
	{name: "flapping", text: "length 45s\n" +
		"at 12s host 0 dies\nat 17s host 0 heals\nat 22s host 0 dies\nat 27s host 0 heals\nat 32s host 0 dies\nat 37s host 0 heals"},
	{name: "rolling restart", text: "length 45s\n" +
		"at 12s host 0 dies\nat 15s host 0 heals\nat 17s host 1 dies\nat 20s host 1 heals\nat 22s host 2 dies\nat 25s host 2 heals\n" +
		"at 27s host 3 dies\nat 30s host 3 heals\nat 32s host 4 dies\nat 35s host 4 heals"},
	{name: "30 % errors on all", text: "length 40s\nat 12s hosts 0-4 errors 0.3", goals: []goal{noneRefused()}},
	{name: equalCase, text: "length 72s"},
	{name: slowCase, text: "length 72s\nat 0s host 0 slow 5", goals: []goal{slower(1.3)}},
}

// The two cases whose latencies are compared.
const (
	equalCase = "no fault"
	slowCase  = "5 times slower"
)

// scenario returns what happens in the case at this rate of calls.
func (c *faultCase) scenario(rate int) (sim.Scenario, error) {
	s, err := sim.Parse(fmt.Sprintf("agents 1\nhosts %d\nrate %d\n%s", hosts, rate, c.text))
	if err != nil {
		return s, fmt.Errorf("case %q: %w", c.name, err)
	}
	s.Timeout, s.Service, s.Sigma = callTimeout, serviceTime, serviceSigma
	return s, nil
}

func at(rate int, g goal) goal {
	g.rate = rate
	return g
}

func failedEarly(most int) goal {
	return goal{text: fmt.Sprintf("at most %d failed in the first 10 s", most), met: func(r *run) bool { return r.FailedEarly <= float64(most) }}
}

func failedLater(most int) goal {
	return goal{text: fmt.Sprintf("at most %d failed later", most), met: func(r *run) bool { return r.FailedLater <= float64(most) }}
}

func failedShareLater(most float64) goal {
	return goal{text: fmt.Sprintf("at most %g %% failed later", 100*most), met: func(r *run) bool { return r.FailedLater <= most*r.CallsLater }}
}

func back(within time.Duration) goal {
	return goal{text: fmt.Sprintf("back within %v", within), met: func(r *run) bool { return r.BackSeconds >= 0 && r.BackSeconds <= within.Seconds() }}
}

func noneRefused() goal {
	return goal{text: "no pick refused", met: func(r *run) bool { return r.RefusedEarly+r.RefusedLater == 0 }}
}

func slower(most float64) goal {
	return goal{text: fmt.Sprintf("p99 at most %g of that without it", most), met: func(r *run) bool { return r.P99Ratio > 0 && r.P99Ratio <= most }}
}
