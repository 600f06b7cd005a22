// Servers holds the echo servers of this project for the comparison: the
// reactor, Go's net package with a goroutine per connection, and the floor, a
// bare loop of receive and send calls.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"lars.internal/reactor"
)

func main() {
	kind := flag.String("kind", "reactor", "reactor, net or floor")
	proto := flag.String("proto", "tcp", "tcp or udp")
	addr := flag.String("addr", "", "address to listen on")
	loops := flag.Int("loops", 1, "event loops of the reactor")
	flag.Parse()
	go countMallocs()
	if err := serve(*kind+"/"+*proto, *addr, *loops); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(what, addr string, loops int) error {
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		return err
	}
	switch what {
	case "reactor/tcp":
		return reactorTCP(ap, loops)
	case "reactor/udp":
		return reactorUDP(ap)
	case "net/tcp":
		return netTCP(addr)
	case "net/udp":
		return netUDP(ap)
	case "floor/tcp":
		return floorTCP(ap)
	case "floor/udp":
		return floorUDP(ap)
	}
	return fmt.Errorf("servers: no server %s", what)
}

func reactorTCP(addr netip.AddrPort, loops int) error {
	router := reactor.NewRouter[*reactor.Conn]()
	router.Handle(1, func(c *reactor.Conn, body []byte) { c.Reply(1, body) })
	s, err := reactor.NewServer(reactor.ServerConfig{Addr: addr, Router: router, Loops: loops})
	if err != nil {
		return err
	}
	return s.Serve(context.Background())
}

func reactorUDP(addr netip.AddrPort) error {
	router := reactor.NewRouter[*reactor.Packet]()
	router.Handle(1, func(p *reactor.Packet, body []byte) { p.Reply(1, append(p.Buffer(), body...)) })
	s, err := reactor.NewUDPServer(reactor.UDPConfig{Addr: addr, Router: router})
	if err != nil {
		return err
	}
	return s.Serve(context.Background())
}

// countMallocs prints the number of allocations so far on each SIGUSR1.
func countMallocs() {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR1)
	for range asked {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		fmt.Println(m.Mallocs)
	}
}
