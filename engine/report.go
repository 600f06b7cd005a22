package engine

import (
	"time"

	"lars.internal/ledger"
	"lars.internal/route"
)

// Report is what TakeReport took of one service.
type Report struct {
	Key    route.Key
	Span   time.Duration // how long ago the first call was that no report before brought; 0: not known
	flight *flight
}

// flight is a report that was taken and has not arrived yet, as far as is known.
type flight struct {
	part    int             // immutable
	account *ledger.Account // immutable; guarded by the lock of the part
	left    int             // messages that did not arrive yet, and one until Sent
	again   bool            // a message arrived in part
}

// Waiting returns how many services of a part have something to report.
func (e *Engine) Waiting(part int) int {
	sh := &e.shards[part]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.ledger.Waiting()
}

// WaitingAll returns how many services have something to report.
func (e *Engine) WaitingAll() int {
	n := 0
	for i := range e.shards {
		n += e.Waiting(i)
	}
	return n
}

// TakeReport appends the results of the service of a part that comes first,
// those of a service that is gone if there are any. They are in flight until all
// messages that bring them have arrived, or all are Returned; no other report of
// that service is taken meanwhile. While as many messages are in flight as there
// may be services, nothing is taken.
//
// Each message that has to be acknowledged gets a number by Number. After the
// last one comes Sent; a report without numbers then counts as arrived.
func (e *Engine) TakeReport(part int, dst []ledger.Result, now time.Duration) (Report, []ledger.Result, bool) {
	if e.InFlight() >= e.cfg.MaxServices {
		return Report{}, dst, false
	}
	sh := &e.shards[part]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	a, dst, ok := sh.ledger.Take(dst, now)
	if !ok {
		return Report{}, dst, false
	}
	return Report{Key: a.Key(), Span: a.Span(now), flight: &flight{part: part, account: a, left: 1}}, dst, true
}

// Number returns the number of the next message of the report: 1, 2, 3 and so
// on over all reports. The message is in flight until Acked or Returned.
func (e *Engine) Number(r Report) uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.number++
	e.flights[e.number] = r.flight
	r.flight.left++
	return e.number
}

// Sent notes that the report has no further message.
func (e *Engine) Sent(r Report) {
	e.mu.Lock()
	arrived := r.flight.arrived()
	e.mu.Unlock()
	if arrived {
		e.settle(r.flight, r.flight.end())
	}
}

// Acked notes that the message of that number has arrived, and reports whether
// it was in flight.
func (e *Engine) Acked(number uint64) bool { return e.arrived(number, false) }

// AckedInPart notes that the message has arrived, but left something out that the
// report service wants: all of the report is reported again, with what was counted
// since.
func (e *Engine) AckedInPart(number uint64) bool { return e.arrived(number, true) }

func (e *Engine) arrived(number uint64, again bool) bool {
	e.mu.Lock()
	f := e.flights[number]
	delete(e.flights, number)
	if f == nil {
		e.mu.Unlock()
		return false
	}
	f.again = f.again || again
	arrived := f.arrived()
	e.mu.Unlock()
	if arrived {
		e.settle(f, f.end())
	}
	return true
}

// end returns what the end of the report is for the ledger.
func (f *flight) end() func(*ledger.Ledger, *ledger.Account) {
	if f.again {
		return (*ledger.Ledger).Returned
	}
	return (*ledger.Ledger).Acked
}

// arrived counts one message and reports whether it was the last.
func (f *flight) arrived() bool {
	f.left--
	return f.left == 0
}

// InFlight returns how many messages are in flight.
func (e *Engine) InFlight() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.flights)
}

// Returned notes that nothing which is in flight can arrive any more, as far as
// is known: it is reported again, with what was counted since.
func (e *Engine) Returned() {
	e.mu.Lock()
	flights := e.flights
	e.flights = make(map[uint64]*flight)
	e.mu.Unlock()
	for _, f := range flights {
		e.settle(f, (*ledger.Ledger).Returned)
	}
}

func (e *Engine) settle(f *flight, end func(*ledger.Ledger, *ledger.Account)) {
	sh := &e.shards[f.part]
	sh.mu.Lock()
	end(&sh.ledger, f.account)
	sh.mu.Unlock()
}

// Remind puts every service that was reported at or after a moment in line
// again.
func (e *Engine) Remind(since time.Duration) {
	e.each(func(sh *shard, s *service) {
		if s.account != nil {
			sh.ledger.Remind(s.account, since)
		}
	})
}
