package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	sqlite3 "modernc.org/sqlite/lib"

	"lars.internal/route"
)

// maxStatusRows bounds the rows of one upsert. With nine values each it stays
// far below the limits of both databases on parameters and statement length.
const maxStatusRows = 500

// statusAhead is how many seconds a stored timestamp may be ahead of the
// database's clock. One that is further ahead is replaced by any other: the clock
// of its agent was wrong, or the row was written by hand, and it would hide every
// report for as long.
const statusAhead = "600"

// UpsertStatus stores call statistics. A row replaces what is stored of the
// same service, host and caller unless that is newer; ignored is how many did
// not. After an error some of the rows may be stored; to store them all again is
// right. An error with route.ErrRowRefused or route.ErrRowLocked is of at least
// one of the rows, and the database takes others.
func (db *DB) UpsertStatus(ctx context.Context, statuses []route.CallStatus) (ignored int, err error) {
	for chunk := range slices.Chunk(newest(statuses), maxStatusRows) {
		var older int
		query, args := db.upsertStatement(chunk)
		err := db.attempt(ctx, db.options.QueryTimeout, fmt.Sprintf("store %d call statistics", len(chunk)),
			func(ctx context.Context) (err error) {
				older, err = db.upsertStatus(ctx, query, args, chunk)
				return err
			})
		if err != nil {
			return ignored, err
		}
		ignored += older
	}
	return ignored, nil
}

// upsertStatus runs an upsert and returns how many of its rows were older than
// what is stored.
func (db *DB) upsertStatus(ctx context.Context, query string, args []any, statuses []route.CallStatus) (older int, err error) {
	result, err := db.pool.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, db.dialect.rowError(err)
	}
	affected, err := result.RowsAffected()
	if err != nil {
		return 0, err
	}
	return db.dialect.older(ctx, db, statuses, int(affected))
}

// olderSQLite: SQLite counts the rows that were inserted or updated.
func olderSQLite(_ context.Context, _ *DB, statuses []route.CallStatus, affected int) (int, error) {
	return len(statuses) - affected, nil
}

// olderMySQL: MySQL counts an insert once, an update twice, and what changed
// nothing not at all, so that a sum may have several meanings; then the stored
// rows are looked at. What others have stored since makes no difference that
// matters.
func olderMySQL(ctx context.Context, db *DB, statuses []route.CallStatus, affected int) (older int, err error) {
	if affected == 2*len(statuses) {
		return 0, nil
	}
	const row = ` OR (modid = ? AND cmdid = ? AND ip = ? AND port = ? AND caller = ? AND ts > ?)`
	var args []any
	for _, s := range statuses {
		args = append(args, s.Key.Modid, s.Key.Cmdid, s.Host.IP, s.Host.Port, s.Caller, s.Time)
	}
	where := strings.Repeat(row, len(statuses))[len(` OR `):]
	err = db.pool.QueryRowContext(ctx, `SELECT COUNT(*) FROM ServerCallStatus WHERE `+where, args...).Scan(&older)
	return older, err
}

// rowErrorMySQL adds route.ErrRowRefused or route.ErrRowLocked to an error that
// is of a row, not of the database. A wait for a lock is not repeated here: the
// caller has other rows to store.
func rowErrorMySQL(err error) error {
	var e *mysql.MySQLError
	if !errors.As(err, &e) {
		return err
	}
	switch e.Number {
	case errLockWaitTimeout:
		return unrepeatable{fmt.Errorf("%w: %w", route.ErrRowLocked, err)}
	case errTruncatedValue, errWrongValue, errCheckViolated:
		return fmt.Errorf("%w: %w", route.ErrRowRefused, err)
	}
	switch string(e.SQLState[:2]) {
	case "22", "23", "45": // data exception, constraint, SIGNAL of a trigger
		return fmt.Errorf("%w: %w", route.ErrRowRefused, err)
	}
	return err
}

// rowErrorSQLite is rowErrorMySQL for SQLite, which locks no rows.
func rowErrorSQLite(err error) error {
	switch sqliteCode(err) {
	case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG:
		return fmt.Errorf("%w: %w", route.ErrRowRefused, err)
	}
	return err
}

// PingStatus returns nil if the table of call statistics can be read.
func (db *DB) PingStatus(ctx context.Context) error {
	return db.attempt(ctx, db.options.QueryTimeout, "look at call statistics", func(ctx context.Context) error {
		var one int
		err := db.pool.QueryRowContext(ctx, `SELECT 1 FROM ServerCallStatus LIMIT 1`).Scan(&one)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
}

// ExpireStatus removes at most limit rows, the oldest first, whose reports are
// older than keep, and returns how many it removed. Age is counted from the
// newest report, or from the database's clock if that is earlier, so that a
// clock that runs ahead removes nothing.
func (db *DB) ExpireStatus(ctx context.Context, keep time.Duration, limit int) (removed int, err error) {
	err = db.attempt(ctx, db.options.QueryTimeout, "remove old call statistics", func(ctx context.Context) error {
		var newest, clock int64
		err := db.pool.QueryRowContext(ctx, `SELECT COALESCE(MAX(ts), 0), `+db.dialect.clock+` FROM ServerCallStatus`).
			Scan(&newest, &clock)
		if err != nil {
			return err
		}
		result, err := db.pool.ExecContext(ctx, db.dialect.expire, min(newest, clock)-int64(keep/time.Second), limit)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		removed = int(n)
		return err
	})
	return removed, err
}

func (db *DB) upsertStatement(statuses []route.CallStatus) (query string, args []any) {
	for _, s := range statuses {
		overload := "0"
		if s.Overload {
			overload = "1"
		}
		args = append(args, s.Key.Modid, s.Key.Cmdid, s.Host.IP, s.Host.Port, s.Caller,
			min(s.Succ, math.MaxInt32), min(s.Err, math.MaxInt32), s.Time, overload)
	}
	return `INSERT INTO ServerCallStatus
		(modid, cmdid, ip, port, caller, succ_cnt, err_cnt, ts, overload) VALUES ` +
		tuples(len(statuses), 9) + db.dialect.upsert, args
}

// newest returns the statuses in the order of the primary key, of each row the
// newest alone. In one order, writers do not lock each other out.
func newest(statuses []route.CallStatus) []route.CallStatus {
	sorted := slices.Clone(statuses)
	slices.SortStableFunc(sorted, func(a, b route.CallStatus) int {
		return cmp.Or(compareRow(a, b), cmp.Compare(a.Time, b.Time))
	})
	kept := sorted[:0]
	for _, s := range sorted {
		if n := len(kept); n > 0 && compareRow(kept[n-1], s) == 0 {
			kept[n-1] = s
		} else {
			kept = append(kept, s)
		}
	}
	return kept
}

func compareRow(a, b route.CallStatus) int {
	return cmp.Or(a.Key.Compare(b.Key), a.Host.Compare(b.Host), cmp.Compare(a.Caller, b.Caller))
}

// StatusTotal returns how many rows of call statistics there are, and the time
// of the newest report in Unix seconds, 0 for none.
func (db *DB) StatusTotal(ctx context.Context, filter *route.Key) (rows int, newest int64, err error) {
	query, args := `SELECT COUNT(*), COALESCE(MAX(ts), 0) FROM ServerCallStatus`, []any(nil)
	if filter != nil {
		query += ` WHERE modid = ? AND cmdid = ?`
		args = append(args, filter.Modid, filter.Cmdid)
	}
	err = db.attempt(ctx, db.options.QueryTimeout, "count call statistics", func(ctx context.Context) error {
		return db.pool.QueryRowContext(ctx, query, args...).Scan(&rows, &newest)
	})
	return rows, newest, err
}

// Status returns call statistics, at most limit (0 or above 10,000: 10,000):
// of all services the newest first, of one service by host and caller.
func (db *DB) Status(ctx context.Context, filter *route.Key, limit int) ([]route.CallStatus, error) {
	query := `SELECT modid, cmdid, ip, port, caller, succ_cnt, err_cnt, ts, overload FROM ServerCallStatus`
	var args []any
	if filter == nil {
		query += ` ORDER BY ts DESC LIMIT ?`
	} else {
		query += ` WHERE modid = ? AND cmdid = ? ORDER BY ip, port, caller LIMIT ?`
		args = append(args, filter.Modid, filter.Cmdid)
	}
	args = append(args, pageSize(limit))
	var statuses []route.CallStatus
	err := db.attempt(ctx, db.options.QueryTimeout, "read call statistics", func(ctx context.Context) (err error) {
		statuses, err = db.statuses(ctx, query, args)
		return err
	})
	return statuses, err
}

func (db *DB) statuses(ctx context.Context, query string, args []any) ([]route.CallStatus, error) {
	rows, err := db.pool.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var statuses []route.CallStatus
	for rows.Next() {
		var s route.CallStatus
		var port, succ, failed int64
		var overload string
		err := rows.Scan(&s.Key.Modid, &s.Key.Cmdid, &s.Host.IP, &port, &s.Caller, &succ, &failed, &s.Time, &overload)
		if err != nil {
			return nil, err
		}
		// A value of a C++ writer that fits no field is shown as the nearest one
		// that does.
		s.Host.Port = uint16(clamp(port, math.MaxUint16))
		s.Succ, s.Err = uint32(clamp(succ, math.MaxUint32)), uint32(clamp(failed, math.MaxUint32))
		s.Overload = overload == "1"
		statuses = append(statuses, s)
	}
	return statuses, rows.Err()
}

func clamp(v, most int64) int64 { return max(0, min(v, most)) }

// tuples returns the placeholders of rows: "(?,?),(?,?)".
func tuples(rows, columns int) string {
	one := ",(?" + strings.Repeat(",?", columns-1) + ")"
	return strings.Repeat(one, rows)[1:]
}
