package client

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"lars.internal/larspb"
)

// The errors of this package; test for them with errors.Is. An error of the
// caller's own context that has nothing to do with the agent is wrapped as it
// is.
var (
	// ErrNoService means that the agent knows no hosts of the service. It
	// asks the dns service when it first hears of a service, so a program
	// calls Register before anything else.
	ErrNoService = larspb.ErrNoExist

	// ErrOverload means that the agent has ejected every host of the service
	// and that this pick was not one of those that try an ejected host.
	ErrOverload = larspb.ErrOverload

	// ErrSystem means that the agent met an error of its own, or answered with a
	// host whose address cannot be called.
	ErrSystem = larspb.ErrSystem

	// ErrAgent means that the agent cannot be reached, or did not answer
	// before the deadline. The text names the address that was tried. The
	// cause is wrapped too: context.DeadlineExceeded, or the network's error
	// (syscall.ECONNREFUSED: no agent listens there).
	ErrAgent = errors.New("agent not reachable")

	// ErrTruncated comes with the hosts that GetRoute could get: the service
	// has more than fit one datagram.
	ErrTruncated = errors.New("the route is cut: it has more hosts than fit one datagram")

	// ErrClosed means that Close was called, before the call or during it.
	ErrClosed = errors.New("the client is closed")
)

// unreachable says which agent failed, why, and what to look at.
func unreachable(agent netip.AddrPort, cause error) error {
	if errors.Is(cause, net.ErrClosed) {
		return ErrClosed
	}
	return fmt.Errorf("%w at %v (is lars-agent running there?): %w", ErrAgent, agent, cause)
}

// isRefused reports whether the agent's machine answered that no program
// listens on the port. The kernel reports it on the next use of the socket.
func isRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
