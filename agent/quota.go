package agent

import (
	"time"

	"golang.org/x/time/rate"
)

// linesPerSecond bounds the lines about hosts, and those about routes, so that
// flapping hosts do not fill a disk.
const linesPerSecond = 20

// quota bounds the lines of one kind by the agent's own clock.
type quota struct{ lines *rate.Limiter }

func newQuota() *quota { return &quota{rate.NewLimiter(linesPerSecond, linesPerSecond)} }

// take reports whether one more line may be written.
func (q *quota) take(now time.Duration) bool {
	return q.lines.AllowN(time.Unix(0, 0).Add(now), 1)
}
