package agent

import (
	"path/filepath"
	"strings"
	"testing"

	"lars.internal/internal/metrics/metricstest"
	"lars.internal/larspb"
	"lars.internal/lb/adaptive"
	"lars.internal/lb/classic"
	"lars.internal/route"
)

// settle pushes hosts with settings, given as names and values.
func (d *fakeDNS) settle(key route.Key, hosts []route.Host, pairs ...string) {
	m := responseOf(key, hosts)
	for i := 0; i < len(pairs); i += 2 {
		m.Settings = append(m.Settings, &larspb.Setting{Key: pairs[i], Value: pairs[i+1]})
	}
	d.send(larspb.IDGetRouteResponse, m)
}

// A program that embeds an agent gets the policy that its configuration asks for.
func TestPolicyOfConfig(t *testing.T) {
	tuned := classic.DefaultConfig()
	tuned.ProbeNum = 20
	zone := adaptive.DefaultConfig()
	zone.Zone = "eu1"
	for _, tt := range []struct {
		what, policy, reason string
		cfg                  Config
	}{
		{"nothing", "adaptive", "none is named, and all keys", Config{}},
		{"a zone", "adaptive", "none is named, and all keys", Config{Adaptive: zone}},
		{"classic tuned", "classic", "none is named, and a key of [loadbalance]", Config{Balance: tuned}},
		{"named", "classic", "it is named", Config{Policy: "classic"}},
		{"named though classic is tuned", "adaptive", "a flag names it", Config{Policy: "adaptive", PolicyReason: "a flag names it", Balance: tuned}},
	} {
		a, err := New(tt.cfg)
		if err != nil {
			t.Fatal(err)
		}
		if a.cfg.Policy != tt.policy || !strings.HasPrefix(a.cfg.PolicyReason, tt.reason) {
			t.Errorf("%s: %s, because %s", tt.what, a.cfg.Policy, a.cfg.PolicyReason)
		}
	}
	zone.Zone = "a b"
	for want, cfg := range map[string]Config{"policy": {Policy: "none"}, "shadow": {Shadow: "none"}, "zone": {Adaptive: zone}} {
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), want+" = ") {
			t.Errorf("error %v, want one about %s", err, want)
		}
	}
}

func TestPolicyIsLoggedOnce(t *testing.T) {
	log := newLines()
	startSystem(t, func(c *Config) { c.Policy, c.Log = "", log.logger() })
	eventually(t, "the agent says which policy it has, and why", func() bool {
		return log.count(`msg="agent: adaptive is the policy" because="none is named, and all keys of [loadbalance] but update_timeout are their defaults"`) == 1
	})
}

// The settings of a service change its policy. Those that the agent does not
// understand are told once and counted, and the others apply.
func TestSettingsOfService(t *testing.T) {
	log := newLines()
	s := startSystem(t, func(c *Config) { c.Log = log.logger() })
	s.dns.set(key12, hostsN(3)...)
	p := s.program(0)
	p.served(key12)
	fails := func(n int) {
		for range n {
			p.report(key12, hostN(0), false)
		}
		p.getHost(key12) // what was reported before is counted
	}
	fails(10)
	if got := s.hostState(key12, hostN(0)); got.Ejected {
		t.Error("classic ejected after 10 failures in a row")
	}
	s.dns.settle(key12, hostsN(3), "evidence", "2", "horoscope", "on", "policy", "adaptive", "ramp", "long", "update_timeout", "3s")
	eventually(t, "the settings arrive", func() bool {
		state, _ := s.engine.Explain(key12)
		return len(state.Settings) == 5
	})
	fails(10)
	if got := s.hostState(key12, hostN(0)); !got.Ejected {
		t.Error("adaptive with evidence = 2 did not eject after 10 failures in a row")
	}
	if state, _ := s.engine.Explain(key12); state.UpdateTimeout.Seconds() != 3 {
		t.Errorf("update_timeout is %v", state.UpdateTimeout)
	}
	line := `level=WARN msg="agent: settings are ignored, the others of the service apply" service=1/2 ignored=2 reason="policy: unknown setting \"horoscope\"`
	eventually(t, "there is one line about both bad settings", func() bool {
		return log.count(line) == 1 && log.count("adaptive: ramp = long: want") == 1
	})
	if text := metricstest.Text(t, s.Metrics()); !strings.Contains(text, "\nlars_agent_bad_settings_total 2\n") {
		t.Error("the bad settings are not counted")
	}
	s.dns.settle(key12, hostsN(3), "evidence", "2", "horoscope", "on", "policy", "adaptive", "ramp", "long", "update_timeout", "3s")
	s.dns.push(key12, hostsN(3)...)
	eventually(t, "the settings are gone", func() bool {
		state, _ := s.engine.Explain(key12)
		return len(state.Settings) == 0
	})
	if got := s.hostState(key12, hostN(0)); got.Ejected || log.count(line) != 1 {
		t.Errorf("classic begins with an ejected host: %v; lines: %d", got.Ejected, log.count(line))
	}
}

// Totals never go back, whatever becomes of the balancers that they come from.
func TestPolicyMetrics(t *testing.T) {
	s := startSystem(t, func(c *Config) { c.Shadow = "adaptive" })
	s.dns.set(key12, hostsN(3)...)
	p := s.program(0)
	p.served(key12)
	for range 15 {
		p.report(key12, hostN(0), false)
	}
	p.getHost(key12)
	want := func(lines ...string) {
		t.Helper()
		text := metricstest.Text(t, s.Metrics())
		for _, line := range lines {
			if !strings.Contains(text, "\nlars_agent_"+line+"\n") {
				t.Errorf("no line %s", line)
			}
		}
	}
	want(`ejections_by_reason_total{reason="row"} 1`, `ejections_by_reason_total{reason="dead"} 0`, "ejections_total 1",
		"shadow_ejections_total 1", "shadow_ejected_picks_total 0")
	for range 15 { // one in eleven goes to the ejected host
		p.getHost(key12)
	}
	want("shadow_ejected_picks_total 1")
	s.dns.settle(key12, hostsN(3), "policy", "adaptive")
	eventually(t, "the setting arrives", func() bool {
		state, _ := s.engine.Explain(key12)
		return len(state.Settings) == 1
	})
	s.dns.push(key12)
	eventually(t, "the service has no hosts", func() bool { return !s.engine.Served(key12) })
	want(`ejections_by_reason_total{reason="row"} 1`, "ejections_total 1", "shadow_ejections_total 1", "shadow_ejected_picks_total 1")
}

// Settings outlive the agent in its snapshot, and so does what it says of the ones
// that it does not understand.
func TestSettingsOfSnapshot(t *testing.T) {
	file, log := filepath.Join(t.TempDir(), "routes"), newLines()
	s := startSystem(t, func(c *Config) { c.Snapshot = file })
	s.dns.set(key12, hostsN(2)...)
	s.program(0).served(key12)
	s.dns.settle(key12, hostsN(2), "horoscope", "on", "policy", "adaptive")
	eventually(t, "the settings arrive", func() bool {
		d, _ := s.Hosts(key12)
		return d.Policy == "adaptive"
	})
	s.stop()
	s.dns.stop()
	a, _ := startAgent(t, func(c *Config) {
		c.Snapshot, c.Log = file, log.logger()
		c.DNS.Addrs = []string{s.dns.addr.String()}
		c.Reporter.Addrs = []string{s.reporter.addr.String()}
	})
	eventually(t, "the routes are restored", func() bool { return a.engine.Known() })
	if d, _ := a.Hosts(key12); d.Policy != "adaptive" || d.Settings["policy"] != "adaptive" {
		t.Errorf("restored as %+v", d.ServiceInfo)
	}
	eventually(t, "the setting is told", func() bool { return log.count("agent: settings are ignored") == 1 })
}
