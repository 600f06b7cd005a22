package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

// ErrNoSchema means that tables are missing or older than this program.
// Its message names the command that makes them.
var ErrNoSchema = errors.New("the database lacks the tables of this version")

// Options are the settings of a DB. The zero value works.
type Options struct {
	// Logger gets a line for each move to another database host or file, each
	// migration, and each version that looks like that of a wrong clock. Nil:
	// none.
	Logger *slog.Logger

	// Now is the clock for versions and audit. Nil: time.Now.
	Now func() time.Time

	// BadRow is called with each row of RouteData that names no host which can
	// be called, and with each row of RouteHost and ServiceSetting that has a
	// value which agents do not take, each time that it is read. Such rows are
	// skipped; of a host, the value alone. id tells rows of a table apart. It is
	// called from any goroutine and must not block. Nil: nothing.
	BadRow func(table, id, reason string)

	// DialTimeout bounds connecting to one host, login included. Default
	// 2 s. Higher suits far databases; lower fails over sooner.
	DialTimeout time.Duration

	// QueryTimeout bounds one try of an operation; an edit gets it twice, and
	// once more for every 100 services. Default 5 s. Higher suits slow
	// databases; lower notices sooner that one hangs, but less than 4 s gives
	// up edits that a cluster would still have made after the loss of a node.
	QueryTimeout time.Duration

	// LoadTimeout bounds Load. Default 60 s. A million rows take seconds.
	LoadTimeout time.Duration

	// MaxConns bounds the connections to the database. Default 8. More only
	// helps when more operations run at once.
	MaxConns int
}

func (o *Options) setDefaults() {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.BadRow == nil {
		o.BadRow = func(string, string, string) {}
	}
	o.DialTimeout = positive(o.DialTimeout, 2*time.Second)
	o.QueryTimeout = positive(o.QueryTimeout, 5*time.Second)
	o.LoadTimeout = positive(o.LoadTimeout, time.Minute)
	o.MaxConns = positive(o.MaxConns, 8)
}

// commitTimeout bounds a commit. A cluster that loses a node commits nothing
// until the others have agreed that it is gone, which takes Galera 5 s and some
// (evs.suspect_timeout). It is not known whether a commit that is given up
// before then goes through.
func (o *Options) commitTimeout() time.Duration { return 2 * o.QueryTimeout }

func positive[T int | time.Duration](v, preset T) T {
	if v > 0 {
		return v
	}
	return preset
}

// DB is a database with routes and call statistics.
type DB struct {
	// Immutable after Open.
	source  source
	dialect *dialect
	options Options
	hosts   *hosts // nil for SQLite
	pool    *sql.DB

	// What edits keep of the history. Tests lower it before they edit.
	keepChanges, keepAudit retention

	badRows atomic.Uint64
}

// Open returns the database that a DSN names:
//
//	sqlite:/var/lib/lars/lars.db
//	mysql://user:password@host:3306,host2:3306/lars_dns?tls=true
//
// User, password and database are percent-encoded as in any URL; MySQLDSN does
// that. The parameters are those of github.com/go-sql-driver/mysql. Open only
// reads the DSN: whether the database answers shows with the first operation.
func Open(dsn string, options Options) (*DB, error) {
	src, err := parseDSN(dsn)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	options.setDefaults()
	db := &DB{
		source: src, dialect: src.dialect, options: options,
		keepChanges: retention{rows: 1000, versions: keepChanges},
		keepAudit:   retention{rows: 10_000, versions: 365 * 24 * 3600}, // a year
	}
	db.pool, db.hosts, err = openPool(src, options, busyWait, options.commitTimeout())
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return db, nil
}

// openPool returns connections to a source, and for MySQL its hosts. busy
// bounds each wait for a lock of SQLite, readTimeout each wait for an answer
// of MySQL, 0 for none.
func openPool(src source, options Options, busy, readTimeout time.Duration) (*sql.DB, *hosts, error) {
	var pool *sql.DB
	var h *hosts
	var err error
	if src.dialect == sqliteDialect {
		if pool, err = openSQLite(src, busy, options.Logger); err != nil {
			return nil, nil, err
		}
	} else {
		if h, err = newHosts(src, options, readTimeout); err != nil {
			return nil, nil, err
		}
		pool = sql.OpenDB(h)
	}
	pool.SetMaxOpenConns(options.MaxConns)
	pool.SetMaxIdleConns(options.MaxConns)
	// Below the idle timeouts of servers and of what stands before them.
	pool.SetConnMaxIdleTime(time.Minute)
	return pool, h, nil
}

// String returns the DSN without the password.
func (db *DB) String() string { return db.source.String() }

// Close ends all connections. It waits for operations under way.
func (db *DB) Close() error { return db.pool.Close() }

// BadRows returns how many rows were skipped because they made no sense,
// counted each time that one was read.
func (db *DB) BadRows() uint64 { return db.badRows.Load() }

// skip reports a row that makes no sense.
func (db *DB) skip(table, id, reason string) {
	db.badRows.Add(1)
	db.options.BadRow(table, id, reason)
}

// beginRead starts a transaction that reads one state of the database.
func (db *DB) beginRead(ctx context.Context) (*sql.Tx, error) {
	return db.pool.BeginTx(ctx, &db.dialect.read)
}
