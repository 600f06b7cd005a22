package process

import (
	"context"
	"io"
	"log/slog"
	"math"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"

	"lars.internal/cmd/internal/keys"
	"lars.internal/internal/config"
	"lars.internal/internal/metrics"
	"lars.internal/reactor"
)

// IgnoreBrokenPipes lets the process go on when the reader of its output is gone. By
// default the next write to standard output or standard error would end a program in
// Go with SIGPIPE.
func IgnoreBrokenPipes() { signal.Ignore(syscall.SIGPIPE) }

// lossyWriter counts the writes that fail.
type lossyWriter struct {
	w    io.Writer
	lost atomic.Uint64
}

func (l *lossyWriter) Write(b []byte) (int, error) {
	n, err := l.w.Write(b)
	if err != nil {
		l.lost.Add(1)
	}
	return n, err
}

// Metrics returns the metrics that every server has.
func (e Env) Metrics() prometheus.Collector {
	set := metrics.NewSet("lars_log_")
	set.CounterFunc("lines_lost_total", "Lines of the log that could not be written to standard error.", func() uint64 {
		if l, ok := e.Stderr.(*lossyWriter); ok {
			return l.lost.Load()
		}
		return 0
	})
	return set
}

// Load fills a set from the file, the environment and the flags, and returns the log
// that it describes, to which it has written the warnings. Its errors are those of
// config.Parse.
func (e Env) Load(set *config.Set, logging *config.LogConfig) (*slog.Logger, error) {
	keys.Share(set)
	if err := config.Parse(set, e.Args, e.Environ, e.Stdout); err != nil {
		return nil, err
	}
	log := logging.Logger(e.Stderr)
	for _, w := range set.Warnings() {
		log.Warn("configuration: " + w)
	}
	return log, nil
}

// Serve is Run for a server that is a process of its own. SIGHUP leaves a line in
// the log and has no other effect: the configuration is read once, at start.
func (e Env) Serve(ctx context.Context, log *slog.Logger, units ...Unit) error {
	return Run(ctx, append([]Unit{&hangupLog{e.hangups, log}}, units...)...)
}

// hangupLog is the unit that logs SIGHUP.
type hangupLog struct {
	hangups <-chan os.Signal
	log     *slog.Logger
}

func (*hangupLog) Listen() error { return nil }

func (h *hangupLog) Serve(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-h.hangups:
			h.log.Info("SIGHUP ignored; restart to read the configuration again")
		}
	}
}

// Descriptors that a server needs beside its connections: for the pages, for its
// event loops, and for the database, files and log.
const (
	pageDescriptors  = 64
	loopDescriptors  = 3
	otherDescriptors = 64

	// unprovenShare of what is left is for connections that have not proven
	// themselves, if there is not enough for all.
	unprovenShare = 8
)

// FitConns lowers the number of connections that a server may have if the limit on
// descriptors is too low for it, and logs that. The server then refuses connections
// before descriptors are used up, which leaves enough for its pages, its database and
// its files. The Go runtime has raised the soft limit to the hard one, or to one below
// it.
func FitConns(log *slog.Logger, c *reactor.ServerConfig) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return
	}
	reserve := pageDescriptors + loopDescriptors*c.Loops + otherDescriptors
	room := max(1, int(min(limit.Cur, math.MaxInt32))-reserve)
	if c.MaxConns+c.MaxUnproven <= room {
		return
	}
	// The pool of unproven connections works with any size: it gives way first.
	if c.MaxUnproven = min(c.MaxUnproven, max(room-c.MaxConns, room/unprovenShare, 1)); c.MaxConns+c.MaxUnproven > room {
		conns := max(1, room-c.MaxUnproven)
		log.Warn("the limit on descriptors is too low for [reactor] maxConn; raise it (ulimit -n, LimitNOFILE=)",
			"limit", limit.Cur, "needed", c.MaxConns+c.MaxUnproven+reserve, "maxConn", c.MaxConns, "connections", conns)
		c.MaxConns = conns
	}
}
