package sim

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Parse reads a scenario. A line is a comment that begins with #, a setting, or
// a step; what is not set is that of DefaultScenario:
//
//	agents 6            rate 1000           hosts 10         length 75s
//	timeout 1s          service 5ms         sigma 0.5        workers 0
//	weights 1 2 4       local 0             seed 1           retry 0.1
//	retry-timeouts      probes-lost 0.01    reports-lost 0   no-latency
//	no-kinds
//	at 10s host 0 dies
//	at 40s hosts 0-4 errors 0.2
//	at 50s probes-lost 1
//
// The changes of hosts are dies, dark, hangs, heals, errors SHARE, slow FACTOR
// and pauses SECONDS; those of all are probes-lost SHARE and reports-lost SHARE.
func Parse(text string) (Scenario, error) {
	s := DefaultScenario()
	number := 0
	for line := range strings.Lines(text) {
		number++
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if err := s.parseLine(words[0], words[1:]); err != nil {
			return s, fmt.Errorf("sim: scenario, line %d: %s: %w", number, strings.TrimSpace(line), err)
		}
	}
	return s, s.Validate()
}

func (s *Scenario) parseLine(key string, values []string) error {
	switch key {
	case "at":
		return s.parseStep(values)
	case "weights":
		return s.parseWeights(values)
	}
	if flag, ok := s.flags()[key]; ok {
		if len(values) != 0 {
			return fmt.Errorf("want no value")
		}
		*flag = true
		return nil
	}
	setting, ok := s.settings()[key]
	if !ok {
		return fmt.Errorf("no such setting")
	}
	if len(values) != 1 {
		return fmt.Errorf("want one value")
	}
	return setting.set(values[0])
}

// flags returns the settings without a value.
func (s *Scenario) flags() map[string]*bool {
	return map[string]*bool{"retry-timeouts": &s.RetryTimeouts, "no-latency": &s.NoLatency, "no-kinds": &s.NoKinds}
}

// settings returns the settings with one value.
func (s *Scenario) settings() map[string]setting {
	return map[string]setting{
		"agents": {whole: &s.Agents}, "hosts": {whole: &s.Hosts}, "workers": {whole: &s.Workers}, "local": {whole: &s.Local},
		"rate": {number: &s.Rate}, "sigma": {number: &s.Sigma}, "retry": {number: &s.Retry},
		"probes-lost": {number: &s.ProbesLost}, "reports-lost": {number: &s.ReportsLost},
		"length": {time: &s.Length}, "timeout": {time: &s.Timeout}, "service": {time: &s.Service},
		"seed": {seed: &s.Seed},
	}
}

// setting is where a value goes, by its type; one of the fields is set.
type setting struct {
	whole  *int
	number *float64
	time   *time.Duration
	seed   *uint64
}

func (t setting) set(value string) (err error) {
	switch {
	case t.whole != nil:
		*t.whole, err = strconv.Atoi(value)
	case t.number != nil:
		*t.number, err = strconv.ParseFloat(value, 64)
	case t.time != nil:
		*t.time, err = time.ParseDuration(value)
	default:
		*t.seed, err = strconv.ParseUint(value, 10, 64)
	}
	return err
}

func (s *Scenario) parseWeights(values []string) error {
	for _, v := range values {
		w, err := strconv.ParseUint(v, 10, 32)
		if err != nil {
			return err
		}
		s.Weights = append(s.Weights, uint32(w))
	}
	return nil
}

// parseStep reads what follows "at".
func (s *Scenario) parseStep(words []string) error {
	var st Step
	if len(words) < 2 {
		return fmt.Errorf("want a time and a change")
	}
	var err error
	if st.At, err = time.ParseDuration(words[0]); err != nil {
		return err
	}
	named := words[1] == "host" || words[1] == "hosts"
	if words = words[1:]; named {
		if len(words) < 3 {
			return fmt.Errorf("want a host and a change")
		}
		if st.From, st.To, err = parseRange(words[1]); err != nil {
			return err
		}
		words = words[2:]
	}
	if st.Change, err = parseChange(words[0]); err != nil {
		return err
	}
	if named != st.Change.ofHosts() {
		return fmt.Errorf("%v: want host NUMBER before it for a change of hosts, nothing for a change of all", st.Change)
	}
	if len(words) != 1 && !st.Change.hasValue() || len(words) != 2 && st.Change.hasValue() {
		return fmt.Errorf("%v: want one number after errors, slow, pauses, probes-lost and reports-lost, none after the others", st.Change)
	}
	if st.Change.hasValue() {
		if st.Value, err = strconv.ParseFloat(words[1], 64); err != nil {
			return err
		}
	}
	s.Steps = append(s.Steps, st)
	return nil
}

func parseChange(name string) (Change, error) {
	for c, n := range changes {
		if n == name {
			return Change(c), nil
		}
	}
	return 0, fmt.Errorf("change %q: want one of: %s", name, strings.Join(changes[:], ", "))
}

// parseRange reads the number of a host, or the first and last one: 0-4.
func parseRange(text string) (from, to int, err error) {
	first, last, isRange := strings.Cut(text, "-")
	if from, err = strconv.Atoi(first); err != nil || !isRange {
		return from, from, err
	}
	to, err = strconv.Atoi(last)
	return from, to, err
}
