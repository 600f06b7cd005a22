// Netpoll is an echo server for frames on github.com/cloudwego/netpoll.
package main

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/cloudwego/netpoll"
)

const headerSize = 8

// echo answers all whole frames that have come, with one flush.
func echo(_ context.Context, conn netpoll.Connection) error {
	r, w := conn.Reader(), conn.Writer()
	for r.Len() >= headerSize {
		head, err := r.Peek(headerSize)
		if err != nil {
			return err
		}
		size := headerSize + int(binary.LittleEndian.Uint32(head[4:]))
		if r.Len() < size {
			break
		}
		frame, err := r.Next(size)
		if err != nil {
			return err
		}
		out, err := w.Malloc(size)
		if err != nil {
			return err
		}
		copy(out, frame)
	}
	r.Release()
	return w.Flush()
}

func main() {
	addr := flag.String("addr", "", "address to listen on")
	loops := flag.Int("loops", 1, "pollers")
	flag.Parse()
	go countMallocs()
	if err := serve(*addr, *loops); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(addr string, loops int) error {
	if err := netpoll.Configure(netpoll.Config{PollerNum: loops}); err != nil {
		return err
	}
	listener, err := netpoll.CreateListener("tcp", addr)
	if err != nil {
		return err
	}
	events, err := netpoll.NewEventLoop(echo)
	if err != nil {
		return err
	}
	return events.Serve(listener)
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
