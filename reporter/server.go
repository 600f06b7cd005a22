// Package reporter is the report service: it takes the call statistics that
// agents send and stores them.
//
//	cfg := reporter.Config{Sink: db} // a *store.DB
//	server, err := reporter.New(cfg)
//	err = server.Serve(ctx)  // until ctx is done and all is stored
//
// A ReportStatusRequest becomes one row for each of its hosts. The rows are
// merged, the newest of each, in the backlog of one of a few storing threads,
// always the same for a service and a caller. The thread stores them in batches.
// A report that has a number is acknowledged by a ReportAck when its rows are
// stored, or newer ones in their place, so that its agent may forget it. While
// the Sink fails or is slow, the thread tries again after a pause; above
// Config.QueueSize and Config.MaxRows, connections with such reports are not
// read, and agents wait. Agents of the C++ stack get no answer and never wait:
// for their new rows the oldest of theirs are dropped.
//
// A row that the database refuses is found by halving its batch and set aside;
// one that another transaction has locked is put off, and the others go on.
// Whatever is dropped is counted, among it a message that is no protobuf message
// and a result without a usable host. The connection stays open in all
// these cases. A report without a timestamp, or with one that is more than five
// minutes ahead, is stored under the time of its arrival.
//
// All methods of a Server are safe from any goroutine. Any number of servers
// may run in one process.
//
// Stored are the counts of the present window, as the table has it; the totals
// that agents of this project send along are not.
package reporter

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lars.internal/access"
	"lars.internal/internal/metrics"
	"lars.internal/internal/outage"
	"lars.internal/internal/task"
	"lars.internal/larspb"
	"lars.internal/reactor"
	"lars.internal/route"
)

// Sink stores call statistics. It is called from several goroutines at once. Each
// method returns soon after its ctx is done.
type Sink interface {
	// UpsertStatus stores rows, each of another service, host or caller. A row
	// replaces what is stored for these unless that is newer; ignored is how many
	// did not for this reason. After an error some rows may be stored;
	// route.ErrRowRefused and route.ErrRowLocked say that the trouble is with a
	// row. It neither changes nor keeps the slice.
	UpsertStatus(ctx context.Context, rows []route.CallStatus) (ignored int, err error)

	// PingStatus returns nil if rows can be stored, as far as that shows without
	// storing any.
	PingStatus(ctx context.Context) error

	// ExpireStatus removes at most limit rows that are older than keep, and
	// returns how many it removed.
	ExpireStatus(ctx context.Context, keep time.Duration, limit int) (removed int, err error)
}

// Server is a report service.
type Server struct {
	// Immutable after New.
	cfg      Config
	metrics  prometheus.Collector
	count    *counts
	outage   *outage.Outage
	gate     *access.Gate
	server   *reactor.Server
	threads  []*thread
	greeting []byte // the Hello of this server

	served   atomic.Bool  // Serve was called
	serving  atomic.Bool  // reports are taken
	heard    atomic.Bool  // the sink has answered, or failed, at least once
	stopping atomic.Bool  // Serve ends: what comes now is not taken
	paused   atomic.Int64 // connections that are not read
}

// New returns a server that is not bound yet. It fails for a configuration
// that cannot work.
func New(cfg Config) (*Server, error) {
	s := &Server{cfg: cfg}
	s.cfg.setDefaults()
	if err := s.cfg.validate(); err != nil {
		return nil, fmt.Errorf("reporter: %w", err)
	}
	set := metrics.NewSet("lars_reporter_")
	s.metrics, s.count = set, newCounts(set)
	s.outage = outage.Told(s.cfg.Log, "reporter: call statistics cannot be stored; the newest are kept and tried again",
		"reporter: call statistics are stored again")
	for range s.cfg.Threads {
		s.threads = append(s.threads, newThread(&s.cfg, s.count, s.outage, &s.heard))
	}
	s.threads[0].pings = true
	var err error
	if s.gate, err = access.NewGate(s.cfg.Access); err != nil {
		return nil, fmt.Errorf("reporter: %w", err)
	}
	machine, _ := os.Hostname() // agents do without
	s.greeting = larspb.Greeting("reporter", s.cfg.Build, machine, rand.Uint64())
	if err := s.newServer(); err != nil {
		return nil, fmt.Errorf("reporter: %w", err)
	}
	s.readMetrics(set)
	return s, nil
}

func (s *Server) newServer() (err error) {
	router := reactor.NewRouter[*reactor.Conn]()
	router.Handle(larspb.IDReportStatusRequest, s.report)
	router.Handle(larspb.IDPing, s.ping)
	router.Handle(larspb.IDHello, s.hello)
	server := s.cfg.Reactor
	server.Router = router
	server.OnStart = s.started
	server.OnClose = s.ended
	server.OnRefuse = s.refused
	server.Log = s.cfg.Log
	s.gate.Guard(&server)
	s.server, err = reactor.NewServer(server)
	return err
}

// Listen binds the address. Serve does it too, if it has not been done.
func (s *Server) Listen() error {
	if err := s.server.Listen(); err != nil {
		return fmt.Errorf("reporter: %w; another address: [reactor] ip, port", err)
	}
	return nil
}

// Addr returns the address that Listen bound.
func (s *Server) Addr() netip.AddrPort { return s.server.Addr() }

// ListenerFile returns a duplicate of the listening socket, for a process that
// takes over. The caller closes it. It fails before Listen and after the end.
func (s *Server) ListenerFile() (*os.File, error) { return s.server.ListenerFile() }

// Loops returns how many event loops Serve runs: those of the connections and
// those that store.
func (s *Server) Loops() int { return len(s.server.Loops()) + s.cfg.Threads }

// Metrics returns what the service counts.
func (s *Server) Metrics() prometheus.Collector { return s.metrics }

// Ready returns nil while reports are taken and stored, else the reason why
// they are not.
func (s *Server) Ready() error {
	if !s.serving.Load() {
		return errors.New("reporter: not serving")
	}
	if !s.heard.Load() {
		return errors.New("reporter: the database has not answered yet")
	}
	if since, cause := s.outage.Since(); cause != nil {
		return fmt.Errorf("reporter: call statistics cannot be stored for %v: %w", time.Since(since).Round(time.Second), cause)
	}
	return nil
}

// Serve takes reports until ctx is done. Then it stores what it has accepted, for
// at most Config.FlushTimeout, acknowledges it, closes the connections, and
// returns when nothing of the server runs any more. It may be called once.
func (s *Server) Serve(ctx context.Context) error {
	if err := s.Listen(); err != nil {
		return err
	}
	if !s.served.CompareAndSwap(false, true) {
		return errors.New("reporter: Serve was called before")
	}
	storing, stopStoring := context.WithCancel(context.WithoutCancel(ctx))
	defer stopStoring()

	over, end := context.WithCancel(ctx) // done: it is time to end
	defer end()

	storers := s.startThreads(storing, end)
	taker := task.Start(context.WithoutCancel(ctx), func(ctx context.Context) error {
		defer end()
		return s.server.Serve(ctx)
	}, nil)
	expirer := task.Start(over, s.expire, nil)
	s.serving.Store(true)
	s.cfg.Log.Info("reporter: listening", "addr", s.Addr())

	<-over.Done()
	// In this order, so that agents hear of what they need not send again:
	//  1. no connection and no report is taken any more;
	//  2. what was taken is stored and acknowledged;
	//  3. the connections are closed.
	s.serving.Store(false)
	s.stopping.Store(true)
	s.server.StopAccepting()
	late := time.AfterFunc(s.cfg.FlushTimeout, stopStoring)
	defer late.Stop()
	for _, t := range s.threads {
		t.finish()
	}
	var err error
	for i, t := range storers {
		if failed := t.Wait(); failed != nil {
			err = errors.Join(err, fmt.Errorf("reporter: storing thread %d: %w", i, failed))
		}
	}
	err = errors.Join(err, expirer.Stop(), taker.Stop())
	s.countUnwritten()
	return err
}

// startThreads starts the storing threads. They end by finish, or when storing
// is done. One that fails by itself calls end.
func (s *Server) startThreads(storing context.Context, end func()) []*task.Task {
	var tasks []*task.Task
	for _, t := range s.threads {
		tasks = append(tasks, task.Start(storing, t.run, end))
	}
	return tasks
}

// Close releases the address of a server that listens and was never served, and
// makes Serve return without waiting for peers otherwise; what was accepted is
// stored first, as at the end of its context. It may be called at any time and
// any number of times. A closed server serves nothing.
func (s *Server) Close() { s.server.Close() }

// countUnwritten counts what no time was left to store. It runs after the
// storing threads have ended.
func (s *Server) countUnwritten() {
	rows := 0
	for _, t := range s.threads {
		_, left := t.load()
		rows += left
	}
	s.count.unwritten.Add(float64(rows))
	if rows > 0 {
		s.cfg.Log.Warn("reporter: stopped before all call statistics were stored", "rows", rows)
	}
}

func (s *Server) countReport(m *larspb.StatusReport, d decoded) {
	s.count.reports.Inc()
	s.count.results.Add(float64(len(m.Results)))
	s.count.badHost.Add(float64(d.refused))
	if d.restamp {
		s.count.restamped.Inc()
	}
}

func (s *Server) refused(_ netip.AddrPort, reason error) {
	switch {
	case errors.Is(reason, reactor.ErrMaxConns):
		s.count.refusedLimit.Inc()
	case errors.Is(reason, reactor.ErrMaxPerAddr):
		s.count.refusedAddress.Inc()
	case errors.Is(reason, reactor.ErrUnproven):
		s.count.refusedUnproven.Inc()
	case errors.Is(reason, reactor.ErrNoDescriptors):
		s.count.refusedNoDescriptors.Inc()
	}
	// The gate counts its own refusals.
}
