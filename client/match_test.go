package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lars.internal/larspb"
)

const (
	goodHost  = "10.0.0.1:8080"
	wrongHost = "10.9.9.9:9999"
)

// At half of the limit, whichever sets it, a question is sent once more.
func TestLostQuestionIsSentAgain(t *testing.T) {
	const limit = 4 * time.Second // two before the resend and as many after it
	tests := []struct {
		name             string
		timeout, context time.Duration
	}{
		{"limited by Timeout", limit, 4 * testTimeout},
		{"limited by the context", 4 * testTimeout, limit},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := make(chan request, 4)
			var seen atomic.Int64
			agent := startAgent(t, func(r request) {
				got <- r
				if seen.Add(1) > 1 {
					r.reply(r.answer(0, goodHost))
				}
			})
			c := agent.newClient(tt.timeout)
			ctx, cancel := context.WithTimeout(context.Background(), tt.context)
			defer cancel()
			if addr, err := c.GetHost(ctx, 1, 2); err != nil || addr.String() != goodHost {
				t.Fatalf("GetHost = %v, %v; want %v", addr, err, goodHost)
			}
			if first, second := receive(t, got), receive(t, got); !bytes.Equal(first.frame, second.frame) {
				t.Errorf("sent %x, then %x", first.frame, second.frame)
			}
			if s := c.Stats(); s.Resent != 1 || s.Timeouts != 0 {
				t.Errorf("%+v, want one resend", s)
			}
		})
	}
}

func TestDoubledAnswerIsDropped(t *testing.T) {
	agent := startAgent(t, func(r request) {
		r.reply(r.answer(0, goodHost))
		r.reply(r.answer(0, goodHost))
	})
	c := agent.newClient(testTimeout)
	wantHost(t, c, goodHost)
	wantHost(t, c, goodHost) // its answer comes after the first one's double
	if n := c.Stats().Stale; n < 1 {
		t.Errorf("%d stale answers, want at least the double of the first", n)
	}
}

// In the original, get_route has no sequence number, and a late answer to an
// earlier question is taken for the answer to the next one.
func TestDefect33StaleAnswerIsRecognised(t *testing.T) {
	tests := []struct {
		name   string
		ask    func(*Client, context.Context) (netip.AddrPort, error)
		answer func(r request, host string) []byte
	}{
		{"GetHost", getHost, func(r request, host string) []byte { return r.answer(0, host) }},
		{"GetRoute", getFirst, func(r request, host string) []byte { return r.routes(host) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			arrived := make(chan struct{}, 1)
			var late []byte // owned by the port's goroutine
			agent := startAgent(t, func(r request) {
				if late == nil {
					late = tt.answer(r, wrongHost)
					arrived <- struct{}{}
					return
				}
				r.reply(late)
				r.reply(tt.answer(r, goodHost))
			})
			c := agent.newClient(2 * testTimeout)
			ctx, cancel := context.WithCancel(testContext(t))
			go func() {
				<-arrived
				cancel()
			}()
			if _, err := tt.ask(c, ctx); !errors.Is(err, context.Canceled) {
				t.Fatalf("first call: %v, want context.Canceled", err)
			}
			got, err := tt.ask(c, testContext(t))
			if err != nil || got.String() != goodHost {
				t.Fatalf("got %v, %v; want %v", got, err, goodHost)
			}
			if s := c.Stats(); s != (Stats{Stale: 1}) {
				t.Errorf("%+v, want one stale answer", s)
			}
		})
	}
}

func getHost(c *Client, ctx context.Context) (netip.AddrPort, error) {
	return c.GetHost(ctx, 1, 2)
}

func getFirst(c *Client, ctx context.Context) (netip.AddrPort, error) {
	addrs, err := c.GetRoute(ctx, 1, 2)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return addrs[0], nil
}

// Whatever comes from the agent's port before the right answer does not end
// the call, and is counted.
func TestOtherDatagramsAreDropped(t *testing.T) {
	tests := []struct {
		name  string
		frame func(r request) []byte
		want  Stats
	}{
		{"empty", func(request) []byte { return []byte{} }, Stats{Malformed: 1}},
		{"shorter than a header", func(request) []byte { return make([]byte, 7) }, Stats{Malformed: 1}},
		{"cut", func(r request) []byte { f := r.answer(0, wrongHost); return f[:len(f)-1] }, Stats{Malformed: 1}},
		{"too long", func(r request) []byte { return append(r.answer(0, wrongHost), 0) }, Stats{Malformed: 1}},
		{"negative length", func(r request) []byte {
			f := r.answer(0, wrongHost)
			larspb.PutHeader(f, larspb.IDGetHostResponse, -1)
			return f
		}, Stats{Malformed: 1}},
		{"a question", func(r request) []byte { return r.frame }, Stats{Malformed: 1}},
		{"unknown message", func(r request) []byte {
			f := r.answer(0, wrongHost)
			larspb.PutHeader(f, 99, len(f)-larspb.HeaderSize)
			return f
		}, Stats{Malformed: 1}},
		{"broken host answer", func(request) []byte { return brokenFrame(larspb.IDGetHostResponse) }, Stats{Malformed: 1}},
		{"broken route answer", func(request) []byte { return brokenFrame(larspb.IDAPIGetRouteResponse) }, Stats{Malformed: 1}},
		{"longest datagram", func(request) []byte {
			f := make([]byte, larspb.HeaderSize+larspb.MaxDatagramBody)
			larspb.PutHeader(f, larspb.IDGetHostResponse, larspb.MaxDatagramBody)
			return f
		}, Stats{Malformed: 1}},
		{"empty host answer", func(request) []byte { return hostFrame(larspb.HostAnswer{}) }, Stats{Stale: 1}},
		{"empty route answer", func(request) []byte { return routeFrame(&larspb.GetRouteResponse{}) }, Stats{Stale: 1}},
		{"another number", func(r request) []byte { r.seq++; return r.answer(0, wrongHost) }, Stats{Stale: 1}},
		{"another modid", func(r request) []byte { r.key.Modid++; return r.answer(0, wrongHost) }, Stats{Foreign: 1}},
		{"another cmdid", func(r request) []byte { r.key.Cmdid = -r.key.Cmdid; return r.answer(0, wrongHost) }, Stats{Foreign: 1}},
		{"a route for a host question", func(r request) []byte { return r.routes(wrongHost) }, Stats{Foreign: 1}},
		{"a route of the service without number", func(r request) []byte { r.seq = 0; return r.routes(wrongHost) }, Stats{Stale: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			agent := startAgent(t, func(r request) {
				r.reply(tt.frame(r))
				r.reply(r.answer(0, goodHost))
			})
			c := agent.newClient(testTimeout)
			wantHost(t, c, goodHost)
			if s := c.Stats(); s != tt.want {
				t.Errorf("%+v, want %+v", s, tt.want)
			}
		})
	}
}

// brokenFrame has a body that ends within a field.
func brokenFrame(id int32) []byte {
	f := append(make([]byte, larspb.HeaderSize), 0x08, 0xff)
	larspb.PutHeader(f, id, 2)
	return f
}

// A C++ agent sends routes without a number: they go by the service alone.
func TestRouteWithoutNumberGoesByService(t *testing.T) {
	const callers = 16
	var held []request // owned by the port's goroutine
	agent := startAgent(t, func(r request) {
		if held = append(held, r); len(held) < callers {
			return
		}
		for _, r := range held {
			r.seq = 0
			r.reply(r.routes(fmt.Sprintf("10.0.0.%d:1", r.key.Cmdid)))
		}
	})
	c := agent.newClient(2 * testTimeout)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			cmdid := int32(3 + 3*(i%4)) // four services on one port
			addrs, err := c.GetRoute(testContext(t), 0, cmdid)
			want := fmt.Sprintf("[10.0.0.%d:1]", cmdid)
			if err != nil || fmt.Sprint(addrs) != want {
				t.Errorf("route of 0/%d: %v, %v; want %v", cmdid, addrs, err, want)
			}
		})
	}
	wg.Wait()
}

// Numbers skip 0 when they wrap, and those of calls that still wait.
func TestSequenceNumbersWrap(t *testing.T) {
	got := make(chan request, 1)
	agent := startAgent(t, func(r request) {
		got <- r
		if r.key.Cmdid == 2 {
			r.reply(r.answer(0, goodHost))
		}
	})
	c := agent.newClient(2 * testTimeout)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	ask := func(before, want uint32) {
		t.Helper()
		c.lastSeq.Store(before)
		wantHost(t, c, goodHost)
		if r := receive(t, got); r.seq != want {
			t.Errorf("after %d the client sent %d, want %d", before, r.seq, want)
		}
	}
	ask(math.MaxUint32-1, math.MaxUint32)
	ask(math.MaxUint32, 1)

	c.lastSeq.Store(6)
	go func() {
		defer close(ended)
		c.GetHost(ctx, 1, 5)
	}()
	if r := receive(t, got); r.seq != 7 {
		t.Errorf("the waiting call has number %d, want 7", r.seq)
	}
	ask(6, 8)
	cancel()
	<-ended
}

// The original's client is not safe for two threads. Here 64 goroutines share
// one, each asks for services of its own, and the answers come shuffled.
func TestDefect33ManyGoroutinesShuffledAnswers(t *testing.T) {
	const callers, rounds = 64, 100
	queue := make(chan request, callers)
	agent := startAgent(t, func(r request) { queue <- r })
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		answerShuffled(queue)
	}()
	c := agent.newClient(testTimeout)
	var wg sync.WaitGroup
	for modid := range int32(callers) {
		wg.Go(func() { askOwnServices(t, c, modid, rounds) })
	}
	wg.Wait()
	agent.stop()
	close(queue)
	<-stopped
	if s := c.Stats(); s.Timeouts != 0 || s.Foreign != 0 || s.Malformed != 0 {
		t.Errorf("%+v, want only resent and stale ones", s)
	}
}

// answerShuffled answers all requests at hand in a random order, until the
// queue is closed.
func answerShuffled(queue <-chan request) {
	for first := range queue {
		batch := []request{first}
		for len(queue) > 0 {
			batch = append(batch, <-queue)
		}
		rand.Shuffle(len(batch), func(i, j int) { batch[i], batch[j] = batch[j], batch[i] })
		for _, r := range batch {
			switch r.id {
			case larspb.IDGetHostRequest:
				r.reply(r.answer(0, ownHost(r.key.Modid, r.key.Cmdid)))
			case larspb.IDAPIGetRouteRequest:
				r.reply(r.routes(ownHost(r.key.Modid, r.key.Cmdid)))
			}
		}
	}
}

func ownHost(modid, cmdid int32) string { return fmt.Sprintf("10.0.%d.%d:80", modid, cmdid) }

func askOwnServices(t *testing.T, c *Client, modid int32, rounds int32) {
	ctx := testContext(t)
	for cmdid := range rounds {
		want := ownHost(modid, cmdid)
		addr, err := c.GetHost(ctx, modid, cmdid)
		if err != nil || addr.String() != want {
			t.Errorf("host of %d/%d: %v, %v; want %v", modid, cmdid, addr, err, want)
			return
		}
		addrs, err := c.GetRoute(ctx, modid, cmdid)
		if err != nil || len(addrs) != 1 || addrs[0].String() != want {
			t.Errorf("route of %d/%d: %v, %v; want %v", modid, cmdid, addrs, err, want)
			return
		}
		if err := c.Report(modid, cmdid, addr, nil); err != nil {
			t.Error(err)
			return
		}
	}
}
