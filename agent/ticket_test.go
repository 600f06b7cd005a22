package agent

import (
	"testing"
	"testing/quick"
	"time"

	"lars.internal/lb"
	"lars.internal/lb/adaptive"
	"lars.internal/route"
)

func TestTickets(t *testing.T) {
	const run = 0xabcd << 48
	ours := newTickets(run | 7)
	const now = time.Hour
	ticket := ours.issue(now)
	if ticket != run|3_600_000_001 {
		t.Errorf("the ticket is %#x", ticket)
	}
	for _, c := range []struct {
		name    string
		tickets tickets
		ticket  uint64
		now     time.Duration
		want    lb.Ticket
	}{
		{"at once", ours, ticket, now, 3_600_000_001},
		{"in the same microsecond", ours, ours.issue(now + 999), now + 1, 3_600_000_001},
		{"of the future", ours, ours.issue(now + time.Microsecond), now, 0},
		{"ten minutes old", ours, ticket, now + 10*time.Minute, 3_600_000_001},
		{"older", ours, ticket, now + 10*time.Minute + time.Microsecond, 0},
		{"of another run", newTickets(run + 1<<48), ticket, now, 0},
		{"none", ours, 0, now, 0},
		{"without a time", ours, run, now, 0},
		{"of the start", ours, ours.issue(0), 0, 1},
		{"all bits", ours, 1<<64 - 1, now, 0},
	} {
		if got := c.tickets.read(c.ticket, c.now); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

// No ticket is 0, also of a run whose bits are.
func TestNoTicketIsZero(t *testing.T) {
	check := func(run uint64, us uint32) bool {
		now := time.Duration(us) * time.Microsecond
		ticket := newTickets(run).issue(now)
		return ticket != 0 && newTickets(run).read(ticket, now) != 0
	}
	if err := quick.Check(check, nil); err != nil {
		t.Error(err)
	}
	if newTickets(5).issue(0)>>ticketBits == 0 {
		t.Error("a run without bits has none in its tickets")
	}
}

// The ticket of the wire holds the one of the policy, which reads it as the time
// of the pick.
func TestTicketIsThatOfThePolicy(t *testing.T) {
	b := adaptive.New(adaptive.DefaultConfig(), 1)
	now := time.Hour + 123_456_789
	b.Update(route.Of(hostN(0)).Hosts, now)
	_, want, _ := b.Pick(now, route.Host{})
	ours := newTickets(1 << 50)
	if got := ours.read(ours.issue(now), now); got != want {
		t.Errorf("the ticket is %d, that of the policy %d", got, want)
	}
}
