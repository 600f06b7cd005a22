package lb

import (
	"slices"
	"time"

	"lars.internal/route"
)

// maxDeparted bounds the results kept of hosts that left. It is many times
// what one edit of a route removes, and 40 KB.
const maxDeparted = 1024

// Classic is the balancer of the original Lars, exact to the step.
//
// Hosts are taken in turn from the idle queue. A host is ejected when too
// large a share of its calls fails, when too many fail in a row, or when most
// calls of a whole window failed. While hosts are ejected, every ProbeNum + 1st
// pick tries the one at the head of their queue; enough successes, or
// OverloadTimeout, bring it back.
//
// One dead host of N so takes about 9 % of all calls, whatever N is, because
// it is probed as long as it is ejected. Not ejecting at all costs 1/N, so
// above 11 hosts Classic makes a dead host worse.
//
// Not safe for concurrent use.
type Classic struct {
	cfg Config // immutable after NewClassic

	// Invariant: each node is in exactly one ring, the one of its state, and
	// in the index.
	nodes    []node
	index    index
	idle     ring
	overload ring

	accessCnt int // picks since the last probe while a host was ejected

	// Hosts that left with counts that no Collect has returned, the oldest
	// first. Invariant: without duplicates, and none of them is in nodes.
	departed []Result
	dropped  uint64
}

// NewClassic returns a Classic without hosts. cfg must be valid.
func NewClassic(cfg Config) *Classic {
	return &Classic{cfg: cfg, idle: ring{none}, overload: ring{none}}
}

// Pick returns the next host in turn, or a probe of an ejected one. The time
// does not matter to it.
func (c *Classic) Pick(time.Duration) (route.Host, Verdict) {
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
		return route.Host{}, c.refusal()
	}
	host := c.nodes[from.head].host
	from.rotate(c.nodes)
	return host, Picked
}

func (c *Classic) refusal() Verdict {
	if len(c.nodes) == 0 {
		return NoHosts
	}
	return Overloaded
}

// Report counts the result of a call and judges its host.
func (c *Classic) Report(host route.Host, ok bool, now time.Duration) Change {
	i := c.index.find(c.nodes, host)
	if i == none {
		return Unknown
	}
	c.nodes[i].count(ok)
	if c.nodes[i].overload {
		return c.judgeOverload(i, ok, now)
	}
	return c.judgeIdle(i, ok, now)
}

func (c *Classic) judgeIdle(i int32, ok bool, now time.Duration) Change {
	n := &c.nodes[i]
	if !ok && (share(n.verr, n.vsucc) > c.cfg.ErrRate || n.continErr >= uint32(c.cfg.ContinErrLimit)) {
		return c.eject(i, now)
	}
	if now-n.window < c.cfg.IdleTimeout {
		return None
	}
	if share(n.rerr, n.rsucc) >= c.cfg.WindowErrRate {
		return c.eject(i, now)
	}
	n.open(c.cfg.InitSuccCnt, 0, now)
	return None
}

func (c *Classic) judgeOverload(i int32, ok bool, now time.Duration) Change {
	n := &c.nodes[i]
	if ok && (share(n.vsucc, n.verr) > c.cfg.SuccRate || n.continSucc >= uint32(c.cfg.ContinSuccLimit)) {
		return c.reinstate(i, now)
	}
	if now-n.window >= c.cfg.OverloadTimeout {
		return c.reinstate(i, now)
	}
	return None
}

func (c *Classic) eject(i int32, now time.Duration) Change {
	n := &c.nodes[i]
	n.open(0, c.cfg.InitErrCnt, now)
	n.overload, n.since = true, now
	n.ejected++
	c.idle.remove(c.nodes, i)
	c.overload.push(c.nodes, i)
	return Ejected
}

func (c *Classic) reinstate(i int32, now time.Duration) Change {
	n := &c.nodes[i]
	n.open(c.cfg.InitSuccCnt, 0, now)
	n.overload, n.since = false, now
	n.reinstated++
	c.overload.remove(c.nodes, i)
	c.idle.push(c.nodes, i)
	return Reinstated
}

// Update makes hosts the hosts of the service, in time proportional to their
// number. One that left and comes back starts anew.
func (c *Classic) Update(hosts []route.Host, now time.Duration) {
	c.reserve(len(hosts))
	for _, h := range hosts {
		i := c.index.find(c.nodes, h)
		if i == none {
			i = c.add(h, now)
		}
		c.nodes[i].keep = true
	}
	c.sweep()
	c.rejoin()
	if over := len(c.departed) - maxDeparted; over > 0 {
		c.dropped += uint64(over)
		c.departed = slices.Clone(c.departed[over:])
	}
}

// reserve makes room for n hosts in one step, so that the first Update of a
// service leaves no spare memory behind.
func (c *Classic) reserve(n int) {
	if n > cap(c.nodes) {
		c.nodes = append(make([]node, 0, n), c.nodes...)
	}
	if !c.index.fits(n) {
		c.index.rebuild(c.nodes, n)
	}
}

// add puts a new host at the end of the idle queue.
func (c *Classic) add(h route.Host, now time.Duration) int32 {
	i := int32(len(c.nodes))
	c.nodes = append(c.nodes, node{host: h, vsucc: uint32(c.cfg.InitSuccCnt), window: now, since: now})
	if c.index.fits(len(c.nodes)) {
		c.index.insert(h, i)
	} else {
		c.index.rebuild(c.nodes, len(c.nodes))
	}
	c.idle.push(c.nodes, i)
	return i
}

// sweep takes out the nodes that Update did not mark, and the marks. It goes
// backwards: the last node, which fills a gap, has been looked at before.
func (c *Classic) sweep() {
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
	}
	c.index.rebuild(c.nodes, len(c.nodes))
}

// remove takes node i out of its queue and out of nodes; the index is wrong
// until it is rebuilt.
func (c *Classic) remove(i int32) {
	n := &c.nodes[i]
	if n.news {
		c.departed = append(c.departed, n.result())
	}
	c.ringOf(n).remove(c.nodes, i)
	last := int32(len(c.nodes) - 1)
	if i != last {
		c.ringOf(&c.nodes[last]).move(c.nodes, last, i)
	}
	c.nodes = c.nodes[:last]
}

// rejoin gives the counts of departed hosts that have come back to their new
// nodes, so that a host is reported once.
func (c *Classic) rejoin() {
	c.departed = slices.DeleteFunc(c.departed, func(r Result) bool {
		i := c.index.find(c.nodes, r.Host)
		if i == none {
			return false
		}
		n := &c.nodes[i]
		n.carrySucc = add(n.carrySucc, r.Succ)
		n.carryErr = add(n.carryErr, r.Err)
		n.news = true
		return true
	})
}

func (c *Classic) ringOf(n *node) *ring {
	if n.overload {
		return &c.overload
	}
	return &c.idle
}

// Collect appends the results to be reported, those of departed hosts first.
// Of those at most 1,024 are kept between two calls, the newest; see Dropped.
func (c *Classic) Collect(dst []Result) []Result {
	dst = append(dst, c.departed...)
	c.departed = nil
	for i := range c.nodes {
		n := &c.nodes[i]
		dst = append(dst, n.result())
		n.carrySucc, n.carryErr = 0, 0
		n.news = false
	}
	return dst
}

// Dropped returns how many results of departed hosts were lost because too
// many hosts left between two calls of Collect.
func (c *Classic) Dropped() uint64 { return c.dropped }

// Explain appends the state of every host.
func (c *Classic) Explain(dst []HostState) []HostState {
	dst = c.explain(dst, c.idle)
	return c.explain(dst, c.overload)
}

func (c *Classic) explain(dst []HostState, r ring) []HostState {
	if r.head == none {
		return dst
	}
	for i := r.head; ; {
		n := &c.nodes[i]
		dst = append(dst, n.state())
		if i = n.next; i == r.head {
			return dst
		}
	}
}
