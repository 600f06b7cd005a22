package client

import (
	"context"
	"errors"
	"net/netip"
)

// errUnfinished stands for the result of a function that did not return.
var errUnfinished = errors.New("the call did not return")

// Do picks a host of the service, calls f with its address, reports the
// result to the agent and returns f's error as it is. If no host can be had,
// f is not called and the error is GetHost's.
//
// An error of f is a failure of the host. For an error that is not the host's
// fault (a bad request, a missing record) f keeps it in a variable of the
// caller and returns nil. A panic of f, or runtime.Goexit within it, is a
// failure too, and goes on.
//
// If f fails after the caller has cancelled ctx, nothing is reported: the
// host was not given its time. A ctx whose deadline has passed is reported as
// a failure, since that is how a hanging host shows. Limit the time of a call
// by a deadline, not by cancelling.
//
// A report that cannot be sent does not change the result; Stats counts it.
func (c *Client) Do(ctx context.Context, modid, cmdid int32, f func(ctx context.Context, addr netip.AddrPort) error) error {
	if f == nil {
		panic("client: Do: the function is nil") // before a host is blamed for it
	}
	addr, err := c.GetHost(ctx, modid, cmdid)
	if err != nil {
		return err
	}
	err = errUnfinished
	defer func() {
		if !isCancelled(ctx, err) {
			c.settle(modid, cmdid, addr, err)
		}
	}()
	err = f(ctx, addr)
	return err
}

// isCancelled reports whether the caller cancelled a call that then failed.
func isCancelled(ctx context.Context, err error) bool {
	return err != nil && err != errUnfinished && errors.Is(ctx.Err(), context.Canceled)
}

func (c *Client) settle(modid, cmdid int32, addr netip.AddrPort, err error) {
	if c.report(modid, cmdid, addr, err) != nil {
		c.counts.lostReports.Add(1)
	}
}
