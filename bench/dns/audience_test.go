package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"lars.internal/bench/measure"
	"lars.internal/larspb"
	"lars.internal/reactor"
)

// source is a route service of one test: it remembers who asked and sends what
// it is told to.
type source struct {
	*reactor.Server
	t    *testing.T
	mark atomic.Int64
	subs atomic.Pointer[[]*reactor.Conn]
}

func startSource(t *testing.T) *source {
	t.Helper()
	goleak.VerifyNone(t)
	s := &source{t: t}
	s.mark.Store(firstMark)
	var conns []*reactor.Conn
	router := reactor.NewRouter[*reactor.Conn]()
	router.Handle(larspb.IDGetRouteRequest, func(c *reactor.Conn, body []byte) {
		var q larspb.RouteQuery
		if err := q.Parse(body); err != nil {
			t.Error(err)
		}
		conns = append(conns, c)
		all := conns
		s.subs.Store(&all)
		c.Reply(larspb.IDGetRouteResponse, s.body(int(q.Cmdid), int(s.mark.Load())))
	})
	server, err := reactor.NewServer(reactor.ServerConfig{Addr: netip.MustParseAddrPort("127.0.0.1:0"), Router: router, Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Listen(); err != nil {
		t.Fatal(err)
	}
	s.Server = server
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error)
	go func() { served <- server.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
		goleak.VerifyNone(t)
	})
	return s
}

func (s *source) body(cmdid, mark int) []byte {
	body, err := proto.Marshal(&larspb.GetRouteResponse{Modid: 1, Cmdid: int32(cmdid), Host: []*larspb.HostInfo{
		{Ip: plainIP, Port: 7000}, {Ip: markedIP + int32(cmdid) - 1, Port: int32(mark)},
	}})
	if err != nil {
		s.t.Error(err)
	}
	return body
}

// push sends a route to everybody who asked.
func (s *source) push(cmdid, mark int) {
	for _, c := range *s.subs.Load() {
		if err := c.Send(larspb.IDGetRouteResponse, s.body(cmdid, mark)); err != nil {
			s.t.Error(err)
		}
	}
}

func subscribed(t *testing.T, s *source, subscribers, services int) *audience {
	t.Helper()
	a, err := newAudience(t.Context(), s.Addr(), subscribers, services)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.stop)
	return a
}

func TestAudienceCountsEachRouteOnce(t *testing.T) {
	s := startSource(t)
	a := subscribed(t, s, 7, 1)
	a.expect(5)
	for _, mark := range []int{3, 5, 5, 4} { // older ones, a repetition, one out of order
		s.push(1, mark)
	}
	if err := a.await(t.Context()); err != nil {
		t.Fatal(err)
	}
	const frames = 7 * (1 + 4) // with the first answers
	if err := measure.Await(t.Context(), "frames", func() error {
		if got := a.frames.Load(); got != frames {
			return fmt.Errorf("%d frames, want %d", got, frames)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if got := len(a.arrivals()); got != 7 {
		t.Errorf("%d arrivals of the expected mark, want one for each of 7 subscribers", got)
	}
	if got := a.missing.Load(); got != 0 {
		t.Errorf("%d routes are missing, want 0", got)
	}
}

func TestAudienceWaitsForAllServices(t *testing.T) {
	s := startSource(t)
	s.mark.Store(9) // what is answered at first may have any mark
	a := subscribed(t, s, 1, 3)
	*s.subs.Load() = (*s.subs.Load())[:1] // one connection asked three times
	a.expect(10)
	s.push(1, 10)
	s.push(2, 10)
	if !ahead(a, 1) {
		t.Fatalf("%d routes are missing after two of three", a.missing.Load())
	}
	s.push(3, 10)
	if err := a.await(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := len(a.arrivals()); got != 3 {
		t.Errorf("%d arrivals, want 3", got)
	}
}

// ahead waits until no more than n routes are missing, and reports whether n are.
func ahead(a *audience, n int64) bool {
	err := measure.Await(context.Background(), "routes", func() error {
		if a.missing.Load() > n {
			return errors.New("more are missing")
		}
		return nil
	})
	return err == nil && a.missing.Load() == n && len(a.complete) == 0
}

func TestAudienceTellsOfABrokenConnection(t *testing.T) {
	s := startSource(t)
	a := subscribed(t, s, 2, 1)
	a.expect(2)
	(*s.subs.Load())[0].Abort()
	if err := measure.Await(t.Context(), "the end", func() error {
		if a.broken.Load() == 0 {
			return errors.New("it lasts")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	a.complete <- struct{}{}
	if err := a.await(t.Context()); err == nil {
		t.Error("no error although the service ended a connection")
	}
}
