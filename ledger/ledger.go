package ledger

import (
	"time"

	"lars.internal/lb"
	"lars.internal/route"
)

const (
	// MaxGone is how many results of hosts that left their service are kept for
	// each service. It is many times what one edit of a route removes.
	MaxGone = 1024

	// MaxClosed is how many results of closed accounts a ledger keeps, or those
	// of one account if that has more.
	MaxClosed = 4096
)

// Never is before everything that is counted.
const Never = time.Duration(-1 << 62)

// Result is what the report service is told of one host.
type Result struct {
	Host route.Host

	// Calls of the window that is open, and of all windows that were closed
	// since the last report. A number that does not fit stays at the maximum.
	Succ, Err uint32

	// Calls since the host was added. They never go back while it stays.
	TotalSucc, TotalErr uint64

	// Calls before that, which count with those since: the host left, and
	// returned before all of it was reported.
	PastSucc, PastErr uint64

	// Totals of both. They begin at Since, in Unix seconds, and never go back. A
	// host that returns after all of it was reported begins anew, with a later
	// Since even in the same second.
	Refused, Timeout          uint32 // of the failed calls, by kind; at most the maximum
	Ejections, Reinstatements uint32 // likewise
	LatencySum                uint64 // microseconds, of the calls that were measured
	Latency                   []byte // of the same, a history.Sketch as it is encoded; empty: none
	Since                     uint32

	Overload bool     // the host is, or was when it left, ejected
	State    State    // likewise
	Reason   lb.Cause // why it was ejected last
}

// Ledger is the accounts of many services and the line in which they wait to be
// reported.
type Ledger struct {
	// Epoch is the time in Unix seconds at the moment 0 of the times that the
	// methods take. It is to be set before the first Open.
	Epoch int64

	// Accounts with news of which no report is in flight. Those of services that
	// are gone come first: a service may have come back with newer results.
	closed, open list

	kept int // results of closed accounts, waiting or in flight
	lost uint64

	left uint32 // the latest since of all hosts that left
}

// Open returns the account of a service with these hosts.
func (l *Ledger) Open(key route.Key, hosts []route.Host, now time.Duration) *Account {
	a := &Account{key: key, reported: Never, began: Never, later: Never}
	l.Update(a, hosts, now)
	return a
}

// Update makes hosts, in which duplicates are ignored, the hosts of the
// account. What is still to be reported of the others is kept.
func (l *Ledger) Update(a *Account, hosts []route.Host, now time.Duration) {
	l.lost += a.update(hosts, l.since(now))
	l.left = max(l.left, a.left)
}

// since returns when the totals of a host that is added now begin. It is after
// the since of every host that left, so that none ever has one twice, and ahead
// of time where hosts leave and return faster than once a second.
func (l *Ledger) since(now time.Duration) uint32 {
	return max(uint32(max(l.Epoch+int64(now/time.Second), 0)), l.left+1)
}

// Count notes an outcome of which the balancer said what effect it had.
func (l *Ledger) Count(a *Account, h route.Host, o lb.Outcome, e lb.Effect, now time.Duration) {
	i := a.index.Find(a.hosts, h)
	if i < 0 || e&lb.Counted == 0 || o.Kind == lb.KindIgnored {
		return
	}
	a.rows[i].count(o, e&lb.WindowClosed != 0)
	a.counted(now)
	l.line(a)
}

// Happened notes an event. An ejection and a return to the rotation are counted
// and reported, whether or not there are calls.
func (l *Ledger) Happened(a *Account, e *lb.Event, now time.Duration) {
	i := a.index.Find(a.hosts, e.Host)
	if i < 0 {
		return
	}
	before := a.rows[i].state
	if a.rows[i].happened(e) {
		a.moved(before, a.rows[i].state)
		a.counted(now)
		l.line(a)
	}
}

// SetOverload notes whether the host is ejected, without an event: a balancer
// took it over from another one.
func (a *Account) SetOverload(h route.Host, ejected bool) {
	i := a.index.Find(a.hosts, h)
	if i < 0 || (a.rows[i].state == StateEjected) == ejected {
		return
	}
	before := a.rows[i].state
	a.rows[i].state = StateUp
	if ejected {
		a.rows[i].state = StateEjected
	}
	a.moved(before, a.rows[i].state)
}

// moved counts the ejected rows when one of them turns from a state to another.
func (a *Account) moved(from, to State) {
	if from == StateEjected {
		a.ejected--
	}
	if to == StateEjected {
		a.ejected++
	}
}

// line puts an account with news in line, unless a report of it is in flight:
// then the end of that does.
func (l *Ledger) line(a *Account) {
	if !a.waits && !a.inFlight {
		a.waits = true
		l.lineOf(a).push(a)
	}
}

func (l *Ledger) lineOf(a *Account) *list {
	if a.closed {
		return &l.closed
	}
	return &l.open
}

// Close ends the account of a service that is gone. What is still to be
// reported of it is kept, if there is room. The account must not be counted in
// any more.
func (l *Ledger) Close(a *Account) {
	dirty := a.waits
	if a.waits {
		a.waits = false
		l.open.remove(a)
	}
	a.close(dirty)
	l.left = max(l.left, a.left)
	if l.kept > 0 && l.kept+len(a.gone) > MaxClosed {
		l.lost += uint64(len(a.gone))
		a.gone = nil
	}
	l.kept += len(a.gone)
	if a.news() {
		l.line(a)
	}
}

// Waiting returns how many accounts are in line.
func (l *Ledger) Waiting() int { return l.closed.len + l.open.len }

// Kept returns how many results of closed accounts are kept.
func (l *Ledger) Kept() int { return l.kept }

// Lost returns how many results found no room.
func (l *Ledger) Lost() uint64 { return l.lost }

// Take appends the results of the account that comes first, those of hosts that
// are gone before the others. Until Acked or Returned its report is in flight.
func (l *Ledger) Take(dst []Result, now time.Duration) (*Account, []Result, bool) {
	a := l.closed.first
	if a == nil {
		a = l.open.first
	}
	if a == nil {
		return nil, dst, false
	}
	l.lineOf(a).remove(a)
	a.waits, a.inFlight, a.reported = false, true, now
	return a, a.take(dst), true
}

// Acked notes that the report in flight has arrived.
func (l *Ledger) Acked(a *Account) {
	if a.inFlight {
		a.began, a.later = a.later, Never
	}
	l.settle(a, (*row).acked)
}

// Returned notes that the report in flight may be lost: what it had is reported
// again, with what was counted since.
func (l *Ledger) Returned(a *Account) {
	if a.inFlight && a.began == Never {
		a.began = a.later
	}
	a.later = Never
	l.settle(a, (*row).returned)
}

func (l *Ledger) settle(a *Account, end func(*row)) {
	if !a.inFlight {
		return
	}
	a.inFlight = false
	gone := len(a.gone)
	a.settle(end)
	if a.closed {
		l.kept -= gone - len(a.gone)
	}
	if a.news() {
		l.line(a)
	}
}

// Remind puts the account in line again if it was reported at or after a
// moment.
func (l *Ledger) Remind(a *Account, since time.Duration) {
	if a.reported >= since {
		l.line(a)
	}
}

// list is a queue that accounts link themselves into, so that moving one
// allocates nothing.
type list struct {
	first, last *Account
	len         int
}

// push puts a, which must not be in the list, at the end.
func (l *list) push(a *Account) {
	a.prev = l.last
	if l.last == nil {
		l.first = a
	} else {
		l.last.next = a
	}
	l.last = a
	l.len++
}

// remove takes a, which must be in the list, out.
func (l *list) remove(a *Account) {
	if a.prev == nil {
		l.first = a.next
	} else {
		a.prev.next = a.next
	}
	if a.next == nil {
		l.last = a.prev
	} else {
		a.next.prev = a.prev
	}
	a.prev, a.next = nil, nil
	l.len--
}
