package keys

import (
	"os"
	"strings"
	"testing"

	"lars.internal/agent"
	"lars.internal/internal/config"
	"lars.internal/lb/adaptive"
)

// Without a named policy, an agent with tuned keys of classic has classic, and any
// other one adaptive.
func TestPolicyThatIsNotNamed(t *testing.T) {
	const original, shipped = "testdata/original/lars_lb_agent.conf", "testdata/classic/lars_lb_agent.conf"
	tuned := writeFile(t, "[loadbalance]\nprobe_num = 20\n")
	for _, tt := range []struct {
		what   string
		src    config.Sources
		policy string
		reason string // part of it
	}{
		{"nothing", config.Sources{}, "adaptive", "all keys of [loadbalance] but update_timeout are their defaults"},
		{"the original's file", config.Sources{File: original}, "adaptive", "are their defaults"},
		{"the shipped file", config.Sources{File: "../../../conf/lars_lb_agent.conf", Partial: true}, "adaptive", "are their defaults"},
		{"the file that was shipped before", config.Sources{File: shipped, Partial: true}, "classic", shipped + ":28: [agent] policy names it"},
		{"a tuned file", config.Sources{File: tuned}, "classic", tuned + ":2: [loadbalance] probe_num is not the default 10"},
		{"a variable", config.Sources{File: original, Environ: []string{"LARS_LOADBALANCE_ERR_RATE=0.2"}}, "classic", "LARS_LOADBALANCE_ERR_RATE is not the default 0.1"},
		{"a flag", config.Sources{Flags: map[string]string{"loadbalance.idle_timeout": "10s"}}, "classic", "-loadbalance.idle_timeout is not the default 15s"},
		{"back to the default", config.Sources{File: tuned, Environ: []string{"LARS_LOADBALANCE_PROBE_NUM=10"}}, "adaptive", "are their defaults"},
		{"update_timeout", config.Sources{Environ: []string{"LARS_LOADBALANCE_UPDATE_TIMEOUT=5"}}, "adaptive", "are their defaults"},
		{"named by a variable", config.Sources{File: tuned, Environ: []string{"LARS_AGENT_POLICY=adaptive"}}, "adaptive", "LARS_AGENT_POLICY names it"},
		{"named by a flag", config.Sources{File: shipped, Partial: true, Flags: map[string]string{"agent.policy": "adaptive"}}, "adaptive", "-agent.policy names it"},
		{"named empty", config.Sources{Flags: map[string]string{"agent.policy": ""}}, "adaptive", "are their defaults"},
	} {
		set := config.NewSet("lars-test")
		c := Agent(set)
		if err := set.Load(tt.src); err != nil {
			t.Fatalf("%s: %v", tt.what, err)
		}
		if c.Policy != tt.policy || !strings.Contains(c.PolicyReason, tt.reason) {
			t.Errorf("%s: %s, because %s; want %s, because %s", tt.what, c.Policy, c.PolicyReason, tt.policy, tt.reason)
		}
	}
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := t.TempDir() + "/lars.conf"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Each key of [adaptive] fills its field: set to what another field could not have,
// each value arrives where the balancer's own Set puts it.
func TestAdaptiveKeys(t *testing.T) {
	values := map[string]string{
		"probe": "off", "probe_interval": "2s", "probe_timeout": "200ms", "stall_min": "120ms", "evidence": "31",
		"granted_error_rate": "0.02", "bad_error_rate": "0.3", "max_ejected": "0.6", "doubtful": "4", "test_every": "1001",
		"ramp": "6s", "ramp_min": "0.11", "latency_memory": "11s", "forget": "9", "load_limit": "3", "distress": "0.06",
		"overprovision": "1.5", "zone": "eu1",
	}
	set := config.NewSet("lars-test")
	c := Agent(set)
	want, flags := adaptive.DefaultConfig(), map[string]string{}
	for _, key := range adaptive.Keys() {
		if err := want.Set(key, values[key]); err != nil {
			t.Fatal(err)
		}
		flags["adaptive."+key] = values[key]
		if value, _ := want.Value(key); value == mustValue(adaptive.DefaultConfig(), key) {
			t.Errorf("%s is tested with its default", key)
		}
	}
	if err := set.Load(config.Sources{Flags: flags}); err != nil {
		t.Fatal(err)
	}
	if c.Adaptive != want {
		t.Errorf("got %+v, want %+v", c.Adaptive, want)
	}
	declared := 0
	for _, k := range set.Keys() {
		if k.Section != "adaptive" {
			continue
		}
		declared++
		if k.Default != mustValue(adaptive.DefaultConfig(), k.Name) {
			t.Errorf("default of %s is %s", k, k.Default)
		}
	}
	if declared != len(adaptive.Keys()) {
		t.Errorf("%d keys, want %d", declared, len(adaptive.Keys()))
	}
}

func mustValue(c adaptive.Config, key string) string {
	v, _ := c.Value(key)
	return v
}

// What makes no sense together is an error at the start.
func TestAdaptiveKeysThatDisagree(t *testing.T) {
	set := config.NewSet("lars-test")
	c := Agent(set)
	if err := set.Load(config.Sources{Environ: []string{"LARS_ADAPTIVE_BAD_ERROR_RATE=0.005"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := agent.New(*c); err == nil || !strings.Contains(err.Error(), "bad_error_rate = 0.005: want more than granted_error_rate") {
		t.Errorf("error %v", err)
	}
}

// A value that a service may have, an agent may have too, and the reverse. Kinds
// of keys cannot say everything, so Validate has the last word, as in an agent.
func TestAdaptiveBoundsAgree(t *testing.T) {
	values := []string{
		"0", "0.00009", "0.0001", "0.0009", "0.001", "0.5", "0.51", "0.99", "0.991", "1", "1.01", "-1", "250", "251",
		"1000", "1001", "10000", "10001", "1000000", "1000001", "NaN", "",
		"999us", "1ms", "9ms", "10ms", "10s", "10001ms", "24h", "24h1ms", "86400", "86401", "tcp", "off", "e u", "eü",
		strings.Repeat("z", 32), strings.Repeat("z", 33),
	}
	for _, key := range adaptive.Keys() {
		for _, value := range values {
			own := adaptive.DefaultConfig()
			bySetting := own.Set(key, value)
			if bySetting == nil {
				bySetting = own.Validate()
			}
			set := config.NewSet("lars-test")
			c := Agent(set)
			byFlag := set.Load(config.Sources{Flags: map[string]string{"adaptive." + key: value}})
			if byFlag == nil {
				byFlag = c.Adaptive.Validate()
			}
			if (bySetting == nil) != (byFlag == nil) {
				t.Errorf("%s = %q: as a setting %v, as a flag %v", key, value, bySetting, byFlag)
			}
		}
	}
}
