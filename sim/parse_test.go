package sim

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	got, err := Parse(`# a comment
agents 3      # another
rate 0.5
hosts 6
length 90s
timeout 2s
service 7ms
sigma 0
workers 4
seed 18446744073709551615
weights 1 2 4
local 2
retry 0.1
retry-timeouts
no-latency
no-kinds
probes-lost 0.01
reports-lost 0.02
at 1s host 5 errors 0.2
at 2s hosts 0-4 dies
at 3s reports-lost 1
`)
	if err != nil {
		t.Fatal(err)
	}
	want := Scenario{
		Agents: 3, Rate: 0.5, Hosts: 6, Length: 90 * time.Second, Timeout: 2 * time.Second, Service: 7 * time.Millisecond,
		Workers: 4, Seed: 1<<64 - 1, Weights: []uint32{1, 2, 4}, Local: 2, Retry: 0.1, RetryTimeouts: true,
		NoLatency: true, NoKinds: true, ProbesLost: 0.01, ReportsLost: 0.02,
		Steps: []Step{
			{At: time.Second, From: 5, To: 5, Change: Errors, Value: 0.2},
			{At: 2 * time.Second, From: 0, To: 4, Change: Dies},
			{At: 3 * time.Second, Change: ReportsLost, Value: 1},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"agents":                      "line 1: agents: want one value",
		"agents x":                    "line 1: agents x: strconv",
		"\nspeed 3":                   "line 2: speed 3: no such setting",
		"no-kinds 1":                  "want no value",
		"weights 1 -1":                "weights",
		"rate 0":                      "rate = 0",
		"rate NaN":                    "rate = NaN",
		"hosts 0":                     "hosts = 0",
		"at 5s":                       "want a time and a change",
		"at x host 0 dies":            "invalid duration",
		"at 5s host 0":                "want a host and a change",
		"at 5s host x dies":           "invalid syntax",
		"at 5s host 0 explodes":       `change "explodes": want one of: dies, dark`,
		"at 5s dies 0":                "want host NUMBER before it",
		"at 5s host 0 probes-lost 1":  "nothing for a change of all",
		"at 5s host 0 dies 1":         "want one number after",
		"at 5s host 0 errors":         "want one number after",
		"at 5s host 0 errors 2":       "errors = 2: want a number from 0 to 1",
		"at 5s host 10 dies":          "hosts 10-10: want hosts from 0 to 9",
		"at 5s hosts 4-2 dies":        "hosts 4-2",
		"at 2h host 0 dies":           "want a time within the run",
		"at 5s host 0 slow 0":         "slow = 0",
		"at 5s host 0 pauses 1000000": "pauses = 1e+06",
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
			r := Run(s, policy(t, "adaptive"))
			t.Logf("%.0f calls, %.3f %% good, %d ejections, of them %d unfounded", r.Calls.Sum(0, s.Length), 100*r.GoodShare(0, s.Length), r.Ejections, r.Unfounded)
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
