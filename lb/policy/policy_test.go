package policy

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lars.internal/lb"
	"lars.internal/lb/adaptive"
	"lars.internal/lb/classic"
	"lars.internal/lb/shadow"
	"lars.internal/route"
)

func TestCheck(t *testing.T) {
	for _, tt := range []struct{ name, value, want string }{ // want: in the error; empty: none
		{"policy", "classic", ""},
		{"policy", "adaptive", ""},
		{"policy", "random", "one of classic, adaptive"},
		{"policy", "", "one of classic, adaptive"},
		{"update_timeout", "15", ""},
		{"update_timeout", "1m", ""},
		{"update_timeout", "24h", ""},
		{"update_timeout", "0", "from 1s to 24h"},
		{"update_timeout", "25h", "from 1s to 24h"},
		{"update_timeout", "soon", "from 1s to 24h"},
		{"update_timeout", "99999999999", "from 1s to 24h"},
		{"retry_budget", "0", ""},
		{"retry_budget", "0.2", ""},
		{"retry_budget", "1.1", "from 0 to 1"},
		{"retry_budget", "NaN", "from 0 to 1"},
		{"retry_budget", "a", "from 0 to 1"},
		{"evidence", "40", ""},
		{"evidence", "0", "evidence = 0"},
		{"probe", "off", ""},
		{"probe", "udp", "tcp or off"},
		{"ramp", "10s", ""},
		{"bad_error_rate", "0.005", ""}, // if granted_error_rate is lower
		{"zone", "eu1", "[adaptive] zone"},
		{"probe_timeout", "1s", "[adaptive] probe_timeout"},
		{"err_rate", "0.1", "unknown setting"},
		{"", "", "unknown setting"},
	} {
		err := Check(tt.name, tt.value)
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s = %q: %v", tt.name, tt.value, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s = %q: error %v, want one with %q", tt.name, tt.value, err, tt.want)
		}
	}
}

func TestCheckAll(t *testing.T) {
	low := route.Setting{Name: "bad_error_rate", Value: "0.005"}
	granted := route.Setting{Name: "granted_error_rate", Value: "0.001"}
	if err := CheckAll([]route.Setting{low, granted}); err != nil {
		t.Error(err)
	}
	if err := CheckAll([]route.Setting{low}); err == nil || !strings.Contains(err.Error(), "bad_error_rate") {
		t.Errorf("a bad rate below the granted one: error %v", err)
	}
	if err := CheckAll([]route.Setting{{Name: "evidence", Value: "x"}}); err == nil {
		t.Error("a bad value is taken")
	}
}

// Each key can be set to the value that it has.
func TestKeys(t *testing.T) {
	d := adaptive.DefaultConfig()
	for _, name := range Keys() {
		value, ok := d.Value(name)
		if !ok {
			value = map[string]string{"policy": "classic", "update_timeout": "15s", "retry_budget": "0.1"}[name]
		}
		if err := Check(name, value); err != nil {
			t.Error(err)
		}
	}
}

func TestWith(t *testing.T) {
	base := DefaultConfig()
	for _, tt := range []struct {
		what     string
		settings []route.Setting
		want     func(*Config)
		errs     []string // parts of
	}{
		{"none", nil, func(*Config) {}, nil},
		{"all kinds", []route.Setting{{Name: "evidence", Value: "40"}, {Name: "policy", Value: "classic"}, {Name: "retry_budget", Value: "0.5"}, {Name: "update_timeout", Value: "30"}}, func(c *Config) {
			c.Policy, c.Adaptive.Evidence, c.UpdateTimeout = Classic, 40, 30*time.Second // programs read retry_budget
		}, nil},
		{"of a newer version", []route.Setting{{Name: "evidence", Value: "40"}, {Name: "horoscope", Value: "on"}, {Name: "policy", Value: "magic"}}, func(c *Config) {
			c.Adaptive.Evidence = 40
		}, []string{"horoscope", "magic"}},
		{"valid together only", []route.Setting{{Name: "bad_error_rate", Value: "0.005"}, {Name: "granted_error_rate", Value: "0.001"}}, func(c *Config) {
			c.Adaptive.BadErrorRate, c.Adaptive.GrantedErrorRate = 0.005, 0.001
		}, nil},
		{"not valid together", []route.Setting{{Name: "bad_error_rate", Value: "0.005"}, {Name: "evidence", Value: "40"}, {Name: "ramp", Value: "x"}}, func(c *Config) {
			c.Adaptive.Evidence = 40
		}, []string{"bad_error_rate", "ramp"}},
	} {
		got, errs := base.With(tt.settings)
		want := base
		tt.want(&want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.what, diff)
		}
		if len(errs) != len(tt.errs) {
			t.Fatalf("%s: errors %v, want %d", tt.what, errs, len(tt.errs))
		}
		for i, e := range errs {
			if !strings.Contains(e.Error(), tt.errs[i]) {
				t.Errorf("%s: error %v, want one about %s", tt.what, e, tt.errs[i])
			}
		}
	}
	if diff := cmp.Diff(DefaultConfig(), base); diff != "" {
		t.Errorf("With changed its receiver:\n%s", diff)
	}
}

func TestValidate(t *testing.T) {
	for key, spoil := range map[string]func(*Config){
		"policy":    func(c *Config) { c.Policy = "" },
		"shadow":    func(c *Config) { c.Shadow = "x" },
		"probe_num": func(c *Config) { c.Classic = classic.Config{} },
		"evidence":  func(c *Config) { c.Adaptive.Evidence = -1 },
	} {
		c := DefaultConfig()
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		spoil(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("error %v, want one about %s", err, key)
		}
	}
}

// A changed setting leaves the states of hosts as they are; a changed policy
// begins anew.
func TestRenew(t *testing.T) {
	host := route.Host{IP: 1, Port: 1}
	hosts := []route.Endpoint{{Host: host, Weight: 100}, {Host: route.Host{IP: 2, Port: 1}, Weight: 100}}
	ejected := func(b lb.Balancer) bool {
		for _, s := range b.Explain(nil) {
			if s.Host == host && s.Ejected {
				return true
			}
		}
		return false
	}
	for _, name := range Names() {
		cfg := DefaultConfig()
		cfg.Policy = name
		b := cfg.Renew(nil, 1, 0)
		if policyOf(b) != name {
			t.Fatalf("%s: Renew of nothing returned %T", name, b)
		}
		b.Update(hosts, 0)
		for range 100 {
			b.Observe(host, lb.Outcome{Failed: 1}, 0)
		}
		if !ejected(b) {
			t.Fatalf("%s: 100 failures did not eject", name)
		}
		changed, errs := cfg.With([]route.Setting{{Name: "evidence", Value: "40"}})
		if errs != nil {
			t.Fatal(errs)
		}
		if again := changed.Renew(b, 1, 0); again != b || !ejected(again) {
			t.Errorf("%s: another balancer after a changed setting", name)
		}
		changed.Policy = other(name)
		if got := changed.Renew(b, 1, 0); policyOf(got) != other(name) {
			t.Errorf("%s: Renew for policy %s returned %T", name, changed.Policy, got)
		}
		if first := cfg.Renew(nil, 1, 0); policyOf(first) != name {
			t.Errorf("%s: Renew of nothing returned %T", name, first)
		}
	}
}

func other(name string) string {
	if name == Classic {
		return Adaptive
	}
	return Classic
}

// The value of a setting that changed is the one that decides.
func TestRenewReconfigures(t *testing.T) {
	cfg := DefaultConfig()
	b := cfg.Renew(nil, 1, 0)
	b.Update(route.AppendEndpoints(nil, []route.Host{{IP: 1, Port: 1}, {IP: 2, Port: 1}}), 0)
	strict, _ := cfg.With([]route.Setting{{Name: "evidence", Value: "2"}})
	b = strict.Renew(b, 1, 0)
	for range 4 { // 12 nats
		b.Observe(route.Host{IP: 1, Port: 1}, lb.Outcome{Failed: 1}, 0)
	}
	if c := b.Counters(); c.EjectedRate != 1 {
		t.Errorf("4 failures in a row, evidence = 2: %+v", c)
	}
}

// A balancer that looked on takes over when its policy is chosen, and a shadow that
// is turned on or off leaves the first balancer as it is.
func TestRenewWithShadow(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Policy, cfg.Shadow = Classic, Adaptive
	b, ok := cfg.Renew(nil, 1, 0).(*shadow.Balancer)
	if !ok || policyOf(b) != Classic || policyOf(b.Shadow()) != Adaptive {
		t.Fatalf("Renew of nothing returned %T", b)
	}
	first, second := b.First(), b.Shadow()
	if again := cfg.Renew(b, 1, 0); again != lb.Balancer(b) {
		t.Error("another balancer although nothing changed")
	}
	cfg.Policy, cfg.Shadow = Adaptive, Classic
	swapped := cfg.Renew(b, 1, 0).(*shadow.Balancer)
	if swapped.First() != second || swapped.Shadow() != first {
		t.Error("the two did not change places")
	}
	cfg.Shadow = Adaptive
	if alone := cfg.Renew(swapped, 1, 0); alone != second {
		t.Errorf("%T, want the adaptive balancer alone: a shadow of the same policy says nothing", alone)
	}
	cfg.Shadow = Classic
	if beside := cfg.Renew(second, 1, 0).(*shadow.Balancer); beside.First() != second || beside.Shadow() == first {
		t.Error("a shadow that is turned on is not a new one beside the same balancer")
	}
}

// policyOf returns the name of the policy of a balancer, "" for nil.
func policyOf(b lb.Balancer) string {
	switch b := b.(type) {
	case *shadow.Balancer:
		return policyOf(b.First())
	case *adaptive.Balancer:
		return Adaptive
	case *classic.Balancer:
		return Classic
	}
	return ""
}
