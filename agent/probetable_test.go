package agent

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"lars.internal/engine"
	"lars.internal/lb"
	"lars.internal/lb/adaptive"
	"lars.internal/route"
)

// probeOf is a probe of a host for a service.
func probeOf(service int, h route.Host, since time.Duration) engine.Probe {
	return engine.Probe{Key: route.Key{Modid: int32(service)}, Probe: lb.Probe{Host: h, Since: since}}
}

// wantQueued asks for a probe whose answer is not known.
func (t *probeTable) wantQueued(tt testing.TB, p engine.Probe) {
	tt.Helper()
	if a, known := t.ask(p); known {
		tt.Fatalf("the answer is known: %v", a)
	}
}

func TestOneConnectForAllWhoAsk(t *testing.T) {
	table := newProbeTable(adaptive.DefaultConfig().ProbeTimeout)
	now := time.Hour
	first, second := probeOf(1, hostN(0), now), probeOf(2, hostN(0), now)
	table.wantQueued(t, first)
	table.wantQueued(t, second)
	a, _ := table.next(now)
	if a == nil || a.host != hostN(0) {
		t.Fatalf("next is %v", a)
	}
	if b, _ := table.next(now); b != nil {
		t.Errorf("a second connect to %v", b.host)
	}
	if got := table.ended(a, lb.ProbeRefused, now+1); !slices.Equal(got, []engine.Probe{first, second}) {
		t.Errorf("answered %v, want both", got)
	}
}

// TestAnswersThatAreTooOld: a connect that began before the suspicion does not
// clear it, and an answer is shared with all for whom it is new enough.
func TestAnswersThatAreTooOld(t *testing.T) {
	table := newProbeTable(adaptive.DefaultConfig().ProbeTimeout)
	now := time.Hour
	early, late := probeOf(1, hostN(0), now), probeOf(2, hostN(0), now+5*time.Millisecond)
	table.wantQueued(t, early)
	a, _ := table.next(now)
	table.wantQueued(t, late)
	if got := table.ended(a, lb.ProbeOK, now+10*time.Millisecond); !slices.Equal(got, []engine.Probe{early}) {
		t.Errorf("answered %v, want the early one", got)
	}
	if a, _ = table.next(now + 10*time.Millisecond); a == nil {
		t.Fatal("there is no second connect")
	}
	if got := table.ended(a, lb.ProbeRefused, now+11*time.Millisecond); !slices.Equal(got, []engine.Probe{late}) {
		t.Errorf("answered %v, want the late one", got)
	}
	if answer, known := table.ask(probeOf(3, hostN(0), now)); !known || answer != lb.ProbeRefused {
		t.Errorf("for one who asks later: %v, %v", answer, known)
	}
	table.wantQueued(t, probeOf(3, hostN(0), now+time.Second))
}

// TestProbeThatCouldNotBeMadeAnswersAll and is not remembered.
func TestProbeThatCouldNotBeMadeAnswersAll(t *testing.T) {
	table := newProbeTable(adaptive.DefaultConfig().ProbeTimeout)
	table.wantQueued(t, probeOf(1, hostN(0), 0))
	a, _ := table.next(0)
	late := probeOf(2, hostN(0), time.Second)
	table.wantQueued(t, late)
	if got := table.ended(a, lb.ProbeNone, 0); len(got) != 2 {
		t.Errorf("answered %v, want both", got)
	}
	table.wantQueued(t, probeOf(1, hostN(0), 0))
}

func TestConnectsAreBounded(t *testing.T) {
	table := newProbeTable(adaptive.DefaultConfig().ProbeTimeout)
	var flying []*address
	for i := range maxWaiting {
		table.wantQueued(t, probeOf(i, hostN(i), 0))
	}
	for a, _ := table.next(0); a != nil; a, _ = table.next(0) {
		if a.host != hostN(len(flying)) {
			t.Fatalf("connect %d is to %v", len(flying), a.host)
		}
		flying = append(flying, a)
	}
	if len(flying) != maxConnects {
		t.Errorf("%d connects at a time, want %d", len(flying), maxConnects)
	}
	for _, h := range []route.Host{hostN(0), hostN(maxWaiting)} {
		if answer, known := table.ask(probeOf(0, h, 0)); !known || answer != lb.ProbeNone {
			t.Errorf("beyond the bound: %v, %v", answer, known)
		}
	}
	if table.dropped != 2 {
		t.Errorf("%d are counted as dropped, want 2", table.dropped)
	}
	table.ended(flying[0], lb.ProbeOK, 0)
	if a, _ := table.next(0); a == nil || a.host != hostN(maxConnects) {
		t.Errorf("after one has ended: %v", a)
	}
	table.wantQueued(t, probeOf(0, hostN(maxWaiting), 0)) // hostN(0) makes room
	if len(table.addresses) != maxAddresses || table.addresses[hostN(0)] != nil {
		t.Errorf("%d addresses are remembered, want %d", len(table.addresses), maxAddresses)
	}
}

// TestConnectsGetTheTimeTheyNeed: four times what they took before, within bounds,
// and now and then all of it, for a host that has been silent for long.
func TestConnectsGetTheTimeTheyNeed(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		name    string
		answers []lb.Answer
		took    time.Duration
		want    time.Duration
	}{
		{"nothing known", nil, 0, 150 * ms},
		{"near", []lb.Answer{lb.ProbeOK}, 200 * time.Microsecond, 100 * ms},
		{"middle", []lb.Answer{lb.ProbeRefused}, 60 * ms, 240 * ms},
		{"far", []lb.Answer{lb.ProbeOK}, 400 * ms, time.Second},
		{"silent for a while", slices.Repeat([]lb.Answer{lb.ProbeSilent}, 24), 150 * ms, 150 * ms},
		{"silent for long", slices.Repeat([]lb.Answer{lb.ProbeSilent}, 33), 150 * ms, 150 * ms},
		{"silent for long, the eighth", slices.Repeat([]lb.Answer{lb.ProbeSilent}, 40), 150 * ms, time.Second},
		{"answered again", []lb.Answer{lb.ProbeSilent, lb.ProbeSilent, lb.ProbeSilent, lb.ProbeOK}, 60 * ms, 240 * ms},
		{"not made", []lb.Answer{lb.ProbeNone}, 60 * ms, 150 * ms},
	} {
		table := newProbeTable(150 * ms)
		now := time.Hour
		for _, answer := range c.answers {
			table.wantQueued(t, probeOf(1, hostN(0), now))
			a, _ := table.next(now)
			now += c.took
			table.ended(a, answer, now)
		}
		table.wantQueued(t, probeOf(1, hostN(0), now))
		if _, wait := table.next(now); wait != c.want {
			t.Errorf("%s: %v, want %v", c.name, wait, c.want)
		}
	}
}

// probing is a table in virtual time, with what was asked of it.
type probing struct {
	table   probeTable
	now     time.Duration
	asked   int
	open    map[engine.Probe]int // asked for and not answered yet
	refused map[route.Key]bool   // whose last answer was that the host is dead
	flying  []*address
}

// answered fails unless the probe waits for an answer, and the connect began
// late enough. A service may also hear of a connect that others asked for.
func (p *probing) answered(t *rapid.T, probe engine.Probe, a *address, answer lb.Answer) {
	if p.refused[probe.Key] && probe.Since == 0 && answer == lb.ProbeOK {
		delete(p.refused, probe.Key)
		return
	}
	p.refused[probe.Key] = answer != lb.ProbeOK && answer != lb.ProbeNone
	if p.open[probe]--; p.open[probe] != 0 || answer != lb.ProbeNone && a.began < probe.Since {
		t.Fatalf("%v is answered by a connect that began at %v; %d times asked", probe, a.began, p.open[probe]+1)
	}
	delete(p.open, probe)
}

// check compares the counts of the table with what it holds.
func (p *probing) check(t *rapid.T) {
	at := make(map[route.Host]bool)
	for _, a := range p.flying {
		if at[a.host] {
			t.Fatalf("two connects to %v", a.host)
		}
		at[a.host] = true
	}
	told := 0
	for _, a := range p.table.addresses {
		told += len(a.told)
	}
	if p.table.waiting != len(p.open) || p.table.flying != len(p.flying) || p.table.told != told {
		t.Fatalf("%d wait, %d fly, %d told; counted %d, %d and %d", len(p.open), len(p.flying), told, p.table.waiting, p.table.flying, p.table.told)
	}
}

func (p *probing) ask(t *rapid.T) {
	p.asked++
	probe := probeOf(p.asked, hostN(rapid.IntRange(0, 3).Draw(t, "host")), p.now-time.Duration(rapid.IntRange(0, 5).Draw(t, "age")))
	p.open[probe]++
	if answer, known := p.table.ask(probe); known {
		p.answered(t, probe, p.table.addresses[probe.Host], answer)
	}
}

// next begins a connect and reports whether there was one to begin.
func (p *probing) next() bool {
	a, _ := p.table.next(p.now)
	if a != nil {
		p.flying = append(p.flying, a)
	}
	return a != nil
}

// end ends the connect number i.
func (p *probing) end(t *rapid.T, i int, answer lb.Answer) {
	a := p.flying[i]
	p.flying = slices.Delete(p.flying, i, i+1)
	for _, probe := range p.table.ended(a, answer, p.now) {
		p.answered(t, probe, a, answer)
	}
}

// TestEachProbeIsAnsweredOnce whatever happens, by a connect that began late
// enough, and none waits for ever.
func TestEachProbeIsAnsweredOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := &probing{
			table: newProbeTable(150 * time.Millisecond), now: time.Hour,
			open: make(map[engine.Probe]int), refused: make(map[route.Key]bool),
		}
		t.Repeat(map[string]func(*rapid.T){
			"":     p.check,
			"ask":  p.ask,
			"next": func(*rapid.T) { p.next() },
			"end": func(t *rapid.T) {
				if n := len(p.flying); n > 0 {
					p.end(t, rapid.IntRange(0, n-1).Draw(t, "connect"), lb.Answer(rapid.IntRange(0, 3).Draw(t, "answer")))
				}
			},
			"time": func(*rapid.T) { p.now++ },
		})
		for p.table.waiting > 0 {
			for p.next() {
			}
			for len(p.flying) > 0 {
				p.end(t, 0, lb.ProbeOK)
			}
		}
	})
}

// shared is many services that have their hosts in common, in virtual time.
type shared struct {
	*engine.Engine
	table    probeTable
	now      time.Duration
	connects map[route.Host]int
	answer   map[route.Host]lb.Answer // of probes
}

func newShared(services int, hosts []route.Host) *shared {
	cfg := Config{Policy: "adaptive"}
	cfg.setDefaults()
	s := &shared{
		Engine: newEngine(&cfg), table: newProbeTable(150 * time.Millisecond), now: time.Hour,
		connects: make(map[route.Host]int), answer: make(map[route.Host]lb.Answer),
	}
	for i := range services {
		s.Restore(route.Key{Modid: 1, Cmdid: int32(i)}, route.Of(hosts...), 0, s.now)
	}
	return s
}

// run lets time pass, and answers each probe at once.
func (s *shared) run(d time.Duration) {
	for end := s.now + d; s.now < end; s.now += lb.TickAfter {
		asked, _ := s.TickBalancers(nil, s.now)
		s.attend(asked)
	}
}

func (s *shared) attend(asked []engine.Probe) {
	for len(asked) > 0 {
		for i := 0; i < len(asked); i++ {
			if answer, known := s.table.ask(asked[i]); known {
				asked, _ = s.Probed(asked[i].Key, asked[i].Host, answer, asked, s.now)
			}
		}
		asked = asked[:0]
		for a, _ := s.table.next(s.now); a != nil; a, _ = s.table.next(s.now) {
			s.connects[a.host]++
			for _, p := range s.table.ended(a, s.answer[a.host], s.now) {
				asked, _ = s.Probed(p.Key, p.Host, s.answer[a.host], asked, s.now)
			}
		}
	}
}

// TestServicesShareTheConnectsToAHost: 200 services with the same hosts cost a
// host no more connects than one does, but for the suspicions.
func TestServicesShareTheConnectsToAHost(t *testing.T) {
	for range 5 { // each with other random numbers
		testShared(t, 200)
	}
}

func testShared(t *testing.T, services int) {
	hosts := hostsN(3)
	s := newShared(services, hosts)
	if s.run(11 * time.Second); s.connects[hosts[1]] > 2 {
		t.Errorf("%d connects to a host within 11 s of the start, want at most 2", s.connects[hosts[1]])
	}
	s.answer[hosts[0]] = lb.ProbeRefused
	for i := range services {
		for range 2 {
			s.Observe(route.Key{Modid: 1, Cmdid: int32(i)}, hosts[0], lb.Outcome{Failed: 1, Kind: lb.KindRefused}, s.now)
		}
	}
	s.attend(s.TakeProbes(nil))
	if h := s.Health(); h.Ejected != services {
		t.Fatalf("%d services have ejected the dead host, want all %d", h.Ejected, services)
	}
	s.run(2 * time.Second) // the first probes come sooner
	clear(s.connects)
	s.run(20 * time.Second)
	if n := s.connects[hosts[0]]; n < 15 || n > 28 {
		t.Errorf("%d connects to a dead host in 20 s, want about 20", n)
	}
	s.answer[hosts[0]] = lb.ProbeOK
	clear(s.connects)
	s.run(1300 * time.Millisecond)
	if h := s.Health(); h.Ejected != 0 || s.connects[hosts[0]] > 3 {
		t.Errorf("1.3 s after it healed %d services have it ejected still, after %d connects", h.Ejected, s.connects[hosts[0]])
	}
}
