package sim

import (
	"fmt"
	"time"
)

// Scenario is what a run simulates. The zero value is not valid: start from
// DefaultScenario.
type Scenario struct {
	Agents  int           // machines that pick hosts
	Rate    float64       // picks a second of each agent
	Hosts   int           // of the service
	Length  time.Duration // of the run
	Timeout time.Duration // after which a program gives up a call
	Service time.Duration // mean, or with Sigma median, of the time that a call takes
	Sigma   float64       // of the lognormal service time; 0: exponential
	Workers int           // calls that a host serves at a time; 0: any number
	Seed    uint64

	Weights []uint32 // of the hosts, in turn; none: equal
	Local   int      // hosts in the zone of the agents; 0: there are no zones

	Retry         float64 // budget of second tries as a share of calls; 0: none
	RetryTimeouts bool    // second tries also after time-outs and errors

	ProbesLost  float64 // share of probes without an answer
	ReportsLost float64 // share of outcomes that are not told
	NoLatency   bool    // programs tell neither latencies nor tickets
	NoKinds     bool    // programs do not tell how calls failed

	Steps []Step
}

// Step is a change at a moment.
type Step struct {
	At     time.Duration
	From   int // the first host
	To     int // the last host
	Change Change
	Value  float64 // share, factor or seconds, by the change
}

// Change is what a Step does.
type Change uint8

const (
	Dies        Change = iota // the port refuses connections
	Dark                      // the machine answers nothing
	Hangs                     // connections are taken, calls not answered
	Heals                     // the host works again
	Errors                    // a share of the calls fails
	Slow                      // calls take so many times as long
	Pauses                    // the host stands still for so many seconds
	ProbesLost                // a share of all probes gets no answer
	ReportsLost               // a share of all outcomes is not told
)

var changes = [...]string{"dies", "dark", "hangs", "heals", "errors", "slow", "pauses", "probes-lost", "reports-lost"}

// String returns the change as scenario files name it.
func (c Change) String() string {
	if int(c) < len(changes) {
		return changes[c]
	}
	return fmt.Sprintf("change %d", uint8(c))
}

// hasValue reports whether the change needs a number.
func (c Change) hasValue() bool { return c >= Errors }

// ofHosts reports whether the change concerns certain hosts.
func (c Change) ofHosts() bool { return c < ProbesLost }

// DefaultScenario returns ten equal hosts without queues, calls of about 5 ms
// and ten agents with 100 calls a second each, for a minute.
func DefaultScenario() Scenario {
	return Scenario{
		Agents: 10, Rate: 100, Hosts: 10, Length: time.Minute, Timeout: time.Second,
		Service: 5 * time.Millisecond, Sigma: 0.5, Seed: 1,
	}
}

// Bounds of a scenario: what a run can hold in memory and time.
const (
	maxAgents = 100_000
	maxHosts  = 10_000
	maxRate   = 1_000_000
	maxLength = 24 * time.Hour
)

// Validate returns an error that names the first value that makes no sense.
func (s *Scenario) Validate() error {
	for _, err := range []error{
		check("agents", float64(s.Agents), 1, maxAgents),
		check("rate", s.Rate, 1e-6, maxRate),
		check("hosts", float64(s.Hosts), 1, maxHosts),
		check("length", s.Length.Seconds(), 1, maxLength.Seconds()),
		check("timeout", s.Timeout.Seconds(), 0.001, 3600),
		check("service", s.Service.Seconds(), 1e-6, 3600),
		check("sigma", s.Sigma, 0, 5),
		check("workers", float64(s.Workers), 0, 1_000_000),
		check("weights", float64(len(s.Weights)), 0, float64(s.Hosts)),
		check("local", float64(s.Local), 0, float64(s.Hosts)),
		check("retry", s.Retry, 0, 1),
		check("probes-lost", s.ProbesLost, 0, 1),
		check("reports-lost", s.ReportsLost, 0, 1),
	} {
		if err != nil {
			return err
		}
	}
	for i := range s.Steps {
		if err := s.Steps[i].validate(s); err != nil {
			return err
		}
	}
	return nil
}

func (st *Step) validate(s *Scenario) error {
	what := fmt.Sprintf("step at %v, %v", st.At, st.Change)
	switch {
	case int(st.Change) >= len(changes):
		return fmt.Errorf("sim: %s: no such change", what)
	case st.At < 0 || st.At > s.Length:
		return fmt.Errorf("sim: %s: want a time within the run, up to %v", what, s.Length)
	case st.Change.ofHosts() && (st.From < 0 || st.From > st.To || st.To >= s.Hosts):
		return fmt.Errorf("sim: %s: hosts %d-%d: want hosts from 0 to %d", what, st.From, st.To, s.Hosts-1)
	case st.Change == Slow:
		return check(what, st.Value, 0.001, 1000)
	case st.Change == Pauses:
		return check(what, st.Value, 0, 3600)
	}
	return check(what, st.Value, 0, 1)
}

// check is written so that it refuses NaN, which compares false.
func check(what string, v, low, high float64) error {
	if v >= low && v <= high {
		return nil
	}
	return fmt.Errorf("sim: %s = %v: want a number from %v to %v", what, v, low, high)
}
