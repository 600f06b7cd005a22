package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lars.internal/larspb"
)

// echo answers like an agent that picks the same host for everybody and
// ignores reports. It does not allocate.
func echo(_ int, conn *net.UDPConn) {
	in, out := make([]byte, 2048), make([]byte, 0, 2048)
	for {
		size, from, err := conn.ReadFromUDPAddrPort(in)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		id, body, err := larspb.ParseFrame(in[:size])
		var q larspb.HostQuery
		if err != nil || id != larspb.IDGetHostRequest || q.Parse(body) != nil {
			continue
		}
		a := larspb.HostAnswer{Seq: q.Seq, Modid: q.Modid, Cmdid: q.Cmdid, HasHost: true, IP: 0x0a000001, Port: 8080}
		if q.Level > 0 {
			a.Ticket = 1 << 63
		}
		out = a.Append(out[:larspb.HeaderSize])
		larspb.PutHeader(out, larspb.IDGetHostResponse, len(out)-larspb.HeaderSize)
		conn.WriteToUDPAddrPort(out, from)
	}
}

// A call allocates nothing, in any goroutine of the client.
func TestCallsDoNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("under the race detector pools drop what they are given")
	}
	c := startServing(t, echo).newClient(testTimeout)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	host := netip.MustParseAddrPort(goodHost)
	var failed error
	succeed := func(context.Context, netip.AddrPort) error { return nil }
	result := Result{Err: errCall, Latency: time.Hour, Ticket: 1 << 63}
	tests := map[string]func(){
		"GetHost":      func() { _, failed = c.GetHost(ctx, 1, 2) },
		"Pick":         func() { _, failed = c.Pick(ctx, 1, 2) },
		"PickOther":    func() { _, failed = c.PickOther(ctx, 1, 2, host) },
		"Report":       func() { failed = c.Report(1, 2, host, nil) },
		"ReportResult": func() { failed = c.ReportResult(1, 2, host, result) },
		"Do":           func() { failed = c.Do(ctx, 1, 2, succeed) },
		"DoRetry":      func() { failed = c.DoRetry(ctx, 1, 2, Retry{}, succeed) },
	}
	for name, call := range tests {
		allocs := testing.AllocsPerRun(1000, func() {
			if call(); failed != nil {
				t.Fatal(failed)
			}
		})
		if allocs != 0 {
			t.Errorf("%s allocates %v times", name, allocs)
		}
	}
}

// BenchmarkGetHost measures round trips to an agent in the same process; each
// goroutine has a service of its own.
func BenchmarkGetHost(b *testing.B) {
	benchmarkCallers(b, func(c *Client, modid int32) error {
		_, err := c.GetHost(context.Background(), modid, 0)
		return err
	})
}

// BenchmarkGetHostReport measures a pair, as Do makes it.
func BenchmarkGetHostReport(b *testing.B) {
	benchmarkCallers(b, func(c *Client, modid int32) error {
		addr, err := c.GetHost(context.Background(), modid, 0)
		if err != nil {
			return err
		}
		return c.Report(modid, 0, addr, nil)
	})
}

func benchmarkCallers(b *testing.B, call func(c *Client, modid int32) error) {
	for _, callers := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("goroutines=%d", callers), func(b *testing.B) {
			c := startServing(b, echo).newClient(testTimeout)
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for modid := range int32(callers) {
				wg.Go(func() {
					for left.Add(-1) >= 0 {
						if err := call(c, modid); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(c.Stats().Resent), "resent")
		})
	}
}
