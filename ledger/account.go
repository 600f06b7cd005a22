package ledger

import (
	"math"
	"slices"
	"time"

	"lars.internal/lb"
	"lars.internal/route"
)

// Account is what a ledger has of one service. It belongs to the ledger that
// opened it.
type Account struct {
	key   route.Key
	rows  []row        // of the hosts of the service
	hosts []route.Host // the host of each row
	index route.Index  // of hosts

	ejected int    // rows of ejected hosts
	left    uint32 // the latest since of the hosts that left

	// Hosts that left and are still to be reported, the oldest first. Invariant:
	// without duplicates, and none of them is in hosts unless the account is
	// closed.
	gone []goneHost

	prev, next *Account // in the line of the ledger

	reported time.Duration // when its last report was taken
	began    time.Duration // the first count that no report that arrived has; Never: there is none
	later    time.Duration // the first since the report in flight was taken; Never: there is none
	waits    bool          // is in line
	inFlight bool          // a report was taken and is neither acked nor returned
	closed   bool          // the service is gone
}

type goneHost struct {
	host route.Host
	row
}

// row is the counts of one host.
type row struct {
	succ, err             uint32 // of the window that is open
	carrySucc, carryErr   uint32 // of windows that were closed since the last report
	flightSucc, flightErr uint32 // the carry of the report in flight

	totalSucc, totalErr uint64   // since the host was added
	more                *details // nil: all of them are 0
	since               uint32   // Unix seconds at which the counter began

	state  State
	reason lb.Cause // why it was ejected last

	news   bool // has counts that no report has
	flying bool // had news when the report in flight was taken
	keep   bool // false but within update
}

// Key returns the service.
func (a *Account) Key() route.Key { return a.key }

// Span returns how long ago the first call was counted that no report which
// arrived has; 0: there is none.
func (a *Account) Span(now time.Duration) time.Duration {
	if a.began == Never {
		return 0
	}
	return now - a.began
}

// counted notes that something was counted now.
func (a *Account) counted(now time.Duration) {
	first := &a.began
	if a.inFlight {
		first = &a.later
	}
	if *first == Never {
		*first = now
	}
}

// Totals returns the calls that were counted of a host since it was added.
func (a *Account) Totals(h route.Host) (succ, err uint64) {
	if i := a.index.Find(a.hosts, h); i >= 0 {
		succ, err = a.rows[i].totalSucc, a.rows[i].totalErr
	}
	return succ, err
}

// Has reports whether the service has the host.
func (a *Account) Has(h route.Host) bool { return a.index.Find(a.hosts, h) >= 0 }

// Hosts returns how many hosts the service has, and how many of them are
// ejected.
func (a *Account) Hosts() (all, ejected int) { return len(a.rows), a.ejected }

// update makes hosts the hosts of the account and returns how many results of
// hosts that left found no room. The totals of hosts that are new begin at since.
func (a *Account) update(hosts []route.Host, since uint32) (lost uint64) {
	a.reserve(len(hosts))
	for _, h := range hosts {
		i := a.index.Find(a.hosts, h)
		if i < 0 {
			i = len(a.rows)
			a.rows = append(a.rows, row{since: since, state: StateUp})
			a.hosts = append(a.hosts, h)
			a.index.Appended(a.hosts)
		}
		a.rows[i].keep = true
	}
	a.sweep()
	a.rejoin()
	if over := len(a.gone) - MaxGone; over > 0 {
		a.gone = slices.Clone(a.gone[over:])
		return uint64(over)
	}
	return 0
}

// reserve makes room for n hosts in one step, so that the first update leaves no
// spare memory behind.
func (a *Account) reserve(n int) {
	if n > cap(a.rows) {
		a.rows = append(make([]row, 0, n), a.rows...)
		a.hosts = append(make([]route.Host, 0, n), a.hosts...)
	}
	if !a.index.Fits(n) {
		a.index.Rebuild(a.hosts, n)
	}
}

// sweep takes out the rows that update did not mark, and the marks.
func (a *Account) sweep() {
	n := 0
	for i := range a.rows {
		r := &a.rows[i]
		if !r.keep {
			a.leave(i)
			continue
		}
		r.keep = false
		a.rows[n], a.hosts[n] = a.rows[i], a.hosts[i]
		n++
	}
	if n == len(a.rows) {
		return
	}
	a.rows, a.hosts = a.rows[:n], a.hosts[:n]
	if cap(a.rows) > 2*n {
		a.rows = append(make([]row, 0, n), a.rows...)
		a.hosts = append(make([]route.Host, 0, n), a.hosts...)
	}
	a.index.Rebuild(a.hosts, n)
}

// leave keeps what is still to be reported of row i.
func (a *Account) leave(i int) {
	r := a.rows[i]
	a.left = max(a.left, r.since)
	if r.state == StateEjected {
		a.ejected--
	}
	if r.news || r.flying {
		a.gone = append(a.gone, goneHost{a.hosts[i], r})
	}
}

// rejoin gives the counts of hosts that have come back to their new rows, so
// that a host is reported once. Their counters go on.
func (a *Account) rejoin() {
	a.gone = slices.DeleteFunc(a.gone, func(g goneHost) bool {
		i := a.index.Find(a.hosts, g.host)
		if i < 0 {
			return false
		}
		a.rows[i].join(&g.row)
		return true
	})
}

// join makes r, which has no counts yet, report those of g as well.
func (r *row) join(g *row) {
	r.news, r.flying = g.news, g.flying
	r.more, r.since, r.reason = g.more, g.since, g.reason
	if g.totalSucc != 0 || g.totalErr != 0 {
		r.detail().pastSucc += g.totalSucc
		r.more.pastErr += g.totalErr
	}
	r.flightSucc, r.flightErr = g.flightSucc, g.flightErr
	if g.news {
		r.carrySucc, r.carryErr = add(g.carrySucc, g.succ), add(g.carryErr, g.err)
		return
	}
	r.flightSucc, r.flightErr = add(r.flightSucc, g.succ), add(r.flightErr, g.err)
}

// close turns the rows that are still to be reported into those of hosts that
// left; in a dirty account these are all rows that have counts.
func (a *Account) close(dirty bool) {
	a.closed = true
	for i := range a.rows {
		r := &a.rows[i]
		r.news = r.news || dirty && !r.flying && (r.succ != 0 || r.err != 0)
		a.leave(i)
	}
	a.rows, a.hosts, a.index = nil, nil, route.Index{}
}

// news reports whether any host is still to be reported.
func (a *Account) news() bool {
	return slices.ContainsFunc(a.gone, func(g goneHost) bool { return g.news }) ||
		slices.ContainsFunc(a.rows, func(r row) bool { return r.news })
}

// take appends the results of all hosts; their counts are in flight from now
// on.
func (a *Account) take(dst []Result) []Result {
	for i := range a.gone {
		dst = append(dst, a.gone[i].take(a.gone[i].host))
	}
	for i := range a.rows {
		dst = append(dst, a.rows[i].take(a.hosts[i]))
	}
	return dst
}

// settle ends the flight of all rows and forgets the hosts that left of which
// nothing is to be reported any more.
func (a *Account) settle(end func(*row)) {
	for i := range a.rows {
		end(&a.rows[i])
	}
	for i := range a.gone {
		end(&a.gone[i].row)
	}
	a.gone = slices.DeleteFunc(a.gone, func(g goneHost) bool { return !g.news })
	if len(a.gone) == 0 {
		a.gone = nil
	}
}

func (r *row) count(o lb.Outcome, closed bool) {
	r.news = true
	r.succ, r.err = add(r.succ, o.OK), add(r.err, o.Failed)
	r.totalSucc += uint64(o.OK)
	r.totalErr += uint64(o.Failed)
	if o.Kind != lb.KindUnknown || o.Latency > 0 {
		r.countDetails(o)
	}
	if o.OK > 0 && r.state == StateTrial {
		r.state = StateUp
	}
	if closed {
		r.carrySucc, r.carryErr = add(r.carrySucc, r.succ), add(r.carryErr, r.err)
		r.succ, r.err = 0, 0
	}
}

func (r *row) take(h route.Host) Result {
	result := Result{
		Host:      h,
		Succ:      add(r.carrySucc, r.succ),
		Err:       add(r.carryErr, r.err),
		TotalSucc: r.totalSucc,
		TotalErr:  r.totalErr,
		Overload:  r.state == StateEjected,
		State:     r.state,
		Reason:    r.reason,
		Since:     r.since,
	}
	r.more.addTo(&result)
	r.flightSucc, r.flightErr = r.carrySucc, r.carryErr
	r.carrySucc, r.carryErr = 0, 0
	r.flying, r.news = r.news, false
	return result
}

func (r *row) acked() {
	r.flightSucc, r.flightErr = 0, 0
	r.flying = false
}

func (r *row) returned() {
	r.carrySucc, r.carryErr = add(r.carrySucc, r.flightSucc), add(r.carryErr, r.flightErr)
	r.news = r.news || r.flying
	r.acked()
}

// add returns a + b, the maximum if that does not fit.
func add(a, b uint32) uint32 {
	if b > math.MaxUint32-a {
		return math.MaxUint32
	}
	return a + b
}
