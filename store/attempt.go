package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// maxPause bounds the pause before the next try after a conflict.
const maxPause = 50 * time.Millisecond

// attempt runs an operation until it succeeds or a further try makes no
// sense. timeout bounds one try, and all tries against other transactions
// together. what completes "store: ..." in errors. op must do no harm when it
// runs again.
func (db *DB) attempt(ctx context.Context, timeout time.Duration, what string, op func(context.Context) error) error {
	conflicts, losses := 0, 0
	retryUntil := time.Now().Add(timeout)
	for {
		host := db.currentHost()
		err := db.once(ctx, timeout, op)
		if err == nil {
			db.noteServed()
			return nil
		}
		again := false
		switch db.fault(err) {
		case conflict:
			conflicts++
			again = time.Now().Before(retryUntil) && pause(ctx, conflicts)
		case lost:
			losses++
			db.hosts.moveOn(host, err)
			again = db.mayReconnect(losses, err)
		}
		if !again || ctx.Err() != nil {
			return fmt.Errorf("store: %s: %w", what, db.explain(err))
		}
	}
}

func (db *DB) once(ctx context.Context, timeout time.Duration, op func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return op(ctx)
}

func (db *DB) currentHost() int64 {
	if db.hosts == nil {
		return 0
	}
	return db.hosts.current()
}

func (db *DB) noteServed() {
	if db.hosts != nil {
		db.hosts.noteServed()
	}
}

// mayReconnect allows one try per host, and one more on the first, because a
// connection breaks when its server restarts. A host that hung gets no second
// try.
func (db *DB) mayReconnect(losses int, err error) bool {
	if errors.Is(err, context.DeadlineExceeded) {
		return losses < len(db.hosts.addrs)
	}
	return losses <= len(db.hosts.addrs)
}

func (db *DB) fault(err error) fault {
	if errors.As(err, new(unrepeatable)) {
		return fatal
	}
	return db.dialect.classify(err)
}

// unrepeatable is an error after which the operation must not run again.
type unrepeatable struct{ error }

func (e unrepeatable) Unwrap() error { return e.error }

// explain adds to an error what a person may do about it.
func (db *DB) explain(err error) error {
	err = db.dialect.hint(db.source, err)
	if errors.Is(err, errNoVersionRow) || errors.Is(err, errNoFile) || db.dialect.classify(err) == noSchema {
		return db.noSchema(err.Error())
	}
	return err
}

func (db *DB) noSchema(detail string) error {
	return fmt.Errorf("%w (%s); make them with: %s", ErrNoSchema, detail, db.source.migrateCommand())
}

// pause waits a random time that grows with the number of conflicts, so that
// rivals get out of step. It returns false when ctx is done first.
func pause(ctx context.Context, conflicts int) bool {
	return sleep(ctx, rand.N(min(maxPause, time.Millisecond<<min(conflicts, 10))))
}
