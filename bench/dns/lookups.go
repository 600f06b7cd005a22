package main

import (
	"context"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"lars.internal/bench/measure"
	"lars.internal/larspb"
	"lars.internal/reactor"
)

const (
	// lookupHosts is what the database holds for the lookups.
	lookupHosts = 100_000

	// askedServices is how many services one connection asks for, in turn, as an
	// agent asks again and again for what its programs use.
	askedServices = 100
)

// lookupRun is one case of lookups.
type lookupRun struct {
	Conns      int     `json:"conns"`
	InFlight   int     `json:"in_flight"` // requests under way per connection
	Lookups    int     `json:"lookups"`
	Seconds    float64 `json:"seconds"`
	CPUMicros  float64 `json:"server_cpu_us_per_lookup"`
	LoadMicros float64 `json:"client_cpu_us_per_lookup"`
	P50Micros  float64 `json:"p50_us"`
	P99Micros  float64 `json:"p99_us"`
}

// lookups measures all cases against one lars-dns.
func (s *stage) lookups(ctx context.Context, amount amounts) ([]lookupRun, error) {
	d, _, stop, err := s.start(ctx, lookupHosts, hostsPerService)
	if err != nil {
		return nil, err
	}
	defer stop()
	var runs []lookupRun
	for _, conns := range amount.conns {
		for _, inFlight := range []int{1, 16} {
			r := lookupRun{Conns: conns, InFlight: inFlight}
			if err := r.measure(ctx, d, amount.lookupTime); err != nil {
				return nil, fmt.Errorf("%d connections, %d in flight: %w", conns, inFlight, err)
			}
			runs = append(runs, r)
			progress("lookups: %3d connections, %2d in flight: %8.0f/s, %6.2f us of the server each, p99 %6.0f us",
				conns, inFlight, float64(r.Lookups)/r.Seconds, r.CPUMicros, r.P99Micros)
		}
	}
	return runs, nil
}

func (r *lookupRun) measure(ctx context.Context, d *dnsServer, length time.Duration) error {
	l := newLookups(d, r.InFlight, 0)
	defer l.stop()
	if err := l.connect(r.Conns, func(int) handler { return handler{l.start, l.answer} }); err != nil {
		return err
	}
	if err := pause(ctx, length/4); err != nil {
		return err
	}
	l.take()
	server, err := d.CPU()
	if err != nil {
		return err
	}
	client, err := measure.OwnCPU()
	if err != nil {
		return err
	}
	began := time.Now()
	if err := pause(ctx, length); err != nil {
		return err
	}
	latency := l.take()
	r.Seconds = time.Since(began).Seconds()
	serverAfter, err := d.CPU()
	if err != nil {
		return err
	}
	clientAfter, err := measure.OwnCPU()
	if err != nil {
		return err
	}
	r.Lookups = int(latency.TotalCount())
	if r.Lookups == 0 {
		return fmt.Errorf("no answer in %v", length)
	}
	r.CPUMicros = float64((serverAfter - server).Nanoseconds()) / 1e3 / float64(r.Lookups)
	r.LoadMicros = float64((clientAfter - client).Nanoseconds()) / 1e3 / float64(r.Lookups)
	r.P50Micros, r.P99Micros = measure.Micros(latency, 50), measure.Micros(latency, 99)
	return l.err()
}

// lookups are connections that ask again as soon as they are answered, or a pace
// later. The methods but take belong to the loop goroutine.
type lookups struct {
	*fleet
	inFlight int
	pace     time.Duration
	latency  *hdrhistogram.Histogram
	request  []byte
}

// asker is the property of a connection. The service answers in order.
type asker struct {
	cmdid int         // that was asked for last
	sent  []time.Time // of what is under way, oldest first
}

func newLookups(d *dnsServer, inFlight int, pace time.Duration) *lookups {
	return &lookups{fleet: newFleet(d.addr, 1), inFlight: inFlight, pace: pace, latency: measure.NewHistogram()}
}

// take returns the latencies since the last call.
func (l *lookups) take() (latency *hdrhistogram.Histogram) {
	l.onLoops(func(int) { latency, l.latency = l.latency, measure.NewHistogram() })
	return latency
}

func (l *lookups) start(c *reactor.Conn) {
	c.SetProperty(new(asker))
	for range l.inFlight {
		l.ask(c)
	}
}

func (l *lookups) ask(c *reactor.Conn) {
	a := c.Property().(*asker)
	a.cmdid = a.cmdid%askedServices + 1
	a.sent = append(a.sent, time.Now())
	l.request = ask(l.request[:0], a.cmdid)
	c.Reply(larspb.IDGetRouteRequest, l.request) // fails only on a connection that ends, which is seen
}

func (l *lookups) answer(c *reactor.Conn, _ []byte) {
	a := c.Property().(*asker)
	l.latency.RecordValue(int64(time.Since(a.sent[0])))
	a.sent = append(a.sent[:0], a.sent[1:]...)
	if l.pace == 0 {
		l.ask(c)
		return
	}
	c.Loop().After(l.pace, func() { l.ask(c) })
}
