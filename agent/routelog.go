package agent

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"lars.internal/engine"
	"lars.internal/route"
)

// routeLog writes a line for each service whose route has changed. Owned by the
// loop of the dns client, but for quiet.
type routeLog struct {
	log   *slog.Logger
	clock func() time.Duration
	quota *quota

	quiet atomic.Uint64 // lines at debug, because there were too many at a time
}

func newRouteLog(cfg *Config) *routeLog {
	return &routeLog{log: cfg.Log, clock: cfg.Clock, quota: newQuota()}
}

// note writes the line of an answer or a push.
func (l *routeLog) note(o *engine.Outcome) {
	if o.Emptied {
		l.write(slog.LevelWarn, "agent: route is empty although no edit removed its hosts, which are kept for a time", "service", o.Key, "version", o.Version)
	}
	if o.Changed {
		l.changed(&o.Change)
	}
}

// changed writes the line of a service.
func (l *routeLog) changed(c *engine.Change) {
	args := []any{"service", c.Key, "added", route.JoinHosts(c.Added), "removed", route.JoinHosts(c.Removed), "version", c.Version}
	if len(c.Altered) > 0 {
		args = append(args, "altered", route.JoinHosts(route.HostsOf(c.Altered)))
	}
	if c.Resettled {
		args = append(args, "settings", "changed")
	}
	l.write(slog.LevelInfo, "agent: route changed", args...)
}

func (l *routeLog) write(level slog.Level, message string, args ...any) {
	if !l.quota.take(l.clock()) {
		l.quiet.Add(1)
		level = slog.LevelDebug
	}
	l.log.Log(context.Background(), level, message, args...)
}
