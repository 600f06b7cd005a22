package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"time"
)

const (
	// leaseTime is for how long a lock is held without a renewal: how long
	// the next migration waits for one that was killed.
	leaseTime = 15 * time.Second

	// leaseWait is how long a migration waits for another to end.
	leaseWait = time.Minute

	// leasePause is the pause between two tries to take the lock.
	leasePause = 50 * time.Millisecond
)

// lease is the lock under which one process at a time migrates a database: a row
// of the table lars_lock that names its holder until a time. It is not the
// database's own kind of lock, since Galera has none that holds over all nodes;
// there, of two nodes at which a row is changed at once, one fails at its commit.
type lease struct {
	// Immutable.
	db     *DB
	pool   *sql.DB
	holder string

	stop    context.CancelFunc // ends renewing
	stopped chan struct{}      // closed by renew when it has ended
}

// lock waits for the lock, bounded by leaseWait.
func (m *migration) lock(ctx context.Context) (*lease, error) {
	l := &lease{db: m.db, pool: m.pool, holder: rand.Text()}
	deadline := time.Now().Add(leaseWait)
	for waited := false; ; waited = true {
		got, err := l.take(ctx)
		switch {
		case err != nil:
			return nil, fmt.Errorf("lock: %w", err)
		case got:
			l.startRenewing()
			return l, nil
		case time.Now().After(deadline):
			return nil, fmt.Errorf("lock: another migration of this database has run for %v; try again later", leaseWait)
		case !waited:
			m.db.options.Logger.Info("store: waiting for another migration to end", "database", m.db.source.String())
		}
		if !sleep(ctx, leasePause) {
			return nil, ctx.Err()
		}
	}
}

// take makes one try. It returns false while another holds the lock.
func (l *lease) take(ctx context.Context) (bool, error) {
	clock := l.db.dialect.clock
	_, err := l.pool.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS lars_lock
		(id INT NOT NULL PRIMARY KEY, holder VARCHAR(64) NOT NULL, until BIGINT NOT NULL)`)
	if err != nil {
		return l.rival(err)
	}
	_, err = l.pool.ExecContext(ctx, l.db.dialect.insertIgnore+` INTO lars_lock (id, holder, until) VALUES (1, '', 0)`)
	if err != nil {
		return l.rival(err)
	}
	r, err := l.pool.ExecContext(ctx, `UPDATE lars_lock SET holder = ?, until = `+clock+` + ?
		WHERE id = 1 AND (holder = '' OR until < `+clock+`)`, l.holder, int(leaseTime.Seconds()))
	if err != nil {
		return l.rival(err)
	}
	n, err := r.RowsAffected()
	return n == 1, err
}

// rival returns nil for an error which only means that another process was
// faster.
func (l *lease) rival(err error) (bool, error) {
	if l.db.dialect.classify(err) == conflict {
		return false, nil
	}
	return false, err
}

// startRenewing starts the goroutine that keeps the lock; release stops it and
// waits for it.
func (l *lease) startRenewing() {
	ctx, stop := context.WithCancel(context.Background())
	l.stop, l.stopped = stop, make(chan struct{})
	go l.renew(ctx)
}

func (l *lease) renew(ctx context.Context) {
	defer close(l.stopped)
	for sleep(ctx, leaseTime/3) {
		// A failure shows at the end of the lease at the latest, when another
		// takes the lock: every step may run twice.
		l.pool.ExecContext(ctx, `UPDATE lars_lock SET until = `+l.db.dialect.clock+` + ? WHERE id = 1 AND holder = ?`,
			int(leaseTime.Seconds()), l.holder)
	}
}

// release gives the lock back and returns err, the outcome of what was done under
// it. A lock that cannot be given back ends with its time.
func (l *lease) release(err error) error {
	l.stop()
	<-l.stopped
	ctx, cancel := context.WithTimeout(context.Background(), l.db.options.QueryTimeout)
	defer cancel()
	l.pool.ExecContext(ctx, `UPDATE lars_lock SET holder = '' WHERE id = 1 AND holder = ?`, l.holder)
	return err
}

// sleep waits for a time. It returns false when ctx is done first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
