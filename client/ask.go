package client

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ask sends the question of k and waits for the result. After it no other
// goroutine refers to k.
func (c *Client) ask(ctx context.Context, k *question) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	n := c.conns[portOf(k.key.Modid, k.key.Cmdid)]
	if err := n.enter(k); err != nil {
		return err
	}
	k.encodeQuestion()
	if err := n.send(k); err != nil {
		return n.giveUp(k, err)
	}
	return c.await(ctx, n, k)
}

// await waits for the result of k, which is on its way, and sends it once
// more at half of the time.
func (c *Client) await(ctx context.Context, n *conn, k *question) error {
	start := time.Now()
	limit := c.limit(ctx, start)
	k.timer.Reset(limit / 2)
	for resent := false; ; {
		select {
		case <-k.done:
			return k.err
		case <-ctx.Done():
			return n.interrupt(k, ctx.Err(), start)
		case <-k.timer.C:
		}
		if resent {
			return n.interrupt(k, context.DeadlineExceeded, start)
		}
		resent = true
		n.counts.resent.Add(1)
		if err := n.send(k); err != nil {
			return n.giveUp(k, err)
		}
		k.timer.Reset(limit - time.Since(start))
	}
}

// limit returns how long a call that starts now may take.
func (c *Client) limit(ctx context.Context, now time.Time) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return min(c.timeout, deadline.Sub(now))
	}
	return c.timeout
}

// giveUp ends k with err, unless the result has come first.
func (n *conn) giveUp(k *question, err error) error {
	if !n.withdraw(k) {
		return k.err
	}
	return err
}

// interrupt gives up k, which got no answer. A deadline that passed is the
// agent's fault, a cancellation is not.
func (n *conn) interrupt(k *question, cause error, start time.Time) error {
	if !n.withdraw(k) {
		return k.err
	}
	if !errors.Is(cause, context.DeadlineExceeded) {
		return cause
	}
	n.counts.timeouts.Add(1)
	waited := time.Since(start).Round(time.Millisecond)
	return unreachable(n.agent, fmt.Errorf("no answer within %v: %w", waited, cause))
}
