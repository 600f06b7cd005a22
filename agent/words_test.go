package agent

import (
	"regexp"
	"strings"
	"testing"

	"lars.internal/route"
)

// hostOf returns one host of a page.
func (d *ServiceDetail) hostOf(t *testing.T, host route.Host) HostInfo {
	t.Helper()
	for _, h := range d.List {
		if h.Host == host.String() {
			return h
		}
	}
	t.Fatalf("no host %v in %+v", host, d)
	return HostInfo{}
}

// The page of a service has the words of the policy that judges its hosts, and with a
// second balancer those of both.
func TestWordsOfBothPolicies(t *testing.T) {
	s := startSystem(t, func(c *Config) { c.Shadow = "adaptive" })
	s.dns.set(key12, hostsN(3)...)
	p := s.program(0)
	p.served(key12)
	s.dns.settle(key12, hostsN(3), "evidence", "20")
	eventually(t, "the setting arrives", func() bool {
		d, _ := s.Hosts(key12)
		return d.Settings["evidence"] == "20"
	})
	for range 12 {
		p.report(key12, hostN(0), false)
	}
	p.getHost(key12)
	srv := startDebug(t, s.Agent)
	get := func(path string) (d ServiceDetail) {
		t.Helper()
		if code := page(t, srv, path, &d); code != 200 {
			t.Fatalf("%s: code %d", path, code)
		}
		return d
	}

	first := get("/agent/hosts?service=1/2")
	if first.Policy != "classic" || first.Shadow != "adaptive" || first.Overload != 0 {
		t.Errorf("%+v", first.ServiceInfo)
	}
	h := first.hostOf(t, hostN(0))
	if h.State != "idle" || h.Status != "idle" || h.Reason != "" || h.Weight != route.DefaultWeight ||
		!strings.Contains(h.Why, "12 of 12 calls failed in the window of 15 s") || h.Share < 0.33 || h.Share > 0.34 {
		t.Errorf("%+v", h)
	}

	second := get("/agent/hosts?service=1/2&shadow=1")
	if second.Policy != "adaptive" || second.Shadow != "" || second.Overload != 1 {
		t.Errorf("%+v", second.ServiceInfo)
	}
	h = second.hostOf(t, hostN(0))
	if h.State != "overload" || h.Status != "out" || h.Reason != "RATE" || h.Share != 0 ||
		!regexp.MustCompile(`^out since .*, RATE: \d+ of \d+ calls failed since .* evidence .* >= 20\. Next test`).MatchString(h.Why) {
		t.Errorf("%+v", h)
	}
	if h = second.hostOf(t, hostN(1)); h.Status != "up" || h.LatencyMS == 0 || h.Share < 0.4 {
		t.Errorf("%+v", h)
	}

	var all ServicePage
	if page(t, srv, "/agent/services", &all); all.Services[0].Policy != "classic" || all.Services[0].Settings["evidence"] != "20" {
		t.Errorf("%+v", all.Services)
	}
}

// Without a second balancer the error says how to have one.
func TestNoShadow(t *testing.T) {
	s := startSystem(t, nil)
	s.dns.set(key12, hostN(0))
	s.program(0).served(key12)
	if _, err := s.ShadowHosts(key12); err == nil || !strings.Contains(err.Error(), "service 1/2 has policy classic and no second balancer beside it: set [agent] shadow") {
		t.Errorf("error %v", err)
	}
}
