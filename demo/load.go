package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"lars.internal/client"
)

// callTime is the longest that one call to a backend may take.
const callTime = time.Second

var errFailed = errors.New("the backend answered that it failed")

// load drives the calls and counts what becomes of them.
type load struct {
	// Immutable after newLoad.
	client  *client.Client
	calls   int
	rate    int
	workers int

	next atomic.Int64 // calls handed to workers
	done atomic.Int64 // calls that ended

	mu      sync.Mutex // guards everything below
	hosts   map[netip.AddrPort]*tally
	lost    int // picks that gave no host
	lostBy  error
	latency *hdrhistogram.Histogram // of GetHost, in microseconds
	start   time.Time
	end     time.Time
}

// tally counts the calls to one host.
type tally struct{ succ, err int }

func newLoad(c *client.Client, f *farm, o options) *load {
	l := &load{
		client: c, calls: o.calls, rate: o.rate, workers: o.workers,
		hosts:   map[netip.AddrPort]*tally{},
		latency: newLatency(),
		start:   time.Now(),
	}
	for _, b := range f.backends {
		l.hosts[b.addr] = &tally{}
	}
	return l
}

// newLatency returns a histogram for 1 us to 10 s, exact to three digits.
func newLatency() *hdrhistogram.Histogram { return hdrhistogram.New(1, 10_000_000, 3) }

// run makes the calls, each at its time, and returns when all have ended.
func (l *load) run(ctx context.Context) {
	var all sync.WaitGroup
	for range l.workers {
		all.Go(func() { l.work(ctx) })
	}
	all.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end = time.Now()
}

func (l *load) work(ctx context.Context) {
	for ctx.Err() == nil {
		n := l.next.Add(1)
		if n > int64(l.calls) {
			return
		}
		due := l.start.Add(time.Duration(n) * time.Second / time.Duration(l.rate))
		pause(ctx, time.Until(due))
		l.one(ctx)
		l.done.Add(1)
	}
}

// one picks a host, calls it and reports the result.
func (l *load) one(ctx context.Context) {
	asked := time.Now()
	p, err := l.client.Pick(ctx, modid, cmdid)
	took := time.Since(asked)
	if err != nil {
		l.lose(err)
		return
	}
	start := time.Now()
	result := call(ctx, p.Addr)
	err = l.client.ReportResult(modid, cmdid, p.Addr, client.Result{Err: result, Latency: time.Since(start), Ticket: p.Ticket})
	l.count(p.Addr, result, took)
	if err != nil {
		l.lose(err)
	}
}

// call is what a program would do with the host.
func call(ctx context.Context, host netip.AddrPort) error {
	d := net.Dialer{Timeout: callTime}
	conn, err := d.DialContext(ctx, "tcp4", host.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.(*net.TCPConn).SetLinger(0) // thousands of calls leave no port waiting
	conn.SetDeadline(time.Now().Add(callTime))
	var answer [1]byte
	if _, err := conn.Read(answer[:]); err != nil {
		return err
	}
	if answer[0] != fine {
		return errFailed
	}
	return nil
}

func (l *load) lose(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost++
	l.lostBy = err
}

func (l *load) count(host netip.AddrPort, result error, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.latency.RecordValue(took.Microseconds())
	t := l.hosts[host]
	if t == nil {
		l.lost++
		l.lostBy = fmt.Errorf("the agent named %v, which is no host of the service", host)
		return
	}
	if result != nil {
		t.err++
	} else {
		t.succ++
	}
}

// reached returns when n calls have ended, or ctx is done.
func (l *load) reached(ctx context.Context, n int) {
	for l.done.Load() < int64(n) && ctx.Err() == nil {
		pause(ctx, 10*time.Millisecond)
	}
}

// finished reports whether all calls have ended.
func (l *load) finished() bool { return l.done.Load() >= int64(l.calls) }

// totals returns what has become of the calls so far.
func (l *load) totals() (t tally, p50, p99 time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range l.hosts {
		t.succ += h.succ
		t.err += h.err
	}
	return t, l.percentile(50), l.percentile(99)
}

func (l *load) percentile(p float64) time.Duration {
	return time.Duration(l.latency.ValueAtPercentile(p)) * time.Microsecond
}
