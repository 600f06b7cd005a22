package reactor_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"lars.internal/reactor"
)

// dial connects to a server as any program does.
func dial(server *reactor.Server) net.Conn {
	conn, err := net.Dial("tcp", server.Addr().String())
	if err != nil {
		panic(err)
	}
	return conn
}

// One connection too many is closed, and the hook learns why.
func ExampleServerConfig_onRefuse() {
	refused := make(chan error, 1)
	server := newServer(reactor.ServerConfig{
		Router:   reactor.NewRouter[*reactor.Conn](),
		MaxConns: 1,
		OnRefuse: func(_ netip.AddrPort, reason error) { refused <- reason },
	})
	defer serve(server)()
	first, second := dial(server), dial(server)
	defer first.Close()
	defer second.Close()
	fmt.Println(errors.Is(<-refused, reactor.ErrMaxConns))
	// Output: true
}

// A peer that does not read fills the output. At the high-water mark the
// connection is no longer read, at the hard cap Send fails.
func ExampleServerConfig_onBackPressure() {
	full := make(chan bool, 2)
	server := newServer(reactor.ServerConfig{
		Router:         reactor.NewRouter[*reactor.Conn](),
		Conn:           reactor.ConnConfig{HighWater: 1 << 20, HardCap: 16 << 20},
		OnBackPressure: func(_ *reactor.Conn, isFull bool) { full <- isFull },
		OnStart: func(c *reactor.Conn) {
			for c.Send(update, make([]byte, 60_000)) == nil {
			}
		},
	})
	defer serve(server)()
	peer := dial(server)
	defer peer.Close()
	fmt.Println("full:", <-full)
	// Output: full: true
}

// A peer that sends nothing is closed after a while.
func ExampleConnConfig_idleTimeout() {
	ended := make(chan error, 1)
	server := newServer(reactor.ServerConfig{
		Router:  reactor.NewRouter[*reactor.Conn](),
		Conn:    reactor.ConnConfig{IdleTimeout: 10 * time.Millisecond, CloseTimeout: 10 * time.Millisecond},
		OnClose: func(_ *reactor.Conn, reason error) { ended <- reason },
	})
	defer serve(server)()
	peer := dial(server)
	defer peer.Close()
	fmt.Println(errors.Is(<-ended, reactor.ErrIdle))
	// Output: true
}

// Each connection counts its own messages in its property.
func ExampleConn_SetProperty() {
	counts := make(chan int, 1)
	router := reactor.NewRouter[*reactor.Conn]()
	router.Handle(request, func(c *reactor.Conn, _ []byte) { *c.Property().(*int)++ })
	server := newServer(reactor.ServerConfig{
		Router:  router,
		OnStart: func(c *reactor.Conn) { c.SetProperty(new(int)) },
		OnClose: func(c *reactor.Conn, _ error) { counts <- *c.Property().(*int) },
	})
	defer serve(server)()
	peer := dial(server)
	peer.Write([]byte{request, 0, 0, 0, 0, 0, 0, 0, request, 0, 0, 0, 0, 0, 0, 0})
	peer.Close()
	fmt.Println("messages:", <-counts)
	// Output: messages: 2
}

// Two servers share a pool, and so one ceiling on the memory for half frames
// and unsent output.
func ExampleNewBufferPool() {
	pool := reactor.NewBufferPool(64 << 20)
	for range 2 {
		newServer(reactor.ServerConfig{
			Router: reactor.NewRouter[*reactor.Conn](),
			Conn:   reactor.ConnConfig{Buffers: pool},
		})
	}
	fmt.Println("lent:", pool.Lent())
	// Output: lent: 0
}

// Another goroutine hands work to a loop.
func ExampleLoop_Post() {
	ctx, cancel := context.WithCancel(context.Background())
	loop := reactor.NewLoop(nil)
	var running sync.WaitGroup
	running.Go(func() { loop.Run(ctx) })
	loop.Post(func() {
		fmt.Println("on the loop")
		cancel()
	})
	running.Wait()
	// Output: on the loop
}

// A client that asks over UDP. Questions of many goroutines share system
// calls.
func ExampleUDPClient() {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	echo := reactor.NewRouter[*reactor.Packet]()
	echo.Handle(request, func(p *reactor.Packet, body []byte) { p.Reply(response, body) })
	server, err := reactor.NewUDPServer(reactor.UDPConfig{Addr: anyPort, Router: echo})
	if err != nil {
		panic(err)
	}
	if err := server.Listen(); err != nil {
		panic(err)
	}
	running.Go(func() { server.Serve(ctx) })

	answers := reactor.NewRouter[*reactor.Packet]()
	answers.Handle(response, func(_ *reactor.Packet, body []byte) {
		fmt.Printf("%s\n", body)
		cancel()
	})
	client, err := reactor.NewUDPClient(reactor.UDPConfig{Addr: server.Addr(), Router: answers})
	if err != nil {
		panic(err)
	}
	client.Send(request, []byte("hello"))
	running.Go(func() { client.Run(ctx) })
	running.Wait()
	// Output: hello
}
