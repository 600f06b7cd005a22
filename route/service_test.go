package route

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func TestApplyToHostsAndSettings(t *testing.T) {
	a, b, c := Host{1, 1}, Host{2, 1}, Host{3, 1}
	drained := func(m Member) Member { m.Drained = true; return m }
	weighed := func(h Host, w uint32, zone, note string) Member { return Member{Endpoint{h, w, zone}, note, false} }
	have := Service{
		Key:      Key{1, 2},
		Hosts:    []Member{MemberOf(a), drained(weighed(b, 50, "eu1", "old"))},
		Settings: []Setting{{"policy", "classic"}, {"ramp", "5s"}},
	}
	with := func(hosts ...Member) Service { return Service{have.Key, hosts, have.Settings} }
	tests := []struct {
		name   string
		change Change
		want   Service
	}{
		{"drain", Change{Action: Drain, Hosts: []Host{a, c}}, with(drained(MemberOf(a)), have.Hosts[1])},
		{"undrain", Change{Action: Undrain, Hosts: []Host{b, a}}, with(MemberOf(a), weighed(b, 50, "eu1", "old"))},
		{"add leaves a drained host drained", Change{Action: Add, Hosts: []Host{b}, Attributes: Attributes{Weight: new(uint32(7))}},
			with(MemberOf(a), drained(weighed(b, 7, "eu1", "old")))},
		{"set keeps a drained host drained", Change{Action: Set, Hosts: []Host{c, b}}, with(have.Hosts[1], MemberOf(c))},
		{"weight 0 drains and keeps the weight", Change{Action: Alter, Hosts: []Host{a}, Attributes: Attributes{Weight: new(uint32(0)), Zone: new("z")}},
			with(drained(weighed(a, 100, "z", "")), have.Hosts[1])},
		{"a note is taken away", Change{Action: Alter, Hosts: []Host{b}, Attributes: Attributes{Note: new("")}},
			with(MemberOf(a), drained(weighed(b, 50, "eu1", "")))},
		{"remove all takes the settings", Change{Action: Remove}, Service{Key: have.Key}},
		{"remove each leaves them", Change{Action: Remove, Hosts: []Host{a, b}}, with()},
		{"configure", Change{Action: Configure, Settings: []Setting{{"ramp", "7s"}, {"evidence", "1"}}},
			Service{have.Key, have.Hosts, []Setting{{"evidence", "1"}, {"policy", "classic"}, {"ramp", "7s"}}}},
		{"unconfigure", Change{Action: Unconfigure, Settings: []Setting{{Name: "policy"}, {Name: "x"}}},
			Service{have.Key, have.Hosts, []Setting{{"ramp", "5s"}}}},
		{"unconfigure all", Change{Action: Unconfigure}, Service{have.Key, have.Hosts, nil}},
	}
	for _, tt := range tests {
		before := have.clone()
		got, err := tt.change.Apply(have)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
		if diff := cmp.Diff(before, have); diff != "" {
			t.Fatalf("%s changed its argument:\n%s", tt.name, diff)
		}
	}
	if _, err := (Change{Action: Alter, Hosts: []Host{c}}).Apply(have); err == nil {
		t.Error("a host that is not there was altered")
	}
}

// drawService returns a service of few hosts and settings, in order.
func drawService(r *rapid.T, name string) Service {
	s := Service{Key: Key{1, 2}}
	for n := range uint32(4) {
		if rapid.Bool().Draw(r, name+" has host") {
			s.Hosts = append(s.Hosts, Member{
				Endpoint: Endpoint{Host{n + 1, 80}, rapid.Uint32Range(1, 3).Draw(r, "weight"), rapid.SampledFrom([]string{"", "eu1"}).Draw(r, "zone")},
				Note:     rapid.SampledFrom([]string{"", "note"}).Draw(r, "note"),
				Drained:  rapid.Bool().Draw(r, "drained"),
			})
		}
	}
	for _, key := range []string{"a", "b", "c"} {
		if rapid.Bool().Draw(r, name+" has setting") {
			s.Settings = append(s.Settings, Setting{key, rapid.SampledFrom([]string{"1", "2"}).Draw(r, "value")})
		}
	}
	return s
}

// Steps lead from any service to any other, and nothing differs then.
func TestStepsLeadFromOneServiceToAnother(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		have, want := drawService(r, "have"), drawService(r, "want")
		got := have
		for _, c := range Steps(have, want) {
			var err error
			if got, err = c.Apply(got); err != nil {
				r.Fatal(err)
			}
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			r.Errorf("service (-want +got):\n%s", diff)
		}
		if c := Compare(want, got); !c.Empty() {
			r.Errorf("a comparison finds %+v", c)
		}
		if c := Compare(have, want); c.Empty() != cmp.Equal(have, want, cmpopts.EquateEmpty()) {
			r.Errorf("a comparison of different services finds %+v", c)
		}
	})
}

func TestChecksOfAttributesAndSettings(t *testing.T) {
	text := func(n int) *string { return new(strings.Repeat("x", n)) }
	for name, tt := range map[string]struct {
		err error
		ok  bool
	}{
		"nothing":                   {Attributes{}.Check(), true},
		"greatest weight":           {Attributes{Weight: new(uint32(MaxWeight))}.Check(), true},
		"greater weight":            {Attributes{Weight: new(uint32(MaxWeight + 1))}.Check(), false},
		"longest zone":              {Attributes{Zone: text(MaxZone)}.Check(), true},
		"longer zone":               {Attributes{Zone: text(MaxZone + 1)}.Check(), false},
		"zone of two words":         {Attributes{Zone: new("a b")}.Check(), false},
		"longest note":              {Attributes{Note: text(MaxNote)}.Check(), true},
		"longer note":               {Attributes{Note: text(MaxNote + 1)}.Check(), false},
		"note with a tab":           {Attributes{Note: new("a\tb")}.Check(), false},
		"note with a blank at ends": {Attributes{Note: new("a ")}.Check(), false},
		"note in UTF-8":             {Attributes{Note: new("Zoë's machine")}.Check(), true},
		"setting":                   {Setting{"a", *text(MaxSetting)}.Check(), true},
		"setting without a name":    {Setting{"", "x"}.Check(), false},
		"long setting":              {Setting{"a", *text(MaxSetting + 1)}.Check(), false},
		"long name":                 {Setting{*text(MaxSetting + 1), ""}.Check(), false},
		"setting that is not UTF-8": {Setting{"a", "\xff"}.Check(), false},
	} {
		if (tt.err == nil) != tt.ok {
			t.Errorf("%s: got error %v", name, tt.err)
		}
	}
}
