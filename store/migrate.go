package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
)

// migrateLockWait is how long a migration waits for a lock of SQLite.
const migrateLockWait = time.Minute

// Migrate brings the tables up to date: it makes what is missing, the SQLite
// file and the MySQL database included, and adopts tables that the C++ stack
// made, with their rows. Where all is up to date it changes nothing; a table
// that somebody dropped comes back empty, a key that is missing comes back too.
// Of several processes that migrate one database at once, one works and the
// others wait. It takes as long as the tables are large; ctx alone bounds it.
func (db *DB) Migrate(ctx context.Context) error {
	if err := db.migrate(ctx); err != nil {
		return fmt.Errorf("store: migrate %s: %w", db.source, db.dialect.hint(db.source, err))
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
	err = db.checkSchema(ctx, pool, ForAll)
	if !db.isMissing(err) {
		return err
	}
	m := &migration{db: db, pool: pool}
	lease, err := m.lock(ctx)
	if err != nil {
		return err
	}
	return lease.release(m.run(ctx))
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

// migration is one run of Migrate on a database that exists. It is used by one
// goroutine, under the lock.
type migration struct {
	// Immutable.
	db   *DB
	pool *sql.DB
}

func (m *migration) run(ctx context.Context) error {
	options := []goose.ProviderOption{
		goose.WithTableName(versionTable), goose.WithDisableGlobalRegistry(true),
		goose.WithAllowOutofOrder(true), // a step whose table was dropped runs again
	}
	provider, err := goose.NewProvider(m.db.dialect.goose, m.pool, m.db.dialect.migrations, options...)
	if err != nil {
		return err
	}
	if err := m.heal(ctx, provider); err != nil {
		return err
	}
	if err := m.compare(ctx); err != nil {
		return err
	}
	results, err := provider.Up(ctx)
	m.logSteps(results)
	if err != nil {
		return err
	}
	if err := m.mendKeys(ctx); err != nil {
		return err
	}
	return m.db.checkSchema(ctx, m.pool, ForAll)
}

// logSteps says in one line which migrations have run.
func (m *migration) logSteps(results []*goose.MigrationResult) {
	if len(results) == 0 {
		return
	}
	steps := make([]string, len(results))
	for i, r := range results {
		steps[i] = fmt.Sprint(r.Source.Version)
	}
	m.db.options.Logger.Info("store: tables migrated", "database", m.db.source.String(), "steps", strings.Join(steps, " "))
}

// heal makes the record of migrations usable. A process that ended between
// making it and writing its first row left it empty, which goose refuses.
func (m *migration) heal(ctx context.Context, provider *goose.Provider) error {
	var rows int64
	err := m.pool.QueryRowContext(ctx, `SELECT COUNT(*) FROM `+versionTable+` WHERE version_id = 0`).Scan(&rows)
	switch {
	case m.db.isMissing(err):
		_, err = provider.GetDBVersion(ctx) // makes it
	case err == nil && rows == 0:
		err = m.record(ctx, 0)
	}
	return err
}

// compare makes the record of migrations say what the tables show: a step whose
// table or column is missing has to run again, and one that has nothing left to
// make must not, since some statements fail the second time.
func (m *migration) compare(ctx context.Context) error {
	made, err := m.made(ctx)
	if err != nil {
		return err
	}
	recorded, err := m.recorded(ctx)
	if err != nil {
		return err
	}
	for _, t := range tables {
		if !made[t.step] && recorded[t.step] {
			if _, err := m.pool.ExecContext(ctx, `DELETE FROM `+versionTable+` WHERE version_id = ?`, t.step); err != nil {
				return err
			}
			recorded[t.step] = false
		}
	}
	for step, there := range made {
		if there && !recorded[step] {
			if err := m.record(ctx, step); err != nil {
				return err
			}
		}
	}
	return nil
}

// made returns the steps that make tables, columns or keys, and whether all that
// they make is there. A step that makes none of these is not in the result.
func (m *migration) made(ctx context.Context) (map[int64]bool, error) {
	made := make(map[int64]bool)
	note := func(step int64, there bool) {
		before, known := made[step]
		made[step] = there && (before || !known)
	}
	for _, t := range tables {
		err := t.probe(ctx, m.pool)
		if err != nil && !m.db.isMissing(err) {
			return nil, err
		}
		note(t.step, err == nil)
	}
	if made[1] {
		_, err := scanVersion(m.pool.QueryRowContext(ctx, selectVersion))
		if err != nil && !m.db.isMissing(err) {
			return nil, err
		}
		note(1, err == nil)
	}
	missing, err := m.db.missingKeys(ctx, m.pool)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		if k.step != 0 {
			note(k.step, true)
		}
	}
	for _, k := range missing {
		if k.step != 0 {
			note(k.step, false)
		}
		if k.unique {
			m.nameDoubled(ctx)
		}
	}
	return made, nil
}

// nameDoubled says which hosts are stored more than once, before all rows of
// them but the oldest are removed.
func (m *migration) nameDoubled(ctx context.Context) {
	if n, err := countDoubled(ctx, m.pool); err == nil && n > 0 {
		m.db.options.Logger.Warn("store: hosts are stored more than once; of each the oldest row stays",
			"hosts", n, "seen by", selectDoubled)
	}
}

func (m *migration) recorded(ctx context.Context) (map[int64]bool, error) {
	rows, err := m.pool.QueryContext(ctx, `SELECT version_id FROM `+versionTable+` WHERE is_applied`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	steps := make(map[int64]bool)
	for rows.Next() {
		var step int64
		if err := rows.Scan(&step); err != nil {
			return nil, err
		}
		steps[step] = true
	}
	return steps, rows.Err()
}

func (m *migration) record(ctx context.Context, step int64) error {
	_, err := m.pool.ExecContext(ctx, `INSERT INTO `+versionTable+` (version_id, is_applied) VALUES (?, ?)`, step, true)
	return err
}

// mendKeys makes the keys that are missing although their steps have run: a dump
// from before them may have been restored over the tables.
func (m *migration) mendKeys(ctx context.Context) error {
	missing, err := m.db.missingKeys(ctx, m.pool)
	if err != nil {
		return err
	}
	for _, k := range missing {
		kind := `INDEX`
		if k.unique {
			kind = `UNIQUE INDEX`
			_, err := m.pool.ExecContext(ctx, `DELETE FROM RouteData WHERE id NOT IN (SELECT * FROM (
				SELECT MIN(id) FROM RouteData GROUP BY modid, cmdid, serverip, serverport) AS kept)`)
			if err != nil {
				return err
			}
		}
		query := fmt.Sprintf(`CREATE %s %s ON %s (%s)`, kind, k.name, k.table, strings.Join(k.columns, ", "))
		if _, err := m.pool.ExecContext(ctx, query); err != nil {
			return err
		}
		m.db.options.Logger.Info("store: key made", "database", m.db.source.String(), "table", k.table, "key", k.name)
	}
	return nil
}
