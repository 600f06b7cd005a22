package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"lars.internal/bench/measure"
	"lars.internal/sim"
)

// run is what one case did with one policy at one rate: of processes, or of
// simulated ones, then as a mean over the seeds.
type run struct {
	Case      string `json:"case"`
	Rate      int    `json:"calls_per_second"`
	Policy    string `json:"policy"`
	Simulated bool   `json:"simulated"`
	Round     int    `json:"round"`

	// Calls that began within ten seconds of the first step, and after that
	// until the last step, or until the end if it heals nothing. Refused: Lars
	// named no host.
	CallsEarly   float64 `json:"calls_early"`
	FailedEarly  float64 `json:"failed_early"`
	RefusedEarly float64 `json:"refused_early"`
	CallsLater   float64 `json:"calls_later"`
	FailedLater  float64 `json:"failed_later"`
	RefusedLater float64 `json:"refused_later"`

	// Calls that were under way when the first step came, and failed. No
	// balancer can do anything about these; they are in none of the above.
	FailedUnderWay float64 `json:"failed_under_way"`

	BackSeconds float64 `json:"back_seconds"` // from the last step to the first good call of the healed host; -1: none, or nothing healed
	P99Millis   float64 `json:"p99_ms"`       // of all calls since the first step
	P99Ratio    float64 `json:"p99_ratio"`    // to the case without a fault; 0: not measured

	Failures []failure `json:"failures,omitempty"` // the first ones since the fault, at most maxFailures
}

// maxFailures bounds the failures that a run names.
const maxFailures = 20

// failure is a call that failed.
type failure struct {
	Begin float64 `json:"begin_s"` // since the fault, when it was due
	Took  float64 `json:"took_s"`
	Host  string  `json:"host"`
	Why   string  `json:"why"`
}

// window is the time of a case in which calls are counted.
type window struct {
	fault  time.Duration // the first step
	later  time.Duration // ten seconds after that
	end    time.Duration
	healed int // the host of the last step, if that heals one; else -1
}

func windowOf(s *sim.Scenario) window {
	w := window{fault: firstStep, end: s.Length, healed: -1}
	if n := len(s.Steps); n > 0 && s.Steps[n-1].Change == sim.Heals {
		w.end, w.healed = s.Steps[n-1].At, s.Steps[n-1].From
	}
	w.later = w.fault + early
	return w
}

// perform runs one case with a fresh system: each policy has an agent and a
// program of its own, and all of them share the backends and their faults.
func (s *stage) perform(ctx context.Context, c *faultCase, rate int) ([]run, error) {
	scenario, err := c.scenario(rate)
	if err != nil {
		return nil, err
	}
	y, err := s.start(ctx)
	if err != nil {
		return nil, err
	}
	defer y.stop()
	callers, err := y.callers(ctx, rate, scenario.Length)
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, c := range callers {
			c.close()
		}
	}()
	if err := y.load(ctx, callers, &scenario, rate); err != nil {
		return nil, err
	}
	var runs []run
	for i, caller := range callers {
		r := run{Case: c.name, Rate: rate, Policy: policies[i]}
		r.count(caller.calls, windowOf(&scenario), y.backends)
		runs = append(runs, r)
	}
	return runs, nil
}

// callers returns a program for each agent, which knows the service.
func (y *system) callers(ctx context.Context, rate int, length time.Duration) ([]*caller, error) {
	var callers []*caller
	for _, agent := range y.agents {
		c, err := newCaller(agent, rate*int(length/time.Second))
		if err != nil {
			return nil, err
		}
		callers = append(callers, c)
		err = measure.Await(ctx, fmt.Sprintf("the agent at %v knows the service", agent), func() error { return c.lars.Register(ctx, 1, 1) })
		if err != nil {
			return nil, err
		}
	}
	return callers, nil
}

// load runs all programs and the scenario side by side.
func (y *system) load(ctx context.Context, callers []*caller, s *sim.Scenario, rate int) error {
	start := time.Now().Add(100 * time.Millisecond)
	errs := make([]error, len(callers)+1)
	var wg sync.WaitGroup
	for i, c := range callers {
		wg.Go(func() { errs[i] = c.run(ctx, start, rate, s.Length) }) // ends by itself
	}
	wg.Go(func() { errs[len(callers)] = y.play(ctx, s, start) }) // likewise
	wg.Wait()
	return errors.Join(errs...)
}

func (r *run) count(calls []call, w window, backends []*backend) {
	slices.SortFunc(calls, func(a, b call) int { return cmp.Compare(a.begin, b.begin) })
	var latencies []time.Duration
	back := time.Duration(-1)
	for _, c := range calls {
		if c.begin >= w.fault && !c.refused {
			latencies = append(latencies, c.took)
		}
		r.countOne(&c, w)
		if c.failed && c.begin+c.took > w.fault && len(r.Failures) < maxFailures {
			r.Failures = append(r.Failures, failure{(c.begin - w.fault).Seconds(), c.took.Seconds(), c.host.String(), c.why})
		}
		if w.healed >= 0 && works(&c, w.end, backends[w.healed].addr) && (back < 0 || c.begin+c.took-w.end < back) {
			back = c.begin + c.took - w.end
		}
	}
	r.BackSeconds = back.Seconds()
	if back < 0 {
		r.BackSeconds = -1
	}
	r.P99Millis = quantile(latencies, 0.99).Seconds() * 1e3
}

// works reports whether a call that began after a moment was answered by a host.
func works(c *call, after time.Duration, host netip.AddrPort) bool {
	return c.begin >= after && c.host == host && !c.failed && !c.refused
}

func (r *run) countOne(c *call, w window) {
	failed, refused := number(c.failed), number(c.refused)
	switch {
	case c.begin < w.fault:
		if c.begin+c.took > w.fault {
			r.FailedUnderWay += failed
		}
	case c.begin < w.later:
		r.CallsEarly++
		r.FailedEarly += failed
		r.RefusedEarly += refused
	case c.begin < w.end:
		r.CallsLater++
		r.FailedLater += failed
		r.RefusedLater += refused
	}
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func quantile(d []time.Duration, q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[min(int(q*float64(len(d))), len(d)-1)]
}
