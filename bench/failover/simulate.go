package main

import (
	"lars.internal/sim"
)

// seeds is how many simulated runs a figure is the mean of.
const seeds = 10

// simulate returns what the simulator says of the case.
func simulate(c *faultCase, rate int, policy string) (run, error) {
	scenario, err := c.scenario(rate)
	if err != nil {
		return run{}, err
	}
	make, err := sim.PolicyOf(policy)
	if err != nil {
		return run{}, err
	}
	w := windowOf(&scenario)
	mean := run{Case: c.name, Rate: rate, Policy: policy, Simulated: true}
	for seed := range uint64(seeds) {
		scenario.Seed = seed + 1
		mean.addSimulated(sim.Run(scenario, make), w)
	}
	return mean, nil
}

// addSimulated adds a part of the mean.
func (r *run) addSimulated(s *sim.Result, w window) {
	r.CallsEarly += s.Calls.Sum(w.fault, w.later) / seeds
	r.FailedEarly += s.Failed.Sum(w.fault, w.later) / seeds
	r.RefusedEarly += s.Refused.Sum(w.fault, w.later) / seeds
	r.CallsLater += s.Calls.Sum(w.later, w.end) / seeds
	r.FailedLater += s.Failed.Sum(w.later, w.end) / seeds
	r.RefusedLater += s.Refused.Sum(w.later, w.end) / seeds
	r.P99Millis += s.Latencies.Quantile(0.99).Seconds() * 1e3 / seeds
	if w.healed < 0 {
		r.BackSeconds = -1
		return
	}
	r.BackSeconds += s.ToWork.Quantile(0.5).Seconds() / seeds
}
