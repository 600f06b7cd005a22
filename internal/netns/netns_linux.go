// Package netns gives tests a small network of its own: hosts in network
// namespaces, with a router between them that drops what a test asks it to.
//
//	net := netns.New(t) // skips the test without root
//	a, b := net.Host("a"), net.Host("b")
//	err := a.Do(func() error { return server.Listen() }) // a socket of a
//	cmd := b.Command("lars-agent", "-agent.ip", b.Addr().String())
//	b.Cut() // silently: no reset, no ICMP
//
// A socket belongs to the namespace of the thread that opens it, as long as it
// lives. All is removed when the test ends. Linux only; needs ip(8).
package netns

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// maxHosts is the number of hosts of a network.
const maxHosts = 200

// networks counts those of this process, for their names.
var networks atomic.Int64

// Net is a network. Its methods belong to the test's goroutine.
type Net struct {
	t      testing.TB
	prefix string // of the names of its namespaces
	router string
	hosts  int
}

// New makes a network without hosts. It skips the test where there is no root
// or no ip(8).
func New(t testing.TB) *Net {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("network namespaces need ip(8), of the package iproute2")
	}
	n := &Net{t: t, prefix: fmt.Sprintf("lars-%d-%d-", os.Getpid(), networks.Add(1))}
	n.router = n.namespace("router")
	n.ip("netns", "exec", n.router, "sysctl", "-qw", "net.ipv4.ip_forward=1")
	return n
}

// Host adds a host with an IPv4 address of its own.
func (n *Net) Host(name string) *Host {
	n.t.Helper()
	if n.hosts == maxHosts {
		n.t.Fatalf("netns: host %s: the network has %d hosts already", name, maxHosts)
	}
	n.hosts++
	h := &Host{
		net:  n,
		name: n.namespace(name),
		port: fmt.Sprintf("port%d", n.hosts),
		addr: netip.AddrFrom4([4]byte{10, 77, byte(n.hosts), 2}),
	}
	gateway := netip.AddrFrom4([4]byte{10, 77, byte(n.hosts), 1}).String()
	n.ip("link", "add", "eth0", "netns", h.name, "type", "veth", "peer", "name", h.port, "netns", n.router)
	n.ip("-n", n.router, "addr", "add", gateway+"/30", "dev", h.port)
	n.ip("-n", n.router, "link", "set", h.port, "up")
	n.ip("-n", h.name, "addr", "add", h.addr.String()+"/30", "dev", "eth0")
	n.ip("-n", h.name, "link", "set", "eth0", "up")
	n.ip("-n", h.name, "route", "add", "default", "via", gateway)
	return h
}

// namespace makes a namespace that lives until the test ends.
func (n *Net) namespace(name string) string {
	n.t.Helper()
	full := n.prefix + name
	n.ip("netns", "add", full)
	n.t.Cleanup(func() { n.ip("netns", "del", full) })
	n.ip("-n", full, "link", "set", "lo", "up")
	return full
}

// ip runs ip(8).
func (n *Net) ip(args ...string) {
	n.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		n.t.Fatalf("netns: ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// Host is a machine of a Net.
type Host struct {
	net  *Net
	name string // of its namespace
	port string // of the router, towards it
	addr netip.Addr
}

// Addr returns the host's address.
func (h *Host) Addr() netip.Addr { return h.addr }

// Cut makes the router drop what comes from the host and what goes to it. No
// side is told: no reset, no ICMP, no carrier lost.
func (h *Host) Cut() {
	h.net.t.Helper()
	h.net.ip("-n", h.net.router, "rule", "add", "iif", h.port, "blackhole")
	h.net.ip("-n", h.net.router, "route", "add", "blackhole", h.addr.String())
}

// Heal ends a Cut.
func (h *Host) Heal() {
	h.net.t.Helper()
	h.net.ip("-n", h.net.router, "rule", "del", "iif", h.port, "blackhole")
	h.net.ip("-n", h.net.router, "route", "del", "blackhole", h.addr.String())
}

// Do runs f on a thread in the host's namespace and returns its error. What f
// opens on this thread belongs to the host; goroutines that f starts run
// elsewhere.
func (h *Host) Do(f func() error) error {
	result := make(chan error, 1)
	go func() { result <- h.enter(f) }() // Do waits for it
	return <-result
}

// enter runs f and never unlocks the thread, which ends with the goroutine:
// no other goroutine gets a thread of the wrong namespace.
func (h *Host) enter(f func() error) error {
	runtime.LockOSThread()
	fd, err := unix.Open("/run/netns/"+h.name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("netns: enter %s: %w", h.name, err)
	}
	err = unix.Setns(fd, unix.CLONE_NEWNET)
	unix.Close(fd)
	if err != nil {
		return fmt.Errorf("netns: enter %s: %w", h.name, err)
	}
	return f()
}

// Command returns a command that runs on the host.
func (h *Host) Command(name string, args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", h.name, name}, args...)...)
}
