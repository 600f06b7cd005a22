package main

import (
	"fmt"
	"net/netip"
	"os"

	"lars.internal/bench/measure"
)

// namespace is a network namespace with one host, joined to that of the
// benchmark by a pair of virtual interfaces.
type namespace struct {
	name string
	link string     // this side's interface
	near netip.Addr // of this side
	far  netip.Addr // of the host
}

// newNamespace needs root and ip(8). close removes all of it. Its network, of
// four addresses, is another one for each process that may run beside this one.
func newNamespace() (*namespace, error) {
	pid := os.Getpid()
	block := pid % (1 << 14)
	address := func(last int) netip.Addr {
		return netip.AddrFrom4([4]byte{10, 79, byte(block >> 6), byte(block&63*4 + last)})
	}
	n := &namespace{
		name: fmt.Sprintf("lars-failover-%d", pid),
		link: fmt.Sprintf("larsf%d", pid),
		near: address(1), far: address(2),
	}
	for _, args := range [][]string{
		{"netns", "add", n.name},
		{"link", "add", n.link, "type", "veth", "peer", "name", "eth0", "netns", n.name},
		{"addr", "add", n.near.String() + "/30", "dev", n.link},
		{"link", "set", n.link, "up"},
		{"-n", n.name, "addr", "add", n.far.String() + "/30", "dev", "eth0"},
		{"-n", n.name, "link", "set", "lo", "up"},
		{"-n", n.name, "link", "set", "eth0", "up"},
	} {
		if err := ip(args...); err != nil {
			n.close()
			return nil, err
		}
	}
	return n, nil
}

// close removes the namespace, and with it both interfaces.
func (n *namespace) close() {
	_ = ip("link", "del", n.link) // it is not there if that failed
	_ = ip("netns", "del", n.name)
}

// cut makes the host silent: what it sends is dropped, and nobody is told.
func (n *namespace) cut() error {
	return ip("-n", n.name, "route", "add", "blackhole", n.near.String())
}

// heal ends a cut.
func (n *namespace) heal() error {
	return ip("-n", n.name, "route", "del", "blackhole", n.near.String())
}

// prefix is what comes before a command that is to run in the namespace; nil is
// that of the benchmark.
func (n *namespace) prefix() []string {
	if n == nil {
		return nil
	}
	return []string{"ip", "netns", "exec", n.name}
}

func ip(args ...string) error { return measure.Command(".", "ip", args...) }
