package reactor

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Spread is how a server gives its connections to its loops.
type Spread int

const (
	// LeastConns gives a connection to the loop that has the fewest.
	LeastConns Spread = iota
	// RoundRobin gives each loop one in turn.
	RoundRobin
)

// ServerConfig describes a TCP server. Addr and Router must be set.
type ServerConfig struct {
	// Addr is what to listen on; port 0 takes a free one.
	Addr netip.AddrPort

	// Listener is a listening socket to take over in place of binding Addr,
	// from systemd or from a server that is being replaced; see
	// Server.ListenerFile. The server uses a duplicate: the caller may close the
	// file after Listen. Default nil: Addr is bound.
	Listener *os.File

	// Router gets the messages. It may be shared with other servers.
	Router *Router[*Conn]

	// Loops is the number of event loops. More use more processors, and make
	// batches smaller. Default: GOMAXPROCS.
	Loops int

	// MaxConns is the exact number of connections at a time, without those in
	// the pool of MaxUnproven. One more is closed at once and told to OnRefuse.
	// Default 0: no limit.
	MaxConns int

	// MaxPerAddr is the number of connections of one IP address, unproven ones
	// included; an IPv6 address counts as its /64 network. One more is refused
	// with ErrMaxPerAddr. Lower keeps one machine from taking all places; too
	// low turns away peers that share an address (NAT). Default 0: no limit.
	MaxPerAddr int

	// MaxUnproven is the number of connections that are not proven yet. They
	// take no place of MaxConns. A connection is proven by its first message
	// that has a handler, or with AwaitProof by Conn.Proven. When the pool is
	// full, its oldest connection is reset in favour of a new one, so that
	// silent peers push out each other alone. Higher leaves peers more time in a
	// flood, at a descriptor each. Default 0: no pool, a connection takes a
	// place of MaxConns from the start.
	MaxUnproven int

	// MaxUnprovenPerAddr is the part of that pool that one address may have;
	// one more is refused with ErrMaxPerAddr. Default 0: no limit.
	MaxUnprovenPerAddr int

	// AwaitProof leaves it to Conn.Proven alone to prove a connection, as when
	// peers have to log in.
	AwaitProof bool

	// UnprovenTimeout closes a connection of the pool that is not proven for so
	// long. Default 0: never.
	UnprovenTimeout time.Duration

	// Spread is how connections are given to loops. Default LeastConns.
	Spread Spread

	// OnStart runs when a connection starts, before its first message, and
	// OnClose once when it ends, with the reason, while its address and
	// property are still there. Both run on the connection's loop.
	OnStart func(*Conn)
	OnClose func(*Conn, error)

	// OnEOF runs when the peer has finished sending. The connection then stays
	// open until Close or CloseWrite, or until the network fails. Without it
	// the connection drains and ends.
	OnEOF func(*Conn)

	// OnBackPressure runs with true when a connection's output reaches the
	// high-water mark, so that it is no longer read, and with false when it is
	// down at the low one.
	OnBackPressure func(c *Conn, full bool)

	// Admit decides by its address whether a peer may connect; an error turns it
	// away. It runs on the accepting loop. Default: everybody may.
	Admit func(peer netip.AddrPort) error

	// OnRefuse runs when a peer is turned away, with ErrMaxConns, ErrMaxPerAddr,
	// ErrNoDescriptors or the error of Admit, or with ErrUnproven when a
	// connection is pushed out of the pool of MaxUnproven. It runs on the
	// accepting loop, or on that of the connection if it was refused when it
	// was proven.
	OnRefuse func(peer netip.AddrPort, reason error)

	// DrainTimeout is how long connections may take to end after Shutdown or
	// the end of Serve's context. Default 5 s.
	DrainTimeout time.Duration

	// Conn are the limits of each connection.
	Conn ConnConfig

	// Log gets panics of handlers. Default: discarded.
	Log *slog.Logger
}

// Server is a TCP server for frames. All methods are safe from any goroutine.
type Server struct {
	// Immutable after NewServer.
	cfg   ServerConfig
	end   *endpoint
	loops []*Loop
	conns []atomic.Int64 // per loop
	stop  chan struct{}  // closed by Shutdown
	hurry chan struct{}  // closed by Close
	empty chan struct{}  // closed when draining and no connection is left

	admission *admission

	total    atomic.Int64 // connections; only the acceptor adds
	draining atomic.Bool

	// Owned by the accepting loop, once Serve runs.
	acceptor *acceptor

	mu        sync.Mutex // guards everything below
	addr      netip.AddrPort
	listening bool
	served    bool
	stopOnce  sync.Once
	hurryOnce sync.Once
	emptyOnce sync.Once
	drainCtx  context.Context // given to Shutdown
}

// NewServer returns a server that is not bound yet.
func NewServer(cfg ServerConfig) (*Server, error) {
	if cfg.Router == nil {
		return nil, fmt.Errorf("reactor: server %v: no Router", cfg.Addr)
	}
	if !cfg.Addr.IsValid() && cfg.Listener == nil {
		return nil, fmt.Errorf("reactor: server: no address to listen on")
	}
	cfg.Loops = cmp.Or(cfg.Loops, runtime.GOMAXPROCS(0))
	cfg.DrainTimeout = cmp.Or(cfg.DrainTimeout, 5*time.Second)
	cfg.Conn.setDefaults()
	if err := cfg.Conn.validate(); err != nil {
		return nil, err
	}
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, admission: newAdmission(&cfg), stop: make(chan struct{}), hurry: make(chan struct{}), empty: make(chan struct{}), conns: make([]atomic.Int64, cfg.Loops)}
	for range cfg.Loops {
		s.loops = append(s.loops, NewLoop(cfg.Log))
	}
	s.end = &endpoint{
		cfg: cfg.Conn, router: cfg.Router, log: cfg.Log,
		onStart: cfg.OnStart, onClose: cfg.OnClose, onEOF: cfg.OnEOF, onWater: cfg.OnBackPressure,
		onGone: s.gone,
	}
	if s.admission.pooled {
		s.end.prove, s.end.unprovenTimeout = s.prove, cfg.UnprovenTimeout
		s.end.provenByMessage = !cfg.AwaitProof
	}
	return s, nil
}

func (c *ServerConfig) validate() error {
	for _, n := range []struct {
		name  string
		value int
	}{
		{"Loops", c.Loops}, {"MaxConns", c.MaxConns}, {"MaxPerAddr", c.MaxPerAddr},
		{"MaxUnproven", c.MaxUnproven}, {"MaxUnprovenPerAddr", c.MaxUnprovenPerAddr},
	} {
		if n.value < 0 {
			return fmt.Errorf("reactor: server %v: %s is %d, want no negative number", c.Addr, n.name, n.value)
		}
	}
	if c.MaxUnproven == 0 && (c.AwaitProof || c.UnprovenTimeout > 0 || c.MaxUnprovenPerAddr > 0) {
		return fmt.Errorf("reactor: server %v: AwaitProof, UnprovenTimeout and MaxUnprovenPerAddr need MaxUnproven", c.Addr)
	}
	return nil
}

// Listen binds the address. Serve does it too, if it has not been done.
func (s *Server) Listen() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listening {
		return nil
	}
	a, err := newAcceptor(s)
	if err != nil {
		return err
	}
	s.acceptor, s.addr, s.listening = a, localAddr(a.fd), true
	return nil
}

// Addr returns the address that Listen bound.
func (s *Server) Addr() netip.AddrPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr
}

// Loops returns the server's loops.
func (s *Server) Loops() []*Loop { return s.loops }

// Conns returns the number of connections at the moment, unproven ones included.
func (s *Server) Conns() int { return int(s.total.Load()) }

// Unproven returns how many of them are in the pool of MaxUnproven.
func (s *Server) Unproven() int { return s.admission.unprovenNow() }

// RunOnAllLoops posts f to each loop.
func (s *Server) RunOnAllLoops(f func(*Loop)) {
	for _, l := range s.loops {
		l.Post(func() { f(l) }) // a stopped loop has no connections to care for
	}
}

// Serve accepts connections until ctx is done or Shutdown is called, lets
// them drain for DrainTimeout, and returns when every loop has ended. It may
// be called once.
func (s *Server) Serve(ctx context.Context) error {
	if err := s.Listen(); err != nil {
		return err
	}
	if err := s.begin(); err != nil {
		return err
	}
	loopsCtx, stopLoops := context.WithCancel(context.WithoutCancel(ctx))
	failed := make(chan error, len(s.loops))
	var loops sync.WaitGroup // Serve stops the loops and waits for them
	for _, l := range s.loops {
		loops.Go(func() {
			if err := l.Run(loopsCtx); err != nil {
				failed <- err
			}
		})
	}
	s.loops[0].Post(s.acceptor.start)

	var err error
	select {
	case <-ctx.Done():
	case <-s.stop:
	case err = <-failed:
	}
	s.drain()
	stopLoops()
	loops.Wait()
	s.acceptor.close() // a loop that failed did not get to it
	return err
}

func (s *Server) begin() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.served {
		return fmt.Errorf("reactor: server %v: Serve was called before", s.addr)
	}
	s.served = true
	return nil
}

// StopAccepting closes the listening socket while Serve runs. The connections go
// on, for a server that has something to finish before it shuts down.
func (s *Server) StopAccepting() { s.loops[0].Post(s.acceptor.close) } // a stopped loop has closed it

// Shutdown makes Serve stop accepting, drain the connections until ctx is
// done, and return. It does not wait, so handlers may call it.
func (s *Server) Shutdown(ctx context.Context) {
	s.mu.Lock()
	if s.drainCtx == nil {
		s.drainCtx = ctx
	}
	s.mu.Unlock()
	s.stopOnce.Do(func() { close(s.stop) })
}

// Close releases the address of a server that was bound and never served,
// and makes Serve return without waiting for peers otherwise, also when it is
// draining already.
func (s *Server) Close() {
	s.hurryOnce.Do(func() { close(s.hurry) })
	s.Shutdown(context.Background())
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listening && !s.served {
		s.served = true
		s.acceptor.close()
	}
}

// drain closes all connections in order and waits for them, then aborts what
// is left. It runs after the listener is closed.
func (s *Server) drain() {
	s.mu.Lock()
	ctx := s.drainCtx
	s.mu.Unlock()
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.DrainTimeout)
	defer cancel()

	accepting := make(chan struct{})
	if s.loops[0].Post(func() { s.acceptor.close(); close(accepting) }) == nil {
		<-accepting
	}
	s.draining.Store(true)
	s.eachConn((*Conn).Close)
	s.checkEmpty()
	select {
	case <-s.empty:
	case <-s.hurry:
	case <-ctx.Done():
	}
	// What is left ends with its loop.
}

// eachConn calls f for each connection of the server, on its loop. A client
// that lives on the loop too is none of its business.
func (s *Server) eachConn(f func(*Conn)) {
	s.RunOnAllLoops(func(l *Loop) {
		l.each(func(p pollable) {
			if c, ok := p.(*Conn); ok && c.end == s.end {
				f(c)
			}
		})
	})
}

// place chooses the loop of a new connection and counts it there. It runs on
// the accepting loop.
func (s *Server) place(accepted uint64) *Loop {
	best := 0
	if s.cfg.Spread == RoundRobin {
		best = int(accepted % uint64(len(s.loops)))
	} else {
		for i := range s.conns {
			if s.conns[i].Load() < s.conns[best].Load() {
				best = i
			}
		}
	}
	s.conns[best].Add(1)
	s.total.Add(1)
	return s.loops[best]
}

// gone counts a connection that has ended.
func (s *Server) gone(c *Conn) {
	for i, l := range s.loops {
		if l == c.loop {
			s.conns[i].Add(-1)
		}
	}
	s.admission.leave(c)
	s.total.Add(-1)
	s.checkEmpty()
}

// prove gives a connection its place, or an error if there is none. It runs on
// the connection's loop.
func (s *Server) prove(c *Conn) error {
	err := s.admission.prove(c)
	if err != nil {
		s.refuse(c.loop, c.remote, err)
	}
	return err
}

// displace resets a connection that was pushed out of the pool. It runs on the
// accepting loop.
func (s *Server) displace(c *Conn) {
	c.finish(ErrUnproven, func() { c.reset(ErrUnproven) })
	s.refuse(s.loops[0], c.remote, ErrUnproven)
}

func (s *Server) refuse(l *Loop, peer netip.AddrPort, reason error) {
	if f := s.cfg.OnRefuse; f != nil {
		l.protect("refuse hook", func() { f(peer, reason) })
	}
}

func (s *Server) checkEmpty() {
	if s.draining.Load() && s.total.Load() == 0 {
		s.emptyOnce.Do(func() { close(s.empty) })
	}
}
