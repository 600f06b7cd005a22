package dns

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lars.internal/access"
	"lars.internal/internal/task"
	"lars.internal/keep"
	"lars.internal/larspb"
	"lars.internal/reactor"
	"lars.internal/route"
)

// keepPause is the least time between two writes of the snapshot.
const keepPause = time.Second

// announceChunk is how many changed services one task of a loop looks at.
const announceChunk = 4096

// Server is a route service. Make it with New.
type Server struct {
	// Immutable after New.
	cfg      Config
	gate     *access.Gate
	tcp      *reactor.Server
	shards   map[*reactor.Loop]*shard
	keeper   *keep.Keeper
	watcher  *watcher
	metrics  prometheus.Collector
	room     *room
	greeting []byte // the Hello of this server

	routes  routes
	refused struct{ limit, address, unproven, descriptors atomic.Uint64 } // connections
	state   state
}

// New returns a service for cfg. It binds nothing and reads nothing.
func New(cfg Config) (*Server, error) {
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, room: newRoom(&cfg)}
	s.state.routes = &s.routes
	var err error
	machine, _ := os.Hostname() // agents do without
	s.greeting = larspb.Greeting("dns", cfg.Build, machine, rand.Uint64())
	if s.gate, err = access.NewGate(cfg.Access); err != nil {
		return nil, fmt.Errorf("dns: %w", err)
	}
	connect := s.serverConfig()
	s.gate.Guard(&connect)
	if s.tcp, err = reactor.NewServer(connect); err != nil {
		return nil, fmt.Errorf("dns: %w", err)
	}
	s.shards = make(map[*reactor.Loop]*shard)
	for _, loop := range s.tcp.Loops() {
		s.shards[loop] = newShard(loop, s)
	}
	s.keeper = keep.New(keep.Config{Path: cfg.Snapshot, Source: s.snapshot, Pause: keepPause, Name: "dns: ", Log: cfg.Log})
	s.watcher = newWatcher(s)
	s.metrics = s.newMetrics()
	return s, nil
}

func (s *Server) serverConfig() reactor.ServerConfig {
	router := reactor.NewRouter[*reactor.Conn]()
	for id, handle := range map[int32]func(*shard, *reactor.Conn, []byte){
		larspb.IDGetRouteRequest: (*shard).answer,
		larspb.IDUnsubscribe:     (*shard).unsubscribe,
		larspb.IDPing:            (*shard).ping,
		larspb.IDHello:           (*shard).hello,
	} {
		router.Handle(id, func(c *reactor.Conn, body []byte) { handle(s.shards[c.Loop()], c, body) })
	}
	connect := s.cfg.Reactor
	connect.Router = router
	connect.OnStart = func(c *reactor.Conn) { s.shards[c.Loop()].start(c) }
	connect.OnClose = func(c *reactor.Conn, reason error) { s.shards[c.Loop()].close(c, reason) }
	connect.OnRefuse = s.countRefused
	connect.Conn.MaxFrame = larspb.MaxBody
	connect.Conn.HighWater = s.cfg.MaxOutput / 8
	connect.Conn.HardCap = s.cfg.MaxOutput
	connect.Conn.StallTimeout = s.cfg.StallTimeout
	connect.Conn.SingleFrameWrites = true // agents of the C++ stack cannot put a split frame together
	connect.Log = s.cfg.Log
	return connect
}

// countRefused counts a connection that was refused for want of room. The gate
// counts those that it refuses itself.
func (s *Server) countRefused(_ netip.AddrPort, reason error) {
	switch {
	case errors.Is(reason, reactor.ErrMaxConns):
		s.refused.limit.Add(1)
	case errors.Is(reason, reactor.ErrMaxPerAddr):
		s.refused.address.Add(1)
	case errors.Is(reason, reactor.ErrUnproven):
		s.refused.unproven.Add(1)
	case errors.Is(reason, reactor.ErrNoDescriptors):
		s.refused.descriptors.Add(1)
	}
}

// Listen binds the address of the Config. Serve does it too, if it has not
// been done.
func (s *Server) Listen() error {
	if err := s.tcp.Listen(); err != nil {
		return fmt.Errorf("dns: %w; another address: [reactor] ip, port", err)
	}
	return nil
}

// Addr returns the address that Listen bound.
func (s *Server) Addr() netip.AddrPort { return s.tcp.Addr() }

// ListenerFile returns a duplicate of the listening socket, for a process that
// takes over. The caller closes it. It fails before Listen and after the end.
func (s *Server) ListenerFile() (*os.File, error) { return s.tcp.ListenerFile() }

// Loops returns how many event loops Serve runs.
func (s *Server) Loops() int { return len(s.tcp.Loops()) }

// Serve answers until ctx is done, lets the connections drain, and returns
// nil. A store that does not answer is no reason to return. Serve may be
// called once.
func (s *Server) Serve(ctx context.Context) error {
	if err := s.Listen(); err != nil {
		return err
	}
	s.restore()
	watching := task.Start(context.WithoutCancel(ctx), s.watcher.run, nil)
	keeping := task.Start(context.WithoutCancel(ctx), s.keeper.Run, nil)
	s.cfg.Log.Info("dns: listening", "addr", s.Addr())
	err := s.tcp.Serve(ctx)
	err = errors.Join(err, watching.Stop())
	err = errors.Join(err, keeping.Stop()) // last: it keeps what the watcher brought in
	if err != nil {
		return fmt.Errorf("dns: serve on %v: %w", s.Addr(), err)
	}
	return nil
}

// Close releases the address of a server that listens and was never served,
// and makes Serve return without waiting for peers otherwise. It may be called
// at any time and any number of times. A closed server serves nothing.
func (s *Server) Close() { s.tcp.Close() }

// Metrics returns what the server counts; docs/metrics.md lists it.
func (s *Server) Metrics() prometheus.Collector { return s.metrics }

// Ready returns nil when there are routes to answer with, whether or not the
// store answers now. It is not ready without a table, and while it holds back a
// load that removes too much; the error says why.
func (s *Server) Ready() error { return s.state.ready() }

// Stale says in a line that the routes are not known to be those of the store,
// since when, and why; "" if they are. It does not keep a server from being ready.
func (s *Server) Stale() string { return s.state.remark() }

// restore takes the table of the snapshot, if there is one, before anything
// else runs.
func (s *Server) restore() {
	table, asOf := s.keeper.Load()
	if table == nil {
		return
	}
	s.cfg.Log.Info("dns: answering from a snapshot until the store answers")
	s.state.restored(asOf)
	s.routes.table.Store(table)
}

// publish makes a newer table the one that is answered from, and pushes the
// services that differ. Only the watcher calls it.
func (s *Server) publish(table *route.Table, changed []route.Key) {
	if first := s.routes.table.Swap(table) == nil; first {
		s.tcp.RunOnAllLoops(func(l *reactor.Loop) { s.shards[l].push.announceAll() })
		return
	}
	for chunk := range slices.Chunk(changed, announceChunk) {
		s.tcp.RunOnAllLoops(func(l *reactor.Loop) { s.shards[l].push.announce(chunk) })
	}
}

// snapshot returns what the keeper is to keep.
func (s *Server) snapshot() (*route.Table, time.Time) {
	return s.routes.table.Load(), s.state.knownAt()
}
