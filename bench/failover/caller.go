package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"lars.internal/client"
)

// caller is a program that calls the service in an open loop: calls begin at
// their time, whatever became of the ones before.
type caller struct {
	// Immutable after newCaller.
	lars *client.Client
	http *http.Client

	mu    sync.Mutex // guards everything below
	calls []call
}

// call is one call that ended.
type call struct {
	begin   time.Duration // since the start of the run, when it was due
	took    time.Duration
	host    netip.AddrPort
	failed  bool
	refused bool   // Lars named no host
	why     string // it failed
}

func newCaller(agent netip.AddrPort, calls int) (*caller, error) {
	// A machine that is busy with something else may hold up the agent; that is
	// late, but no fault of a host.
	c, err := client.New(client.Config{Agent: agent.String(), Timeout: callTimeout})
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 1000}
	return &caller{lars: c, http: &http.Client{Transport: transport}, calls: make([]call, 0, calls)}, nil
}

func (c *caller) close() {
	c.http.CloseIdleConnections()
	c.lars.Close()
}

// run makes rate calls a second from the moment start on, for length, and waits
// for the last one.
func (c *caller) run(ctx context.Context, start time.Time, rate int, length time.Duration) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	for i := range int(length.Seconds() * float64(rate)) {
		begin := time.Duration(float64(i) / float64(rate) * float64(time.Second))
		if time.Until(start.Add(begin)) > time.Millisecond {
			if err := sleepUntil(ctx, start.Add(begin)); err != nil {
				return err
			}
		}
		wg.Go(func() { c.call(ctx, start, begin) }) // ended by its time-out, awaited above
	}
	return nil
}

func (c *caller) call(ctx context.Context, start time.Time, begin time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	done := call{begin: begin}
	err := c.lars.Do(ctx, 1, 1, func(ctx context.Context, addr netip.AddrPort) error {
		done.host = addr
		return c.get(ctx, addr)
	})
	done.took = time.Since(start) - begin
	done.refused = errors.Is(err, client.ErrOverload) || errors.Is(err, client.ErrNoService)
	if done.failed = err != nil && !done.refused; done.failed {
		done.why = err.Error()
	}
	c.mu.Lock()
	c.calls = append(c.calls, done)
	c.mu.Unlock()
}

// get calls a backend.
func (c *caller) get(ctx context.Context, addr netip.AddrPort) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr.String()+callPath, nil)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%v: %s", addr, resp.Status)
	}
	return nil
}
