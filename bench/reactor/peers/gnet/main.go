// Gnet is an echo server for frames on github.com/panjf2000/gnet.
package main

import (
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/panjf2000/gnet/v2"
)

const headerSize = 8

// echo answers each frame with its own bytes.
type echo struct {
	gnet.BuiltinEventEngine
	udp    bool
	gather bool // one write for all replies of a batch
}

// OnTraffic takes what has come on a connection, or one datagram.
func (e *echo) OnTraffic(c gnet.Conn) gnet.Action {
	if e.udp {
		b, _ := c.Next(-1)
		c.Write(b)
		return gnet.None
	}
	if e.gather {
		return e.gathered(c)
	}
	for c.InboundBuffered() >= headerSize {
		head, _ := c.Peek(headerSize)
		size := headerSize + int(binary.LittleEndian.Uint32(head[4:]))
		if c.InboundBuffered() < size {
			break
		}
		frame, _ := c.Next(size)
		c.Write(frame)
	}
	return gnet.None
}

// gathered builds a reply for each frame and writes them at once.
func (e *echo) gathered(c gnet.Conn) gnet.Action {
	all, _ := c.Peek(-1)
	used, out := 0, e.replies(c)
	for len(all)-used >= headerSize {
		size := headerSize + int(binary.LittleEndian.Uint32(all[used+4:]))
		if len(all)-used < size {
			break
		}
		out = append(out, all[used:used+size]...)
		used += size
	}
	if used > 0 {
		c.Discard(used)
		c.Write(out)
	}
	c.SetContext(out[:0])
	return gnet.None
}

// replies returns the connection's memory for replies, empty.
func (e *echo) replies(c gnet.Conn) []byte {
	if b, ok := c.Context().([]byte); ok {
		return b
	}
	return nil
}

func main() {
	addr := flag.String("addr", "", "address to listen on")
	proto := flag.String("proto", "tcp", "tcp or udp")
	loops := flag.Int("loops", 1, "event loops")
	edge := flag.Bool("edge", false, "edge-triggered")
	gather := flag.Bool("gather", false, "one write for all replies of a batch")
	flag.Parse()
	go countMallocs()
	handler := &echo{udp: *proto == "udp", gather: *gather}
	err := gnet.Run(handler, *proto+"://"+*addr, gnet.WithNumEventLoop(*loops), gnet.WithEdgeTriggeredIO(*edge), gnet.WithTCPNoDelay(gnet.TCPNoDelay))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
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
