package client

import "sync/atomic"

// Stats counts what went wrong on the way to the agent and back, and the second
// tries of DoRetry, since New.
type Stats struct {
	Resent      uint64 // questions sent a second time
	Timeouts    uint64 // questions without an answer at their deadline
	Stale       uint64 // answers that no call waits for: late, or doubled
	Foreign     uint64 // answers to another question than the call asked
	Malformed   uint64 // datagrams that are no answer, and hosts that are no address
	LostReports uint64 // reports of Do and DoRetry that could not be sent

	Retries    uint64 // second tries that were made
	OverBudget uint64 // not made, because the budget of the service was used up
	NoOther    uint64 // not made, because the agent named no other host
}

// counters is Stats while it grows.
type counters struct {
	resent, timeouts, stale, foreign, malformed, lostReports atomic.Uint64
	retries, overBudget, noOther                             atomic.Uint64
}

func (c *counters) read() Stats {
	return Stats{
		Resent:      c.resent.Load(),
		Timeouts:    c.timeouts.Load(),
		Stale:       c.stale.Load(),
		Foreign:     c.foreign.Load(),
		Malformed:   c.malformed.Load(),
		LostReports: c.lostReports.Load(),
		Retries:     c.retries.Load(),
		OverBudget:  c.overBudget.Load(),
		NoOther:     c.noOther.Load(),
	}
}
