package dns

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"lars.internal/route"
)

const (
	// changeBurst is how many changed services get a line at info at once, and
	// changeRate how many more in a second. The rest has theirs at debug.
	changeBurst = 100
	changeRate  = 10
)

// changeLog writes a line for each service whose route has changed. Owned by the
// watcher goroutine, but for quiet.
type changeLog struct {
	log   *slog.Logger
	lines *rate.Limiter // of those at info

	quiet atomic.Uint64 // lines at debug
}

func newChangeLog(log *slog.Logger) changeLog {
	return changeLog{log: log, lines: rate.NewLimiter(changeRate, changeBurst)}
}

// note writes the line of one service.
func (c *changeLog) note(key route.Key, before, after route.Route, version uint64, now time.Time) {
	level := slog.LevelInfo
	if !c.lines.AllowN(now, 1) {
		c.quiet.Add(1)
		level = slog.LevelDebug
	}
	if !c.log.Enabled(context.Background(), level) {
		return
	}
	args := []any{"service", key, "added", route.JoinHosts(minus(after.Hosts, before.Hosts)),
		"removed", route.JoinHosts(minus(before.Hosts, after.Hosts)), "hosts", len(after.Hosts), "version", version}
	if hosts := altered(before.Hosts, after.Hosts); len(hosts) > 0 {
		args = append(args, "altered", route.JoinHosts(hosts))
	}
	if !slices.Equal(before.Settings, after.Settings) {
		args = append(args, "settings", "changed")
	}
	c.log.Log(context.Background(), level, "dns: route changed", args...)
}

// altered returns the hosts that have another weight or zone than before; both
// arguments are in order.
func altered(before, after []route.Endpoint) []route.Host {
	var hosts []route.Host
	for _, e := range after {
		if at, found := find(before, e.Host); found && before[at] != e {
			hosts = append(hosts, e.Host)
		}
	}
	return hosts
}
