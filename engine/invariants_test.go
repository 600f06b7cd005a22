package engine

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"lars.internal/lb"
	"lars.internal/lb/classic"
	"lars.internal/ledger"
	"lars.internal/route"
)

// testEngine returns an engine of classic balancers that begin at the first
// host.
func testEngine(max int) *Engine {
	if max == 0 {
		max = 100_000
	}
	return New(Config{
		KeepEmptied:   time.Minute,
		NewBalancer:   newClassic,
		UpdateTimeout: 15 * time.Second,
		MaxServices:   max,
	})
}

// newClassic returns a classic balancer, the present one if there is one.
func newClassic(_ route.Key, _ []route.Setting, have lb.Balancer, _ time.Duration) lb.Balancer {
	if have != nil {
		return have
	}
	return classic.New(classic.DefaultConfig(), 0)
}

// pick is Pick without a host to avoid.
func (e *Engine) pick(key route.Key, now time.Duration) (route.Host, lb.Verdict, bool) {
	host, _, verdict, pull := e.Pick(key, route.Host{}, now)
	return host, verdict, pull
}

// none is no event.
const none = lb.EventKind(255)

// report observes one call and returns what happened to the host.
func (e *Engine) report(key route.Key, host route.Host, ok bool, now time.Duration) lb.EventKind {
	o := lb.Outcome{OK: 1}
	if !ok {
		o = lb.Outcome{Failed: 1}
	}
	if e.Observe(key, host, o, now)&lb.Changed == 0 {
		return none
	}
	events := e.TakeEvents(nil)
	if len(events) == 0 {
		return none // another goroutine took it
	}
	return events[len(events)-1].Kind
}

// update makes hosts the route of the service.
func (e *Engine) update(key route.Key, hosts []route.Host, truncated bool, now time.Duration) Outcome {
	return e.Update(key, Route{Hosts: route.Of(hosts...).Hosts, Truncated: truncated, Removed: len(hosts) == 0}, now)
}

// takeReport takes the first report of the part of a service, which arrives at
// once.
func (e *Engine) takeReport(key route.Key, now time.Duration) (route.Key, []ledger.Result, bool) {
	r, results, ok := e.TakeReport(int(key.Hash()%Parts), nil, now)
	if ok {
		e.Sent(r)
	}
	return r.Key, results, ok
}

// hostState returns what is known of one host.
func (e *Engine) hostState(key route.Key, host route.Host) (HostState, bool) {
	s, _ := e.Explain(key)
	i := slices.IndexFunc(s.Hosts, func(h HostState) bool { return h.Host == host })
	if i < 0 {
		return HostState{}, false
	}
	return s.Hosts[i], true
}

// hostN returns the n-th of many hosts.
func hostN(n int) route.Host {
	return route.Host{IP: 0x0a000001 + uint32(n/1000), Port: uint16(1000 + n%1000)}
}

func hostsN(n int) []route.Host {
	var hosts []route.Host
	for i := range n {
		hosts = append(hosts, hostN(i))
	}
	return hosts
}

// checkInvariants checks the lists and counts.
func checkInvariants(t rapid.TB, e *Engine) {
	t.Helper()
	if err := e.Check(); err != nil {
		t.Fatal(err)
	}
}

// TestRoutesHistories drives the map through random histories.
func TestRoutesHistories(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := testEngine(rapid.IntRange(1, 6).Draw(t, "max"))
		now := time.Hour
		key := func() route.Key { return route.Key{Modid: rapid.Int32Range(0, 9).Draw(t, "modid")} }
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) { checkInvariants(t, r) },
			"pick": func(t *rapid.T) {
				k := key()
				host, code, _ := r.pick(k, now)
				if have, _, _ := r.Interest(k, now); (code != noExist) != (len(have.Hosts) > 0) || code == succ && !slices.Contains(route.HostsOf(have.Hosts), host) {
					t.Fatalf("pick of %v: %v %v, hosts %v", k, host, code, have.Hosts)
				}
			},
			"update": func(t *rapid.T) { r.update(key(), hostsN(rapid.IntRange(0, 3).Draw(t, "hosts")), false, now) },
			"report": func(t *rapid.T) {
				r.report(key(), hostN(rapid.IntRange(0, 3).Draw(t, "host")), rapid.Bool().Draw(t, "ok"), now)
			},
			"take": func(t *rapid.T) { r.takeReport(key(), now) },
			"reset": func(t *rapid.T) {
				for _, k := range r.ConnectionStarted() {
					r.Renew(k, now)
				}
			},
			"remind": func(t *rapid.T) { r.Remind(now - time.Second) },
			"evict":  func(*rapid.T) { r.evictKnown() },
			"tick":   func(t *rapid.T) { r.Tick(now) },
			"empty":  func(t *rapid.T) { r.Update(key(), Route{}, now) },
			"time":   func(t *rapid.T) { now += time.Duration(rapid.IntRange(1, 20).Draw(t, "s")) * time.Second },
		})
	})
}

// evictKnown forgets the service with hosts that was used the longest ago.
func (e *Engine) evictKnown() { e.evict(func(sh *shard) *list { return &sh.known }) }
