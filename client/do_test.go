package client

import (
	"context"
	"errors"
	"net/netip"
	"runtime"
	"syscall"
	"testing"
	"time"

	"lars.internal/larspb"
)

var errCall = errors.New("the host said no")

// answering returns an agent that always picks goodHost, and what is
// reported to it.
func answering(t *testing.T) (*fakeAgent, <-chan request) {
	reports := make(chan request, 16)
	agent := startAgent(t, func(r request) {
		if r.id == larspb.IDReportRequest {
			reports <- r
			return
		}
		r.reply(r.answer(0, goodHost))
	})
	return agent, reports
}

func TestDoReportsTheResult(t *testing.T) {
	agent, reports := answering(t)
	c := agent.newClient(testTimeout)
	for name, want := range map[string]error{"success": nil, "failure": errCall} {
		err := c.Do(testContext(t), 1, 2, func(ctx context.Context, addr netip.AddrPort) error {
			if addr.String() != goodHost {
				t.Errorf("%s: called %v, want %v", name, addr, goodHost)
			}
			return want
		})
		if err != want {
			t.Errorf("%s: error %v, want exactly %v", name, err, want)
		}
		wantReport(t, reports, want != nil)
	}
}

// An agent of before gives no ticket. It is told the rest all the same.
func TestDoWithAnAgentOfBefore(t *testing.T) {
	agent, reports := answering(t)
	c := agent.newClient(testTimeout)
	c.Do(testContext(t), 1, 2, func(context.Context, netip.AddrPort) error { return syscall.ECONNREFUSED })
	r := receive(t, reports).report
	if r.Ticket != 0 || r.LatencyUS == 0 || r.Kind != larspb.Kind_KIND_REFUSED || r.Retcode == 0 {
		t.Errorf("reported %+v, want a refusal with its latency and no ticket", r)
	}
}

// wantReport fails the test unless the next report is this result of goodHost.
func wantReport(t *testing.T, reports <-chan request, failure bool) {
	t.Helper()
	r := receive(t, reports)
	if r.host.String() != goodHost || (r.retcode != 0) != failure {
		t.Errorf("reported %v with code %d, want %v, failure %v", r.host, r.retcode, goodHost, failure)
	}
}

func TestDoWithoutHostDoesNotCall(t *testing.T) {
	agent := startAgent(t, func(r request) {
		if r.id == larspb.IDReportRequest {
			t.Errorf("reported %v", r.host)
		}
		r.reply(r.answer(larspb.RetCode_RET_OVERLOAD, ""))
	})
	err := agent.newClient(testTimeout).Do(testContext(t), 1, 2, func(context.Context, netip.AddrPort) error {
		t.Error("called without a host")
		return nil
	})
	if !errors.Is(err, ErrOverload) {
		t.Errorf("error %v, want ErrOverload", err)
	}
}

func TestDoReportsAPanicAndPassesItOn(t *testing.T) {
	agent, reports := answering(t)
	c := agent.newClient(testTimeout)
	defer func() {
		if v := recover(); v != "boom" {
			t.Errorf("recovered %v, want the panic of the function", v)
		}
		wantReport(t, reports, true)
	}()
	c.Do(testContext(t), 1, 2, func(context.Context, netip.AddrPort) error { panic("boom") })
}

// A function that never returns has failed, also after a cancellation.
func TestDoReportsAGoexit(t *testing.T) {
	agent, reports := answering(t)
	c := agent.newClient(testTimeout)
	ctx, cancel := context.WithCancel(context.Background())
	go c.Do(ctx, 1, 2, func(context.Context, netip.AddrPort) error {
		cancel()
		runtime.Goexit()
		return nil
	})
	wantReport(t, reports, true)
}

func TestDoAndItsContext(t *testing.T) {
	agent, reports := answering(t)
	c := agent.newClient(testTimeout)
	tests := []struct {
		name     string
		limit    time.Duration
		result   func(ctx context.Context, cancel func()) error
		reported bool
		failure  bool
	}{
		{"failed after a cancellation: nobody's fault", testTimeout, func(ctx context.Context, cancel func()) error {
			cancel()
			return ctx.Err()
		}, false, false},
		{"succeeded in spite of a cancellation", testTimeout, func(_ context.Context, cancel func()) error {
			cancel()
			return nil
		}, true, false},
		{"hung until the deadline", time.Second, func(ctx context.Context, _ func()) error {
			<-ctx.Done()
			return ctx.Err()
		}, true, true},
	}
	for _, tt := range tests {
		ctx, cancel := context.WithTimeout(context.Background(), tt.limit)
		var want error
		err := c.Do(ctx, 1, 2, func(ctx context.Context, _ netip.AddrPort) error {
			want = tt.result(ctx, cancel)
			return want
		})
		cancel()
		if err != want {
			t.Errorf("%s: error %v, want %v", tt.name, err, want)
		}
		if tt.reported {
			wantReport(t, reports, tt.failure)
		}
		wantNoReport(t, c, reports)
	}
}

// wantNoReport sends a report of its own, which must be the next to arrive.
func wantNoReport(t *testing.T, c *Client, reports <-chan request) {
	t.Helper()
	mark := netip.MustParseAddrPort("10.7.7.7:7")
	if err := c.Report(1, 2, mark, nil); err != nil {
		t.Fatal(err)
	}
	if r := receive(t, reports); r.host != mark {
		t.Errorf("reported %v with code %d, want no report", r.host, r.retcode)
	}
}

func TestDoCountsALostReport(t *testing.T) {
	agent, _ := answering(t)
	c := agent.newClient(testTimeout)
	err := c.Do(testContext(t), 1, 2, func(context.Context, netip.AddrPort) error { return c.Close() })
	if err != nil || c.Stats().LostReports != 1 {
		t.Errorf("error %v, %+v; want success and one lost report", err, c.Stats())
	}
}

func TestDoWithoutFunctionBlamesNoHost(t *testing.T) {
	c := new(Client) // would panic otherwise as soon as it asked
	defer func() {
		if p := recover(); p != "client: Do: the function is nil" {
			t.Errorf("panic %v", p)
		}
	}()
	_ = c.Do(t.Context(), 1, 2, nil)
}
