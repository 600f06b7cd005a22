package client

import (
	"context"
	"net/netip"
	"time"

	"lars.internal/call"
	"lars.internal/larspb"
	"lars.internal/lb"
	"lars.internal/route"
)

// Retry says which calls DoRetry may make a second time.
type Retry struct {
	// Idempotent: making the call twice does no more than making it once.
	// Then a call is also repeated after a time-out and after an error, when
	// the first host may have done all of it.
	Idempotent bool
}

// DoRetry does what Do does and, if the call fails, makes it once more on
// another host. It returns the error of the last call that was made. Both calls
// are reported.
//
// A call is repeated if the host got nothing of it: it refused, or no
// connection came about. After another failure it is repeated only if it is
// Idempotent. It is not if ctx has ended, if the agent names no other host, or
// if the service has used up its budget of second tries: one for ten calls of
// DoRetry, of which ten can be saved up, so that a service whose hosts all fail
// is not called twice as often. The service's setting retry_budget replaces the
// tenth; the agent is asked for it before a second try, at most every 10 s. Stats
// counts the outcomes.
//
// A second try needs time: give each call of f a shorter deadline than ctx has,
// or a host that hangs uses up the time of both.
func (c *Client) DoRetry(ctx context.Context, modid, cmdid int32, retry Retry, f func(ctx context.Context, addr netip.AddrPort) error) error {
	checkFunction(f)
	first, err := c.Pick(ctx, modid, cmdid)
	if err != nil {
		return err
	}
	key := route.Key{Modid: modid, Cmdid: cmdid}
	c.budgets.earn(key)
	err = c.run(ctx, key, first, f)
	if err == nil || ctx.Err() != nil || !call.MayRepeat(err, retry.Idempotent) {
		return err
	}
	second, ok := c.pickSecond(ctx, key, first.Addr)
	if !ok {
		return err
	}
	return c.run(ctx, key, second, f)
}

// pickSecond picks the host of a second try, if there may be one.
func (c *Client) pickSecond(ctx context.Context, key route.Key, first netip.AddrPort) (Pick, bool) {
	if c.budgets.isDue(key, time.Now()) {
		c.askShare(ctx, key)
	}
	if !c.budgets.take(key) {
		c.counts.overBudget.Add(1)
		return Pick{}, false
	}
	p, ok := c.pickAnother(ctx, key, first)
	if !ok {
		c.budgets.giveBack(key)
		c.counts.noOther.Add(1)
		return Pick{}, false
	}
	c.counts.retries.Add(1)
	return p, true
}

// askShare asks the agent for the budget of a service, which stays as it is if
// no answer comes. An agent of before answers without settings.
func (c *Client) askShare(ctx context.Context, key route.Key) {
	k := newQuestion(larspb.IDAPIGetRouteResponse, key)
	defer k.release()
	k.level = larspb.Level
	if c.ask(ctx, k) == nil {
		c.budgets.setShare(key, shareIn(k.route.Settings))
	}
}

// shareIn returns the budget among the settings, the default if it is not set.
func shareIn(settings []*larspb.Setting) float64 {
	for _, s := range settings {
		if s.Key != call.ShareSetting {
			continue
		}
		if share, err := call.ParseShare(s.Value); err == nil {
			return share
		}
	}
	return call.DefaultShare
}

// pickAnother picks a host that is not the first. The agent is asked twice
// because not every policy looks at the host to avoid.
func (c *Client) pickAnother(ctx context.Context, key route.Key, first netip.AddrPort) (Pick, bool) {
	for range 2 {
		p, err := c.PickOther(ctx, key.Modid, key.Cmdid, first)
		if err != nil {
			return Pick{}, false
		}
		if p.Addr != first {
			return p, true
		}
		c.settle(key, p.Addr, Result{Kind: lb.KindIgnored, Ticket: p.Ticket}) // will not be called
	}
	return Pick{}, false
}
