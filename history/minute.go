package history

import (
	"time"

	"lars.internal/route"
)

// MaxSpread is the longest time over which what a report adds is spread. What
// is older counts as of that time.
const MaxSpread = 24 * time.Hour

// Report is what an agent reports of one host.
type Report struct {
	Counter
	At   int64         // Unix seconds
	Span time.Duration // since the report before arrived; 0: not known

	// Totals of the counter. Of a C++ agent, which knows no totals, those of the
	// window that is open.
	Totals  Totals
	FromCpp bool
}

// Minute is what happened in one minute between the agents and one host of a
// service.
type Minute struct {
	Minute  int64 // Unix time in minutes
	Key     route.Key
	Host    route.Host
	Totals  Totals
	Callers uint32 // reports that are part of it

	Spread  bool // some of it was reported over more than a minute
	Windows bool // some of it is of C++ agents, so calls may be missing
}

// Add adds what happened in the same minute, between others and the same host.
func (m *Minute) Add(o Minute) {
	m.Totals = m.Totals.Add(o.Totals)
	m.Callers += o.Callers
	m.Spread = m.Spread || o.Spread
	m.Windows = m.Windows || o.Windows
}

// Minutes returns what the report adds to the totals that are stored for its
// counter, the zero Totals for a new one, minute by minute. It adds nothing if
// the totals are the same, and it is not ok if it is older than what is stored:
// then the stored totals stay.
//
// A C++ agent starts a window anew at a moment that it does not tell. As long as
// its counts grow they are taken for the same window, so what was counted between
// the last report of a window and its end is missing.
func (r *Report) Minutes(stored Totals) (parts []Minute, ok bool) {
	inc := r.Totals
	switch {
	case r.Totals.Follows(stored):
		inc = r.Totals.Sub(stored)
	case !r.FromCpp:
		return nil, false
	}
	parts = Spread(inc, r.At, r.Span)
	for i := range parts {
		p := &parts[i]
		p.Key, p.Host, p.Callers, p.Windows = r.Key, r.Host, 1, r.FromCpp
	}
	return parts, true
}

// Spread divides what was added within a span of time that ended at a moment, in
// Unix seconds, into its minutes. A span of at most a minute counts for the
// minute in which it ended; a longer one is spread evenly, and marked. The sums
// stay exact. Minutes in which nothing happened are left out.
func Spread(inc Totals, at int64, span time.Duration) []Minute {
	if inc.IsZero() {
		return nil
	}
	if span <= time.Minute {
		return []Minute{{Minute: at / 60, Totals: inc}}
	}
	whole := int64(min(span, MaxSpread) / time.Second)
	start := at - whole
	var parts []Minute
	var before Totals
	for m := start / 60; m <= at/60; m++ {
		upTo := inc.upTo(uint64(min((m+1)*60-start, whole)), uint64(whole))
		if part := upTo.Sub(before); !part.IsZero() {
			parts = append(parts, Minute{Minute: m, Totals: part, Spread: true})
		}
		before = upTo
	}
	return parts
}
