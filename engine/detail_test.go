package engine

import (
	"slices"
	"testing"
	"time"

	"lars.internal/lb"
	"lars.internal/lb/policy"
	"lars.internal/route"
)

// detailed returns hosts with the weights, all in one zone.
func detailed(zone string, weights ...uint32) []route.Endpoint {
	endpoints := route.AppendEndpoints(nil, hostsN(len(weights)))
	for i := range endpoints {
		endpoints[i].Weight, endpoints[i].Zone = weights[i], zone
	}
	return endpoints
}

// picked returns which of n hosts are picked in a few calls that all succeed.
func (e *Engine) picked(n int, now time.Duration) []bool {
	got := make([]bool, n)
	for range 100 * n {
		host, ticket, verdict, _ := e.Pick(key12, route.Host{}, now)
		if verdict != lb.Picked {
			continue
		}
		got[slices.Index(hostsN(n), host)] = true
		e.Observe(key12, host, lb.Outcome{OK: 1, Ticket: ticket, Latency: time.Millisecond}, now)
	}
	return got
}

// A host with another weight or zone is the same host: it stays ejected, and its
// totals stay. One of weight 0 is never picked.
func TestChangedDetailsKeepTheState(t *testing.T) {
	for _, name := range []string{policy.Classic, policy.Adaptive} {
		t.Run(name, func(t *testing.T) {
			base := policy.DefaultConfig()
			base.Policy = name
			e := settledEngine(base)
			e.pick(key12, 0)
			e.Update(key12, Route{Hosts: detailed("", 100, 100, 100)}, 0)
			for range 30 {
				e.report(key12, hostN(0), false, 0)
			}
			before, _ := e.hostState(key12, hostN(0))
			if !before.Ejected || before.TotalErr != 30 {
				t.Fatalf("state before: %+v", before)
			}

			o := e.Update(key12, Route{Hosts: detailed("eu1", 50, 100, 100)}, time.Second)
			if !o.Changed || len(o.Altered) != 3 || o.Added != nil || o.Removed != nil || o.Altered[0] != (route.Endpoint{Host: hostN(0), Weight: 50, Zone: "eu1"}) {
				t.Errorf("another weight and zone: %+v", o)
			}
			after, _ := e.hostState(key12, hostN(0))
			if !after.Ejected || after.TotalErr != before.TotalErr || after.Since != before.Since || e.Health().Ejected != 1 {
				t.Errorf("state %+v, before %+v", after, before)
			}
			if o := e.Update(key12, Route{Hosts: detailed("eu1", 50, 100, 100)}, time.Second); o.Changed {
				t.Errorf("the same again: %+v", o)
			}

			e.Update(key12, Route{Hosts: detailed("eu1", 50, 0, 100)}, time.Second)
			if got := e.picked(3, time.Second); got[1] || !got[2] {
				t.Errorf("with the second of weight 0 picked %v", got)
			}
			e.Update(key12, Route{Hosts: detailed("eu1", 50, 100, 0)}, time.Second)
			if got := e.picked(3, 10*time.Second); !got[1] || got[2] {
				t.Errorf("with the third of weight 0 picked %v", got)
			}
			checkInvariants(t, e)
		})
	}
}

// What the report service hears of an ejected host that is drained and called
// again is what the balancer says.
func TestDrainedHostIsReportedAsItIs(t *testing.T) {
	e := settledEngine(classicBase())
	e.pick(key12, 0)
	e.Update(key12, Route{Hosts: detailed("", 100, 100)}, 0)
	for range 15 {
		e.report(key12, hostN(0), false, 0)
	}
	for _, step := range []struct {
		weight  uint32
		ejected int
	}{{50, 1}, {0, 0}, {50, 0}} {
		e.Update(key12, Route{Hosts: detailed("", step.weight, 100)}, 0)
		if state, _ := e.hostState(key12, hostN(0)); e.Health().Ejected != step.ejected || state.Ejected != (step.ejected == 1) {
			t.Errorf("weight %d: %d reported as ejected, want %d; the balancer says %v", step.weight, e.Health().Ejected, step.ejected, state.Ejected)
		}
	}
}

// Without any host that may be called there is none to pick.
func TestAllHostsDrained(t *testing.T) {
	for _, name := range []string{policy.Classic, policy.Adaptive} {
		base := policy.DefaultConfig()
		base.Policy = name
		e := settledEngine(base)
		e.pick(key12, 0)
		e.Update(key12, Route{Hosts: detailed("", 0, 0)}, 0)
		if host, code, _ := e.pick(key12, 0); code == succ {
			t.Errorf("%s: pick gives %v, %v", name, host, code)
		}
		checkInvariants(t, e)
	}
}
