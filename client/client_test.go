package client

import (
	"context"
	"errors"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"lars.internal/larspb"
)

func TestGetHostAnswers(t *testing.T) {
	tests := []struct {
		name string
		code larspb.RetCode
		host string
		want error
		text string
	}{
		{"success", larspb.RetCode_RET_SUCC, "192.168.1.113:7777", nil, ""},
		{"overload", larspb.RetCode_RET_OVERLOAD, "", ErrOverload, "client: get host of 1/2: "},
		{"no such service", larspb.RetCode_RET_NOEXIST, "", ErrNoService, "client: get host of 1/2: "},
		{"system error", larspb.RetCode_RET_SYSTEM_ERROR, "", ErrSystem, "client: get host of 1/2: "},
		{"unknown code", 77, "", ErrSystem, "77"},
		{"success without host", larspb.RetCode_RET_SUCC, "", ErrSystem, "0.0.0.0"},
		{"host with port 0", larspb.RetCode_RET_SUCC, "10.0.0.1:0", ErrSystem, "10.0.0.1:0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			agent := startAgent(t, func(r request) { r.reply(r.answer(tt.code, tt.host)) })
			c := agent.newClient(testTimeout)
			addr, err := c.GetHost(testContext(t), 1, 2)
			if !errors.Is(err, tt.want) {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
			if tt.want == nil {
				if addr.String() != tt.host {
					t.Errorf("got %v, want %v", addr, tt.host)
				}
				return
			}
			if addr.IsValid() || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %v, %q; want no address and a text with %q", addr, err, tt.text)
			}
		})
	}
}

func TestGetRouteAnswers(t *testing.T) {
	two := []string{"10.0.0.1:1", "10.0.0.2:65535"}
	tests := []struct {
		name   string
		frame  func(request) []byte
		want   []string
		err    error
		broken uint64
	}{
		{"two hosts", func(r request) []byte { return r.routes(two...) }, two, nil, 0},
		{"no hosts", func(r request) []byte { return r.routes() }, nil, ErrNoService, 0},
		{"cut", func(r request) []byte {
			m := r.routeMessage(two...)
			m.Truncated = true
			return routeFrame(m)
		}, two, ErrTruncated, 0},
		{"hosts nobody can call are left out", func(r request) []byte {
			m := r.routeMessage("10.0.0.1:0", "10.0.0.1:1", "0.0.0.0:5", "10.0.0.2:65535")
			m.Host[2].Port = 70000
			return routeFrame(m)
		}, two, nil, 2},
		{"C++ agent without sequence numbers", func(r request) []byte {
			m := r.routeMessage(two...)
			m.Seq = 0
			return routeFrame(m)
		}, two, nil, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			agent := startAgent(t, func(r request) { r.reply(tt.frame(r)) })
			c := agent.newClient(testTimeout)
			addrs, err := c.GetRoute(testContext(t), 1, 2)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			var got []string
			for _, a := range addrs {
				got = append(got, a.String())
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			if n := c.Stats().Malformed; n != tt.broken {
				t.Errorf("%d malformed, want %d", n, tt.broken)
			}
		})
	}
}

// The biggest route that fits one datagram arrives whole.
func TestGetRouteOfManyHosts(t *testing.T) {
	const hosts = 3800
	agent := startAgent(t, func(r request) {
		m := r.routeMessage()
		for i := range hosts {
			m.Host = append(m.Host, &larspb.HostInfo{Ip: -1 - int32(i), Port: 1 + int32(i)})
		}
		r.reply(routeFrame(m))
	})
	addrs, err := agent.newClient(testTimeout).GetRoute(testContext(t), 1, 2)
	if err != nil || len(addrs) != hosts {
		t.Fatalf("got %d hosts, %v; want %d", len(addrs), err, hosts)
	}
	if want := netip.MustParseAddrPort("255.255.255.254:2"); addrs[1] != want {
		t.Errorf("second host %v, want %v", addrs[1], want)
	}
}

func TestReport(t *testing.T) {
	got := make(chan request, 1)
	agent := startAgent(t, func(r request) { got <- r })
	c := agent.newClient(testTimeout)
	host := netip.MustParseAddrPort("10.0.0.1:8080")
	tests := []struct {
		name    string
		err     error
		failure bool
	}{
		{"success", nil, false},
		{"failure", errors.New("the host said no"), true},
		{"error that is also a return code", ErrNoService, true},
	}
	for _, tt := range tests {
		if err := c.Report(1, 2, host, tt.err); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		r := receive(t, got)
		if r.host != host || (r.retcode != 0) != tt.failure {
			t.Errorf("%s: the agent got %v with code %d", tt.name, r.host, r.retcode)
		}
	}
}

// Nothing is sent for an address that nobody can call: what arrives is the
// good report behind the bad ones.
func TestReportRejectsBadAddresses(t *testing.T) {
	got := make(chan request, 8)
	agent := startAgent(t, func(r request) { got <- r })
	c := agent.newClient(testTimeout)
	for _, addr := range []netip.AddrPort{
		{},
		netip.MustParseAddrPort("[::1]:80"),
		netip.MustParseAddrPort("10.0.0.1:0"),
		netip.MustParseAddrPort("0.0.0.0:80"),
	} {
		err := c.Report(1, 2, addr, nil)
		if err == nil || errors.Is(err, ErrAgent) {
			t.Errorf("Report(%v) = %v, want an error about the address", addr, err)
		}
	}
	if err := c.Report(1, 2, netip.MustParseAddrPort("[::ffff:10.0.0.1]:80"), nil); err != nil {
		t.Errorf("an IPv4 address within IPv6: %v", err)
	}
	if r := receive(t, got); r.host.String() != "10.0.0.1:80" {
		t.Errorf("the agent got %v", r.host)
	}
}

func TestRegisterAsksUntilTheRouteIsThere(t *testing.T) {
	tests := []struct {
		name  string
		empty int64 // answers without hosts, before the one that has them
		asked int64
		want  error
	}{
		{"at once", 0, 1, nil},
		{"third time", 2, 3, nil},
		{"never", 99, 3, ErrNoService},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int64
			agent := startAgent(t, func(r request) {
				if asked.Add(1) <= tt.empty {
					r.reply(r.routes())
					return
				}
				r.reply(r.routes("10.0.0.1:8080"))
			})
			err := agent.newClient(testTimeout).Register(testContext(t), 1, 2)
			if !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			if n := asked.Load(); n != tt.asked {
				t.Errorf("asked %d times, want %d", n, tt.asked)
			}
		})
	}
}

func TestRegisterTakesACutRoute(t *testing.T) {
	agent := startAgent(t, func(r request) {
		m := r.routeMessage("10.0.0.1:8080")
		m.Truncated = true
		r.reply(routeFrame(m))
	})
	if err := agent.newClient(testTimeout).Register(testContext(t), 1, 2); err != nil {
		t.Error(err)
	}
}

func TestRegisterStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(testContext(t))
	asked := make(chan struct{}, registerTries)
	agent := startAgent(t, func(r request) {
		asked <- struct{}{}
		cancel()
		r.reply(r.routes())
	})
	err := agent.newClient(testTimeout).Register(ctx, 1, 2)
	if !errors.Is(err, context.Canceled) || errors.Is(err, ErrAgent) {
		t.Errorf("error %v, want only context.Canceled", err)
	}
	if len(asked) != 1 {
		t.Errorf("asked %d times, want once", len(asked))
	}
}

func TestRegisterWithoutAgent(t *testing.T) {
	c := clientWithoutAgent(t)
	err := c.Register(testContext(t), 1, 2)
	if !errors.Is(err, ErrAgent) {
		t.Errorf("error %v, want ErrAgent", err)
	}
}

// clientWithoutAgent returns a client whose agent has gone before its first
// question.
func clientWithoutAgent(t *testing.T) *Client {
	agent := startAgent(t, func(request) {})
	c := agent.newClient(testTimeout)
	agent.stop()
	return c
}

// Without an agent a call ends when the kernel says so, far before its
// deadline: the error is a refusal, not a timeout.
func TestAgentNotThere(t *testing.T) {
	c := clientWithoutAgent(t)
	for range 10 {
		_, err := c.GetHost(testContext(t), 1, 0)
		if !errors.Is(err, ErrAgent) || !errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("error %v, want ErrAgent with ECONNREFUSED", err)
		}
		if addr := c.conns[1].agent.String(); !strings.Contains(err.Error(), addr) {
			t.Fatalf("error %q does not name %v", err, addr)
		}
	}
	if _, err := c.GetRoute(testContext(t), 1, 0); !errors.Is(err, ErrAgent) {
		t.Errorf("GetRoute: %v, want ErrAgent", err)
	}
}

// Callers that share a socket all hear of the refusal, whichever of them
// consumed it.
func TestRefusalReachesManyCallers(t *testing.T) {
	c := clientWithoutAgent(t)
	const callers = 32
	failed := make(chan error, callers)
	for range callers {
		go func() {
			_, err := c.GetHost(context.Background(), 1, 2)
			failed <- err
		}()
	}
	for range callers {
		if err := receive(t, failed); !errors.Is(err, ErrAgent) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want ErrAgent by refusal", err)
		}
	}
}

// A refusal that a write consumes, in place of the reader, ends the calls that
// wait. The call that writes is sent all the same. Only Linux is known to
// deliver the refusal within the write that causes it.
func TestRefusalThatAWriteConsumes(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs refusals within the write")
	}
	agent := startAgent(t, func(request) {})
	udp, err := dial(agent.first, agentPorts(agent.first))
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	agent.stop()
	n := &conn{udp: udp, agent: agent.first, lastSeq: new(atomic.Uint32), waiting: map[uint32]*question{}}
	first, second := newQuestion(larspb.IDGetHostResponse, key12), newQuestion(larspb.IDGetHostResponse, key12)
	for _, k := range []*question{first, second} {
		if err := n.enter(k); err != nil {
			t.Fatal(err)
		}
		k.encodeQuestion()
		if err := n.send(k); err != nil {
			t.Fatal(err)
		}
	}
	receive(t, first.done)
	if !errors.Is(first.err, ErrAgent) || !isRefused(first.err) {
		t.Errorf("first call: %v, want ErrAgent by refusal", first.err)
	}
	if !n.withdraw(second) {
		t.Error("the second call does not wait")
	}
}

// The original waits for ever for an answer that does not come.
func TestDefect33SilentAgentEndsAtTheDeadline(t *testing.T) {
	agent := startAgent(t, func(request) {})
	tests := []struct {
		name             string
		timeout, context time.Duration
	}{
		{"by Timeout", 20 * time.Millisecond, testTimeout},
		{"by the earlier deadline of the context", testTimeout, 500 * time.Millisecond},
	}
	for _, tt := range tests {
		c := agent.newClient(tt.timeout)
		ctx, cancel := context.WithTimeout(context.Background(), tt.context)
		_, err := c.GetHost(ctx, 1, 2)
		cancel()
		if !errors.Is(err, ErrAgent) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: error %v, want ErrAgent with DeadlineExceeded", tt.name, err)
		}
		if !strings.Contains(err.Error(), c.conns[0].agent.String()) {
			t.Errorf("%s: error %q does not name the agent", tt.name, err)
		}
		if s := c.Stats(); s.Timeouts != 1 || s.Resent > 1 {
			t.Errorf("%s: %+v, want one timeout and at most one resend", tt.name, s)
		}
	}
}

func TestCancelledContextIsNotTheAgentsFault(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	agent := startAgent(t, func(request) { cancel() })
	c := agent.newClient(2 * testTimeout)
	for _, moment := range []string{"while it waits", "before it starts"} {
		_, err := c.GetHost(ctx, 1, 2)
		if !errors.Is(err, context.Canceled) || errors.Is(err, ErrAgent) {
			t.Errorf("cancelled %s: %v, want only context.Canceled", moment, err)
		}
	}
	if n := len(c.conns[0].waiting); n != 0 {
		t.Errorf("%d calls still wait", n)
	}
}
