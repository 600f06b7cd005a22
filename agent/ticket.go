package agent

import (
	"time"

	"lars.internal/lb"
)

const (
	ticketBits = 48 // of the time in a ticket, in us: 8.9 years
	ticketMask = 1<<ticketBits - 1

	// ticketAge is how old the ticket of a report may be.
	ticketAge = 10 * time.Minute
)

// tickets issues the tickets of picks, and reads those of reports. A ticket is 16
// bits of the run of the agent, never 0, and 48 bits of the time of the pick; so a
// program that outlives an agent does no harm. The value is the bits of the run.
type tickets uint16

// newTickets returns the tickets of a run.
func newTickets(run uint64) tickets { return tickets(max(uint16(run>>ticketBits), 1)) }

// issue returns the ticket of a pick: that of the balancer with the bits of the
// run. It is made here because policy classic gives none.
func (t tickets) issue(now time.Duration) uint64 {
	return uint64(t)<<ticketBits | uint64(lb.TicketAt(now))&ticketMask
}

// read returns the ticket of a report; 0 for none, and for one of another run, of
// the future or older than 10 min.
func (t tickets) read(ticket uint64, now time.Duration) lb.Ticket {
	pick := lb.Ticket(ticket & ticketMask)
	if ticket>>ticketBits != uint64(t) || pick == 0 {
		return 0
	}
	if age := since(pick, now); age < 0 || age > ticketAge {
		return 0
	}
	return pick
}

// since returns the time since the pick, to the microsecond: no call took longer.
// Without a ticket it is as long as one is valid.
func since(ticket lb.Ticket, now time.Duration) time.Duration {
	if ticket == 0 {
		return ticketAge
	}
	return now.Truncate(time.Microsecond) - ticket.Picked()
}
