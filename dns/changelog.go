package dns

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"lars.internal/route"
)

const (
	// changeBurst is how many changed services get a line at info at once, and
	// changeRate how many more in a second. The rest has theirs at debug.
	changeBurst = 100
	changeRate  = 10

	// namedHosts bounds the hosts that a line names of each kind.
	namedHosts = 20
)

// changeLog writes a line for each service whose route has changed. Owned by the
// watcher goroutine, but for quiet.
type changeLog struct {
	log  *slog.Logger
	left float64   // lines at info that may be written now
	at   time.Time // when left was right

	quiet atomic.Uint64 // lines at debug
}

// note writes the line of one service.
func (c *changeLog) note(key route.Key, before, after []route.Host, version uint64, now time.Time) {
	level := slog.LevelInfo
	if !c.take(now) {
		c.quiet.Add(1)
		level = slog.LevelDebug
	}
	if !c.log.Enabled(context.Background(), level) {
		return
	}
	c.log.Log(context.Background(), level, "dns: route changed", "service", key, "added", named(minus(after, before)),
		"removed", named(minus(before, after)), "hosts", len(after), "version", version)
}

// take takes a line at info if there is one.
func (c *changeLog) take(now time.Time) bool {
	if c.at.IsZero() {
		c.left = changeBurst
	} else {
		c.left = min(changeBurst, c.left+changeRate*now.Sub(c.at).Seconds())
	}
	c.at = now
	if c.left < 1 {
		return false
	}
	c.left--
	return true
}

// named returns hosts as a line names them.
func named(hosts []route.Host) string {
	texts := make([]string, 0, min(len(hosts), namedHosts)+1)
	for i, h := range hosts {
		if i == namedHosts {
			texts = append(texts, fmt.Sprintf("and %d more", len(hosts)-i))
			break
		}
		texts = append(texts, h.String())
	}
	return strings.Join(texts, " ")
}
