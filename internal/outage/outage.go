// Package outage writes a log line when something stops working, and one when
// it works again; what fails in between is silent.
//
//	o := outage.New(log, "dns: store")
//	user := o.User()
//	user.Failed(err) // dns: store failed error=...
//	user.Failed(err)
//	user.Worked()    // dns: store works again after=2.3s
//
// An Outage is safe for concurrent use; each User belongs to one goroutine. It
// lasts as long as one of the users fails.
package outage

import (
	"log/slog"
	"sync"
	"time"
)

// Outage is what is known of the failures of one thing.
type Outage struct {
	log           *slog.Logger // immutable, as the next two
	failed, again string       // messages

	mu      sync.Mutex // guards everything below
	failing int        // users whose last attempt failed
	since   time.Time
	cause   error // the first failure
}

// New returns an Outage of what, which the messages begin with.
func New(log *slog.Logger, what string) *Outage {
	return Told(log, what+" failed", what+" works again")
}

// Told returns an Outage with messages of its own for the begin and the end.
func Told(log *slog.Logger, failed, again string) *Outage {
	return &Outage{log: log, failed: failed, again: again}
}

// Err returns the first failure of an outage that goes on, else nil.
func (o *Outage) Err() error {
	_, err := o.Since()
	return err
}

// Since returns when the first failure of an outage that goes on was, and that
// failure; nil if there is none.
func (o *Outage) Since() (time.Time, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failing == 0 {
		return time.Time{}, nil
	}
	return o.since, o.cause
}

// Failing returns how many users fail.
func (o *Outage) Failing() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.failing
}

func (o *Outage) begin(cause error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failing++
	if o.failing == 1 {
		o.since, o.cause = time.Now(), cause
		o.log.Warn(o.failed, "error", cause)
	}
}

func (o *Outage) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failing--
	if o.failing == 0 {
		o.log.Info(o.again, "after", time.Since(o.since).Round(time.Millisecond).String())
	}
}

// User is one user of the thing. Owned by one goroutine.
type User struct {
	outage  *Outage // immutable
	failing bool
}

// User returns a user that has not failed yet.
func (o *Outage) User() *User { return &User{outage: o} }

// Failed notes an attempt that failed.
func (u *User) Failed(cause error) {
	if !u.failing {
		u.failing = true
		u.outage.begin(cause)
	}
}

// Worked notes an attempt that went well.
func (u *User) Worked() {
	if u.failing {
		u.failing = false
		u.outage.end()
	}
}

// Failing reports whether the user's last attempt failed.
func (u *User) Failing() bool { return u.failing }
