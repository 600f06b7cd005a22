package reporter

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"lars.internal/internal/metrics/metricstest"
	"lars.internal/larspb"
	"lars.internal/route"
)

// deadline is how long a test waits for what has to come.
const deadline = 20 * time.Second

// freePort is the address of the tests' servers.
var freePort = netip.MustParseAddrPort("127.0.0.1:0")

// noon is what the services of the tests take for the present.
const noon = 1_795_345_200

// fakeSink is a store in memory: of each row the newest timestamp wins.
type fakeSink struct {
	calls   chan struct{} // gets one value for each call, if there is room
	mu      sync.Mutex    // guards everything below
	rows    map[rowID]route.CallStatus
	history map[rowID][]route.CallStatus // all that ever came, in order
	batches []int                        // rows of each successful call
	do      func(ctx context.Context) error
	doRows  func(rows []route.CallStatus) error // as do, with the rows
	doPing  func() error                        // what PingStatus returns, nil for nil

	doExpire func(keep time.Duration, limit int) (int, error) // ExpireStatus, nil for nothing
}

func newSink() *fakeSink {
	return &fakeSink{
		calls: make(chan struct{}, 1000), rows: map[rowID]route.CallStatus{}, history: map[rowID][]route.CallStatus{},
	}
}

// UpsertStatus implements Sink.
func (s *fakeSink) UpsertStatus(ctx context.Context, rows []route.CallStatus) (ignored int, err error) {
	s.mu.Lock()
	do, doRows := s.do, s.doRows
	s.mu.Unlock()
	select {
	case s.calls <- struct{}{}:
	default:
	}
	if do != nil {
		if err := do(ctx); err != nil {
			return 0, err
		}
	}
	if doRows != nil {
		if err := doRows(rows); err != nil {
			return 0, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.batches = append(s.batches, len(rows))
	for _, r := range rows {
		id := rowOf(&r)
		s.history[id] = append(s.history[id], r)
		if old, ok := s.rows[id]; !ok || r.Time >= old.Time {
			s.rows[id] = r
		} else {
			ignored++
		}
	}
	return ignored, nil
}

// PingStatus implements Sink.
func (s *fakeSink) PingStatus(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.doPing != nil {
		return s.doPing()
	}
	return nil
}

// ExpireStatus implements Sink.
func (s *fakeSink) ExpireStatus(_ context.Context, keep time.Duration, limit int) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.doExpire == nil {
		return 0, nil
	}
	return s.doExpire(keep, limit)
}

// behave sets what each call does before it stores, nil for nothing.
func (s *fakeSink) behave(do func(ctx context.Context) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.do = do
}

// hold makes calls block until release is called or their context is done.
func (s *fakeSink) hold() (release func()) {
	gate := make(chan struct{})
	s.behave(func(ctx context.Context) error {
		select {
		case <-gate:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	return sync.OnceFunc(func() { s.behave(nil); close(gate) })
}

// refuse sets what each call says of its rows before it stores them.
func (s *fakeSink) refuse(do func(rows []route.CallStatus) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.doRows = do
}

func (s *fakeSink) get(id rowID) (route.CallStatus, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.rows[id]
	return r, ok
}

func (s *fakeSink) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.rows)
}

// awaitCall waits until a call of the sink has begun.
func (s *fakeSink) awaitCall(t *testing.T) {
	t.Helper()
	select {
	case <-s.calls:
	case <-time.After(deadline):
		t.Fatal("the sink was not called")
	}
}

// syncBuffer is a log that may be read while it is written.
type syncBuffer struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) count(text string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Count(b.buf.String(), text)
}

// running is a service under test.
type running struct {
	*Server
	t    *testing.T
	sink *fakeSink
	log  *syncBuffer
	stop func() error // ends Serve and returns its result, once
}

// start runs a service on a free port. Zero fields of cfg get values that suit
// tests.
func start(t *testing.T, cfg Config) *running {
	t.Helper()
	r := &running{t: t, log: new(syncBuffer)}
	if cfg.Sink == nil {
		r.sink = newSink()
		cfg.Sink = r.sink
	}
	cfg.Reactor.Addr = cmp.Or(cfg.Reactor.Addr, freePort)
	cfg.Reactor.Loops = cmp.Or(cfg.Reactor.Loops, 2)
	if cfg.RetryMax == 0 {
		cfg.RetryMin, cfg.RetryMax = time.Millisecond, 10*time.Millisecond
	}
	if cfg.FlushTimeout == 0 {
		cfg.FlushTimeout = deadline
	}
	cfg.Now = func() time.Time { return time.Unix(noon, 0) }
	cfg.Log = slog.New(slog.NewTextHandler(r.log, nil))
	var err error
	if r.Server, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	if err := r.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- r.Serve(ctx) }() // ended and awaited by stop
	r.stop = sync.OnceValue(func() error {
		cancel()
		return <-served
	})
	t.Cleanup(func() { r.stop() })
	return r
}

// dial connects to the service as an agent does.
func (r *running) dial() net.Conn {
	r.t.Helper()
	return dial(r.t, r.Addr())
}

func dial(t *testing.T, addr netip.AddrPort) net.Conn {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr.String(), deadline)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// metric returns the value of a metric as a scrape shows it.
func (r *running) metric(name string) int {
	r.t.Helper()
	text := metricstest.Text(r.t, r.Metrics())
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			n, err := strconv.Atoi(strings.TrimSpace(value))
			if err != nil {
				r.t.Fatalf("metric %s: %v", name, err)
			}
			return n
		}
	}
	r.t.Fatalf("no metric %s in\n%s", name, text)
	return 0
}

// awaitMetric waits until a metric has a value.
func (r *running) awaitMetric(name string, want int) {
	r.t.Helper()
	r.await(fmt.Sprintf("%s to be %d", name, want), func() bool { return r.metric(name) == want })
}

// await waits for something that gives no sign of its own.
func (r *running) await(what string, ok func() bool) {
	r.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	late := time.After(deadline)
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			r.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// awaitRow waits until the sink holds a row with this number of successes.
func (r *running) awaitRow(id rowID, succ uint32) {
	r.t.Helper()
	r.await(fmt.Sprintf("row %v with %d successes", id, succ), func() bool {
		row, ok := r.sink.get(id)
		return ok && row.Succ == succ
	})
}

const localhost = 0x7f000001

var (
	key   = route.Key{Modid: 1, Cmdid: 2}
	hostA = route.Host{IP: 0x0a000001, Port: 8080}
	hostB = route.Host{IP: 0xc0a80171, Port: 7777}
	rowA  = rowID{key, hostA, localhost}
)

// status returns a report of the service 1/2 by localhost in which every host
// has so many successes.
func status(ts uint32, succ uint32, hosts ...route.Host) *larspb.ReportStatusRequest {
	caller := uint32(localhost)
	m := &larspb.ReportStatusRequest{Modid: key.Modid, Cmdid: key.Cmdid, Caller: int32(caller), Ts: ts}
	for _, h := range hosts {
		m.Results = append(m.Results, &larspb.HostCallResult{Ip: int32(h.IP), Port: int32(h.Port), Succ: succ})
	}
	return m
}

// manyHosts returns n different hosts.
func manyHosts(n int) []route.Host {
	hosts := make([]route.Host, n)
	for i := range hosts {
		hosts[i] = route.Host{IP: 0x0a000000 + uint32(i) + 1, Port: 80}
	}
	return hosts
}

func send(t *testing.T, c net.Conn, messages ...*larspb.ReportStatusRequest) {
	t.Helper()
	var frames []byte
	for _, m := range messages {
		frames = frame(t, frames, m)
	}
	if _, err := c.Write(frames); err != nil {
		t.Fatal(err)
	}
}

func frame(t *testing.T, b []byte, m proto.Message) []byte {
	t.Helper()
	b, err := larspb.AppendFrame(b, larspb.IDReportStatusRequest, m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
