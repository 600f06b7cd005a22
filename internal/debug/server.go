package debug

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// Limits of the HTTP server. Operators' tools stay far below. They bound what a peer
// that does not behave can hold.
const (
	headerTimeout  = 2 * time.Second
	readTimeout    = 10 * time.Second
	writeTimeout   = 150 * time.Second // a profile of two minutes fits
	idleTimeout    = time.Minute
	drainTimeout   = 5 * time.Second
	portEvery      = 100 * time.Millisecond
	maxHeaderBytes = 8 << 10
	maxConns       = 64
)

// Server is the debug server of one process. Make it with New.
type Server struct {
	// Immutable after New.
	cfg Config
	log *slog.Logger

	// Written before Serve only.
	mux   *http.ServeMux
	pages []string // paths that / lists
	ln    net.Listener
	bound bool // Listen has run
}

// New returns a server for cfg. It binds nothing.
func New(cfg *Config) *Server {
	s := &Server{cfg: *cfg, log: cfg.Log, mux: http.NewServeMux()}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.mountStandard()
	return s
}

// Listen binds the address of the Config, if it names one. If the port is in
// use and was not configured, Listen warns and returns nil: the service
// matters more than this page.
func (s *Server) Listen() error {
	if s.bound || s.cfg.off() {
		return nil
	}
	ln, err := net.Listen(network(s.cfg.Addr), s.cfg.Addr)
	if errors.Is(err, syscall.EADDRINUSE) && s.cfg.AwaitPort {
		return nil // Serve tries again
	}
	if errors.Is(err, syscall.EADDRINUSE) && !s.cfg.explicit() {
		s.bound = true
		s.log.Warn("debug: port in use, going on without; set [debug] addr to have it", "addr", s.cfg.Addr)
		return nil
	}
	if err != nil {
		return fmt.Errorf("debug: listen on %q: %w; set [debug] addr (LARS_DEBUG_ADDR) to a free HOST:PORT or to off",
			s.cfg.Addr, cause(err))
	}
	s.ln, s.bound = limitConns(ln, maxConns), true
	s.logAddr()
	return nil
}

// network returns the network of an address: that of the family if a family was
// named, since 0.0.0.0 does not mean IPv6 too.
func network(addr string) string {
	host, _, _ := net.SplitHostPort(addr)
	switch ip, err := netip.ParseAddr(host); {
	case err != nil:
		return "tcp"
	case ip.Is4():
		return "tcp4"
	}
	return "tcp6"
}

// cause strips what package net says about the address, since the message
// around it names the address too.
func cause(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

func (s *Server) logAddr() {
	if isLoopback(s.Addr()) {
		s.log.Info("debug: listening", "addr", s.Addr())
		return
	}
	s.log.Warn("debug: listening beyond loopback without a login", "addr", s.Addr(), "pprof", s.profiles())
}

// Addr returns the address that Listen bound; the zero AddrPort if there is none.
func (s *Server) Addr() netip.AddrPort {
	if s.ln == nil {
		return netip.AddrPort{}
	}
	return s.ln.Addr().(*net.TCPAddr).AddrPort()
}

// Serve answers until ctx is done, then ends the requests in progress and
// returns nil. It calls Listen if that was not done; without an address it
// only waits for ctx.
func (s *Server) Serve(ctx context.Context) error {
	if err := s.Listen(); err != nil {
		return err
	}
	if err := s.awaitPort(ctx); err != nil {
		return err
	}
	if s.ln == nil {
		<-ctx.Done()
		return nil
	}
	srv := s.httpServer(ctx)
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(s.ln) }() // ends by drain; received below
	select {
	case err := <-failed:
		drain(srv)
		return fmt.Errorf("debug: accept on %v: %w", s.Addr(), err)
	case <-ctx.Done():
		drain(srv)
		<-failed
		return nil
	}
}

// awaitPort binds the address as soon as it is free, or gives up with ctx.
func (s *Server) awaitPort(ctx context.Context) error {
	tick := time.NewTicker(portEvery)
	defer tick.Stop()
	for !s.bound && !s.cfg.off() {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := s.Listen(); err != nil {
			return err
		}
	}
	return nil
}

// httpServer returns the server whose requests end with ctx, so that a profile
// of a minute does not hold up the end of the process.
func (s *Server) httpServer(ctx context.Context) *http.Server {
	return &http.Server{
		Handler:           markBusy(s.guard(s.mux)),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext:       withConn,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
}

// drain waits for the requests in progress, and closes the connections of those
// that do not end.
func drain(srv *http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	if srv.Shutdown(ctx) != nil {
		srv.Close()
	}
}
