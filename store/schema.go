package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pressly/goose/v3"

	larssql "lars.internal/sql"
)

// versionTable is where the migrations that have run are recorded.
const versionTable = "lars_schema"

// migrateLockWait is how long a migration waits for another to end.
const migrateLockWait = time.Minute

// probes name the columns that this package uses. They return no row.
var probes = []string{
	`SELECT id, modid, cmdid, serverip, serverport FROM RouteData WHERE 1 = 0`,
	`SELECT id, version FROM RouteVersion WHERE 1 = 0`,
	`SELECT id, modid, cmdid, version FROM RouteChange WHERE 1 = 0`,
	`SELECT modid, cmdid, ip, port, caller, succ_cnt, err_cnt, ts, overload FROM ServerCallStatus WHERE 1 = 0`,
	`SELECT id, time, version, previous, who, action, modid, cmdid, details FROM RouteAudit WHERE 1 = 0`,
}

// Migrate brings the tables up to date: it makes what is missing, the SQLite
// file and the MySQL database included, and adopts tables that the C++ stack
// made, with their rows. Where all is up to date it changes nothing; a table
// that somebody dropped comes back empty. It takes as long as the tables are
// large; ctx alone bounds it.
func (db *DB) Migrate(ctx context.Context) error {
	if err := db.migrate(ctx); err != nil {
		return fmt.Errorf("store: migrate %s: %w", db.source, db.dialect.wayOut(db.source, err))
	}
	return nil
}

func (db *DB) migrate(ctx context.Context) error {
	if err := db.create(ctx); err != nil {
		return err
	}
	pool, _, err := openPool(db.source, db.options, migrateLockWait, 0)
	if err != nil {
		return err
	}
	defer pool.Close()
	// Of two processes that migrate at once, one may see a table appear that
	// it was about to make. That one looks again.
	for range 3 {
		if err = db.up(ctx, pool); err == nil || !strings.Contains(err.Error(), "already exists") {
			break
		}
	}
	if err != nil {
		return err
	}
	return db.repair(ctx, pool)
}

// repair runs all steps again if something is missing although they have run.
// Each may run twice.
func (db *DB) repair(ctx context.Context, pool *sql.DB) error {
	missing := probe(ctx, pool)
	if !errors.Is(db.explain(missing), ErrNoSchema) {
		return missing
	}
	if _, err := pool.ExecContext(ctx, `DELETE FROM `+versionTable+` WHERE version_id > 0`); err != nil {
		return err
	}
	return db.up(ctx, pool)
}

// create makes the file or the database.
func (db *DB) create(ctx context.Context) error {
	if db.dialect == sqliteDialect {
		return createSQLite(db.source)
	}
	err := db.pool.PingContext(ctx)
	if !isMySQLError(err, errNoDatabase) {
		return err
	}
	src := db.source
	src.database = ""
	pool, _, err := openPool(src, db.options, busyWait, db.options.commitTimeout())
	if err != nil {
		return err
	}
	defer pool.Close()
	name := "`" + strings.ReplaceAll(db.source.database, "`", "``") + "`"
	_, err = pool.ExecContext(ctx, "CREATE DATABASE IF NOT EXISTS "+name)
	return err
}

func (db *DB) up(ctx context.Context, pool *sql.DB) error {
	options := []goose.ProviderOption{goose.WithTableName(versionTable), goose.WithDisableGlobalRegistry(true)}
	if db.dialect == mysqlDialect {
		options = append(options, goose.WithSessionLocker(migrateLock{db.source.database}))
	}
	provider, err := goose.NewProvider(db.dialect.goose, pool, db.dialect.migrations, options...)
	if err != nil {
		return err
	}
	results, err := provider.Up(ctx)
	for _, r := range results {
		db.options.Logger.Info("store: migrated", "database", db.source.String(), "migration", r.Source.Path)
	}
	return err
}

// migrateLock lets one process at a time migrate a MySQL database.
type migrateLock struct{ database string }

// SessionLock implements goose's lock.SessionLocker.
func (l migrateLock) SessionLock(ctx context.Context, conn *sql.Conn) error {
	var got sql.NullInt64
	err := conn.QueryRowContext(ctx, `SELECT GET_LOCK(?, ?)`, l.name(), int(migrateLockWait.Seconds())).Scan(&got)
	switch {
	case isMySQLError(err, errNotSupportedYet):
		return nil // Galera, which runs changes of tables one after the other anyway
	case err != nil:
		return fmt.Errorf("lock: %w", err)
	case got.Int64 != 1:
		return fmt.Errorf("lock: another migration of this database has run for %v; try again later", migrateLockWait)
	}
	return nil
}

// SessionUnlock implements goose's lock.SessionLocker.
func (l migrateLock) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, `DO RELEASE_LOCK(?)`, l.name())
	if isMySQLError(err, errNotSupportedYet) {
		return nil
	}
	return err
}

// name returns the lock's name, at most 64 bytes as MySQL wants it.
func (l migrateLock) name() string {
	name := versionTable + "." + l.database
	return name[:min(len(name), 64)]
}

// CheckSchema returns nil if the database has all tables that this program
// needs. Otherwise ErrNoSchema, with the command that makes them, or the
// error that kept it from looking.
func (db *DB) CheckSchema(ctx context.Context) error {
	return db.attempt(ctx, db.options.QueryTimeout, "check tables", func(ctx context.Context) error {
		var got int64
		err := db.pool.QueryRowContext(ctx,
			`SELECT COALESCE(MAX(version_id), 0) FROM `+versionTable+` WHERE is_applied`).Scan(&got)
		if err != nil {
			return err
		}
		if want := larssql.Newest(db.dialect.migrations); got < want {
			return db.noSchema(fmt.Sprintf("they are at step %d, this program needs step %d", got, want))
		}
		return probe(ctx, db.pool)
	})
}

// probe fails if a table, a column or the version row is missing.
func probe(ctx context.Context, pool *sql.DB) error {
	for _, query := range probes {
		if _, err := pool.ExecContext(ctx, query); err != nil {
			return err
		}
	}
	_, err := scanVersion(pool.QueryRowContext(ctx, selectVersion))
	return err
}
