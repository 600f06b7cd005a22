package client

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"lars.internal/lb"
	"lars.internal/route"
)

// errUnfinished stands for the result of a function that did not return.
var errUnfinished = errors.New("the call did not return")

// Do picks a host of the service, calls f with its address, reports the
// result and the time that f took to the agent, and returns f's error as it is.
// If no host can be had, f is not called and the error is GetHost's.
//
// An error of f is a failure of the host; call.Classify says of which kind, and
// f may say so itself by call.WithKind. For an error that is not the host's
// fault (a bad request, a missing record) f keeps it in a variable of the
// caller and returns nil. A panic of f, or runtime.Goexit within it, is a
// failure too, and goes on.
//
// If f fails after the caller has cancelled ctx, the call is reported as
// ignored, and without a ticket not at all: the host was not given its time. A
// ctx whose deadline has passed is reported as a failure, since that is how a
// hanging host shows. Limit the time of a call by a deadline, not by
// cancelling.
//
// A report that cannot be sent does not change the result; Stats counts it.
func (c *Client) Do(ctx context.Context, modid, cmdid int32, f func(ctx context.Context, addr netip.AddrPort) error) error {
	checkFunction(f)
	p, err := c.Pick(ctx, modid, cmdid)
	if err != nil {
		return err
	}
	return c.run(ctx, route.Key{Modid: modid, Cmdid: cmdid}, p, f)
}

// checkFunction panics for a function that is nil, before a host is picked for it.
func checkFunction(f func(context.Context, netip.AddrPort) error) {
	if f == nil {
		panic("client: Do: the function is nil")
	}
}

// run calls f with the host of p and reports how that went.
func (c *Client) run(ctx context.Context, key route.Key, p Pick, f func(context.Context, netip.AddrPort) error) error {
	start := time.Now()
	err := errUnfinished
	defer func() {
		r := Result{Err: err, Latency: time.Since(start), Ticket: p.Ticket}
		if isCancelled(ctx, err) {
			r.Kind = lb.KindIgnored
		}
		c.settle(key, p.Addr, r)
	}()
	err = f(ctx, p.Addr)
	return err
}

// isCancelled reports whether the caller cancelled a call that then failed.
func isCancelled(ctx context.Context, err error) bool {
	return err != nil && err != errUnfinished && errors.Is(ctx.Err(), context.Canceled)
}

func (c *Client) settle(key route.Key, addr netip.AddrPort, r Result) {
	if c.ReportResult(key.Modid, key.Cmdid, addr, r) != nil {
		c.counts.lostReports.Add(1)
	}
}
