package engine

import (
	"testing"
	"time"

	"lars.internal/lb"
	"lars.internal/lb/policy"
	"lars.internal/route"
)

// settledEngine returns an engine whose services have the policies and timeouts
// of their settings.
func settledEngine(base policy.Config) *Engine {
	return New(Config{
		UpdateTimeout: base.UpdateTimeout,
		MaxServices:   100,
		NewBalancer: func(_ route.Key, settings []route.Setting, have lb.Balancer, now time.Duration) lb.Balancer {
			c, _ := base.With(settings)
			return c.Renew(have, 1, now)
		},
		UpdateTimeoutOf: func(settings []route.Setting) time.Duration {
			c, _ := base.With(settings)
			return c.UpdateTimeout
		},
	})
}

func classicBase() policy.Config {
	c := policy.DefaultConfig()
	c.Policy = policy.Classic
	return c
}

func settings(pairs ...string) []route.Setting {
	var s []route.Setting
	for i := 0; i < len(pairs); i += 2 {
		s = append(s, route.Setting{Name: pairs[i], Value: pairs[i+1]})
	}
	return s
}

func (e *Engine) routed(key route.Key, hosts int, now time.Duration, s []route.Setting) Outcome {
	return e.Update(key, Route{Hosts: route.AppendEndpoints(nil, hostsN(hosts)), Settings: s}, now)
}

func (e *Engine) ejectedOf(key route.Key) (n int) {
	s, _ := e.Explain(key)
	for _, h := range s.Hosts {
		if h.Ejected {
			n++
		}
	}
	return n
}

// A setting that changes leaves hosts in their state; a policy that changes begins
// anew, and nothing that was counted is lost.
func TestSettingsChangeInPlace(t *testing.T) {
	e := settledEngine(classicBase())
	e.pick(key12, 0)
	e.routed(key12, 3, 0, nil)
	for range 15 {
		e.report(key12, hostsN(1)[0], false, 0)
	}
	want := func(what string, ejected, health int, row uint64) {
		t.Helper()
		if got := e.ejectedOf(key12); got != ejected {
			t.Errorf("%s: %d ejected, want %d", what, got, ejected)
		}
		if got := e.Health().Ejected; got != health {
			t.Errorf("%s: %d reported as ejected, want %d", what, got, health)
		}
		if got := e.Balancing().EjectedRow; got != row {
			t.Errorf("%s: %d ejections in all, want %d", what, got, row)
		}
	}
	want("classic", 1, 1, 1)
	if o := e.routed(key12, 3, 0, settings("evidence", "40")); !o.Resettled {
		t.Error("a new setting is no change")
	}
	want("a setting", 1, 1, 1)
	e.routed(key12, 3, 0, settings("policy", "adaptive"))
	want("adaptive", 0, 0, 1)
	e.routed(key12, 3, 0, nil)
	want("classic again", 0, 0, 1)
	for range 15 {
		e.report(key12, hostsN(1)[0], false, 0)
	}
	want("ejected again", 1, 1, 2)
	e.Update(key12, Route{Removed: true}, 0)
	want("without hosts", 0, 0, 2)
	e.routed(key12, 3, 0, nil)
	e.Tick(time.Hour)
	want("with hosts again", 0, 0, 2)
}

// The balancer that looked on takes over with the hosts that it has ejected, and the
// report service is told of them.
func TestShadowTakesOver(t *testing.T) {
	base := classicBase()
	base.Shadow = policy.Adaptive
	e := settledEngine(base)
	e.pick(key12, 0)
	e.routed(key12, 3, 0, nil)
	for range 8 { // 30 nats; the others have no failure
		for _, h := range hostsN(3)[1:] {
			for range 300 {
				e.report(key12, h, true, 0)
			}
		}
		e.report(key12, hostsN(1)[0], false, 0)
	}
	if got := e.ejectedOf(key12); got != 0 {
		t.Fatalf("classic ejected %d hosts after 8 failures", got)
	}
	c := e.Balancing()
	if c.ShadowEjected != 1 {
		t.Fatalf("%+v: want one ejection in the shadow", c)
	}
	e.routed(key12, 3, 0, settings("policy", "adaptive"))
	if ejected, health := e.ejectedOf(key12), e.Health().Ejected; ejected != 1 || health != 1 {
		t.Errorf("%d hosts ejected, %d reported; want 1", ejected, health)
	}
	if got := e.Balancing(); got.EjectedRate < c.EjectedRate || got.ShadowEjected < c.ShadowEjected {
		t.Errorf("counters went back from %+v to %+v", c, got)
	}
}

// A service may be pulled more often than others, or less.
func TestUpdateTimeoutOfService(t *testing.T) {
	e := settledEngine(classicBase())
	e.pick(key12, 0)
	wantDue := func(what string, now time.Duration, due bool) {
		t.Helper()
		e.Interest(key12, 0) // used, at a time at which nothing is due
		if got := len(e.Tick(now).Pulls) == 1; got != due {
			t.Errorf("%s: pulled after %v: %v, want %v", what, now, got, due)
		}
	}
	e.routed(key12, 1, 0, settings("update_timeout", "3s"))
	if s, _ := e.Explain(key12); s.UpdateTimeout != 3*time.Second || len(s.Settings) != 1 {
		t.Errorf("explained with %v and %v", s.UpdateTimeout, s.Settings)
	}
	wantDue("3s", 3*time.Second, false)
	wantDue("3s", 3*time.Second+1, true)
	e.routed(key12, 1, 0, nil)
	wantDue("default", 15*time.Second, false)
	if _, _, pull := e.pick(key12, 15*time.Second+1); !pull {
		t.Error("not pulled after the default")
	}
	e.routed(key12, 1, 0, settings("update_timeout", "1m"))
	if _, _, pull := e.pick(key12, time.Minute); pull {
		t.Error("pulled before its own timeout")
	}
	e.Update(key12, Route{Removed: true}, 0)
	e.routed(key12, 1, 0, nil)
	if _, _, pull := e.pick(key12, 16*time.Second); !pull {
		t.Error("the timeout of a service without hosts outlives its settings")
	}
}

func TestExplainHost(t *testing.T) {
	e := settledEngine(classicBase())
	e.pick(key12, 0)
	e.routed(key12, 3, 0, settings("evidence", "40"))
	host := hostsN(3)[1]
	if h, s, ok := e.ExplainHost(key12, host, 3); !ok || h.Host != host || len(s) != 1 {
		t.Errorf("%+v, %v, %v", h, s, ok)
	}
	for what, ok := range map[string]bool{
		"more hosts than that": func() bool { _, _, ok := e.ExplainHost(key12, host, 2); return ok }(),
		"no such host":         func() bool { _, _, ok := e.ExplainHost(key12, route.Host{IP: 9, Port: 9}, 3); return ok }(),
		"no such service":      func() bool { _, _, ok := e.ExplainHost(route.Key{Modid: 9}, host, 3); return ok }(),
	} {
		if ok {
			t.Errorf("%s: explained", what)
		}
	}
}
