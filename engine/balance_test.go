package engine

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"lars.internal/lb"
	"lars.internal/lb/adaptive"
	"lars.internal/lb/classic"
	"lars.internal/route"
)

// timed is a balancer that has to be ticked at times which a test decides.
type timed struct {
	lb.Balancer
	next  func() time.Duration // from a tick to the one after it
	due   time.Duration        // by when it has to be ticked
	ticks int
}

func (b *timed) used(now time.Duration) { b.due = min(b.due, now+lb.TickAfter) }

func (b *timed) Pick(now time.Duration, avoid route.Host) (route.Host, lb.Ticket, lb.Verdict) {
	b.used(now)
	return b.Balancer.Pick(now, avoid)
}

func (b *timed) Observe(h route.Host, o lb.Outcome, now time.Duration) lb.Effect {
	e := b.Balancer.Observe(h, o, now)
	if e&lb.Counted != 0 {
		b.used(now)
	}
	return e
}

func (b *timed) Probed(h route.Host, _ lb.Answer, now time.Duration) { b.used(now) }

func (b *timed) Tick(now time.Duration) time.Duration {
	b.ticks++
	if b.due = b.next(); b.due != lb.Never {
		b.due += now
	}
	return b.due
}

// timedEngine returns an engine of timed balancers, and where they are found.
func timedEngine(max int, next func() time.Duration) (*Engine, map[route.Key]*timed) {
	made := make(map[route.Key]*timed)
	return New(Config{
		KeepEmptied: time.Minute, UpdateTimeout: 15 * time.Second, MaxServices: max,
		NewBalancer: func(key route.Key, _ []route.Setting, _ lb.Balancer, _ time.Duration) lb.Balancer {
			made[key] = &timed{Balancer: classic.New(classic.DefaultConfig(), 0), next: next, due: lb.Never}
			return made[key]
		},
	}), made
}

// TestBalancersAreTickedInTime holds whatever happens to the services: after a
// pass no balancer is due any more.
func TestBalancersAreTickedInTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		next := func() time.Duration {
			return rapid.SampledFrom([]time.Duration{0, 20 * time.Millisecond, 70 * time.Millisecond, 2 * time.Second, time.Hour, lb.Never}).Draw(t, "next")
		}
		e, made := timedEngine(rapid.IntRange(2, 4).Draw(t, "max"), next)
		now := time.Hour
		key := func() route.Key { return route.Key{Modid: rapid.Int32Range(0, 3).Draw(t, "modid")} }
		t.Repeat(map[string]func(*rapid.T){
			"":       func(t *rapid.T) { checkInvariants(t, e) },
			"pick":   func(t *rapid.T) { e.pick(key(), now) },
			"update": func(t *rapid.T) { e.update(key(), hostsN(rapid.IntRange(0, 2).Draw(t, "hosts")), false, now) },
			"report": func(t *rapid.T) { e.report(key(), hostN(rapid.IntRange(0, 2).Draw(t, "host")), true, now) },
			"probed": func(t *rapid.T) { e.Probed(key(), hostN(0), lb.ProbeOK, nil, now) },
			"evict":  func(t *rapid.T) { e.evictKnown() },
			"pass": func(t *rapid.T) {
				now += time.Duration(rapid.IntRange(0, 3).Draw(t, "passes")) * lb.TickAfter
				e.TickBalancers(nil, now)
				for k, b := range made {
					if e.Served(k) && b.due < now {
						t.Fatalf("service %v is due at %v and not ticked at %v", k, b.due, now)
					}
				}
			},
		})
	})
}

// TestPassCostsNothingAtRest: of 100,000 services only those are ticked that were
// used, or whose time has come.
func TestPassCostsNothingAtRest(t *testing.T) {
	e, made := timedEngine(100_000, func() time.Duration { return lb.Never })
	for i := range 100_000 {
		e.Restore(route.Key{Modid: 1, Cmdid: int32(i)}, route.Route{Hosts: route.AppendEndpoints(nil, hostsN(2))}, 0, 0)
	}
	pass := func(now time.Duration) (ticks int) {
		for _, b := range made {
			b.ticks = 0
		}
		e.TickBalancers(nil, now)
		for _, b := range made {
			ticks += b.ticks
		}
		return ticks
	}
	if got := pass(0); got != 100_000 {
		t.Errorf("%d new services are ticked, want all", got)
	}
	for i := range 30 {
		e.pick(route.Key{Modid: 1, Cmdid: int32(i * 3000)}, time.Second)
	}
	later := made[route.Key{Modid: 1, Cmdid: 6000}]
	later.next = func() time.Duration { return 10 * time.Second }
	for i, want := range []int{30, 0, 0, 1, 0} {
		if got := pass(time.Second + time.Duration(i)*3500*time.Millisecond); got != want {
			t.Errorf("pass %d: %d services are ticked, want %d", i, got, want)
		}
		later.next = func() time.Duration { return lb.Never }
	}
}

// adaptiveEngine returns an engine of adaptive balancers.
func adaptiveEngine(max int) *Engine {
	return New(Config{
		KeepEmptied: time.Minute, UpdateTimeout: 15 * time.Second, MaxServices: max,
		NewBalancer: func(key route.Key, _ []route.Setting, _ lb.Balancer, _ time.Duration) lb.Balancer {
			return adaptive.New(adaptive.DefaultConfig(), key.Hash())
		},
	})
}

// TestOneRefusedCallIsProbed is the way of a failure from Observe to the ejection:
// the probe is wanted at once, and its answer decides.
func TestOneRefusedCallIsProbed(t *testing.T) {
	e := adaptiveEngine(10)
	now := time.Hour
	e.pick(key12, now)
	e.update(key12, hostsN(3), false, now)
	for range 300 {
		now += lb.TickAfter
		probes, _ := e.TickBalancers(nil, now)
		for _, p := range probes {
			e.Probed(p.Key, p.Host, lb.ProbeOK, nil, now)
		}
	}
	host, ticket, _, _ := e.Pick(key12, route.Host{}, now)
	effect := e.Observe(key12, host, lb.Outcome{Failed: 1, Kind: lb.KindRefused, Ticket: ticket}, now)
	probes := e.TakeProbes(nil)
	if effect&lb.Asked == 0 || len(probes) != 1 || probes[0].Host != host || probes[0].Key != key12 || probes[0].Since != now {
		t.Fatalf("effect %b, probes %v, want one of %v", effect, probes, host)
	}
	if again := e.TakeProbes(nil); len(again) != 0 {
		t.Errorf("the probe is taken twice: %v", again)
	}
	if _, changed := e.Probed(key12, host, lb.ProbeRefused, nil, now); !changed {
		t.Error("nothing has changed with the answer")
	}
	events := e.TakeEvents(nil)
	if h := e.Health(); len(events) != 1 || events[0].Kind != lb.Ejected || h.Ejected != 1 {
		t.Errorf("events %v, health %+v", events, h)
	}
	for back := now + 2*time.Second; now < back; now += lb.TickAfter {
		probes, _ := e.TickBalancers(nil, now)
		for _, p := range probes {
			e.Probed(p.Key, p.Host, lb.ProbeOK, nil, now)
		}
	}
	if events = e.TakeEvents(nil); len(events) != 1 || events[0].Kind != lb.OnTrial || e.Health().Ejected != 0 {
		t.Errorf("events %v, health %+v, want the host back", events, e.Health())
	}
}

// TestSilentProbeIsRepeated: what the balancer wants next comes with the answer.
func TestSilentProbeIsRepeated(t *testing.T) {
	e := adaptiveEngine(10)
	now := time.Hour
	e.pick(key12, now)
	e.update(key12, hostsN(1), false, now)
	var probes []Probe
	for end := now + 20*time.Second; len(probes) == 0 && now < end; now += lb.TickAfter {
		probes, _ = e.TickBalancers(nil, now)
	}
	e.Probed(key12, hostN(0), lb.ProbeOK, nil, now)
	e.Observe(key12, hostN(0), lb.Outcome{Failed: 1, Kind: lb.KindTimeout}, now)
	e.TakeProbes(nil)
	again, _ := e.Probed(key12, hostN(0), lb.ProbeSilent, nil, now)
	if want := []Probe{{key12, lb.Probe{Host: hostN(0), Since: now}}}; !slices.Equal(again, want) {
		t.Errorf("probes %v, want %v", again, want)
	}
	if got, changed := e.Probed(route.Key{Modid: 9}, hostN(0), lb.ProbeOK, nil, now); got != nil || changed {
		t.Errorf("the answer for a service that is gone: %v, %v", got, changed)
	}
}

// TestAdaptiveHistories drives services with adaptive balancers through random
// histories.
func TestAdaptiveHistories(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := adaptiveEngine(rapid.IntRange(1, 6).Draw(t, "max"))
		now := time.Hour
		var asked []Probe
		key := func() route.Key { return route.Key{Modid: rapid.Int32Range(0, 9).Draw(t, "modid")} }
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				checkInvariants(t, e)
				checkEjected(t, e)
			},
			"pick":   func(t *rapid.T) { e.pick(key(), now) },
			"update": func(t *rapid.T) { e.update(key(), hostsN(rapid.IntRange(0, 3).Draw(t, "hosts")), false, now) },
			"report": func(t *rapid.T) {
				k, h := key(), hostN(rapid.IntRange(0, 3).Draw(t, "host"))
				for range rapid.IntRange(1, 10).Draw(t, "times") {
					if e.Observe(k, h, lb.Outcome{Failed: 1, Kind: lb.KindError}, now)&lb.Asked != 0 {
						asked = e.TakeProbes(asked)
					}
				}
			},
			"good":  func(t *rapid.T) { e.report(key(), hostN(rapid.IntRange(0, 3).Draw(t, "host")), true, now) },
			"evict": func(*rapid.T) { e.evictKnown() },
			"pass": func(t *rapid.T) {
				now += time.Duration(rapid.IntRange(1, 30).Draw(t, "passes")) * lb.TickAfter
				asked, _ = e.TickBalancers(asked, now)
			},
			"answer": func(t *rapid.T) {
				if len(asked) > 0 {
					p, a := asked[0], lb.Answer(rapid.IntRange(0, 3).Draw(t, "answer"))
					asked, _ = e.Probed(p.Key, p.Host, a, asked[1:], now)
				}
			},
		})
	})
}

// checkEjected finds the same hosts ejected in the ledger and in the balancers.
func checkEjected(t rapid.TB, e *Engine) {
	t.Helper()
	ejected := 0
	for _, key := range e.Keys() {
		s, _ := e.Explain(key)
		for _, h := range s.Hosts {
			if h.Ejected {
				ejected++
			}
		}
	}
	if got := e.Health().Ejected; got != ejected {
		t.Fatalf("%d hosts are counted as ejected, the balancers say %d", got, ejected)
	}
}

// BenchmarkPass is a pass over services at rest, and over as many in use.
func BenchmarkPass(b *testing.B) {
	for _, c := range []struct {
		name  string
		inUse int
	}{{"rest", 0}, {"100 in use", 100}, {"10,000 in use", 10_000}} {
		b.Run(c.name, func(b *testing.B) {
			e := adaptiveEngine(100_000)
			for i := range 100_000 {
				e.Restore(route.Key{Modid: 1, Cmdid: int32(i)}, route.Route{Hosts: route.AppendEndpoints(nil, hostsN(10))}, 0, 0)
			}
			now := time.Hour
			e.TickBalancers(nil, now)
			for i := range c.inUse {
				e.pick(route.Key{Modid: 1, Cmdid: int32(i)}, now)
			}
			b.ReportAllocs()
			for b.Loop() {
				e.TickBalancers(nil, now)
			}
		})
	}
}
