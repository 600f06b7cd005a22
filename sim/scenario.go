package sim

import (
	"fmt"
	"time"
)

// Scenario is what a run simulates. The zero value is not valid: start from
// DefaultScenario.
type Scenario struct {
	Title   string // what it shows
	Policy  string // that it is meant for, as PolicyOf takes it; none: adaptive
	Against string // the policy to compare with; none: no other

	Agents  int           // machines that pick hosts
	Rate    float64       // picks a second of each agent
	Hosts   int           // of the service
	Length  time.Duration // of the run
	Timeout time.Duration // after which a program gives up a call
	Service time.Duration // mean, or with Sigma median, of the time that a call takes
	Sigma   float64       // of the lognormal service time; 0: exponential
	Workers int           // calls that a host serves at a time; 0: any number
	Seed    uint64
	Zone    string // of the agents; none: zones do not matter

	Retry         float64 // budget of second tries as a share of calls; 0: none
	RetryTimeouts bool    // second tries also after time-outs and errors

	ProbesLost  float64 // share of probes without an answer
	ReportsLost float64 // share of outcomes that are not told
	NoLatency   bool    // programs tell neither latencies nor tickets
	NoKinds     bool    // programs do not tell how calls failed

	Steps []Step
}

// DefaultScenario returns ten equal hosts without queues, calls of about 5 ms
// and ten agents with 100 calls a second each, for a minute.
func DefaultScenario() Scenario {
	return Scenario{
		Agents: 10, Rate: 100, Hosts: 10, Length: time.Minute, Timeout: time.Second,
		Service: 5 * time.Millisecond, Sigma: 0.5, Seed: 1,
	}
}

// Bounds of a scenario: what a run can hold in memory, and what it can do in
// some minutes.
const (
	maxAgents  = 100_000
	maxHosts   = 10_000
	maxRate    = 1_000_000
	maxLength  = 24 * time.Hour
	maxWorkers = 1_000_000
	maxSteps   = 10_000
	maxZone    = 32 // bytes

	maxPairs = 1_000_000   // agents x hosts; each has its state in a balancer
	maxSlots = 5_000_000   // hosts x seconds; the calls of each are counted
	maxTotal = 2_000_000   // agents x rate; a second takes some seconds then
	maxCalls = 500_000_000 // of all agents
)

// Validate returns an error that names the first value that makes no sense.
func (s *Scenario) Validate() error {
	key, step, err := s.wrong()
	switch {
	case err == nil:
		return nil
	case step >= 0:
		return fmt.Errorf("sim: %s: %w", &s.Steps[step], err)
	}
	return fmt.Errorf("sim: %s: %w", key, err)
}

// wrong returns what is expected of the first value that makes no sense: of a
// setting, or, if it is not negative, of a step.
func (s *Scenario) wrong() (key string, step int, err error) {
	length := s.Length.Seconds()
	for _, c := range []struct {
		key, what    string
		v, low, high float64
	}{
		{"agents", "", float64(s.Agents), 1, maxAgents},
		{"rate", "", s.Rate, 1e-6, maxRate},
		{"hosts", "", float64(s.Hosts), 1, maxHosts},
		{"length", "seconds", length, 1, maxLength.Seconds()},
		{"timeout", "seconds", s.Timeout.Seconds(), 0.001, 3600},
		{"service", "seconds", s.Service.Seconds(), 1e-6, 3600},
		{"sigma", "", s.Sigma, 0, 5},
		{"workers", "", float64(s.Workers), 0, maxWorkers},
		{"retry", "", s.Retry, 0, 1},
		{"probes-lost", "", s.ProbesLost, 0, 1},
		{"reports-lost", "", s.ReportsLost, 0, 1},
		{"zone", "bytes", float64(len(s.Zone)), 0, maxZone},
		{"agents", "agents x hosts", float64(s.Agents) * float64(s.Hosts), 1, maxPairs},
		{"length", "hosts x seconds", float64(s.Hosts) * length, 1, maxSlots},
		{"rate", "agents x rate", float64(s.Agents) * s.Rate, 0, maxTotal},
		{"rate", "agents x rate x seconds", float64(s.Agents) * s.Rate * length, 0, maxCalls},
	} {
		if err := check(c.what, c.v, c.low, c.high); err != nil {
			return c.key, -1, err
		}
	}
	if len(s.Steps) > maxSteps {
		return "", maxSteps, fmt.Errorf("want at most %d changes", maxSteps)
	}
	for i := range s.Steps {
		if err := s.Steps[i].wrong(s); err != nil {
			return "", i, err
		}
	}
	return "", -1, nil
}

// check is written so that it refuses NaN, which compares false. what says what
// the number is, if it is not plain.
func check(what string, v, low, high float64) error {
	switch {
	case v >= low && v <= high:
		return nil
	case what != "":
		return fmt.Errorf("%v %s: want %v to %v", v, what, low, high)
	}
	return fmt.Errorf("%v: want %v to %v", v, low, high)
}

// Begins returns when the first change comes after the start; 0 if none does.
func (s *Scenario) Begins() time.Duration {
	begins := time.Duration(0)
	for i := range s.Steps {
		if at := s.Steps[i].At; at > 0 && (begins == 0 || at < begins) {
			begins = at
		}
	}
	return begins
}
