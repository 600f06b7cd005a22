package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	larssql "lars.internal/sql"
)

// versionTable is where the migrations that have run are recorded.
const versionTable = "lars_schema"

// Use is what a program does with the database. It says what has to be there.
type Use uint8

// The uses. A program that does several joins them: ForRoutes|ForStatus.
const (
	ForRoutes Use = 1 << iota // reads routes and their changes, as dns does
	ForStatus                 // writes call statistics, as the reporter does
	ForNames                  // reads and writes what people call services

	ForAll = ForRoutes | ForStatus | ForNames
)

// table is a table with the columns that this package uses.
type table struct {
	use     Use
	step    int64 // the migration that makes it, or adds these columns
	name    string
	columns string
}

var tables = []table{
	{ForRoutes, 1, "RouteData", "id, modid, cmdid, serverip, serverport"},
	{ForRoutes, 1, "RouteVersion", "id, version"},
	{ForRoutes, 1, "RouteChange", "id, modid, cmdid, version"},
	{ForStatus, 1, "ServerCallStatus", "modid, cmdid, ip, port, caller, succ_cnt, err_cnt, ts, overload"},
	{ForNames, 1, "ModIDConfig", "id, modid, content"},
	{ForNames, 1, "CmdIDConfig", "id, cmdid, content"},
	{ForRoutes, 6, "RouteAudit", "id, time, version, previous, who, action, modid, cmdid, details"},
	{ForRoutes, 7, "RouteAudit", "edit_id"},
	{ForRoutes, 9, "RouteHost", "modid, cmdid, serverip, serverport, weight, zone, note, drained"},
	{ForRoutes, 10, "ServiceSetting", "modid, cmdid, name, value"},
}

// tableKey is a key that this package relies on. Some index with these columns
// at its start will do, whatever its name; a unique one has to have these alone.
type tableKey struct {
	use     Use
	step    int64 // the migration that makes it and nothing else, or 0
	name    string
	table   string
	columns []string
	unique  bool
}

var keys = []tableKey{
	{ForRoutes, 3, "route_host", "RouteData", []string{"modid", "cmdid", "serverip", "serverport"}, true},
	{ForRoutes, 4, "change_version", "RouteChange", []string{"version"}, false},
	{ForStatus, 5, "status_time", "ServerCallStatus", []string{"ts"}, false},
	{ForRoutes, 0, "audit_version", "RouteAudit", []string{"version"}, false},
	{ForRoutes, 0, "audit_service", "RouteAudit", []string{"modid", "cmdid"}, false},
	{ForRoutes, 8, "audit_edit_id", "RouteAudit", []string{"edit_id"}, false},
	{ForRoutes, 0, "host_address", "RouteHost", []string{"serverip", "serverport"}, false},
}

// selectDoubled shows the hosts that are in a service more than once.
const selectDoubled = `SELECT modid, cmdid, serverip, serverport, COUNT(*) FROM RouteData` +
	` GROUP BY modid, cmdid, serverip, serverport HAVING COUNT(*) > 1`

// CheckSchema returns nil if the database has all tables, columns and keys that
// a use needs. Otherwise ErrNoSchema, with the command that makes them, or the
// error that kept it from looking. It needs the right to read the tables of the
// use. Where lars_schema may not be read, the tables themselves are looked at
// alone.
func (db *DB) CheckSchema(ctx context.Context, use Use) error {
	return db.attempt(ctx, db.options.QueryTimeout, "check tables", func(ctx context.Context) error {
		return db.checkSchema(ctx, db.pool, use)
	})
}

func (db *DB) checkSchema(ctx context.Context, pool *sql.DB, use Use) error {
	if err := db.checkStep(ctx, pool); err != nil {
		return err
	}
	for _, t := range tables {
		if t.use&use == 0 {
			continue
		}
		if err := t.probe(ctx, pool); err != nil {
			return err
		}
	}
	if use&ForRoutes != 0 {
		if _, err := scanVersion(pool.QueryRowContext(ctx, selectVersion)); err != nil {
			return err
		}
	}
	return db.checkKeys(ctx, pool, use)
}

func (db *DB) checkStep(ctx context.Context, pool *sql.DB) error {
	var got int64
	err := pool.QueryRowContext(ctx,
		`SELECT COALESCE(MAX(version_id), 0) FROM `+versionTable+` WHERE is_applied`).Scan(&got)
	if isMySQLError(err, errNoRightTable) {
		return nil
	}
	if err != nil {
		return err
	}
	if want := larssql.Newest(db.dialect.migrations); got < want {
		return db.noSchema(fmt.Sprintf("they are at step %d, this program needs step %d", got, want))
	}
	return nil
}

// probe fails if the table or one of its columns is missing, or may not be read.
func (t *table) probe(ctx context.Context, pool *sql.DB) error {
	_, err := pool.ExecContext(ctx, `SELECT `+t.columns+` FROM `+t.name+` WHERE 1 = 0`)
	return err
}

func (db *DB) checkKeys(ctx context.Context, pool *sql.DB, use Use) error {
	missing, err := db.missingKeys(ctx, pool)
	if err != nil {
		return err
	}
	for _, k := range missing {
		if k.use&use == 0 {
			continue
		}
		text := fmt.Sprintf("the key %s of %s is missing", k.name, k.table)
		if n, err := countDoubled(ctx, pool); k.unique && err == nil && n > 0 {
			text += fmt.Sprintf(", and %d hosts are stored more than once: %s", n, selectDoubled)
		}
		return db.noSchema(text)
	}
	return nil
}

// countDoubled returns how many hosts are in a service more than once.
func countDoubled(ctx context.Context, pool *sql.DB) (n int64, err error) {
	err = pool.QueryRowContext(ctx, `SELECT COUNT(*) FROM (`+selectDoubled+`) AS doubled`).Scan(&n)
	return n, err
}

// index is an index that a table has.
type index struct {
	unique  bool
	columns []string
}

// missingKeys returns the keys that the tables lack.
func (db *DB) missingKeys(ctx context.Context, pool *sql.DB) ([]tableKey, error) {
	have, err := db.indexes(ctx, pool)
	if err != nil {
		return nil, err
	}
	var missing []tableKey
	for _, k := range keys {
		if !slices.ContainsFunc(have[strings.ToLower(k.table)], k.servedBy) {
			missing = append(missing, k)
		}
	}
	return missing, nil
}

func (k *tableKey) servedBy(i index) bool {
	if k.unique {
		return i.unique && slices.Equal(i.columns, k.columns)
	}
	return len(i.columns) >= len(k.columns) && slices.Equal(i.columns[:len(k.columns)], k.columns)
}

// indexes returns the indexes of each table, by its name in lower case: a server
// may keep names so.
func (db *DB) indexes(ctx context.Context, pool *sql.DB) (map[string][]index, error) {
	rows, err := pool.QueryContext(ctx, db.dialect.indexes)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	have := make(map[string][]index)
	last := ""
	for rows.Next() {
		var table, name, column string
		var unique bool
		if err := rows.Scan(&table, &name, &unique, &column); err != nil {
			return nil, err
		}
		of := have[table]
		if table+"."+name != last {
			of = append(of, index{unique: unique})
			last = table + "." + name
		}
		at := &of[len(of)-1]
		at.columns = append(at.columns, strings.ToLower(column))
		have[table] = of
	}
	return have, rows.Err()
}

// isMissing reports whether an error of a probe says that something is missing.
func (db *DB) isMissing(err error) bool {
	return err != nil && errors.Is(db.explain(err), ErrNoSchema)
}
