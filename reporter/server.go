// Package reporter is the report service: it takes the call statistics that
// agents send and stores them.
//
//	cfg := reporter.Config{Sink: db} // a *store.DB
//	server, err := reporter.New(cfg)
//	err = service.Serve(ctx)  // until ctx is done and all is stored
//
// A ReportStatusRequest becomes one row for each of its hosts. The rows go
// through a bounded queue to one of a few storing threads, always the same for a
// service and a caller. The thread merges what has gathered, the newest of each
// row, and stores it in batches. While the sink fails, the thread goes on
// merging and tries again after a pause; rows beyond Config.MaxRows are dropped.
//
// Agents get no answer. Whatever is dropped is counted: a message that is no
// protobuf message, a report that finds the queue full, a result whose host
// nobody could call. The connection stays open in all these cases. A report
// without a timestamp, or with one that is more than five minutes ahead, is
// stored under the time of its arrival.
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
	"net/netip"
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

// Sink stores call statistics. It is called from several goroutines at once.
type Sink interface {
	// UpsertStatus stores rows, each of another service, host or caller. A row
	// replaces what is stored for these unless that is newer. After an error
	// some rows may be stored. It must return soon after ctx is done, and
	// neither change nor keep the slice.
	UpsertStatus(ctx context.Context, rows []route.CallStatus) error
}

// Server is a report service.
type Server struct {
	// Immutable after New.
	cfg     Config
	metrics prometheus.Collector
	count   *counts
	outage  *outage.Outage
	gate    *access.Gate
	server  *reactor.Server
	threads []*thread

	served  atomic.Bool // Serve was called
	serving atomic.Bool // reports are taken
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
	s.gate = access.NewGate(s.cfg.Access)
	for range s.cfg.Threads {
		s.threads = append(s.threads, newThread(&s.cfg, s.count, s.outage))
	}
	if err := s.newServer(); err != nil {
		return nil, fmt.Errorf("reporter: %w", err)
	}
	s.readMetrics(set)
	return s, nil
}

func (s *Server) newServer() (err error) {
	router := reactor.NewRouter[*reactor.Conn]()
	router.Handle(larspb.IDReportStatusRequest, s.report)
	server := s.cfg.Reactor
	server.Router = router
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
	if cause, since := s.outage.Since(); cause != nil {
		return fmt.Errorf("reporter: call statistics cannot be stored for %v: %w", time.Since(since).Round(time.Second), cause)
	}
	return nil
}

// Serve takes reports until ctx is done. Then it closes the connections, stores
// what it has accepted for at most Config.FlushTimeout, and returns when
// nothing of the service runs any more. It may be called once.
func (s *Server) Serve(ctx context.Context) error {
	if err := s.Listen(); err != nil {
		return err
	}
	if !s.served.CompareAndSwap(false, true) {
		return errors.New("reporter: Serve was called before")
	}
	taking, stopTaking := context.WithCancel(ctx)
	defer stopTaking()
	storing, stopStoring := context.WithCancel(context.WithoutCancel(ctx))
	defer stopStoring()

	storers := s.startThreads(storing, stopTaking)
	s.serving.Store(true)
	err := s.server.Serve(taking)
	s.serving.Store(false)

	late := time.AfterFunc(s.cfg.FlushTimeout, stopStoring)
	defer late.Stop()
	for _, t := range s.threads {
		t.finish()
	}
	for i, t := range storers {
		if failed := t.Wait(); failed != nil {
			err = errors.Join(err, fmt.Errorf("reporter: storing thread %d: %w", i, failed))
		}
	}
	s.countUnwritten()
	return err
}

// startThreads starts the storing threads. They end by finish, or when storing
// is done. One that fails by itself calls stopTaking.
func (s *Server) startThreads(storing context.Context, stopTaking func()) []*task.Task {
	var tasks []*task.Task
	for _, t := range s.threads {
		tasks = append(tasks, task.Start(storing, t.run, stopTaking))
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
		rows += t.backlog.len()
	}
	s.count.unwritten.Add(float64(rows))
	if rows > 0 {
		s.cfg.Log.Warn("reporter: stopped before all call statistics were stored", "rows", rows)
	}
}

// report handles a ReportStatusRequest. It runs on the connection's loop.
func (s *Server) report(_ *reactor.Conn, body []byte) {
	var m larspb.StatusReport
	if m.Parse(body) != nil {
		s.count.malformed.Inc()
		return
	}
	d := decode(&m, s.cfg.Now().Unix())
	s.countReport(&m, d)
	if len(d.rows) == 0 {
		return
	}
	at := threadFor(d.rows[0].Key, d.rows[0].Caller, len(s.threads))
	switch err := s.threads[at].put(d.rows); {
	case errors.Is(err, reactor.ErrQueueFull):
		s.count.queueFull.Inc()
	case err != nil:
		s.count.closed.Inc()
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
	case errors.Is(reason, reactor.ErrNoDescriptors):
		s.count.refusedNoDescriptors.Inc()
	}
	// The gate counts whom it refuses itself.
}
