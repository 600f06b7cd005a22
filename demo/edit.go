package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"lars.internal/client"
)

// edit is one change of the route and how long it took to reach the agent.
type edit struct {
	what  string
	after time.Duration // from its commit to the first answer of the agent with it
}

// editOnTheWay adds a host at a third of the calls and removes it at two thirds.
func editOnTheWay(ctx context.Context, sys *system, f *farm, c *client.Client, l *load) ([]edit, error) {
	var edits []edit
	for i, step := range []struct{ verb, what string }{{"add", "added"}, {"remove", "removed"}} {
		l.reached(ctx, (i+1)*l.calls/3)
		after, err := sys.editRoute(ctx, c, step.verb, f.late().addr)
		if err != nil {
			return edits, fmt.Errorf("route %s: %w", step.verb, err)
		}
		edits = append(edits, edit{f.late().addr.String() + " " + step.what, after})
	}
	return edits, nil
}

// editRoute edits the route with the operator's command while it watches the
// agent, and returns the time between the commit and the change at the agent.
func (s *system) editRoute(ctx context.Context, c *client.Client, verb string, host netip.AddrPort) (time.Duration, error) {
	arrived := make(chan time.Time, 1)
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	go func() { // ends with ctx at the latest; the channel has room for it
		arrived <- watchRoute(ctx, c, host, verb == "add")
	}()
	var result struct {
		Committed time.Time `json:"committed"`
	}
	if err := s.larsJSON(ctx, &result, "route", verb, service, host.String(), "--json"); err != nil {
		return 0, err
	}
	at := <-arrived
	if at.IsZero() {
		return 0, errors.New("the edit did not reach the agent within 10 s")
	}
	return max(0, at.Sub(result.Committed)), nil
}

// watchRoute returns when the agent first has the host, or no longer has it; the
// zero time if ctx was done before.
func watchRoute(ctx context.Context, c *client.Client, host netip.AddrPort, want bool) time.Time {
	for ctx.Err() == nil {
		hosts, err := c.GetRoute(ctx, modid, cmdid)
		if err == nil && slices.Contains(hosts, host) == want {
			return time.Now()
		}
		pause(ctx, time.Millisecond)
	}
	return time.Time{}
}
