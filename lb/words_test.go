package lb

import (
	"slices"
	"testing"
)

func TestStrings(t *testing.T) {
	got := []string{
		Picked.String(), Overloaded.String(), NoHosts.String(), Verdict(9).String(),
		KindUnknown.String(), KindIgnored.String(), Kind(9).String(),
		ProbeOK.String(), ProbeSilent.String(), ProbeNone.String(), Answer(9).String(),
		Ejected.String(), Reinstated.String(), OnTrial.String(), Panic.String(), EventKind(9).String(),
	}
	want := []string{
		"picked", "overloaded", "no hosts", "verdict 9",
		"unknown", "ignored", "kind 9",
		"ok", "silent", "none", "answer 9",
		"ejected", "reinstated", "back on trial", "panic", "event 9",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWhy(t *testing.T) {
	for want, e := range map[string]Event{
		"failures in a row 15 >= 15":    {Reason: "failures in a row", Value: 15, Sign: ">=", Limit: 15},
		"share of failures 0.123 > 0.1": {Reason: "share of failures", Value: 0.12345, Sign: ">", Limit: 0.1},
	} {
		if got := e.Why(); got != want {
			t.Errorf("Why = %q, want %q", got, want)
		}
	}
}

func TestFact(t *testing.T) {
	s := HostState{Facts: []Fact{{"a", 1}, {"b", 2}}}
	if s.Fact("b") != 2 || s.Fact("c") != 0 {
		t.Errorf("facts b = %v, c = %v", s.Fact("b"), s.Fact("c"))
	}
}

func TestNumbersForPeople(t *testing.T) {
	got := []string{Seconds(0.15), Seconds(0.9999), Seconds(4.24), Seconds(720), Percent(0.008), Percent(1), Count(1, "call"), Count(0, "call"), Count(2, "call")}
	want := []string{"150 ms", "1 s", "4.24 s", "12 min", "0.8 %", "100 %", "1 call", "0 calls", "2 calls"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 30: "30", 32.26: "32.3", 999.4: "999", 999.6: "1000", 1043.2: "1043", -4700.4: "-4700", 0.0001234: "0.000123"} {
		if got := Number(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
}

func TestPercent(t *testing.T) {
	for p, want := range map[float64]string{0: "0 %", 2e-11: "< 0.001 %", 0.00001: "0.001 %", 0.00051: "0.051 %", 0.123456: "12.3 %"} {
		if got := Percent(p); got != want {
			t.Errorf("%v: %s, want %s", p, got, want)
		}
	}
}

func TestUnits(t *testing.T) {
	for s, want := range map[float64]string{0: "0 ms", 0.0004: "0.4 ms", 0.9994: "999 ms", 0.9996: "1 s", 4.2: "4.2 s", 119: "119 s", 600: "10 min"} {
		if got := Seconds(s); got != want {
			t.Errorf("%v: %s, want %s", s, got, want)
		}
	}
}
