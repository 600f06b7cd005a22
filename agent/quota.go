package agent

import (
	"time"

	"lars.internal/engine"
)

// linesPerSecond bounds the lines about hosts, and those about routes, so that
// flapping hosts do not fill a disk.
const linesPerSecond = 20

// quota bounds the lines of one kind that are written in a second. Owned by the
// goroutine that writes them.
type quota struct {
	second time.Duration // start of the second that is counted
	lines  int           // in this second
}

func newQuota() quota { return quota{second: engine.LongAgo} }

// take reports whether one more line may be written.
func (q *quota) take(now time.Duration) bool {
	if now-q.second >= time.Second {
		q.second, q.lines = now, 0
	}
	q.lines++
	return q.lines <= linesPerSecond
}
