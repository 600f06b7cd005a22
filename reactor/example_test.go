package reactor_test

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"sync"
	"time"

	"lars.internal/reactor"
)

// anyPort lets the kernel choose a free port of this machine.
var anyPort = netip.MustParseAddrPort("127.0.0.1:0")

// Messages of the examples.
const (
	request  = 1
	response = 2
	update   = 3
)

// A server that answers in capitals, and a client of it.
func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup

	requests := reactor.NewRouter[*reactor.Conn]()
	requests.Handle(request, func(c *reactor.Conn, body []byte) {
		c.Send(response, []byte(strings.ToUpper(string(body))))
	})
	server, err := reactor.NewServer(reactor.ServerConfig{Addr: anyPort, Router: requests})
	if err != nil {
		panic(err)
	}
	if err := server.Listen(); err != nil {
		panic(err)
	}
	running.Go(func() { server.Serve(ctx) })

	responses := reactor.NewRouter[*reactor.Conn]()
	responses.Handle(response, func(c *reactor.Conn, body []byte) {
		fmt.Printf("%s\n", body)
		cancel()
	})
	client, err := reactor.NewClient(reactor.ClientConfig{
		Addrs:   []netip.AddrPort{server.Addr()},
		Router:  responses,
		OnStart: func(c *reactor.Conn) { c.Send(request, []byte("hello")) },
	})
	if err != nil {
		panic(err)
	}
	running.Go(func() { client.Run(ctx) })
	running.Wait()
	// Output: HELLO
}

// newServer returns a server on a free port of this machine.
func newServer(cfg reactor.ServerConfig) *reactor.Server {
	cfg.Addr = anyPort
	server, err := reactor.NewServer(cfg)
	if err != nil {
		panic(err)
	}
	return server
}

// serve runs a server until the function that it returns is called.
func serve(server *reactor.Server) (stop func()) {
	if err := server.Listen(); err != nil {
		panic(err)
	}
	var running sync.WaitGroup
	running.Go(func() { server.Serve(context.Background()) })
	return func() {
		server.Close()
		running.Wait()
	}
}

// connect runs a client until the function that it returns is called.
func connect(cfg reactor.ClientConfig) (client *reactor.Client, stop func()) {
	client, err := reactor.NewClient(cfg)
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { client.Run(ctx) })
	return client, func() {
		cancel()
		running.Wait()
	}
}

// A client connects again whenever its connection ends, here because the
// server hangs up on the first one. OnStart is the place to send what each
// connection needs.
func ExampleClient() {
	calls := reactor.NewRouter[*reactor.Conn]()
	calls.Handle(request, func(c *reactor.Conn, body []byte) {
		c.Send(response, body)
		if string(body) == "on connection 1" {
			c.Close()
		}
	})
	server := newServer(reactor.ServerConfig{Router: calls})
	defer serve(server)()

	connections := 0 // touched on the client's loop only
	done := make(chan bool)
	answers := reactor.NewRouter[*reactor.Conn]()
	answers.Handle(response, func(_ *reactor.Conn, body []byte) {
		fmt.Printf("answer %s\n", body)
		if connections == 2 {
			close(done)
		}
	})
	_, stop := connect(reactor.ClientConfig{
		Addrs:      []netip.AddrPort{server.Addr()},
		Router:     answers,
		BackoffMin: time.Millisecond,
		OnStart: func(c *reactor.Conn) {
			connections++
			c.Send(request, fmt.Appendf(nil, "on connection %d", connections))
		},
		OnClose: func(_ *reactor.Conn, reason error) { fmt.Println("closed:", reason) },
	})
	<-done
	stop()
	// Output:
	// answer on connection 1
	// closed: EOF
	// answer on connection 2
	// closed: reactor: closed on this side
}

// A UDP server that answers in place, without a copy, and a client of it.
func ExampleUDPServer() {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup

	requests := reactor.NewRouter[*reactor.Packet]()
	requests.Handle(request, func(p *reactor.Packet, body []byte) {
		p.Reply(response, append(append(p.Buffer(), "got "...), body...))
	})
	server, err := reactor.NewUDPServer(reactor.UDPConfig{Addr: anyPort, Router: requests})
	if err != nil {
		panic(err)
	}
	if err := server.Listen(); err != nil {
		panic(err)
	}
	running.Go(func() { server.Serve(ctx) })

	responses := reactor.NewRouter[*reactor.Packet]()
	responses.Handle(response, func(p *reactor.Packet, body []byte) {
		fmt.Println(string(body), p.From() == server.Addr())
		cancel()
	})
	client, err := reactor.NewUDPClient(reactor.UDPConfig{Addr: server.Addr(), Router: responses})
	if err != nil {
		panic(err)
	}
	client.Send(request, []byte("a datagram"))
	running.Go(func() { client.Run(ctx) })
	running.Wait()
	// Output: got a datagram true
}

// A worker with a bounded queue in front: any goroutine puts, the loop takes
// what has gathered as one batch.
func ExampleQueue() {
	worker := reactor.NewLoop(nil)
	sum := 0 // touched on the loop only
	queue := reactor.NewQueue(worker, 3, func(batch []int) {
		for _, v := range batch {
			sum += v
		}
		fmt.Println("batch", batch, "sum", sum)
	})
	for i := range 4 {
		if err := queue.Put(i + 1); err != nil {
			fmt.Println(err)
		}
	}
	worker.Stop()
	worker.Run(context.Background()) // what was put before Stop is still handled
	// Output:
	// reactor: queue is full
	// batch [1 2 3] sum 6
}

// Connections subscribe to a topic, and an update is pushed to all of them.
// Each loop keeps its own subscribers, so no lock is needed.
func ExampleServer_RunOnAllLoops() {
	type subscribers map[*reactor.Conn]bool
	byLoop := make(map[*reactor.Loop]subscribers)

	requests := reactor.NewRouter[*reactor.Conn]()
	requests.Handle(request, func(c *reactor.Conn, topic []byte) {
		byLoop[c.Loop()][c] = true
		c.SetProperty(string(topic))
		c.Send(response, nil)
	})
	server := newServer(reactor.ServerConfig{
		Router:  requests,
		Loops:   2,
		OnClose: func(c *reactor.Conn, _ error) { delete(byLoop[c.Loop()], c) },
	})
	for _, l := range server.Loops() {
		byLoop[l] = make(subscribers) // the outer map is only read from here on
	}
	defer serve(server)()

	var subscribed, updated sync.WaitGroup
	messages := reactor.NewRouter[*reactor.Conn]()
	messages.Handle(response, func(*reactor.Conn, []byte) { subscribed.Done() })
	messages.Handle(update, func(_ *reactor.Conn, body []byte) {
		fmt.Println("update:", string(body))
		updated.Done()
	})
	for range 3 {
		subscribed.Add(1)
		updated.Add(1)
		_, stop := connect(reactor.ClientConfig{
			Addrs:   []netip.AddrPort{server.Addr()},
			Router:  messages,
			OnStart: func(c *reactor.Conn) { c.Send(request, []byte("weather")) },
		})
		defer stop()
	}
	subscribed.Wait()
	server.RunOnAllLoops(func(l *reactor.Loop) {
		for c := range byLoop[l] {
			if c.Property() == "weather" {
				c.Send(update, []byte("rain"))
			}
		}
	})
	updated.Wait()
	// Output:
	// update: rain
	// update: rain
	// update: rain
}

// A message that stops the server, once everybody has what was sent to him.
func ExampleServer_Shutdown() {
	var server *reactor.Server
	requests := reactor.NewRouter[*reactor.Conn]()
	requests.Handle(request, func(c *reactor.Conn, _ []byte) {
		c.Send(response, []byte("good night"))
		server.Shutdown(context.Background())
	})
	server = newServer(reactor.ServerConfig{Router: requests})
	if err := server.Listen(); err != nil {
		panic(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(context.Background()) }()

	answers := reactor.NewRouter[*reactor.Conn]()
	answers.Handle(response, func(_ *reactor.Conn, body []byte) { fmt.Println(string(body)) })
	_, stop := connect(reactor.ClientConfig{
		Addrs:   []netip.AddrPort{server.Addr()},
		Router:  answers,
		OnStart: func(c *reactor.Conn) { c.Send(request, nil) },
	})
	fmt.Println("Serve:", <-served)
	stop()
	// Output:
	// good night
	// Serve: <nil>
}

// Timers run on the loop, beside its connections and tasks.
func ExampleLoop_Every() {
	loop := reactor.NewLoop(nil)
	loop.Post(func() {
		runs := 0
		var ticker *reactor.Timer
		ticker = loop.Every(time.Millisecond, func() {
			if runs++; runs == 3 {
				fmt.Println("third run, still to come:", ticker.Stop())
				loop.After(time.Millisecond, loop.Stop)
			}
		})
	})
	fmt.Println("Run:", loop.Run(context.Background()))
	// Output:
	// third run, still to come: true
	// Run: <nil>
}

// A peer that has finished sending may still be answered: with an EOF hook
// the connection stays open until it is closed on this side.
func ExampleServerConfig_onEOF() {
	requests := reactor.NewRouter[*reactor.Conn]()
	requests.Handle(request, func(c *reactor.Conn, body []byte) {
		all, _ := c.Property().(string)
		c.SetProperty(all + string(body))
	})
	server := newServer(reactor.ServerConfig{
		Router: requests,
		OnEOF: func(c *reactor.Conn) {
			c.Send(response, []byte(c.Property().(string)))
			c.Close()
		},
	})
	defer serve(server)()

	done := make(chan bool)
	answers := reactor.NewRouter[*reactor.Conn]()
	answers.Handle(response, func(_ *reactor.Conn, body []byte) { fmt.Printf("%s\n", body) })
	_, stop := connect(reactor.ClientConfig{
		Addrs:  []netip.AddrPort{server.Addr()},
		Router: answers,
		OnStart: func(c *reactor.Conn) {
			c.Send(request, []byte("all "))
			c.Send(request, []byte("in one"))
			c.CloseWrite()
		},
		OnClose: func(_ *reactor.Conn, reason error) {
			fmt.Println(reason == io.EOF)
			close(done)
		},
		BackoffMin: time.Hour, BackoffMax: time.Hour,
	})
	<-done
	stop()
	// Output:
	// all in one
	// true
}

// The totals of a loop are there for any goroutine, at no cost for the loop.
func ExampleLoop_Stats() {
	requests := reactor.NewRouter[*reactor.Conn]()
	requests.Handle(request, func(c *reactor.Conn, body []byte) { c.Send(response, body) })
	server := newServer(reactor.ServerConfig{Router: requests, Loops: 1})
	defer serve(server)()

	answered := make(chan bool)
	answers := reactor.NewRouter[*reactor.Conn]()
	answers.Handle(response, func(*reactor.Conn, []byte) { answered <- true })
	_, stop := connect(reactor.ClientConfig{
		Addrs:   []netip.AddrPort{server.Addr()},
		Router:  answers,
		OnStart: func(c *reactor.Conn) { c.Send(request, []byte("hello")) },
	})
	<-answered
	stats := server.Loops()[0].Stats()
	fmt.Println(stats.Opened, "connection,", stats.MessagesIn, "message of", stats.BytesIn, "bytes")
	stop()
	// Output: 1 connection, 1 message of 13 bytes
}
