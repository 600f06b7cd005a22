package adaptive

import (
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// settings are values of every key that are not the default, as people write
// them and as they are.
var settings = []struct {
	key, text string
	want      any
}{
	{"probe", "off", false},
	{"probe_interval", "2s", 2 * time.Second},
	{"probe_timeout", "0.3s", 300 * time.Millisecond},
	{"stall_min", "80ms", 80 * time.Millisecond},
	{"evidence", "25", 25.0},
	{"granted_error_rate", "0.02", 0.02},
	{"bad_error_rate", "0.3", 0.3},
	{"max_ejected", "0", 0.0},
	{"doubtful", "4", 4},
	{"test_every", "2000", 2000},
	{"ramp", "7", 7 * time.Second},
	{"ramp_min", "0.2", 0.2},
	{"latency_memory", "1m0s", time.Minute},
	{"forget", "16", 16},
	{"load_limit", "0", 0.0},
	{"distress", "1", 1.0},
	{"overprovision", "1.25", 1.25},
	{"zone", "eu1", "eu1"},
}

func TestSetChangesItsFieldOnly(t *testing.T) {
	keys := []string{}
	for _, s := range settings {
		keys = append(keys, s.key)
		c := DefaultConfig()
		if err := c.Set(s.key, s.text); err != nil {
			t.Error(err)
			continue
		}
		got, was := reflect.ValueOf(c), reflect.ValueOf(DefaultConfig())
		for i := range got.NumField() {
			want := was.Field(i).Interface()
			if strings.EqualFold(got.Type().Field(i).Name, strings.ReplaceAll(s.key, "_", "")) {
				want = s.want
			}
			if got.Field(i).Interface() != want {
				t.Errorf("%s = %s: %s is %v, want %v", s.key, s.text, got.Type().Field(i).Name, got.Field(i), want)
			}
		}
	}
	if !slices.Equal(keys, Keys()) || len(keys) != reflect.TypeFor[Config]().NumField() {
		t.Errorf("keys %v, set %v", Keys(), keys)
	}
}

// TestValueIsWhatSetTakes: every value survives being written and read.
func TestValueIsWhatSetTakes(t *testing.T) {
	for _, s := range settings {
		from, to := DefaultConfig(), DefaultConfig()
		for _, text := range []string{"", s.text} {
			if text != "" {
				from.Set(s.key, text)
			}
			v, ok := from.Value(s.key)
			if err := to.Set(s.key, v); err != nil || !ok || to != from {
				t.Errorf("%s: %q, %v", s.key, v, err)
			}
		}
	}
	for text, want := range map[string]string{"60": "1m", "1h": "1h", "24h": "24h", "90m": "1h30m", "90s": "1m30s", "10s": "10s", "150ms": "150ms"} {
		c := DefaultConfig()
		c.Set("ramp", text)
		if got, _ := c.Value("ramp"); got != want {
			t.Errorf("%s is written %s, want %s", text, got, want)
		}
	}
	if v, ok := (Config{}).Value("ramps"); ok {
		t.Errorf("value %q of an unknown key", v)
	}
}

func TestSetRefuses(t *testing.T) {
	number := func(from, to string) string { return "want a number from " + from + " to " + to }
	for _, s := range []struct{ key, text, want string }{
		{"probe", "udp", "want tcp or off"},
		{"probe", "", "want tcp or off"},
		{"probe_interval", "9ms", "want seconds or a time like 100ms, from 10ms to 24h"},
		{"probe_interval", "soon", "want seconds or a time like 100ms, from 10ms to 24h"},
		{"probe_interval", "24h1ms", "from 10ms to 24h"},
		{"probe_timeout", "0", "from 1ms to 10s"},
		{"probe_timeout", "11s", "from 1ms to 10s"},
		{"stall_min", "-1", "from 1ms to 24h"},
		{"evidence", "0.9", number("1", "1000")},
		{"evidence", "1000.5", number("1", "1000")},
		{"evidence", "NaN", number("1", "1000")},
		{"evidence", "much", number("1", "1000")},
		{"granted_error_rate", "0", number("0.0001", "0.5")},
		{"granted_error_rate", "0.6", number("0.0001", "0.5")},
		{"bad_error_rate", "0", number("0.001", "0.99")},
		{"bad_error_rate", "1", number("0.001", "0.99")},
		{"max_ejected", "1.1", number("0", "1")},
		{"max_ejected", "-0.1", number("0", "1")},
		{"doubtful", "0", "want an integer from 1 to 250"},
		{"doubtful", "251", "want an integer from 1 to 250"},
		{"doubtful", "2.5", "want an integer from 1 to 250"},
		{"test_every", "0", "from 1 to 1000000"},
		{"test_every", "1000001", "from 1 to 1000000"},
		{"ramp", "0s", "from 1ms to 24h"},
		{"ramp_min", "0", number("0.001", "1")},
		{"ramp_min", "1.01", number("0.001", "1")},
		{"latency_memory", "25h", "from 1ms to 24h"},
		{"forget", "0", "from 1 to 10000"},
		{"forget", "10001", "from 1 to 10000"},
		{"load_limit", "0.5", "want 0 or a number from 1 to 1000"},
		{"load_limit", "1001", "want 0 or a number from 1 to 1000"},
		{"distress", "1.5", number("0", "1")},
		{"overprovision", "0.99", number("1", "1000")},
		{"overprovision", "1001", number("1", "1000")},
		{"zone", strings.Repeat("x", 33), "want at most 32 characters of ASCII without spaces"},
		{"zone", "eu 1", "without spaces"},
		{"zone", "eü", "without spaces"},
		{"ramps", "1", `unknown key "ramps": want one of probe, probe_interval,`},
	} {
		c := DefaultConfig()
		err := c.Set(s.key, s.text)
		if err == nil || !strings.Contains(err.Error(), s.want) || !strings.HasPrefix(err.Error(), "adaptive: ") {
			t.Errorf("%s = %q: error %v, want %q", s.key, s.text, err, s.want)
		}
		if c != DefaultConfig() {
			t.Errorf("%s = %q: the refused value is kept: %+v", s.key, s.text, c)
		}
	}
}

// TestValidate: each key is looked at, and the two error rates together.
func TestValidate(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	for _, s := range []struct {
		want   string
		change func(*Config)
	}{
		{"adaptive: probe_interval = 1ms: want", func(c *Config) { c.ProbeInterval = ms }},
		{"adaptive: probe_timeout = 0s: want", func(c *Config) { c.ProbeTimeout = 0 }},
		{"adaptive: stall_min = -1ns: want", func(c *Config) { c.StallMin = -1 }},
		{"adaptive: evidence = NaN: want", func(c *Config) { c.Evidence = math.NaN() }},
		{"adaptive: granted_error_rate = 0: want", func(c *Config) { c.GrantedErrorRate = 0 }},
		{"adaptive: bad_error_rate = +Inf: want", func(c *Config) { c.BadErrorRate = math.Inf(1) }},
		{"adaptive: max_ejected = 2: want", func(c *Config) { c.MaxEjected = 2 }},
		{"adaptive: doubtful = 251: want", func(c *Config) { c.Doubtful = 251 }},
		{"adaptive: test_every = 0: want", func(c *Config) { c.TestEvery = 0 }},
		{"adaptive: ramp = 25h: want", func(c *Config) { c.Ramp = 25 * time.Hour }},
		{"adaptive: ramp_min = 0: want", func(c *Config) { c.RampMin = 0 }},
		{"adaptive: latency_memory = 0s: want", func(c *Config) { c.LatencyMemory = 0 }},
		{"adaptive: forget = 0: want", func(c *Config) { c.Forget = 0 }},
		{"adaptive: load_limit = -2: want", func(c *Config) { c.LoadLimit = -2 }},
		{"adaptive: distress = -1: want", func(c *Config) { c.Distress = -1 }},
		{"adaptive: overprovision = 0: want", func(c *Config) { c.Overprovision = 0 }},
		{"adaptive: zone = a b: want", func(c *Config) { c.Zone = "a b" }},
		{"adaptive: bad_error_rate = 0.2: want more than granted_error_rate, which is 0.2", func(c *Config) { c.GrantedErrorRate = 0.2 }},
	} {
		c := DefaultConfig()
		s.change(&c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), s.want) {
			t.Errorf("error %v, want %q", err, s.want)
		}
	}
}
