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
// Do picks a host, calls the function, and reports its result and the time that
// it took. DoRetry does so too, and calls a second host where that is safe.
// Pick and ReportResult are the two halves of Do, for calls that do not fit a
// function. GetHost and Report are the same as C++ programs have them, without
// the ticket that joins a result to its pick. GetRoute returns all hosts of a
// service.
//
// # What the agent learns from a result
//
// An agent of this project chooses hosts by how calls went: whether the host
// refused, was silent, answered an error or said that it is overloaded, and how
// long it took. Package call tells these kinds apart by the error. An answer
// like HTTP's 429 and 503 is an error like any other to it, unless the program
// says otherwise:
//
//	if code := resp.StatusCode; code == 429 || code == 503 {
//		return call.WithKind(fmt.Errorf("status %d", code), lb.KindOverloaded)
//	}
//
// The ticket of a Pick is good for one result, for ten minutes, and until the
// agent restarts. Agents of before give none and skip what they do not know.
//
// A Client is safe for concurrent use and meant to be shared: one per process
// is enough. It holds three UDP sockets and one goroutine for each, until
// Close. An agent that goes away fails calls with ErrAgent; when it is back
// the same Client works again.
//
// Left out on purpose: no picking of hosts without the agent, no cache of
// routes, no more than one second try for a call, IPv4 only as in all of Lars.
package client
