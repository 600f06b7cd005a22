package sim

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Parse reads a scenario. A line is a comment that begins with #, a setting, a
// property of hosts, or a change at a moment. What is not set is that of
// DefaultScenario. The comment at the beginning is the title.
//
//	policy adaptive     against classic     seed 1
//	agents 6            rate 1000           hosts 10         length 75s
//	timeout 1s          service 5ms         sigma 0.5        workers 0
//	zone eu1            retry 0.1           retry-timeouts
//	probes-lost 0.01    reports-lost 0      no-latency       no-kinds
//	hosts 0-4 zone eu1
//	host 3 weight 50
//	at 10s host 0 dies
//	at 40s hosts 0-4 errors 0.2
//	at 50s probes-lost 1
//
// Properties and changes of hosts are dies, dark, hangs, heals, errors SHARE,
// slow FACTOR, pauses TIME, weight NUMBER, workers NUMBER, service TIME and zone
// NAME. What holds for all can change too: probes-lost SHARE, reports-lost SHARE.
//
// An error says in which line it is and what is expected there.
func Parse(text string) (Scenario, error) {
	p := parser{Scenario: DefaultScenario(), lineOf: make(map[string]int)}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		p.number = i + 1
		content, comment, _ := strings.Cut(line, "#")
		if strings.TrimSpace(content) == "" {
			p.takeComment(comment)
			continue
		}
		p.started = true
		if err := p.parseLine(strings.Fields(content)); err != nil {
			return p.Scenario, inLine(lines, p.number, err)
		}
	}
	key, step, err := p.wrong()
	if err == nil {
		return p.Scenario, nil
	}
	number := p.lineOf[key]
	if step >= 0 {
		number = p.stepLines[step]
	}
	return p.Scenario, inLine(lines, number, err)
}

// inLine says where an error is. A default has no line.
func inLine(lines []string, number int, err error) error {
	if number == 0 {
		return err
	}
	content, _, _ := strings.Cut(lines[number-1], "#")
	return fmt.Errorf("line %d: %s: %w", number, strings.Join(strings.Fields(content), " "), err)
}

// parser is a scenario of which a part has been read.
type parser struct {
	Scenario
	number    int            // of the present line
	started   bool           // a line that is no comment was read
	lineOf    map[string]int // by setting
	stepLines []int          // of the steps
}

// takeComment adds to the title what stands before the first other line.
func (p *parser) takeComment(comment string) {
	if !p.started {
		p.Title = strings.TrimSpace(p.Title + " " + strings.TrimSpace(comment))
	}
}

func (p *parser) parseLine(words []string) error {
	key, values := words[0], words[1:]
	switch {
	case key == "at":
		return p.parseAt(values)
	case key == "host", key == "hosts" && len(values) > 1:
		return p.parseStep(0, words)
	case p.lineOf[key] != 0:
		return fmt.Errorf("%s is set in line %d already", key, p.lineOf[key])
	}
	p.lineOf[key] = p.number
	switch key {
	case "policy":
		return setWords(&p.Policy, values)
	case "against":
		return setWords(&p.Against, values)
	}
	if flag, ok := p.flags()[key]; ok {
		if len(values) != 0 {
			return errors.New("want no value")
		}
		*flag = true
		return nil
	}
	set, ok := p.settings()[key]
	switch {
	case !ok:
		return errors.New("no such setting: want a setting, hosts N-M CHANGE, or at TIME CHANGE")
	case len(values) != 1:
		return errors.New("want one value")
	}
	return set(values[0])
}

func setWords(to *string, values []string) error {
	if len(values) == 0 {
		return errors.New("want the name of a policy: " + strings.Join(Policies(), ", "))
	}
	*to = strings.Join(values, " ")
	if _, err := PolicyOf(*to); err != nil {
		return err
	}
	return nil
}

// flags returns the settings without a value.
func (s *Scenario) flags() map[string]*bool {
	return map[string]*bool{"retry-timeouts": &s.RetryTimeouts, "no-latency": &s.NoLatency, "no-kinds": &s.NoKinds}
}

// settings returns how the settings with one value are set.
func (s *Scenario) settings() map[string]func(string) error {
	return map[string]func(string) error{
		"agents": wholeTo(&s.Agents), "hosts": wholeTo(&s.Hosts), "workers": wholeTo(&s.Workers),
		"rate": numberTo(&s.Rate), "sigma": numberTo(&s.Sigma), "retry": numberTo(&s.Retry),
		"probes-lost": numberTo(&s.ProbesLost), "reports-lost": numberTo(&s.ReportsLost),
		"length": timeTo(&s.Length), "timeout": timeTo(&s.Timeout), "service": timeTo(&s.Service),
		"zone": func(v string) error { s.Zone = v; return nil },
		"seed": func(v string) (err error) {
			if s.Seed, err = strconv.ParseUint(v, 10, 64); err != nil {
				return errors.New("want an integer from 0 to 2^64 - 1")
			}
			return nil
		},
	}
}

func wholeTo(to *int) func(string) error {
	return func(v string) (err error) {
		if *to, err = strconv.Atoi(v); err != nil {
			return errors.New("want an integer")
		}
		return nil
	}
}

func numberTo(to *float64) func(string) error {
	return func(v string) (err error) {
		if *to, err = strconv.ParseFloat(v, 64); err != nil {
			return errors.New("want a number")
		}
		return nil
	}
}

func timeTo(to *time.Duration) func(string) error {
	return func(v string) (err error) {
		if *to, err = time.ParseDuration(v); err != nil {
			return errors.New("want a time with its unit, such as 10s or 300ms")
		}
		return nil
	}
}

// parseAt reads what follows "at".
func (p *parser) parseAt(words []string) error {
	var at time.Duration
	if len(words) < 2 {
		return errors.New("want a time and a change, such as: at 10s host 0 dies")
	}
	if err := timeTo(&at)(words[0]); err != nil {
		return fmt.Errorf("%q: %w", words[0], err)
	}
	return p.parseStep(at, words[1:])
}

// parseStep reads a change, with the hosts before it if it concerns hosts.
func (p *parser) parseStep(at time.Duration, words []string) error {
	st := Step{At: at}
	named := words[0] == "host" || words[0] == "hosts"
	if named {
		if len(words) < 3 {
			return errors.New("want hosts and a change, such as: hosts 0-4 dies")
		}
		var err error
		if st.From, st.To, err = parseRange(words[1]); err != nil {
			return err
		}
		words = words[2:]
	}
	var ok bool
	if st.Change, ok = changeOf(words[0]); !ok {
		return fmt.Errorf("%q: want one of: %s", words[0], changeNames())
	}
	if named != st.Change.ofHosts() {
		return fmt.Errorf("%v: want hosts before it if it is a change of hosts, and none before probes-lost and reports-lost", st.Change)
	}
	if err := st.parseValue(words[1:]); err != nil {
		return fmt.Errorf("%v: %w", st.Change, err)
	}
	p.Steps = append(p.Steps, st)
	p.stepLines = append(p.stepLines, p.number)
	return nil
}

func changeOf(name string) (Change, bool) {
	for c := range changes {
		if changes[c].name == name {
			return Change(c), true
		}
	}
	return 0, false
}

// parseValue reads what follows a change.
func (st *Step) parseValue(words []string) error {
	kind := changes[st.Change].value
	switch {
	case kind == noValue && len(words) > 0:
		return errors.New("want nothing after it")
	case kind == noValue:
		return nil
	case len(words) != 1:
		return errors.New("want one value after it")
	case kind == word:
		st.Zone = words[0]
		return nil
	case kind == period:
		var d time.Duration
		err := timeTo(&d)(words[0])
		st.Value = d.Seconds()
		return err
	}
	return numberTo(&st.Value)(words[0])
}

// parseRange reads the number of a host, or the first and last one: 0-4.
func parseRange(text string) (from, to int, err error) {
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		last = first
	}
	from, err = strconv.Atoi(first)
	if err == nil {
		to, err = strconv.Atoi(last)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("hosts %q: want a number from 0 on, or two: 0-4", text)
	}
	return from, to, nil
}
