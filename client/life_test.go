package client

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestCloseEndsCallsThatWait(t *testing.T) {
	const callers = 16
	arrived := make(chan struct{}, callers)
	agent := startAgent(t, func(request) { arrived <- struct{}{} })
	c := agent.newClient(2 * testTimeout)
	failed := make(chan error, callers)
	for i := range int32(callers) {
		go func() {
			if i%2 == 0 {
				_, err := c.GetHost(context.Background(), i, 0)
				failed <- err
				return
			}
			failed <- c.Register(context.Background(), i, 0)
		}()
	}
	for range callers {
		receive(t, arrived)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for range callers {
		if err := receive(t, failed); !errors.Is(err, ErrClosed) || errors.Is(err, ErrAgent) {
			t.Errorf("error %v, want ErrClosed", err)
		}
	}
}

func TestCloseEndsThePauseOfRegister(t *testing.T) {
	answered := make(chan struct{}, registerTries)
	agent := startAgent(t, func(r request) {
		r.reply(r.routes())
		answered <- struct{}{}
	})
	c := agent.newClient(testTimeout)
	go func() {
		receive(t, answered)
		c.Close()
	}()
	if err := c.Register(testContext(t), 1, 2); !errors.Is(err, ErrClosed) {
		t.Errorf("error %v, want ErrClosed", err)
	}
}

func TestClosedClient(t *testing.T) {
	agent := startAgent(t, func(request) {})
	c := agent.newClient(testTimeout)
	for range 2 {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	ctx := testContext(t)
	host := netip.MustParseAddrPort(goodHost)
	_, hostErr := c.GetHost(ctx, 1, 2)
	_, routeErr := c.GetRoute(ctx, 1, 2)
	tests := map[string]error{
		"enter":    c.conns[0].enter(new(question)),
		"GetHost":  hostErr,
		"GetRoute": routeErr,
		"Register": c.Register(ctx, 1, 2),
		"Report":   c.Report(1, 2, host, nil),
		"Do":       c.Do(ctx, 1, 2, func(context.Context, netip.AddrPort) error { return nil }),
	}
	for name, err := range tests {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v, want ErrClosed", name, err)
		}
	}
}

// Close from several goroutines returns to each only when nothing is left.
func TestCloseLeavesNothing(t *testing.T) {
	agent := startAgent(t, func(r request) { r.reply(r.answer(0, goodHost)) })
	before := openFiles(t)
	running := goleak.IgnoreCurrent()
	for range 20 {
		c, err := New(Config{Agent: agent.first.String(), Timeout: testTimeout})
		if err != nil {
			t.Fatal(err)
		}
		wantHost(t, c, goodHost)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if err := c.Close(); err != nil {
					t.Error(err)
				}
				for _, n := range c.conns {
					select {
					case <-n.ended:
					default:
						t.Error("Close returned before a reader ended")
					}
				}
			})
		}
		wg.Wait()
	}
	goleak.VerifyNone(t, running)
	if after := openFiles(t); after != before {
		t.Errorf("%d files open, %d before", after, before)
	}
}

// openFiles counts the descriptors of this process; 0 where it cannot.
func openFiles(t *testing.T) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if errors.Is(err, os.ErrNotExist) {
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// The agent is stopped and started under load. Calls fail with ErrAgent and
// nothing else, and the same client works again.
func TestAgentRestartUnderLoad(t *testing.T) {
	const callers = 16
	agent := startAgent(t, func(r request) { r.reply(r.answer(0, goodHost)) })
	c := agent.newClient(DefaultTimeout)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var wg sync.WaitGroup
	results := make([]chan bool, callers) // each change between working and failing
	for i := range results {
		results[i] = make(chan bool, 1)
		wg.Go(func() { reportChanges(ctx, t, c, int32(i), results[i]) })
	}
	waitForAll := func(want bool) {
		t.Helper()
		for _, ch := range results {
			for receive(t, ch) != want {
			}
		}
	}
	waitForAll(true)
	for range 3 {
		agent.stop()
		waitForAll(false)
		agent.restart()
		waitForAll(true)
	}
	cancel()
	wg.Wait()
}

// reportChanges asks for the host of a service until ctx ends, and keeps the
// newest result in the channel.
func reportChanges(ctx context.Context, t *testing.T, c *Client, modid int32, newest chan bool) {
	for ctx.Err() == nil {
		addr, err := c.GetHost(ctx, modid, 0)
		switch {
		case err == nil && addr.String() != goodHost:
			t.Errorf("got %v, want %v", addr, goodHost)
		case err != nil && ctx.Err() == nil && !errors.Is(err, ErrAgent):
			t.Errorf("error %v, want ErrAgent", err)
		}
		select {
		case <-newest:
		default:
		}
		newest <- err == nil
	}
}
