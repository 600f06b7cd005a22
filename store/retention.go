package store

import (
	"database/sql"
	"errors"
)

// maxPrune bounds the old rows that one edit removes, so that no edit pays for
// years. Most edits write fewer rows than that, and the tables shrink.
const maxPrune = 1000

// retention says how much of a history is kept: so many of the newest rows, and
// what is at most so many versions older than the oldest of them. A version from
// a wrong clock therefore removes nothing before that many rows have followed it.
type retention struct {
	rows     int
	versions uint64
}

// prune removes some of the rows that need not be kept. It looks them up first:
// a DELETE with a limit is not of both databases, and one with a subquery reads
// the whole table on some.
func (e *editor) prune(table string, keep retention) error {
	var oldest uint64 // of the newest rows
	err := e.tx.QueryRowContext(e.ctx,
		`SELECT version FROM `+table+` ORDER BY version DESC LIMIT 1 OFFSET ?`, keep.rows-1).Scan(&oldest)
	if errors.Is(err, sql.ErrNoRows) || err == nil && oldest <= keep.versions {
		return nil
	}
	if err != nil {
		return err
	}
	ids, err := e.ids(`SELECT id FROM `+table+` WHERE version < ? ORDER BY version LIMIT ?`, oldest-keep.versions, maxPrune)
	if err != nil {
		return err
	}
	return e.removeRows(table, ids)
}

func (e *editor) ids(query string, args ...any) ([]int64, error) {
	rows, err := e.tx.QueryContext(e.ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}
