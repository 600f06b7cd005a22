package classic

import (
	"fmt"
	"time"

	"lars.internal/lb"
	"lars.internal/ledger"
	"lars.internal/route"
)

// subject is a balancer with the ledger that counts for it, driven in the terms
// of the original. It begins at the first host, as the original does.
type subject struct {
	*Balancer
	ledger  ledger.Ledger
	account *ledger.Account
	taken   []ledger.Result
}

func newSubject(cfg Config) *subject {
	s := &subject{Balancer: New(cfg, 0)}
	s.account = s.ledger.Open(route.Key{}, nil, 0)
	return s
}

// newClassic returns a subject of n hosts of which the last ones are ejected.
func newClassic(n, ejected int) *subject {
	c := newSubject(DefaultConfig())
	c.Update(hostsOf(n), 0)
	for i := n - ejected; i < n; i++ {
		for range c.cfg.ContinErrLimit {
			c.Report(host(i), false, 0)
		}
	}
	return c
}

// Change is what a result of a call did to the state of its host.
type Change uint8

const (
	None Change = iota
	Ejected
	Reinstated
	Unknown
)

func (c Change) String() string { return [...]string{"none", "ejected", "reinstated", "unknown"}[c] }

// Result is what the report service of the original is told of one host.
type Result struct {
	Host                route.Host
	Succ, Err           uint32
	TotalSucc, TotalErr uint64
	Overload            bool
}

// HostState is all that is known of one host.
type HostState struct {
	Host                             route.Host
	Overload                         bool
	Since, Window                    time.Duration
	VirtualSucc, VirtualErr          uint32
	Succ, Err, ContinSucc, ContinErr uint32
	TotalSucc, TotalErr              uint64
	Ejected, Reinstated              uint32
}

func (s *subject) Update(hosts []route.Host, now time.Duration) {
	s.Balancer.Update(route.AppendEndpoints(nil, hosts), now)
	s.ledger.Update(s.account, hosts, now)
}

func (s *subject) Pick(now time.Duration) (route.Host, lb.Verdict) {
	host, _, verdict := s.Balancer.Pick(now, route.Host{})
	return host, verdict
}

func (s *subject) Report(h route.Host, ok bool, now time.Duration) Change {
	o := lb.Outcome{OK: 1}
	if !ok {
		o = lb.Outcome{Failed: 1}
	}
	effect := s.Observe(h, o, now)
	s.ledger.Count(s.account, h, o, effect, now)
	switch {
	case effect&lb.Counted == 0:
		return Unknown
	case effect&lb.Changed == 0:
		return None
	}
	var memory [1]lb.Event
	events := s.Events(memory[:0])
	if len(events) != 1 || events[0].Host != h {
		panic(fmt.Sprintf("events %v of a call to %v", events, h))
	}
	s.ledger.Happened(s.account, &events[0], now)
	if events[0].Kind == lb.Ejected {
		return Ejected
	}
	return Reinstated
}

// Collect appends the results of all hosts, which then count as reported.
func (s *subject) Collect(dst []Result) []Result {
	s.ledger.Remind(s.account, ledger.Never)
	a, taken, _ := s.ledger.Take(s.taken[:0], 0)
	s.ledger.Acked(a)
	s.taken = taken
	for _, r := range taken {
		dst = append(dst, Result{r.Host, r.Succ, r.Err, r.TotalSucc, r.TotalErr, r.Overload})
	}
	return dst
}

func (s *subject) Explain(dst []HostState) []HostState {
	for _, h := range s.Balancer.Explain(nil) {
		dst = append(dst, s.state(&h))
	}
	return dst
}

func (s *subject) state(h *lb.HostState) HostState {
	n := &s.nodes[s.index.Find(s.hosts, h.Host)]
	count := func(name string) uint32 { return uint32(h.Fact(name)) }
	state := HostState{
		Host: h.Host, Overload: h.Ejected, Since: h.Since, Window: n.window,
		VirtualSucc: count("virtual_succ"), VirtualErr: count("virtual_err"),
		Succ: count("succ"), Err: count("err"),
		ContinSucc: count("contin_succ"), ContinErr: count("contin_err"),
		Ejected: h.Ejections, Reinstated: h.Reinstatements,
	}
	state.TotalSucc, state.TotalErr = s.account.Totals(h.Host)
	return state
}
