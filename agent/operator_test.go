package agent

import (
	"strings"
	"testing"
	"time"

	"lars.internal/engine"
	"lars.internal/internal/metrics/metricstest"
	"lars.internal/larspb"
	"lars.internal/lb"
	"lars.internal/route"
)

// Each agent of a fleet that started called the first hosts of a route, so that
// with few calls all went to these and the others got none. A balancer begins at
// a place that differs between agents and between services.
func TestFinding07FirstPicksAreSpread(t *testing.T) {
	const agents, hosts = 100, 10
	sameService, sameAgent := make(map[route.Host]int), make(map[route.Host]int)
	one := testEngine()
	for i := range agents {
		e := testEngine()
		e.Restore(key12, route.Of(hostsN(hosts)...), 0, 0)
		key := route.Key{Modid: 7, Cmdid: int32(i)}
		one.Restore(key, route.Of(hostsN(hosts)...), 0, 0)
		for range 2 {
			h, _, _, _ := e.Pick(key12, route.Host{}, 0)
			sameService[h]++
			h, _, _, _ = one.Pick(key, route.Host{}, 0)
			sameAgent[h]++
		}
	}
	if len(sameService) != hosts || len(sameAgent) != hosts {
		t.Errorf("two picks by each of %d agents went to %v, of each of %d services to %v; want all of %d hosts among them",
			agents, sameService, agents, sameAgent, hosts)
	}
}

// A healthy route was shown as NEW, which says nothing to an operator.
func TestFinding23WordsForRoutes(t *testing.T) {
	clock := newFakeClock()
	a, err := New(Config{Clock: clock.read})
	if err != nil {
		t.Fatal(err)
	}
	want := func(word string) {
		t.Helper()
		d, _ := a.Hosts(key12)
		if d.Route != word {
			t.Errorf("the route is %q, want %q", d.Route, word)
		}
	}
	update := func(r engine.Route) { a.engine.Update(key12, r, clock.read()) }
	a.engine.Pick(key12, route.Host{}, clock.read())
	want("asking")
	update(engine.Route{})
	want("no hosts")
	update(engine.Route{Hosts: route.Of(hostsN(1)...).Hosts})
	want("fresh")
	clock.advance(40 * time.Second)
	want("stale 40s")
	update(engine.Route{})
	clock.advance(12 * time.Second)
	want("emptied 12s ago")
	update(engine.Route{Hosts: route.Of(hostsN(1)...).Hosts, Stale: true})
	clock.advance(3 * time.Second)
	want("stale 3s")
}

// The lines of ejected and reinstated hosts said no reason.
func TestFinding35EventsSayWhy(t *testing.T) {
	log := newLines()
	s := startSystem(t, func(c *Config) { c.Log = log.logger() })
	s.dns.set(key12, hostsN(2)...)
	p := s.program(0)
	p.served(key12)
	for range 15 {
		p.report(key12, hostN(0), false)
	}
	for range 6 {
		p.report(key12, hostN(0), true)
	}
	eventually(t, "both are logged", func() bool {
		return log.count(`host ejected" service=1/2 host=10.0.0.1:1000 reason="failures in a row 15 >= 15"`) == 1 &&
			log.count(`host reinstated" service=1/2 host=10.0.0.1:1000 reason="share of successes 0.545 > 0.5"`) == 1
	})
}

// A dead host was told as reinstated every 15 s, for ever.
func TestFinding35HostOnTrialIsSaidOnce(t *testing.T) {
	clock, log := newFakeClock(), newLines()
	s := startSystem(t, func(c *Config) { c.Clock, c.Log = clock.read, log.logger() })
	s.dns.set(key12, hostsN(2)...)
	p := s.program(0)
	p.served(key12)
	fail := func(n int) {
		for range n {
			p.report(key12, hostN(0), false)
		}
		p.getHost(key12) // what was reported before is counted
	}
	const rounds = 20
	for range rounds {
		fail(15)
		clock.advance(15 * time.Second)
		fail(1) // it has been ejected for long enough
	}
	eventually(t, "all events are taken", func() bool {
		return s.events.dropped.Load() == 2*rounds-2
	})
	if ejected, trial, back := log.count("host ejected"), log.count("host back on trial"), log.count("host reinstated"); ejected != 1 || trial != 1 || back != 0 {
		t.Errorf("%d lines of an ejection, %d of a trial, %d of a reinstatement; want 1, 1, 0", ejected, trial, back)
	}
	clock.advance(trialPause)
	fail(15)
	eventually(t, "the host is told again after a while", func() bool { return log.count("host ejected") == 2 })
}

// A host that goes on trial and is ejected again and again is told once in ten
// minutes; one that has worked for a minute since, again.
func TestTrialsThatRepeat(t *testing.T) {
	e := &events{trials: make(map[hostKey]onTrial)}
	at := func(now time.Duration, kind lb.EventKind, succ uint64, want bool) {
		t.Helper()
		ev := engine.Event{Key: key12, Event: lb.Event{Host: hostN(0), Kind: kind}, TotalSucc: succ}
		if got := e.repeats(&ev, now); got != want {
			t.Errorf("%v at %v, %d calls succeeded: repeats %v, want %v", kind, now, succ, got, want)
		}
	}
	at(0, lb.Ejected, 0, false)
	at(time.Second, lb.OnTrial, 0, false)
	at(2*time.Second, lb.Ejected, 0, true)
	at(100*time.Second, lb.OnTrial, 0, true)
	at(170*time.Second, lb.Ejected, 0, true) // it has not worked once
	at(180*time.Second, lb.OnTrial, 0, true)
	at(200*time.Second, lb.Ejected, 9, true) // flaps
	at(210*time.Second, lb.OnTrial, 9, true)
	at(270*time.Second, lb.Ejected, 10, false) // was well for a minute
	at(280*time.Second, lb.OnTrial, 10, false)
	at(290*time.Second, lb.Ejected, 10, true)
	at(295*time.Second, lb.Reinstated, 20, false)
	at(300*time.Second, lb.Ejected, 20, false)
}

// A line about an ejection by policy adaptive has the sentence that lars why prints.
func TestEjectionIsExplained(t *testing.T) {
	log := newLines()
	s := startSystem(t, func(c *Config) { c.Policy, c.Log = "adaptive", log.logger() })
	s.dns.set(key12, hostsN(2)...)
	p := s.program(0)
	p.served(key12)
	for range 12 {
		p.report(key12, hostN(0), false)
	}
	eventually(t, "the line is written", func() bool { return log.count(`msg="agent: host ejected"`) == 1 })
	if log.count(`reason="evidence of failures 35.9 >= 30" succeeded=0 failed=12 why="out since `) != 1 ||
		log.count(`RATE: 12 of 12 calls failed since `) != 1 {
		t.Error("the line has no reason")
	}
}

// The memory of hosts on trial is bounded.
func TestTrialsAreBounded(t *testing.T) {
	e := &events{trials: make(map[hostKey]onTrial)}
	for i := range 3 * maxTrials {
		ev := engine.Event{Key: key12, Event: lb.Event{Host: hostN(i), Kind: lb.OnTrial}}
		if e.repeats(&ev, 0) {
			t.Fatalf("the first trial of host %d repeats", i)
		}
	}
	if len(e.trials) > maxTrials {
		t.Errorf("%d hosts are remembered, want at most %d", len(e.trials), maxTrials)
	}
}

// There was no gauge of ejected hosts, of all services or of one.
func TestFinding34Gauges(t *testing.T) {
	a, err := New(Config{MetricsServices: 1, Policy: "classic"})
	if err != nil {
		t.Fatal(err)
	}
	other := route.Key{Modid: 3, Cmdid: 4}
	a.engine.Restore(key12, route.Of(hostsN(3)...), 0, 0)
	a.engine.Restore(other, route.Of(hostsN(1)...), 0, 0)
	a.engine.Pick(key12, route.Host{}, 0)
	a.engine.Pick(route.Key{Modid: 9}, route.Host{}, 0)
	for range 15 {
		a.observe(key12, hostN(0), false, 0)
		a.observe(other, hostN(0), false, 0)
	}
	text := metricstest.Text(t, a.Metrics())
	for _, want := range []string{
		`lars_agent_hosts{state="rotation"} 2`,
		`lars_agent_hosts{state="ejected"} 2`,
		`lars_agent_services_without_hosts 1`,
		`lars_agent_services_all_ejected 1`,
		`lars_agent_services_emptied 0`,
		`lars_agent_service_hosts{service="1/2",state="rotation"} 2`,
		`lars_agent_service_hosts{service="1/2",state="ejected"} 1`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(text, `service="3/4"`) {
		t.Error("more services have gauges of their own than metrics_services")
	}
}

// A pushed change of a route left no line in the log, and an edit of many
// services must not flood it.
func TestFinding36ChangedRoutesAreLogged(t *testing.T) {
	clock, log := newFakeClock(), newLines()
	s := startSystem(t, func(c *Config) { c.Clock, c.Log = clock.read, log.logger() })
	s.dns.set(key12, hostN(0))
	p := s.program(0)
	p.served(key12)
	s.dns.push(key12, hostN(1), hostN(2))
	eventually(t, "the push is logged", func() bool {
		return log.count(`agent: route changed" service=1/2 added="10.0.0.1:1001 10.0.0.1:1002" removed=10.0.0.1:1000 version=0`) == 1
	})
	const many = 3 * linesPerSecond
	for i := range many {
		s.dns.push(key12, hostN(i))
	}
	routes := s.Agent.dns.routes
	eventually(t, "all are taken", func() bool { return routes.quiet.Load() > 0 && s.Agent.dns.pushes.Load() == many+1 })
	if n := log.count("route changed"); n != linesPerSecond {
		t.Errorf("%d lines at info in one second, want %d", n, linesPerSecond)
	}
}

// An answer that turns empty without an edit costs no host its calls, and is
// said.
func TestFinding17EmptiedRouteIsServedAndSaid(t *testing.T) {
	log := newLines()
	s := startSystem(t, func(c *Config) { c.Log = log.logger() })
	s.dns.set(key12, hostN(0))
	p := s.program(0)
	p.served(key12)
	empty := responseOf(key12, nil)
	empty.Removed = false
	s.dns.send(larspb.IDGetRouteResponse, empty)
	eventually(t, "it is logged", func() bool {
		return log.count(`level=WARN msg="agent: route is empty although no edit removed its hosts`) == 1
	})
	if _, code := p.getHost(key12); code != succ {
		t.Errorf("the service is answered with %v", code)
	}
	if n := s.engine.Counters().Emptied; n != 1 {
		t.Errorf("%d emptied routes are counted, want 1", n)
	}
	s.dns.push(key12) // an edit removes the hosts
	eventually(t, "the hosts are gone", func() bool { _, code := p.getHost(key12); return code == noExist })
}

// When the time is over, the hosts of an emptied route go, and that is said, too.
func TestFinding17KeptHostsGoAfterATime(t *testing.T) {
	log := newLines()
	s := startSystem(t, func(c *Config) { c.Log, c.KeepEmptied = log.logger(), time.Millisecond })
	s.dns.set(key12, hostN(0))
	p := s.program(0)
	p.served(key12)
	empty := responseOf(key12, nil)
	empty.Removed = false
	s.dns.send(larspb.IDGetRouteResponse, empty)
	eventually(t, "the removal is logged", func() bool {
		return log.count(`agent: route changed" service=1/2 added="" removed=10.0.0.1:1000`) == 1
	})
	if s.engine.Known() {
		t.Error("the service has hosts still")
	}
}
