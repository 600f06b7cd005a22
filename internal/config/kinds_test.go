package config_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lars.internal/internal/config"
)

// given loads text for the only key of a set.
func given(set *config.Set, text string) error {
	return set.Load(config.Sources{Flags: map[string]string{set.Keys()[0].Flag(): text}})
}

func TestKindsTake(t *testing.T) {
	for _, c := range []struct {
		name string
		bind func(*config.Set) func() any
		text string
		want any // nil: an error
	}{
		{"int", bindInt, "7", 7},
		{"int, lower end", bindInt, "-9", -9},
		{"int, upper end", bindInt, "9", 9},
		{"int, over", bindInt, "10", nil},
		{"int, hexadecimal", bindInt, "0x1", nil},
		{"float", bindFloat, "0.25", 0.25},
		{"float, integer", bindFloat, "1", 1.0},
		{"float, infinite", bindFloat, "Inf", nil},
		{"float, empty", bindFloat, "", nil},
		{"bool, true", bindBool, "true", true},
		{"bool, On", bindBool, "On", true},
		{"bool, false", bindBool, "FALSE", false},
		{"bool, 0", bindBool, "0", false},
		{"bool, maybe", bindBool, "maybe", nil},
		{"bool, empty", bindBool, "", nil},
		{"duration, bare", bindDuration, "15", 15 * time.Second},
		{"duration, unit", bindDuration, "100ms", 100 * time.Millisecond},
		{"duration, two units", bindDuration, "1m30s", 90 * time.Second},
		{"duration, upper end", bindDuration, "1h", time.Hour},
		{"duration, over", bindDuration, "3601", nil},
		{"duration, negative", bindDuration, "-1", nil},
		{"duration, beyond int64", bindDuration, "9223372036854775807", nil},
		{"duration, wraps around to a small one", bindDuration, "18446744074", nil},
		{"duration, no unit", bindDuration, "1.5", nil},
		{"choice", bindChoice, "b", "b"},
		{"choice, other", bindChoice, "c", nil},
		{"choice, empty", bindChoice, "", nil},
		{"choice or nothing", bindChoiceOrNothing, "", ""},
		{"choice or nothing, a word", bindChoiceOrNothing, "b", "b"},
		{"choice or nothing, other", bindChoiceOrNothing, "c", nil},
		{"addr", bindAddr, "10.1.2.3", netip.MustParseAddr("10.1.2.3")},
		{"addr, localhost", bindAddr, "localhost", netip.MustParseAddr("127.0.0.1")},
		{"addr, name", bindAddr, "example.com", nil},
		{"addr, IPv6", bindAddr, "::1", nil},
		{"addr, empty where one is needed", bindAddr, "", nil},
		{"addr, empty where none is", bindNoAddr, "", netip.Addr{}},
		{"addr, given where none is needed", bindNoAddr, "10.1.2.3", netip.MustParseAddr("10.1.2.3")},
		{"addr, wrong where none is needed", bindNoAddr, "x", nil},
		{"words", bindStrings, "a, b,c  d", []string{"a", "b", "c", "d"}},
		{"words, empty", bindStrings, "", []string(nil)},
		{"words, commas alone", bindStrings, " , ", []string(nil)},
		{"addrs", bindHostPorts, "10.0.0.1:7778, localhost:7779", []string{"10.0.0.1:7778", "localhost:7779"}},
		{"networks", bindPrefixes, "10.0.0.0/8 192.168.1.7", prefixes("10.0.0.0/8", "192.168.1.7/32")},
		{"networks, IPv6", bindPrefixes, "fd00::/8", prefixes("fd00::/8")},
		{"networks, host bits", bindPrefixes, "10.1.2.3/8", nil},
		{"networks, too long", bindPrefixes, "10.0.0.0/33", nil},
		{"secret", bindSecret, "s3", config.Secret("s3")},
	} {
		t.Run(c.name, func(t *testing.T) {
			set := config.NewSet("lars-test")
			value := c.bind(set)
			before := value()
			err := given(set, c.text)
			if c.want == nil {
				if err == nil {
					t.Errorf("%q was taken as %v", c.text, value())
				}
				c.want = before
			} else if err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(c.want, value(), cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}, netip.Prefix{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func bindInt(s *config.Set) func() any {
	v := new(int)
	s.Int(v, "s", "k", 1, config.Between(-9, 9), "doc")
	return func() any { return *v }
}

func bindFloat(s *config.Set) func() any {
	v := new(float64)
	s.Float(v, "s", "k", 0.5, config.Range[float64]{}, "doc")
	return func() any { return *v }
}

func bindBool(s *config.Set) func() any {
	v := new(bool)
	s.Bool(v, "s", "k", true, "doc")
	return func() any { return *v }
}

func bindDuration(s *config.Set) func() any {
	v := new(time.Duration)
	s.Duration(v, "s", "k", time.Minute, config.Between(0, time.Hour), "doc")
	return func() any { return *v }
}

func bindChoice(s *config.Set) func() any {
	v := new(string)
	s.Choice(v, "s", "k", "a", []string{"a", "b"}, "doc")
	return func() any { return *v }
}

func bindChoiceOrNothing(s *config.Set) func() any {
	v := new(string)
	s.Choice(v, "s", "k", "", []string{"a", "b"}, "doc")
	return func() any { return *v }
}

func bindAddr(s *config.Set) func() any {
	v := new(netip.Addr)
	s.Addr(v, "s", "k", netip.MustParseAddr("127.0.0.1"), "doc")
	return func() any { return *v }
}

func bindNoAddr(s *config.Set) func() any {
	v := new(netip.Addr)
	s.Addr(v, "s", "k", netip.Addr{}, "doc")
	return func() any { return *v }
}

func bindStrings(s *config.Set) func() any {
	v := new([]string)
	s.Strings(v, "s", "k", []string{"x"}, "doc")
	return func() any { return *v }
}

func TestHostPorts(t *testing.T) {
	cases := []struct {
		text string
		ok   bool
	}{
		{"dns-1.example.com.:7778 lars_dns:1", true},
		{"", true},
		{"10.0.0.1", false},
		{"10.0.0.1:0", false},
		{"10.0.0.1:65536", false},
		{"10.0.0.1:1,x y:2", false},
		{"[::1]:1", false},
		{"10.0.0.256:1", false},
		{"10.0.1:1", false},
		{"a..b:1", false},
		{":1", false},
		{"-a:1", false},
		{strings.Repeat("a", 64) + ":1", false},
	}
	for _, c := range cases {
		t.Run(c.text, func(t *testing.T) {
			set := config.NewSet("lars-test")
			value := bindHostPorts(set)
			err := given(set, c.text)
			got, _ := value().([]string)
			if (err == nil) != c.ok || c.ok && strings.Join(got, " ") != c.text {
				t.Errorf("got %q, error %v", got, err)
			}
		})
	}
}

func bindHostPorts(s *config.Set) func() any {
	v := new([]string)
	s.HostPorts(v, "s", "k", nil, "doc")
	return func() any { return *v }
}

func bindPrefixes(s *config.Set) func() any {
	v := new([]netip.Prefix)
	s.Prefixes(v, "s", "k", nil, "doc")
	return func() any { return *v }
}

func bindSecret(s *config.Set) func() any {
	v := new(config.Secret)
	s.Secret(v, "s", "k", "doc")
	return func() any { return *v }
}

func prefixes(texts ...string) (list []netip.Prefix) {
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

func TestSecretIsNeverPrinted(t *testing.T) {
	type cfg struct{ DSN config.Secret }
	secret := config.Secret("hunter2")
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+" "+verb+" "+verb+"\n", secret, cfg{secret}, &cfg{secret})
	}
	encoded, err := json.Marshal(cfg{secret})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(encoded)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "dsn", secret, "cfg", cfg{secret})
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "dsn", secret, "cfg", cfg{secret})
	if strings.Contains(out.String(), "hunter") || strings.Contains(out.String(), "68756e") {
		t.Errorf("the secret shows:\n%s", out.String())
	}
	if !strings.Contains(out.String(), "(secret)") || config.Secret("").String() != "" {
		t.Errorf("a secret does not tell whether there is one:\n%s", out.String())
	}
}

func TestKeysDescribe(t *testing.T) {
	set := config.NewSet("lars-test")
	set.Duration(new(time.Duration), "dns", "poll_interval", 100*time.Millisecond, config.Between(10*time.Millisecond, time.Minute), "how often to look")
	got := set.Keys()[0]
	want := config.Key{Section: "dns", Name: "poll_interval", Kind: "duration",
		Want: "seconds or a duration like 100ms, 10ms..1m", Default: "100ms", Doc: "how often to look"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got.Env() != "LARS_DNS_POLL_INTERVAL" || got.Flag() != "dns.poll_interval" || got.String() != "[dns] poll_interval" {
		t.Errorf("got %s, %s, %s", got.Env(), got.Flag(), got)
	}
}

func TestMistakenDeclarationPanics(t *testing.T) {
	for name, declare := range map[string]func(*config.Set){
		"twice": func(s *config.Set) { bindInt(s); bindInt(s) },
		"same variable": func(s *config.Set) {
			s.String(new(string), "a", "b_c", "", "d")
			s.String(new(string), "a_b", "c", "", "d")
		},
		"no doc":               func(s *config.Set) { s.String(new(string), "a", "b", "", "") },
		"default out of range": func(s *config.Set) { s.Int(new(int), "a", "b", 10, config.Between(1, 9), "d") },
		"default no choice":    func(s *config.Set) { s.Choice(new(string), "a", "b", "x", []string{"y"}, "d") },
		"Origin of nothing":    func(s *config.Set) { s.Origin("a", "b") },
		"IsSet of nothing":     func(s *config.Set) { s.IsSet("a", "b") },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			declare(config.NewSet("lars-test"))
		})
	}
}
