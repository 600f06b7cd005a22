package ledger

import (
	"time"

	"lars.internal/history"
	"lars.internal/lb"
)

// State is where a host is.
type State uint8

const (
	StateUp      State = 1 + iota // in rotation
	StateTrial                    // back in rotation, although no call has succeeded yet
	StateEjected                  // out of rotation
)

// details are the totals of a host that most hosts do not have. Those of 32
// bits stay at the maximum.
type details struct {
	pastSucc, pastErr         uint64 // before the host left and returned
	refused, timeout          uint32
	ejections, reinstatements uint32
	latencySum                uint64          // microseconds
	latency                   *history.Sketch // nil: no call was measured
}

// detail returns the details of the row, for a change.
func (r *row) detail() *details {
	if r.more == nil {
		r.more = new(details)
	}
	return r.more
}

// countDetails counts how calls failed, and how long a single one took.
func (r *row) countDetails(o lb.Outcome) {
	switch o.Kind {
	case lb.KindRefused:
		r.detail().refused = add(r.more.refused, o.Failed)
	case lb.KindTimeout:
		r.detail().timeout = add(r.more.timeout, o.Failed)
	}
	if o.Latency > 0 {
		r.measure(o.Latency)
	}
}

func (r *row) measure(latency time.Duration) {
	d := r.detail()
	if d.latency == nil {
		d.latency = new(history.Sketch)
	}
	d.latency.Count(latency)
	d.latencySum += uint64(latency / time.Microsecond)
}

// happened notes what happened to the host, and reports whether that left or
// entered the rotation.
func (r *row) happened(e *lb.Event) bool {
	switch e.Kind {
	case lb.Ejected:
		r.detail().ejections = add(r.more.ejections, 1)
		r.state, r.reason = StateEjected, e.Cause()
	case lb.Reinstated, lb.OnTrial:
		r.detail().reinstatements = add(r.more.reinstatements, 1)
		r.state = StateUp
		if e.Kind == lb.OnTrial {
			r.state = StateTrial
		}
	default:
		return false
	}
	r.news = true
	return true
}

// addTo gives a result the details.
func (d *details) addTo(result *Result) {
	if d == nil {
		return
	}
	result.PastSucc, result.PastErr = d.pastSucc, d.pastErr
	result.Refused, result.Timeout = d.refused, d.timeout
	result.Ejections, result.Reinstatements = d.ejections, d.reinstatements
	result.LatencySum = d.latencySum
	if d.latency != nil {
		var room [history.MaxEncoded]byte
		result.Latency = append([]byte(nil), d.latency.Append(room[:0])...)
	}
}
