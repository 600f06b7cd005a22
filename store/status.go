package store

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"lars.internal/route"
)

// maxStatusRows bounds the rows of one upsert: nine values each, so it stays
// far below the limits of both databases on parameters and statement length.
const maxStatusRows = 500

// UpsertStatus stores call statistics. A row replaces what is stored of the
// same service, host and caller unless that is newer. After an error some of
// the rows may be stored; to store them all again is right.
func (db *DB) UpsertStatus(ctx context.Context, statuses []route.CallStatus) error {
	for chunk := range slices.Chunk(newest(statuses), maxStatusRows) {
		query, args := db.upsertStatement(chunk)
		err := db.attempt(ctx, db.options.QueryTimeout, fmt.Sprintf("store %d call statistics", len(chunk)),
			func(ctx context.Context) error {
				_, err := db.pool.ExecContext(ctx, query, args...)
				return err
			})
		if err != nil {
			return err
		}
	}
	return nil
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
		// Statistics are to look at. What a C++ writer stored that fits no
		// field is shown as near as it goes.
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
