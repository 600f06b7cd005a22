package engine

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"lars.internal/lb"
	"lars.internal/lb/policy"
	"lars.internal/route"
)

// benchEngine returns an engine of so many services of 10 hosts each.
func benchEngine(services int) *Engine {
	e := testEngine(0)
	for i := range services {
		e.Restore(route.Key{Modid: 1, Cmdid: int32(i)}, route.Of(hostsN(10)...), 0, 0)
	}
	return e
}

func BenchmarkPickAndObserve(b *testing.B) {
	e := benchEngine(100)
	key := route.Key{Modid: 1, Cmdid: 7}
	b.ReportAllocs()
	for b.Loop() {
		h, _, _, _ := e.Pick(key, route.Host{}, time.Second)
		e.Observe(key, h, lb.Outcome{OK: 1}, time.Second)
	}
}

func BenchmarkHealth(b *testing.B) {
	e := benchEngine(10_000)
	for b.Loop() {
		e.Health()
	}
}

func BenchmarkTick(b *testing.B) {
	e := benchEngine(10_000)
	for b.Loop() {
		e.Tick(time.Hour)
	}
}

// bases are what a machine may be configured for.
func bases() map[string]policy.Config {
	all := make(map[string]policy.Config)
	for _, name := range policy.Names() {
		for _, second := range append([]string{""}, policy.Names()...) {
			c := policy.DefaultConfig()
			c.Policy, c.Shadow = name, second
			if second != name {
				all[strings.TrimSuffix(name+"+"+second, "+")] = c
			}
		}
	}
	return all
}

// A second balancer costs nothing while it is off: classic and adaptive are what they
// are without this feature.
func BenchmarkPolicies(b *testing.B) {
	all := bases()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		b.Run(name, func(b *testing.B) {
			e := settledEngine(all[name])
			e.Restore(key12, route.Of(hostsN(10)...), 0, 0)
			now := time.Second
			b.ReportAllocs()
			for b.Loop() {
				now += time.Microsecond
				h, ticket, _, _ := e.Pick(key12, route.Host{}, now)
				e.Observe(key12, h, lb.Outcome{OK: 1, Ticket: ticket}, now)
			}
		})
	}
}

// Neither policy allocates for a call, alone or beside the other.
func TestPoliciesDoNotAllocate(t *testing.T) {
	for name, base := range bases() {
		e := settledEngine(base)
		e.Restore(key12, route.Of(hostsN(10)...), 0, 0)
		now := time.Second
		n := testing.AllocsPerRun(1000, func() {
			now += time.Millisecond
			h, ticket, _, _ := e.Pick(key12, route.Host{}, now)
			e.Observe(key12, h, lb.Outcome{OK: 1, Ticket: ticket, Latency: time.Millisecond}, now)
		})
		if n != 0 {
			t.Errorf("%s: %v allocations for a call", name, n)
		}
	}
}

func BenchmarkBalancing(b *testing.B) {
	e := benchEngine(10_000)
	b.ReportAllocs()
	for b.Loop() {
		e.Balancing()
	}
}
