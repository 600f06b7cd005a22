package reporter

import (
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// outage knows whether the sink fails, over all storing threads, and writes the
// log line when it begins and when it ends. Safe for concurrent use.
type outage struct {
	log *slog.Logger // immutable

	mu     sync.Mutex // guards everything below
	failed int        // threads whose last call of the sink failed
	since  time.Time
	cause  error // the first failure
}

// begin counts a thread whose calls begin to fail.
func (o *outage) begin(cause error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failed++
	if o.failed == 1 {
		o.since, o.cause = time.Now(), cause
		o.log.Warn("reporter: call statistics cannot be stored; the newest are kept and tried again", "error", cause)
	}
}

// end counts a thread whose calls succeed again.
func (o *outage) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failed--
	if o.failed == 0 {
		o.log.Info("reporter: call statistics are stored again", "after", time.Since(o.since).Round(time.Millisecond))
	}
}

// err returns nil, or why call statistics are not stored at the moment.
func (o *outage) err() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed == 0 {
		return nil
	}
	return fmt.Errorf("reporter: call statistics cannot be stored for %v: %w", time.Since(o.since).Round(time.Second), o.cause)
}
