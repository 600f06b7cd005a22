// Package reactor is a framework for network servers and clients that exchange
// framed messages, on event loops over epoll.
//
// A frame is a message id, the length of the body, and the body; see
// HeaderSize. A Router gives each message to the handler of its id:
//
//	router := reactor.NewRouter[*reactor.Conn]()
//	router.Handle(1, func(c *reactor.Conn, body []byte) { c.Send(2, body) })
//	srv, err := reactor.NewServer(reactor.ServerConfig{
//		Addr:   netip.MustParseAddrPort("127.0.0.1:7000"),
//		Router: router,
//	})
//	err = srv.Serve(ctx) // until ctx is done; then drains
//
// Beside Server there are Client, which keeps a connection to one of several
// servers for ever, UDPServer and UDPClient, which work in batches of
// datagrams, and Loop with Queue, a worker that takes its work in batches.
// Loop.TryConnect finds out whether a server takes connections.
//
// # Concurrency
//
// A Loop is one goroutine. Handlers, hooks, tasks and timers of what lives on
// a loop run on it, one at a time, so what only they touch needs no lock.
// They must not block: hand slow work to a Queue in front of another loop, and
// come back with Conn.Send or Loop.Post, which are safe from any goroutine.
// What a handler sends is gathered and written when the batch of input that
// it belongs to is done.
//
// A loop that waits for events waits in the kernel, and keeps its processor of
// the Go scheduler for a while. A program for which latency counts gives the
// scheduler more processors than it has loops: runtime.GOMAXPROCS.
//
// # Limits
//
// Everything is bounded. A connection that its peer does not read is no longer
// read itself above a high-water mark, fails Send at a hard cap, and is closed
// when its peer takes nothing for a while; see ConnConfig. There are deadlines
// for idle peers, for half a frame, and for a network that went silent. A server
// has an exact limit on connections, one per address, and a pool of its own for
// peers that have not proven themselves; see Conn.Proven. It goes on when the
// process runs out of descriptors. A panic of a handler ends its connection, or
// costs its datagram, and nothing else. A handler that cannot keep up pauses its
// connection: Conn.PauseReading.
//
// # Left out
//
// TLS, name resolution, systems other than Linux, and what the bodies mean.
package reactor
