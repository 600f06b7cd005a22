// Package client asks the Lars agent of this machine which host to call for a
// service, and tells it how the call went.
//
//	c, err := client.New(client.Config{}) // the agent at 127.0.0.1:8888
//	...
//	defer c.Close()
//	if err := c.Register(ctx, 1, 2); err != nil { ... } // once per service
//	err = c.Do(ctx, 1, 2, func(ctx context.Context, addr netip.AddrPort) error {
//		return fetch(ctx, addr)
//	})
//
// Do picks a host, calls the function and reports its result. GetHost and
// Report are its two halves, for calls that do not fit a function. GetRoute
// returns all hosts of a service.
//
// A Client is safe for concurrent use and meant to be shared: one per process
// is enough. It holds three UDP sockets and one goroutine for each, until
// Close. An agent that goes away fails calls with ErrAgent; when it is back
// the same Client works again.
//
// Left out on purpose: no picking of hosts without the agent, no cache of
// routes, no retry of the user's own calls, IPv4 only as in all of Lars.
package client
