package main

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"lars.internal/larspb"
	"lars.internal/reactor"
)

const (
	// audienceLoops is how many event loops the subscribers live on.
	audienceLoops = 2

	// rampStep is how many connections are under way at a time: few enough for
	// the backlog of the listener.
	rampStep = 500
)

// audience is connections that all subscribe to the first services of modid 1.
// Its methods belong to the main goroutine.
type audience struct {
	*fleet
	subscribers, services int
	stands                []*stand      // one on each loop
	complete              chan struct{} // capacity 1; gets a value when nothing is missing

	target  atomic.Int64 // mark that is expected; 0: any
	missing atomic.Int64 // routes with it that have not come
	frames  atomic.Int64 // routes that have come, with whatever mark
}

// stand is the part of an audience that lives on one loop, whose goroutine owns
// it.
type stand struct {
	audience *audience
	request  []byte
	times    []time.Time // of the arrivals with the expected mark

	// The last route: most of the time the next one is the same.
	body        []byte
	cmdid, mark int
}

// subscriber is the property of a connection: the newest mark that it saw, by
// cmdid - 1.
type subscriber []int

// newAudience subscribes and returns when all have all routes.
func newAudience(ctx context.Context, addr netip.AddrPort, subscribers, services int) (*audience, error) {
	a := &audience{fleet: newFleet(addr, audienceLoops), services: services, complete: make(chan struct{}, 1)}
	for range audienceLoops {
		a.stands = append(a.stands, &stand{audience: a})
	}
	for a.subscribers < subscribers {
		n := min(rampStep, subscribers-a.subscribers)
		a.missing.Store(int64(n * services))
		err := a.connect(n, func(i int) handler { return handler{a.stands[i].start, a.stands[i].route} })
		if err == nil {
			err = a.await(ctx)
		}
		if err != nil {
			a.stop()
			return nil, fmt.Errorf("subscribe: %w", err)
		}
		a.subscribers += n
	}
	a.arrivals() // forget the answers
	return a, nil
}

// expect says which mark comes next. Call it before the edit.
func (a *audience) expect(mark int) {
	a.missing.Store(int64(a.subscribers * a.services))
	a.target.Store(int64(mark))
}

// await waits until all have all routes with the expected mark.
func (a *audience) await(ctx context.Context) error {
	late := time.NewTimer(maxWait)
	defer late.Stop()
	select {
	case <-a.complete:
		return a.err()
	case <-ctx.Done():
		return ctx.Err()
	case <-late.C:
		return fmt.Errorf("%d routes with mark %d are missing after %v", a.missing.Load(), a.target.Load(), maxWait)
	}
}

// arrivals returns when the routes with the expected mark came, in no order.
func (a *audience) arrivals() []time.Time {
	parts := make([][]time.Time, len(a.stands))
	a.onLoops(func(i int) {
		parts[i], a.stands[i].times = a.stands[i].times, nil
	})
	var all []time.Time
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func (s *stand) start(c *reactor.Conn) {
	c.SetProperty(make(subscriber, s.audience.services))
	for i := range s.audience.services {
		s.request = ask(s.request[:0], i+1)
		c.Reply(larspb.IDGetRouteRequest, s.request)
	}
}

// route takes an answer or a push.
func (s *stand) route(c *reactor.Conn, body []byte) {
	now := time.Now()
	s.audience.frames.Add(1)
	if !bytes.Equal(body, s.body) {
		s.read(body)
	}
	sub := c.Property().(subscriber)
	if s.cmdid < 1 || s.cmdid > len(sub) || s.mark <= sub[s.cmdid-1] {
		return
	}
	sub[s.cmdid-1] = s.mark
	if want := s.audience.target.Load(); want != 0 && want != int64(s.mark) {
		return
	}
	s.times = append(s.times, now)
	if s.audience.missing.Add(-1) == 0 {
		s.audience.complete <- struct{}{}
	}
}

// read takes a route apart. One that makes no sense counts for nothing, so it is
// missed.
func (s *stand) read(body []byte) {
	s.body = append(s.body[:0], body...)
	s.cmdid, s.mark = 0, 0
	var m larspb.GetRouteResponse
	if proto.Unmarshal(body, &m) != nil {
		return
	}
	s.cmdid = int(m.Cmdid)
	for _, h := range m.Host {
		if h.Ip >= markedIP {
			s.mark = int(h.Port)
		}
	}
}
