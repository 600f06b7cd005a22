package sim

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	got, err := Parse(`# What it shows,
# in two lines.
policy adaptive
against round-robin  # for comparison
agents 3
rate 0.5
hosts 6
length 90s
timeout 2s
service 7ms
sigma 0
workers 4
seed 18446744073709551615
zone eu1
retry 0.1
retry-timeouts
no-latency
no-kinds
probes-lost 0.01
reports-lost 0.02
hosts 0-2 zone eu1
host 3 weight 50
host 4 service 1.5s
at 1s host 5 errors 0.2
at 2s hosts 0-4 dies
at 3s host 1 pauses 300ms
at 3s reports-lost 1
`)
	if err != nil {
		t.Fatal(err)
	}
	want := Scenario{
		Title: "What it shows, in two lines.", Policy: "adaptive", Against: "round-robin",
		Agents: 3, Rate: 0.5, Hosts: 6, Length: 90 * time.Second, Timeout: 2 * time.Second, Service: 7 * time.Millisecond,
		Workers: 4, Seed: 1<<64 - 1, Zone: "eu1", Retry: 0.1, RetryTimeouts: true,
		NoLatency: true, NoKinds: true, ProbesLost: 0.01, ReportsLost: 0.02,
		Steps: []Step{
			{From: 0, To: 2, Change: Zone, Zone: "eu1"},
			{From: 3, To: 3, Change: Weight, Value: 50},
			{From: 4, To: 4, Change: Service, Value: 1.5},
			{At: time.Second, From: 5, To: 5, Change: Errors, Value: 0.2},
			{At: 2 * time.Second, From: 0, To: 4, Change: Dies},
			{At: 3 * time.Second, From: 1, To: 1, Change: Pauses, Value: 0.3},
			{At: 3 * time.Second, Change: ReportsLost, Value: 1},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// TestStepsAsWritten: a step is shown as a scenario file writes it.
func TestStepsAsWritten(t *testing.T) {
	for _, want := range []string{
		"host 0 zone eu1", "hosts 1-2 weight 50", "at 1s hosts 0-9 dies", "at 1.5s host 3 errors 0.2",
		"at 2s host 3 pauses 300ms", "at 3s host 3 service 1.5s", "at 4s probes-lost 0.01",
	} {
		s, err := Parse(want)
		if err != nil || len(s.Steps) != 1 || s.Steps[0].String() != want {
			t.Errorf("%q became %v, %v", want, s.Steps, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"agents":                          "line 1: agents: want one value",
		"agents x":                        "line 1: agents x: want an integer",
		"agents 1\n\nagents 2":            "line 3: agents 2: agents is set in line 1 already",
		"\nspeed 3":                       "line 2: speed 3: no such setting",
		"no-kinds 1":                      "want no value",
		"policy":                          "want the name of a policy: adaptive, classic",
		"against best":                    "line 1: against best: ",
		"rate 0 # none":                   "line 1: rate 0: 0: want 1e-06 to 1e+06",
		"rate NaN":                        "NaN: want 1e-06",
		"rate many":                       "want a number",
		"length 5":                        "want a time with its unit",
		"seed -1":                         "want an integer from 0",
		"hosts 0":                         "line 1: hosts 0: 0: want 1 to 10000",
		"agents 90000\nhosts 900":         "line 1: agents 90000: 8.1e+07 agents x hosts: want 1 to 1e+06",
		"hosts 9000\nlength 2h":           "line 2: length 2h: 6.48e+07 hosts x seconds: want 1 to 5e+06",
		"rate 1000000\nagents 100":        "line 1: rate 1000000: 1e+08 agents x rate: want 0 to 2e+06",
		"rate 100000\nlength 2h":          "line 1: rate 100000: 7.2e+09 agents x rate x seconds: want 0 to 5e+08",
		"zone " + strings.Repeat("z", 33): "33 bytes: want 0 to 32",
		"at 5s":                           "want a time and a change",
		"at x host 0 dies":                `line 1: at x host 0 dies: "x": want a time with its unit`,
		"at 5s host 0":                    "want hosts and a change",
		"host 0":                          "want hosts and a change",
		"at 5s host x dies":               `hosts "x": want a number from 0 on, or two: 0-4`,
		"at 5s host 0 explodes":           `"explodes": want one of: dies, dark`,
		"at 5s dies 0":                    "want hosts before it",
		"at 5s host 0 probes-lost 1":      "none before probes-lost",
		"at 5s host 0 dies 1":             "dies: want nothing after it",
		"at 5s host 0 errors":             "errors: want one value after it",
		"at 5s host 0 errors 2":           "line 1: at 5s host 0 errors 2: 2: want 0 to 1",
		"at 5s host 0 weight 1.5":         "1.5: want an integer",
		"at 5s host 0 zone " + strings.Repeat("z", 33): "want the name of a zone",
		"\nat 5s host 10 dies":                         "line 2: at 5s host 10 dies: want hosts from 0 to 9",
		"at 5s hosts 4-2 dies":                         "want hosts from 0 to 9, the first one first",
		"at 2h host 0 dies":                            "want a time within the run",
		"at 5s host 0 slow 0":                          "0: want 0.001 to 1000",
		"at 5s host 0 pauses 10000s":                   "10000 seconds: want 0 to 3600",
		"at 5s host 0 pauses 3":                        "want a time with its unit",
	} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%q): %v, want ... %s ...", text, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range Shipped() {
		text, _ := ShippedText(name)
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := Parse(text); err == nil {
			if err := s.Validate(); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestShippedScenarios: each has a line that says what it shows, and runs.
func TestShippedScenarios(t *testing.T) {
	withoutRaces(t)
	if len(Shipped()) < 12 {
		t.Errorf("only %d scenarios: %v", len(Shipped()), Shipped())
	}
	for _, name := range Shipped() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := ShippedText(name)
			if err != nil || !strings.HasPrefix(text, "# ") {
				t.Fatalf("%v, text %q", err, text)
			}
			s, err := Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			r := Run(s, policy(t, s.Policy))
			t.Logf("%.0f calls, %.3f %% good, %d ejections, of them %d unfounded", r.Calls.Sum(0, s.Length), 100*r.goodShare(0, s.Length), r.Ejections, r.Unfounded)
			if r.Unfounded > 0 {
				t.Errorf("%d hosts that were well were ejected", r.Unfounded)
			}
		})
	}
	if _, err := ShippedText("nothing"); err == nil || !strings.Contains(err.Error(), "dead-host") {
		t.Errorf("an unknown scenario: %v", err)
	}
}

func TestUnknownPolicy(t *testing.T) {
	if _, err := PolicyOf("best"); err == nil || !strings.Contains(err.Error(), "adaptive, classic") {
		t.Errorf("an unknown policy: %v", err)
	}
}
