package classic

import (
	"time"

	"lars.internal/lb"
	"lars.internal/route"
)

// maxEvents is how many events are kept for Events. The caller takes them after
// each Observe that has one.
const maxEvents = 64

// Balancer implements lb.Balancer. It ignores weights above 0, zones, tickets, kinds,
// latencies and the host to avoid, and asks for no probes. Not safe for
// concurrent use.
type Balancer struct {
	cfg   Config // immutable after New
	start uint64 // immutable after New

	// Invariant: each node is in exactly one ring, the one of its state; hosts
	// holds the host of each node, and the index is that of hosts.
	nodes    []node
	hosts    []route.Host
	index    route.Index
	idle     ring
	overload ring

	accessCnt int // picks since the last probe while a host was ejected
	events    []lb.Event
	ejections [windowRate + 1]uint32 // by rule, since New
}

// New returns a balancer without hosts. cfg must be valid. The first round
// begins at host number start modulo their number, in the order in which
// Update names them.
func New(cfg Config, start uint64) *Balancer {
	return &Balancer{cfg: cfg, start: start, idle: ring{none}, overload: ring{none}}
}

// Pick returns the next host in turn, or a probe of an ejected one.
func (c *Balancer) Pick(time.Duration, route.Host) (route.Host, lb.Ticket, lb.Verdict) {
	from := &c.idle
	if c.overload.head != none {
		if c.accessCnt >= c.cfg.ProbeNum {
			c.accessCnt = 0
			from = &c.overload
		} else {
			c.accessCnt++
		}
	}
	if from.head == none {
		return route.Host{}, 0, c.refusal()
	}
	host := c.hosts[from.head]
	from.rotate(c.nodes)
	return host, 0, lb.Picked
}

// Assign does nothing: only the picks that are made here matter.
func (c *Balancer) Assign(route.Host, time.Duration) lb.Ticket { return 0 }

func (c *Balancer) refusal() lb.Verdict {
	if len(c.nodes) == 0 {
		return lb.NoHosts
	}
	return lb.Overloaded
}

// Observe counts the calls one by one, the successes first, and judges the host
// after each.
func (c *Balancer) Observe(host route.Host, o lb.Outcome, now time.Duration) lb.Effect {
	i := c.index.Find(c.hosts, host)
	if i < 0 {
		return 0
	}
	effect := lb.Counted
	if o.Kind == lb.KindIgnored {
		return effect
	}
	for range o.OK {
		effect |= c.count(int32(i), true, now)
	}
	for range o.Failed {
		effect |= c.count(int32(i), false, now)
	}
	return effect
}

// count counts the result of a call and judges its host.
func (c *Balancer) count(i int32, ok bool, now time.Duration) lb.Effect {
	c.nodes[i].count(ok)
	if c.nodes[i].overload {
		return c.judgeOverload(i, ok, now)
	}
	return c.judgeIdle(i, ok, now)
}

func (c *Balancer) judgeIdle(i int32, ok bool, now time.Duration) lb.Effect {
	n := &c.nodes[i]
	if !ok {
		if rate := share(n.verr, n.vsucc); rate > c.cfg.ErrRate {
			return c.eject(i, errRate, now, lb.Event{Reason: "share of failures", Value: rate, Sign: ">", Limit: c.cfg.ErrRate})
		}
		if n.continErr >= uint32(c.cfg.ContinErrLimit) {
			return c.eject(i, errsInRow, now, lb.Event{Reason: "failures in a row", Value: float64(n.continErr), Sign: ">=", Limit: float64(c.cfg.ContinErrLimit)})
		}
	}
	if now-n.window < c.cfg.IdleTimeout {
		return 0
	}
	if rate := share(n.rerr, n.rsucc); rate >= c.cfg.WindowErrRate {
		return c.eject(i, windowRate, now, lb.Event{Reason: "share of failures in a window", Value: rate, Sign: ">=", Limit: c.cfg.WindowErrRate})
	}
	n.open(c.cfg.InitSuccCnt, 0, now)
	return lb.WindowClosed
}

func (c *Balancer) judgeOverload(i int32, ok bool, now time.Duration) lb.Effect {
	n := &c.nodes[i]
	if ok {
		if rate := share(n.vsucc, n.verr); rate > c.cfg.SuccRate {
			return c.reinstate(i, succRate, now, lb.Event{Kind: lb.Reinstated, Reason: "share of successes", Value: rate, Sign: ">", Limit: c.cfg.SuccRate})
		}
		if n.continSucc >= uint32(c.cfg.ContinSuccLimit) {
			return c.reinstate(i, succsInRow, now, lb.Event{Kind: lb.Reinstated, Reason: "successes in a row", Value: float64(n.continSucc), Sign: ">=", Limit: float64(c.cfg.ContinSuccLimit)})
		}
	}
	out := now - n.window
	if out < c.cfg.OverloadTimeout {
		return 0
	}
	kind := lb.OnTrial
	if ok {
		kind = lb.Reinstated
	}
	return c.reinstate(i, outLongAgo, now, lb.Event{Kind: kind, Reason: "seconds ejected", Value: out.Seconds(), Sign: ">=", Limit: c.cfg.OverloadTimeout.Seconds()})
}

func (c *Balancer) eject(i int32, by cause, now time.Duration, why lb.Event) lb.Effect {
	n := &c.nodes[i]
	n.open(0, c.cfg.InitErrCnt, now)
	n.overload, n.since = true, now
	n.cause, n.value = by, float32(why.Value)
	n.ejected++
	c.ejections[by]++
	c.idle.remove(c.nodes, i)
	c.overload.push(c.nodes, i)
	return c.happened(i, why)
}

func (c *Balancer) reinstate(i int32, by cause, now time.Duration, why lb.Event) lb.Effect {
	n := &c.nodes[i]
	n.open(c.cfg.InitSuccCnt, 0, now)
	n.overload, n.since = false, now
	n.cause, n.value = by, float32(why.Value)
	n.reinstated++
	c.overload.remove(c.nodes, i)
	c.idle.push(c.nodes, i)
	return c.happened(i, why)
}

func (c *Balancer) happened(i int32, e lb.Event) lb.Effect {
	e.Host = c.hosts[i]
	if len(c.events) < maxEvents {
		c.events = append(c.events, e)
	}
	return lb.WindowClosed | lb.Changed
}

// Update takes time in proportion to the number of hosts. New ones join the end
// of the idle queue in the order given. One that left and comes back starts
// anew; one of weight 0 is as good as gone.
func (c *Balancer) Update(endpoints []route.Endpoint, now time.Duration) {
	first := len(c.nodes) == 0
	c.reserve(len(endpoints))
	for i := range endpoints {
		if endpoints[i].Weight == 0 {
			continue
		}
		h := endpoints[i].Host
		at := c.index.Find(c.hosts, h)
		if at < 0 {
			at = c.add(h, now)
		}
		c.nodes[at].keep = true
	}
	c.sweep()
	if first && len(c.nodes) > 0 {
		c.idle.head = int32(c.start % uint64(len(c.nodes)))
	}
}

// reserve makes room for n hosts in one step, so that the first Update of a
// service leaves no spare memory behind.
func (c *Balancer) reserve(n int) {
	if n > cap(c.nodes) {
		c.nodes = append(make([]node, 0, n), c.nodes...)
		c.hosts = append(make([]route.Host, 0, n), c.hosts...)
	}
	if !c.index.Fits(n) {
		c.index.Rebuild(c.hosts, n)
	}
}

// add puts a new host at the end of the idle queue.
func (c *Balancer) add(h route.Host, now time.Duration) int {
	i := len(c.nodes)
	c.nodes = append(c.nodes, node{vsucc: uint32(c.cfg.InitSuccCnt), window: now, since: now})
	c.hosts = append(c.hosts, h)
	c.index.Appended(c.hosts)
	c.idle.push(c.nodes, int32(i))
	return i
}

// sweep takes out the nodes that Update did not mark, and the marks. It goes
// backwards: the last node, which fills a gap, has been looked at before.
func (c *Balancer) sweep() {
	before := len(c.nodes)
	for i := before - 1; i >= 0; i-- {
		if n := &c.nodes[i]; n.keep {
			n.keep = false
			continue
		}
		c.remove(int32(i))
	}
	if len(c.nodes) == before {
		return
	}
	if cap(c.nodes) > 2*len(c.nodes) {
		c.nodes = append(make([]node, 0, len(c.nodes)), c.nodes...)
		c.hosts = append(make([]route.Host, 0, len(c.hosts)), c.hosts...)
	}
	c.index.Rebuild(c.hosts, len(c.hosts))
}

// remove takes node i out of its queue and out of nodes; the index is wrong
// until it is rebuilt.
func (c *Balancer) remove(i int32) {
	c.ringOf(&c.nodes[i]).remove(c.nodes, i)
	last := int32(len(c.nodes) - 1)
	if i != last {
		c.ringOf(&c.nodes[last]).move(c.nodes, last, i)
		c.hosts[i] = c.hosts[last]
	}
	c.nodes, c.hosts = c.nodes[:last], c.hosts[:last]
}

func (c *Balancer) ringOf(n *node) *ring {
	if n.overload {
		return &c.overload
	}
	return &c.idle
}

// Tick does nothing: only outcomes change a state.
func (c *Balancer) Tick(time.Duration) time.Duration { return lb.Never }

// Probes asks for none: every ProbeNum + 1st call is a probe.
func (c *Balancer) Probes(dst []lb.Probe) []lb.Probe { return dst }

// Probed ignores the answer.
func (c *Balancer) Probed(route.Host, lb.Answer, time.Duration) {}

// Counters returns the ejections by rule.
func (c *Balancer) Counters() lb.Counters {
	return lb.Counters{
		EjectedShare:  uint64(c.ejections[errRate]),
		EjectedRow:    uint64(c.ejections[errsInRow]),
		EjectedWindow: uint64(c.ejections[windowRate]),
	}
}

// Events appends what happened since the last call. The first 64 are kept.
func (c *Balancer) Events(dst []lb.Event) []lb.Event {
	dst = append(dst, c.events...)
	c.events = c.events[:0]
	return dst
}
