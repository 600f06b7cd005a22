// Pick asks the agent of this machine for a host of a service, calls it, and
// reports how the call went:
//
//	go run . 1/2
//
// It is a module of its own, as a program that uses Lars is.
package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"lars.internal/client"
	"lars.internal/route"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: pick MODID/CMDID")
		os.Exit(2)
	}
	if err := call(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "pick:", err)
		os.Exit(1)
	}
}

func call(service string) error {
	key, err := route.ParseKey(service)
	if err != nil {
		return err
	}
	c, err := client.New(client.Config{})
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := c.Register(ctx, key.Modid, key.Cmdid); err != nil {
		return err
	}
	return c.Do(ctx, key.Modid, key.Cmdid, connect)
}

// connect is the call: it succeeds if the host takes a connection.
func connect(ctx context.Context, addr netip.AddrPort) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr.String())
	if err != nil {
		return err
	}
	fmt.Println(addr, "answers")
	return conn.Close()
}
