package client

import (
	"context"
	"errors"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"lars.internal/call"
	"lars.internal/larspb"
	"lars.internal/lb"
	"lars.internal/route"
)

// picking returns an agent that hands out these hosts in turn, each pick with
// the next ticket from 1 on, and the requests that it got. Its services have no
// settings, and questions for those are left out.
func picking(t *testing.T, hosts ...string) (*fakeAgent, <-chan request) {
	requests := make(chan request, 64)
	var picks atomic.Uint64
	agent := startAgent(t, func(r request) {
		if r.id == larspb.IDAPIGetRouteRequest {
			r.reply(r.routes(hosts...))
			return
		}
		requests <- r
		if r.id == larspb.IDGetHostRequest {
			n := picks.Add(1)
			r.reply(r.ticketed(0, hosts[(n-1)%uint64(len(hosts))], n))
		}
	})
	return agent, requests
}

// wantQuestion fails the test unless the next request asks for a host and
// avoids this one, "" being none.
func wantQuestion(t *testing.T, requests <-chan request, avoid string) {
	t.Helper()
	var want netip.AddrPort
	if avoid != "" {
		want = netip.MustParseAddrPort(avoid)
	}
	if r := receive(t, requests); r.id != larspb.IDGetHostRequest || r.avoid != want {
		t.Errorf("message %d avoiding %v, want a question avoiding %v", r.id, r.avoid, want)
	}
}

// wantTold fails the test unless the next request reports this kind of failure,
// KindUnknown being success, for the pick of this host and ticket.
func wantTold(t *testing.T, requests <-chan request, host string, ticket uint64, kind lb.Kind) {
	t.Helper()
	r := receive(t, requests)
	failed := kind != lb.KindUnknown && kind != lb.KindIgnored
	if r.id != larspb.IDReportRequest || r.host.String() != host || r.report.Ticket != ticket ||
		lb.Kind(r.report.Kind) != kind || (r.retcode != 0) != failed {
		t.Errorf("message %d: %v %+v, want %v of %v, ticket %d", r.id, r.host, r.report, kind, host, ticket)
	}
	if r.report.LatencyUS == 0 && kind != lb.KindIgnored {
		t.Error("no latency was told")
	}
}

func TestDoTellsKindLatencyAndTicket(t *testing.T) {
	agent, requests := picking(t, goodHost)
	c := agent.newClient(testTimeout)
	for i, tt := range []struct {
		err  error
		kind lb.Kind
	}{
		{nil, lb.KindUnknown},
		{errCall, lb.KindError},
		{syscall.ECONNREFUSED, lb.KindRefused},
		{context.DeadlineExceeded, lb.KindTimeout},
		{call.WithKind(errCall, lb.KindOverloaded), lb.KindOverloaded},
	} {
		err := c.Do(testContext(t), 1, 2, func(context.Context, netip.AddrPort) error { return tt.err })
		if err != tt.err {
			t.Errorf("error %v, want exactly %v", err, tt.err)
		}
		wantQuestion(t, requests, "")
		wantTold(t, requests, goodHost, uint64(i+1), tt.kind)
	}
}

func TestDoTellsThatACancelledCallIsIgnored(t *testing.T) {
	agent, requests := picking(t, goodHost)
	c := agent.newClient(testTimeout)
	ctx, cancel := context.WithCancel(context.Background())
	err := c.DoRetry(ctx, 1, 2, Retry{Idempotent: true}, func(context.Context, netip.AddrPort) error {
		cancel()
		return errCall
	})
	if err != errCall {
		t.Errorf("error %v, want exactly %v", err, errCall)
	}
	wantQuestion(t, requests, "")
	wantTold(t, requests, goodHost, 1, lb.KindIgnored)
}

func TestDoRetry(t *testing.T) {
	tests := []struct {
		name       string
		first      error
		idempotent bool
		kind       lb.Kind
		repeated   bool
	}{
		{"success", nil, true, lb.KindUnknown, false},
		{"refused", syscall.ECONNREFUSED, false, lb.KindRefused, true},
		{"timed out, only once", context.DeadlineExceeded, false, lb.KindTimeout, false},
		{"timed out", context.DeadlineExceeded, true, lb.KindTimeout, true},
		{"failed, only once", errCall, false, lb.KindError, false},
		{"failed", errCall, true, lb.KindError, true},
		{"ignored", call.WithKind(errCall, lb.KindIgnored), true, lb.KindIgnored, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			agent, requests := picking(t, goodHost, otherHost)
			c := agent.newClient(testTimeout)
			calls := 0
			err := c.DoRetry(testContext(t), 1, 2, Retry{Idempotent: tt.idempotent}, func(_ context.Context, addr netip.AddrPort) error {
				if calls++; calls == 1 {
					return tt.first
				}
				return nil
			})
			wantQuestion(t, requests, "")
			wantTold(t, requests, goodHost, 1, tt.kind)
			if !tt.repeated {
				if err != tt.first || calls != 1 || c.Stats() != (Stats{}) {
					t.Errorf("%d calls, %v, %+v; want one and its error", calls, err, c.Stats())
				}
				return
			}
			wantQuestion(t, requests, goodHost)
			wantTold(t, requests, otherHost, 2, lb.KindUnknown)
			if err != nil || calls != 2 || c.Stats() != (Stats{Retries: 1}) {
				t.Errorf("%d calls, %v, %+v; want two and success", calls, err, c.Stats())
			}
		})
	}
}

// Both fail: the error is the second one's, and there is no third try.
func TestDoRetryTriesTwice(t *testing.T) {
	agent, requests := picking(t, goodHost, otherHost)
	c := agent.newClient(testTimeout)
	last := errors.New("the other host said no")
	errs := []error{errCall, last}
	err := c.DoRetry(testContext(t), 1, 2, Retry{Idempotent: true}, func(context.Context, netip.AddrPort) error {
		defer func() { errs = errs[1:] }()
		return errs[0]
	})
	if err != last || len(errs) != 0 {
		t.Errorf("error %v with %d calls left, want exactly %v", err, len(errs), last)
	}
	wantQuestion(t, requests, "")
	wantTold(t, requests, goodHost, 1, lb.KindError)
	wantQuestion(t, requests, goodHost)
	wantTold(t, requests, otherHost, 2, lb.KindError)
}

// A pick that comes to the host of the first try is not called, and the agent
// need not wait for its result.
func TestDoRetryWithoutAnotherHost(t *testing.T) {
	agent, requests := picking(t, goodHost)
	c := agent.newClient(testTimeout)
	err := c.DoRetry(testContext(t), 1, 2, Retry{}, func(context.Context, netip.AddrPort) error { return syscall.ECONNREFUSED })
	if err != syscall.ECONNREFUSED {
		t.Errorf("error %v, want that of the only call", err)
	}
	wantQuestion(t, requests, "")
	wantTold(t, requests, goodHost, 1, lb.KindRefused)
	for ticket := range uint64(2) {
		wantQuestion(t, requests, goodHost)
		wantTold(t, requests, goodHost, ticket+2, lb.KindIgnored)
	}
	if s := c.Stats(); s != (Stats{NoOther: 1}) {
		t.Errorf("%+v, want one without another host", s)
	}
	for n := range call.Burst {
		if !c.budgets.take(key12) {
			t.Errorf("the budget was not given back: %d left, want %d", n, call.Burst)
			break
		}
	}
}

func TestDoRetryKeepsItsBudget(t *testing.T) {
	const calls = 200
	hosts := []string{goodHost, otherHost}
	agent := startAgent(t, func(r request) {
		switch r.id {
		case larspb.IDAPIGetRouteRequest:
			r.reply(r.routes(hosts...))
		case larspb.IDGetHostRequest:
			host := hosts[0]
			if r.avoid.IsValid() {
				host = hosts[1]
			}
			r.reply(r.ticketed(0, host, 1))
		}
	})
	c := agent.newClient(testTimeout)
	made := 0
	for range calls {
		c.DoRetry(testContext(t), 1, 2, Retry{Idempotent: true}, func(context.Context, netip.AddrPort) error {
			made++
			return errCall
		})
	}
	s := c.Stats()
	if want := uint64(call.Burst + calls/10); s.Retries < want-2 || s.Retries > want {
		t.Errorf("%d second tries of %d calls, want %d", s.Retries, calls, want)
	}
	if uint64(made) != calls+s.Retries || s.Retries+s.OverBudget != calls {
		t.Errorf("%d calls made, %+v", made, s)
	}
	before := s.Retries
	c.DoRetry(testContext(t), 3, 0, Retry{Idempotent: true}, func(context.Context, netip.AddrPort) error { return errCall })
	if c.Stats().Retries != before+1 {
		t.Error("a service pays for the second tries of another one")
	}
}

// No time is left for a second try.
func TestDoRetryEndsWithItsContext(t *testing.T) {
	agent, requests := picking(t, goodHost, otherHost)
	c := agent.newClient(testTimeout)
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	err := c.DoRetry(expired{ctx}, 1, 2, Retry{Idempotent: true}, func(context.Context, netip.AddrPort) error {
		cancel()
		return context.DeadlineExceeded
	})
	if err != context.DeadlineExceeded || c.Stats() != (Stats{}) {
		t.Errorf("%v, %+v; want the error of the first call", err, c.Stats())
	}
	wantQuestion(t, requests, "")
	wantTold(t, requests, goodHost, 1, lb.KindTimeout)
}

// expired says that its deadline has passed as soon as it is cancelled.
type expired struct{ context.Context }

func (e expired) Err() error {
	if e.Context.Err() != nil {
		return context.DeadlineExceeded
	}
	return nil
}

// A panic in the second try is reported as its failure.
func TestDoRetryPassesAPanicOn(t *testing.T) {
	agent, requests := picking(t, goodHost, otherHost)
	c := agent.newClient(testTimeout)
	calls := 0
	defer func() {
		if v := recover(); v != "boom" {
			t.Errorf("recovered %v, want the panic of the function", v)
		}
		wantQuestion(t, requests, "")
		wantTold(t, requests, goodHost, 1, lb.KindRefused)
		wantQuestion(t, requests, goodHost)
		wantTold(t, requests, otherHost, 2, lb.KindError)
	}()
	c.DoRetry(testContext(t), 1, 2, Retry{}, func(context.Context, netip.AddrPort) error {
		if calls++; calls == 2 {
			panic("boom")
		}
		return syscall.ECONNREFUSED
	})
}

func TestDoRetryWithoutHostDoesNotCall(t *testing.T) {
	agent := startAgent(t, func(r request) { r.reply(r.answer(larspb.RetCode_RET_NOEXIST, "")) })
	err := agent.newClient(testTimeout).DoRetry(testContext(t), 1, 2, Retry{Idempotent: true}, func(context.Context, netip.AddrPort) error {
		t.Error("called without a host")
		return nil
	})
	if !errors.Is(err, ErrNoService) {
		t.Errorf("error %v, want ErrNoService", err)
	}
}

func TestBudgetsAreBounded(t *testing.T) {
	var b budgets
	for i := range int32(maxBudgets + 100) {
		b.earn(route.Key{Modid: i})
	}
	if len(b.services) != maxBudgets {
		t.Errorf("%d budgets are kept, want %d", len(b.services), maxBudgets)
	}
}

// The service says how many second tries there may be.
func TestDoRetryAsksForTheBudget(t *testing.T) {
	hosts := []string{goodHost, otherHost}
	levels := make(chan uint32, 16)
	agent := startAgent(t, func(r request) {
		switch r.id {
		case larspb.IDAPIGetRouteRequest:
			levels <- r.level
			m := r.routeMessage(hosts...)
			if r.key == key12 {
				m.Settings = []*larspb.Setting{{Key: "policy", Value: "1"}, {Key: "retry_budget", Value: "0"}}
			}
			r.reply(routeFrame(m))
		case larspb.IDGetHostRequest:
			r.reply(r.ticketed(0, hosts[r.seq%2], 1))
		}
	})
	c := agent.newClient(testTimeout)
	fail := func(context.Context, netip.AddrPort) error { return syscall.ECONNREFUSED }
	for range 3 {
		c.DoRetry(testContext(t), 1, 2, Retry{}, fail)
	}
	if s := c.Stats(); s.OverBudget != 3 || s.Retries != 0 {
		t.Errorf("%+v, want no second try of a service that may have none", s)
	}
	c.DoRetry(testContext(t), 2, 1, Retry{}, fail)
	if s := c.Stats(); s.OverBudget != 3 || s.Retries != 1 {
		t.Errorf("%+v, want a second try of the other service", s)
	}
	if len(levels) != 2 {
		t.Errorf("asked %d times for the settings of two services", len(levels))
	}
	if level := receive(t, levels); level != larspb.Level {
		t.Errorf("asked with level %d, want %d", level, larspb.Level)
	}
}

func TestBudgetsAskAgain(t *testing.T) {
	var b budgets
	now := time.Now()
	for _, tt := range []struct {
		after time.Duration
		want  bool
	}{{0, true}, {0, false}, {shareAge - 1, false}, {shareAge, true}, {shareAge + 1, false}, {2 * shareAge, true}} {
		if got := b.isDue(key12, now.Add(tt.after)); got != tt.want {
			t.Errorf("due %v after the first time: %v, want %v", tt.after, got, tt.want)
		}
	}
}

func TestShareIn(t *testing.T) {
	for _, tt := range []struct {
		name, value string
		want        float64
	}{
		{"policy", "1", call.DefaultShare},
		{"retry_budget", "0.5", 0.5},
		{"retry_budget", "0", 0},
		{"retry_budget", "2", call.DefaultShare}, // of a later version
	} {
		settings := []*larspb.Setting{{Key: "evidence", Value: "40"}, {Key: tt.name, Value: tt.value}}
		if got := shareIn(settings); got != tt.want {
			t.Errorf("%s = %s: %v, want %v", tt.name, tt.value, got, tt.want)
		}
	}
	if got := shareIn(nil); got != call.DefaultShare {
		t.Errorf("without settings: %v, want %v", got, call.DefaultShare)
	}
}

// A silent agent leaves the budget as it is, and is not asked again for a while.
func TestDoRetryWithoutAnswerForTheBudget(t *testing.T) {
	var asked atomic.Int32
	agent := startAgent(t, func(r request) {
		switch r.id {
		case larspb.IDAPIGetRouteRequest:
			asked.Add(1)
		case larspb.IDGetHostRequest:
			r.reply(r.answer(0, []string{goodHost, otherHost}[r.seq%2]))
		}
	})
	c := agent.newClient(testTimeout)
	c.timeout = time.Second // each question is sent twice
	for range 2 {
		c.DoRetry(testContext(t), 1, 2, Retry{}, func(context.Context, netip.AddrPort) error { return syscall.ECONNREFUSED })
	}
	if n, s := asked.Load(), c.Stats(); n > 2 || s.Timeouts != 1 || s.Retries+s.NoOther != 2 {
		t.Errorf("asked %d times, %+v; want one question without answer", n, s)
	}
}
