package client

import (
	"context"
	"fmt"
	"net/netip"

	"lars.internal/larspb"
	"lars.internal/route"
)

// Pick is a host to call now.
type Pick struct {
	Addr netip.AddrPort

	// Ticket identifies the pick; it belongs into the Result of the call. 0 if
	// the agent gives no tickets.
	Ticket uint64
}

// Pick picks the host to call now. The caller tells with ReportResult how the
// call went, once. A question that is sent again may count as two picks.
//
// It returns the errors of GetHost.
func (c *Client) Pick(ctx context.Context, modid, cmdid int32) (Pick, error) {
	return c.PickOther(ctx, modid, cmdid, netip.AddrPort{})
}

// PickOther picks a host like Pick, and another one than avoid if the agent can:
// the service may have no other, an older agent does not know the wish, and the
// classic policy ignores it.
func (c *Client) PickOther(ctx context.Context, modid, cmdid int32, avoid netip.AddrPort) (Pick, error) {
	k := newQuestion(larspb.IDGetHostResponse, route.Key{Modid: modid, Cmdid: cmdid})
	k.level = larspb.Level
	if avoid.IsValid() {
		k.avoid, _ = route.HostOf(avoid) // what is no host avoids nothing
	}
	return c.pick(ctx, k)
}

// pick asks for a host by k, which it releases.
func (c *Client) pick(ctx context.Context, k *question) (Pick, error) {
	defer k.release()
	p, err := c.askHost(ctx, k)
	if err != nil {
		return Pick{}, fmt.Errorf("client: get host of %v: %w", k.key, err)
	}
	return p, nil
}

func (c *Client) askHost(ctx context.Context, k *question) (Pick, error) {
	if err := c.ask(ctx, k); err != nil {
		return Pick{}, err
	}
	if err := larspb.RetCode(k.host.Retcode).Err(); err != nil {
		return Pick{}, err
	}
	h, err := route.NewHost(uint32(k.host.IP), int64(k.host.Port))
	if err != nil {
		c.counts.malformed.Add(1)
		return Pick{}, fmt.Errorf("%w: it answered %w", ErrSystem, err)
	}
	return Pick{Addr: h.AddrPort(), Ticket: k.host.Ticket}, nil
}
