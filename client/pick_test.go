package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"lars.internal/call"
	"lars.internal/larspb"
	"lars.internal/lb"
)

const otherHost = "10.0.0.2:8080"

func TestPick(t *testing.T) {
	asked := make(chan request, 1)
	agent := startAgent(t, func(r request) {
		asked <- r
		r.reply(r.ticketed(0, goodHost, 1<<63))
	})
	c := agent.newClient(testTimeout)
	other := netip.MustParseAddrPort(otherHost)
	for _, tt := range []struct {
		name  string
		pick  func() (Pick, error)
		avoid netip.AddrPort
	}{
		{"Pick", func() (Pick, error) { return c.Pick(testContext(t), 1, 2) }, netip.AddrPort{}},
		{"PickOther", func() (Pick, error) { return c.PickOther(testContext(t), 1, 2, other) }, other},
		{"PickOther than nobody", func() (Pick, error) { return c.PickOther(testContext(t), 1, 2, netip.AddrPort{}) }, netip.AddrPort{}},
	} {
		want := Pick{Addr: netip.MustParseAddrPort(goodHost), Ticket: 1 << 63}
		if p, err := tt.pick(); err != nil || p != want {
			t.Errorf("%s: %v, %v; want %v", tt.name, p, err, want)
		}
		if r := receive(t, asked); r.level != larspb.Level || r.avoid != tt.avoid || r.key != key12 {
			t.Errorf("%s: asked for %v with level %d, avoiding %v", tt.name, r.key, r.level, r.avoid)
		}
	}
	wantHost(t, c, goodHost)
	if r := receive(t, asked); r.level != 0 || r.avoid.IsValid() {
		t.Errorf("GetHost asked with level %d, avoiding %v", r.level, r.avoid)
	}
}

func TestPickErrors(t *testing.T) {
	agent := startAgent(t, func(r request) { r.reply(r.ticketed(larspb.RetCode_RET_OVERLOAD, "", 5)) })
	c := agent.newClient(testTimeout)
	p, err := c.Pick(testContext(t), 1, 2)
	want := "client: get host of 1/2: all hosts of the service are overloaded"
	if !errors.Is(err, ErrOverload) || err.Error() != want || p != (Pick{}) {
		t.Errorf("%v, %v; want nothing and %q", p, err, want)
	}
}

func TestReportResult(t *testing.T) {
	refused := fmt.Errorf("get: %w", syscall.ECONNREFUSED)
	tests := []struct {
		name   string
		result Result
		want   larspb.CallReport // without service and host
	}{
		{"success", Result{Latency: 1500 * time.Microsecond, Ticket: 7}, larspb.CallReport{LatencyUS: 1500, Ticket: 7}},
		{"success, nothing known", Result{}, larspb.CallReport{}},
		{"failure, nothing known", Result{Err: errCall}, larspb.CallReport{Retcode: 1, Kind: larspb.Kind_KIND_ERROR}},
		{"refused", Result{Err: refused, Ticket: 1 << 63}, larspb.CallReport{Retcode: 1, Kind: larspb.Kind_KIND_REFUSED, Ticket: 1 << 63}},
		{"the kind alone", Result{Kind: lb.KindTimeout}, larspb.CallReport{Retcode: 1, Kind: larspb.Kind_KIND_TIMEOUT}},
		{"the kind decides", Result{Err: refused, Kind: lb.KindError}, larspb.CallReport{Retcode: 1, Kind: larspb.Kind_KIND_ERROR}},
		{"by the error itself", Result{Err: call.WithKind(io.EOF, lb.KindOverloaded)}, larspb.CallReport{Retcode: 1, Kind: larspb.Kind_KIND_OVERLOADED}},
		{"failure of unknown kind", Result{Err: call.WithKind(io.EOF, lb.KindUnknown)}, larspb.CallReport{Retcode: 1}},
		{"ignored", Result{Err: errCall, Kind: lb.KindIgnored, Ticket: 7}, larspb.CallReport{Kind: larspb.Kind_KIND_IGNORED, Ticket: 7}},
		{"too fast to measure", Result{Latency: 1}, larspb.CallReport{LatencyUS: 1}},
		{"clock that went back", Result{Latency: -time.Second}, larspb.CallReport{}},
		{"longer than can be told", Result{Latency: 100 * time.Hour}, larspb.CallReport{LatencyUS: math.MaxUint32}},
	}
	got := make(chan request, 1)
	agent := startAgent(t, func(r request) { got <- r })
	c := agent.newClient(testTimeout)
	host := netip.MustParseAddrPort(goodHost)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := c.ReportResult(1, 2, host, tt.result); err != nil {
				t.Fatal(err)
			}
			want := tt.want
			want.Modid, want.Cmdid, want.HasHost = 1, 2, true
			want.IP, want.Port = larspb.IPOf(host.Addr()), int32(host.Port())
			if r := receive(t, got); r.report != want {
				t.Errorf("told %+v, want %+v", r.report, want)
			}
		})
	}
}

// The second answer to a question is a pick that nobody will call, and so is one
// that comes after the caller has gone.
func TestUnusedPicksAreGivenBack(t *testing.T) {
	reports, late := make(chan request, 4), make(chan request, 1)
	ctx, cancel := context.WithCancel(testContext(t))
	agent := startAgent(t, func(r request) {
		switch {
		case r.id == larspb.IDReportRequest:
			reports <- r
		case r.key == key12:
			r.reply(r.ticketed(0, goodHost, 1))
			r.reply(r.ticketed(0, otherHost, 2))
		default:
			late <- r
			cancel()
		}
	})
	c := agent.newClient(testTimeout)
	if p, err := c.Pick(testContext(t), 1, 2); err != nil || p.Ticket != 1 {
		t.Errorf("Pick = %v, %v; want the first answer", p, err)
	}
	wantIgnored(t, receive(t, reports), otherHost, 2)
	if _, err := c.Pick(ctx, 2, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	r := receive(t, late)
	r.reply(r.ticketed(0, goodHost, 3))
	wantIgnored(t, receive(t, reports), goodHost, 3)
	if s := c.Stats(); s != (Stats{Stale: 2}) {
		t.Errorf("%+v, want two stale answers", s)
	}
}

func wantIgnored(t *testing.T, r request, host string, ticket uint64) {
	t.Helper()
	if r.host.String() != host || r.report.Ticket != ticket || r.report.Kind != larspb.Kind_KIND_IGNORED || r.retcode != 0 {
		t.Errorf("reported %v %+v, want %v ignored, ticket %d", r.host, r.report, host, ticket)
	}
}

// An agent without tickets would count an ignored call by its retcode.
func TestIgnoredWithoutTicketIsNotSent(t *testing.T) {
	agent, reports := answering(t)
	c := agent.newClient(testTimeout)
	host := netip.MustParseAddrPort(goodHost)
	if err := c.ReportResult(1, 2, host, Result{Kind: lb.KindIgnored}); err != nil {
		t.Error(err)
	}
	wantNoReport(t, c, reports)
}

func TestReportResultErrors(t *testing.T) {
	c := clientWithoutAgent(t)
	err := c.ReportResult(1, 2, netip.MustParseAddrPort("[::1]:80"), Result{})
	if err == nil || errors.Is(err, ErrAgent) {
		t.Errorf("error %v, want one about the address", err)
	}
	c.Close()
	if err := c.ReportResult(1, 2, netip.MustParseAddrPort(goodHost), Result{}); !errors.Is(err, ErrClosed) {
		t.Errorf("error %v, want ErrClosed", err)
	}
}

// The longest request fits the buffer that each question has.
func TestLongestRequestsFit(t *testing.T) {
	report := larspb.CallReport{
		Modid: -1, Cmdid: -1, HasHost: true, IP: -1, Port: -1, Retcode: -1,
		Ticket: math.MaxUint64, LatencyUS: math.MaxUint32, Kind: -1,
	}
	query := larspb.HostQuery{
		Seq: math.MaxUint32, Modid: -1, Cmdid: -1, HasAvoid: true, AvoidIP: -1, AvoidPort: -1, Level: math.MaxUint32,
	}
	for name, size := range map[string]int{"report": len(report.Append(nil)), "question": len(query.Append(nil))} {
		if larspb.HeaderSize+size > maxRequest {
			t.Errorf("a %s of %d bytes does not fit %d", name, size, maxRequest)
		}
	}
}

// The kinds of the contract and of the messages have the same numbers.
func TestKindsHaveTheSameNumbers(t *testing.T) {
	for kind, want := range map[lb.Kind]larspb.Kind{
		lb.KindUnknown:    larspb.Kind_KIND_UNKNOWN,
		lb.KindRefused:    larspb.Kind_KIND_REFUSED,
		lb.KindTimeout:    larspb.Kind_KIND_TIMEOUT,
		lb.KindError:      larspb.Kind_KIND_ERROR,
		lb.KindOverloaded: larspb.Kind_KIND_OVERLOADED,
		lb.KindIgnored:    larspb.Kind_KIND_IGNORED,
	} {
		if larspb.Kind(kind) != want {
			t.Errorf("%v is %d, in messages %d", kind, kind, want)
		}
	}
}
