package agent

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync/atomic"

	"lars.internal/reactor"
)

// link tells when a connection comes and goes: one line each, and one for the
// first of a row of failed attempts.
type link struct {
	// Immutable.
	what string
	log  *slog.Logger

	// Owned by the loop goroutine.
	silent bool // a failed attempt was told already

	connected atomic.Bool
}

func (l *link) up(conn *reactor.Conn) {
	l.connected.Store(true)
	l.silent = false
	l.log.Info("agent: connected to "+l.what, "addr", conn.RemoteAddr())
}

func (l *link) down(conn *reactor.Conn, reason error) {
	l.connected.Store(false)
	level := slog.LevelWarn
	if errors.Is(reason, reactor.ErrClosed) {
		level = slog.LevelInfo // the agent ended it, and said so where that is news
	}
	l.log.Log(context.Background(), level, "agent: connection to "+l.what+" ended", "addr", conn.RemoteAddr(), "reason", reason)
}

func (l *link) failed(addr netip.AddrPort, err error) {
	if l.silent {
		return
	}
	l.silent = true
	l.log.Warn("agent: no connection to "+l.what+", still trying", "addr", addr, "reason", err)
}
