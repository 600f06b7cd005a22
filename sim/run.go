package sim

import (
	"time"

	"lars.internal/call"
	"lars.internal/engine"
	"lars.internal/lb"
	"lars.internal/route"
)

// outcome is how a call ended.
type outcome uint8

const (
	fine outcome = iota
	refused
	timedOut
	failed
)

const (
	connectTime  = 500 * time.Microsecond // of a probe that is answered
	probeTimeout = 150 * time.Millisecond // the default; the agent waits 100 ms for a host that answers so fast
)

// Simulation is a run under way. Make it with Start. Not safe for concurrent use.
type Simulation struct {
	Scenario
	now       time.Duration
	agenda    agenda
	random    random
	servers   []server
	endpoints []route.Endpoint // of all hosts
	callable  []route.Endpoint // of these, those whose weight is not 0
	engines   []*engine.Engine // of the agents, which share them
	budgets   []call.Budget    // by agent: of second tries
	calls     []attempt
	free      []int32 // places of calls
	result    *Result
	probes    []engine.Probe
	events    []engine.Event
}

// Policy makes the balancer of an agent. zone is the zone of the machine.
type Policy func(seed uint64, zone string) lb.Balancer

const firstIP = 0x0a000001

func hostOf(i int) route.Host { return route.Host{IP: firstIP + uint32(i), Port: 80} }

func numberOf(h route.Host) int { return int(h.IP - firstIP) }

// Run simulates the scenario, which must be valid, with this policy.
func Run(sc Scenario, policy Policy) *Result {
	s := Start(sc, policy)
	s.Advance(sc.Length)
	return s.Result()
}

// Start begins to simulate the scenario, which must be valid, with this policy.
func Start(sc Scenario, policy Policy) *Simulation {
	s := &Simulation{Scenario: sc, random: random(sc.Seed*7919 + 1), result: newResult(&sc)}
	s.servers = make([]server, sc.Hosts)
	s.endpoints = make([]route.Endpoint, sc.Hosts)
	for i := range s.servers {
		s.servers[i] = server{slow: 1, service: sc.Service, workers: sc.Workers}
		s.endpoints[i] = route.Endpoint{Host: hostOf(i), Weight: route.DefaultWeight}
	}
	for i := range sc.Steps {
		if st := &sc.Steps[i]; st.At == 0 {
			s.step(st)
		} else {
			s.agenda.add(st.At, steps, int32(i), 0)
		}
	}
	s.choose()
	s.addEngines(policy)
	s.addAgents()
	return s
}

// Advance simulates what happens up to a time, at most the length of the
// scenario.
func (s *Simulation) Advance(to time.Duration) {
	to = min(to, s.Length)
	for s.agenda.heap[0].at <= to { // never empty: each agent will be asked again
		e := s.agenda.next()
		s.now = e.at
		s.handle(e)
	}
	s.now = to
}

// Now returns the virtual time.
func (s *Simulation) Now() time.Duration { return s.now }

// Result returns what the run has shown up to now. It is the last call.
func (s *Simulation) Result() *Result {
	s.result.end()
	for _, e := range s.engines {
		s.result.Counters = s.result.Counters.Plus(e.Balancing())
	}
	return s.result
}

// choose notes which hosts may be called. As in a fleet, agents do not learn of
// the others.
func (s *Simulation) choose() {
	s.callable = s.callable[:0]
	for _, e := range s.endpoints {
		if e.Weight > 0 {
			s.callable = append(s.callable, e)
		}
	}
}

// Agents share engines: about agentsPerEngine have one, but a few agents have
// one each, so that they do not tick in step.
const (
	agentsPerEngine = 64
	ownEngines      = 16
)

// addEngines makes the engines of the agents. An agent is a service of one of
// them: it is balanced by itself, as on a machine of its own.
func (s *Simulation) addEngines(policy Policy) {
	cfg := engine.Config{
		NewBalancer: func(key route.Key, _ []route.Setting, _ lb.Balancer, _ time.Duration) lb.Balancer {
			return policy(s.Seed*1000003+uint64(key.Cmdid)*97+13, s.Zone)
		},
		UpdateTimeout: 2 * maxLength, // nothing is pulled
		MaxServices:   s.Agents,
	}
	s.engines = make([]*engine.Engine, max(min(s.Agents, ownEngines), s.Agents/agentsPerEngine))
	for i := range s.engines {
		s.engines[i] = engine.New(cfg)
		s.agenda.add(time.Duration(s.random.float()*float64(lb.TickAfter)), ticks, int32(i), 0)
	}
}

func keyOf(agent int32) route.Key { return route.Key{Modid: 1, Cmdid: agent} }

func (s *Simulation) engineOf(agent int32) *engine.Engine {
	return s.engines[int(agent)%len(s.engines)]
}

func (s *Simulation) addAgents() {
	s.budgets = make([]call.Budget, s.Agents)
	for i := range s.budgets {
		s.budgets[i] = call.NewBudget(s.Retry)
		s.engineOf(int32(i)).Interest(keyOf(int32(i)), 0) // makes the service known
		s.agenda.add(s.random.exponential(1e9/s.Rate), arrives, int32(i), 0)
	}
	s.route()
}

// route tells all agents which hosts there are.
func (s *Simulation) route() {
	for i := range s.budgets {
		s.engineOf(int32(i)).Update(keyOf(int32(i)), engine.Route{Hosts: s.callable, Removed: true}, s.now)
	}
}

func (s *Simulation) handle(e entry) {
	switch e.kind {
	case arrives:
		s.agenda.add(s.now+s.random.exponential(1e9/s.Rate), arrives, e.x, 0)
		s.result.Calls.add(s.now)
		s.budgets[e.x].Earn()
		s.begin(e.x, s.now, route.Host{}, false)
	case finishes:
		s.finish(e.x)
	case reports:
		s.settle(e.x)
		s.release(e.x)
	case expires:
		s.expire(e.x, e.y)
	case ticks:
		s.agenda.add(s.now+lb.TickAfter, ticks, e.x, 0)
		probes, changed := s.engines[e.x].TickBalancers(s.probes[:0], s.now)
		s.attend(s.engines[e.x], probes, changed)
	case probed:
		s.answer(e.x, int(e.y))
	case steps:
		s.step(&s.Steps[e.x])
	}
}

// attend makes the probes that engines want, and takes the events if there are
// new ones, as the agent does.
func (s *Simulation) attend(e *engine.Engine, probes []engine.Probe, changed bool) {
	for _, p := range probes {
		s.result.Probes++
		i, agent := numberOf(p.Host), p.Key.Cmdid
		if s.servers[i].life == dark || s.random.float() < s.ProbesLost {
			s.agenda.add(s.now+probeTimeout, probed, agent, -int32(i)-1)
		} else {
			s.agenda.add(s.now+connectTime, probed, agent, int32(i))
		}
	}
	s.probes = probes[:0]
	if !changed {
		return
	}
	s.events = e.TakeEvents(s.events[:0])
	for i := range s.events {
		ev := &s.events[i]
		s.result.happened(int(ev.Key.Cmdid), &ev.Event, &s.servers[numberOf(ev.Host)], s.now)
	}
}

// answer gives the answer of a probe to an agent. Hosts without an answer have
// negative numbers.
func (s *Simulation) answer(agent int32, host int) {
	a := lb.ProbeOK
	switch {
	case host < 0:
		a, host = lb.ProbeSilent, -host-1
	case s.servers[host].life == closed:
		a = lb.ProbeRefused
	}
	e := s.engineOf(agent)
	probes, changed := e.Probed(keyOf(agent), hostOf(host), a, s.probes[:0], s.now)
	s.attend(e, probes, changed)
}

// begin picks a host for an operation and calls it.
func (s *Simulation) begin(agent int32, began time.Duration, avoid route.Host, second bool) {
	h, ticket, verdict, _ := s.engineOf(agent).Pick(keyOf(agent), avoid, s.now)
	if verdict != lb.Picked {
		s.result.Refused.add(s.now)
		return
	}
	i, at := s.newCall(), numberOf(h)
	s.calls[i] = attempt{
		began: began, picked: s.now, ticket: ticket, agent: agent, host: int32(at),
		second: second, generation: s.calls[i].generation,
	}
	s.result.picked(at, s.now)
	s.arrive(i)
}

// settle tells the agent how a call ended, and ends the operation or tries again.
func (s *Simulation) settle(i int32) {
	c := s.calls[i]
	if s.ReportsLost == 0 || s.random.float() >= s.ReportsLost {
		s.report(&c)
	}
	if c.outcome == fine {
		s.result.succeeded(int(c.agent), int(c.host), c.picked, s.now)
	} else {
		s.result.FailedBy[c.host]++
		if !c.second && (c.outcome == refused || s.RetryTimeouts) && s.budgets[c.agent].Take() {
			s.result.Retries++
			s.begin(c.agent, c.began, hostOf(int(c.host)), true)
			return
		}
		s.result.Failed.add(s.now)
	}
	s.result.latency(c.began, s.now)
}

func (s *Simulation) report(c *attempt) {
	e := s.engineOf(c.agent)
	effect := e.Observe(keyOf(c.agent), hostOf(int(c.host)), s.outcomeOf(c), s.now)
	probes := s.probes[:0]
	if effect&lb.Asked != 0 {
		probes = e.TakeProbes(probes)
	}
	s.attend(e, probes, effect&lb.Changed != 0)
}

func (s *Simulation) outcomeOf(c *attempt) lb.Outcome {
	o := lb.Outcome{Latency: s.now - c.picked, Ticket: c.ticket}
	if s.NoLatency {
		o.Latency, o.Ticket = 0, 0
	}
	if c.outcome == fine {
		o.OK = 1
		return o
	}
	o.Failed = 1
	if !s.NoKinds {
		o.Kind = [...]lb.Kind{refused: lb.KindRefused, timedOut: lb.KindTimeout, failed: lb.KindError}[c.outcome]
	}
	return o
}
