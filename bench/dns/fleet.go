package main

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"lars.internal/larspb"
	"lars.internal/reactor"
)

// fleet is many connections to one route service, spread over a few event loops.
// Its methods belong to the main goroutine.
type fleet struct {
	// Immutable after newFleet.
	addr    netip.AddrPort
	loops   []*reactor.Loop
	buffers *reactor.BufferPool
	ctx     context.Context // of the clients
	cancel  context.CancelFunc

	clients, running sync.WaitGroup // stop ends them and waits
	next             int            // loop of the next client

	broken atomic.Int64 // connections that ended before stop
}

func newFleet(addr netip.AddrPort, loops int) *fleet {
	f := &fleet{addr: addr, buffers: reactor.NewBufferPool(0)}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	for range loops {
		l := reactor.NewLoop(nil)
		f.loops = append(f.loops, l)
		f.running.Go(func() { l.Run(context.Background()) })
	}
	return f
}

// handler is what a loop does with its connections.
type handler struct {
	start func(*reactor.Conn)                // at a connection's start
	route func(c *reactor.Conn, body []byte) // for each GetRouteResponse
}

// connect adds connections. of returns the handler of the loop with that
// index.
func (f *fleet) connect(n int, of func(loop int) handler) error {
	for range n {
		h := of(f.next)
		router := reactor.NewRouter[*reactor.Conn]()
		router.Handle(larspb.IDGetRouteResponse, h.route)
		client, err := reactor.NewClient(reactor.ClientConfig{
			Addrs:   []netip.AddrPort{f.addr},
			Router:  router,
			OnStart: h.start,
			OnClose: func(*reactor.Conn, error) {
				if f.ctx.Err() == nil {
					f.broken.Add(1)
				}
			},
			BackoffMin:   5 * time.Millisecond, // a service that starts is reached as soon as it listens
			BackoffMax:   20 * time.Millisecond,
			DrainTimeout: time.Second,
			Loop:         f.loops[f.next],
			Conn:         reactor.ConnConfig{Buffers: f.buffers},
		})
		if err != nil {
			return err
		}
		f.next = (f.next + 1) % len(f.loops)
		f.clients.Go(func() { client.Run(f.ctx) })
	}
	return nil
}

// onLoops runs do on each loop, with its index, and waits.
func (f *fleet) onLoops(do func(loop int)) {
	var done sync.WaitGroup
	for i, l := range f.loops {
		done.Add(1)
		if l.Post(func() { defer done.Done(); do(i) }) != nil {
			done.Done()
		}
	}
	done.Wait()
}

// err reports whether the service ended a connection.
func (f *fleet) err() error {
	if f.broken.Load() > 0 {
		return errors.New("the service ended a connection")
	}
	return nil
}

func (f *fleet) stop() {
	f.cancel()
	f.clients.Wait()
	for _, l := range f.loops {
		l.Stop()
	}
	f.running.Wait()
}

// ask appends a GetRouteRequest for service (modid 1, cmdid) to b.
func ask(b []byte, cmdid int) []byte {
	return larspb.RouteQuery{Modid: 1, Cmdid: int32(cmdid)}.Append(b)
}
