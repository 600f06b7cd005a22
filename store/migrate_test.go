package store

import (
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"lars.internal/internal/testdb"
)

// migrateAtOnce migrates one database from several processes, as it were.
func migrateAtOnce(t *testing.T, dsns ...string) {
	t.Helper()
	start := make(chan struct{})
	var wg sync.WaitGroup
	for _, dsn := range dsns {
		db, err := Open(dsn, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		wg.Go(func() {
			<-start
			if err := db.Migrate(t.Context()); err != nil {
				t.Error(err)
			}
			if err := db.CheckSchema(t.Context(), ForAll); err != nil {
				t.Error(err)
			}
		})
	}
	close(start)
	wg.Wait()
}

// Two migrations of a new database at once failed in one of twenty cases.
func TestFinding26MigrationsAtOnce(t *testing.T) {
	eachDialect(t, func(e *env) {
		for range 15 {
			e.emptied()
			migrateAtOnce(t, e.dsn, e.dsn, e.dsn, e.dsn)
			steps := e.number(`SELECT COUNT(*) FROM lars_schema`)
			e.want("steps that are recorded twice", steps, e.number(`SELECT COUNT(DISTINCT version_id) FROM lars_schema`))
			if e.Failed() {
				return
			}
		}
	})
}

// The nodes of a cluster have no lock in common but what is written in a table.
func TestFinding26MigrationsAtOnceOnACluster(t *testing.T) {
	c := testdb.StartCluster(t)
	for range 5 {
		c := c.For(t)
		migrateAtOnce(t, c.DSN(0), c.DSN(1), c.DSN(2), c.DSN(0))
	}
}

// A process that was killed between making the record of migrations and writing
// its first row made every later migration fail.
func TestFinding26EmptyRecordHeals(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		e.edit(db, add(key(1, 2), host(1)))
		e.exec(`DELETE FROM lars_schema`)
		if err := db.Migrate(e.Context()); err != nil {
			e.Fatal(err)
		}
		if err := db.CheckSchema(e.Context(), ForAll); err != nil {
			e.Fatal(err)
		}
		e.want("hosts", len(e.load(db).Route(key(1, 2)).Hosts), 1)
	})
}

// A new database cost a line of the log for each step.
func TestMigrateLogsOneLine(t *testing.T) {
	eachDialect(t, func(e *env) {
		var log strings.Builder
		db, err := Open(e.dsn, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			e.Fatal(err)
		}
		defer db.Close()
		for range 2 { // the second finds nothing to do
			if err := db.Migrate(e.Context()); err != nil {
				e.Fatal(err)
			}
			if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, `steps="1 `) {
				e.Errorf("logged %q, want one line with the steps", text)
			}
		}
	})
}

// A process that was killed while it migrated holds the lock until its lease ends.
func TestMigrateTakesAnOldLease(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		e.exec(`UPDATE lars_lock SET holder = 'killed', until = 5`)
		e.exec(`DROP TABLE RouteAudit`)
		if err := db.Migrate(e.Context()); err != nil {
			e.Fatal(err)
		}
		var holder string
		if err := e.raw.QueryRow(`SELECT holder FROM lars_lock`).Scan(&holder); err != nil || holder != "" {
			e.Errorf("the lock is held by %q, error %v", holder, err)
		}
	})
}

// A dump from before the migrations, restored over migrated tables, left
// lars_schema as it was: everything was up to date, and hosts could be stored
// twice.
func TestFinding57MissingKeysAreNamedAndMended(t *testing.T) {
	eachDialect(t, func(e *env) {
		for _, k := range keys {
			db := e.migrated()
			e.exec(`DELETE FROM RouteData`)
			e.edit(db, set(key(1, 2), host(1)))
			e.dropIndex(k)
			doubled := k.unique
			if doubled {
				h := host(1)
				e.exec(`INSERT INTO RouteData (modid, cmdid, serverip, serverport) VALUES (1, 2, ?, ?)`, h.IP, h.Port)
			}
			err := db.CheckSchema(e.Context(), ForAll)
			e.wantMigrateHint(k.name, err)
			if !strings.Contains(err.Error(), k.name) || strings.Contains(err.Error(), "1 hosts are stored more than once: SELECT") != doubled {
				e.Errorf("%s: the error does not name what is wrong: %v", k.name, err)
			}
			log := new(logText)
			db.options.Logger = slog.New(slog.NewTextHandler(log, nil))
			if err := db.Migrate(e.Context()); err != nil {
				e.Fatal(err)
			}
			if doubled && !strings.Contains(log.String(), "stored more than once") {
				e.Errorf("%s: the duplicate is not named: %s", k.name, log)
			}
			if err := db.CheckSchema(e.Context(), ForAll); err != nil {
				e.Errorf("%s: after the migration: %v", k.name, err)
			}
			e.want("rows", e.number(`SELECT COUNT(*) FROM RouteData`), int64(1))
		}
	})
}

func (e *env) dropIndex(k tableKey) {
	e.Helper()
	query := `DROP INDEX ` + k.name
	if !strings.HasPrefix(e.dsn, "sqlite:") {
		query += ` ON ` + k.table
	}
	e.exec(query)
}

// The program of a use is kept from starting by what that use needs alone.
func TestSchemaOfAUse(t *testing.T) {
	eachDialect(t, func(e *env) {
		for _, table := range []string{"RouteAudit", "ServerCallStatus", "ModIDConfig"} {
			db := e.migrated()
			e.exec(`DROP TABLE ` + table)
			for use, needs := range map[Use]string{ForRoutes: "RouteAudit", ForStatus: "ServerCallStatus", ForNames: "ModIDConfig"} {
				err := db.CheckSchema(e.Context(), use)
				if got := errors.Is(err, ErrNoSchema); got != (needs == table) {
					e.Errorf("without %s, use %d: got error %v", table, use, err)
				}
			}
		}
	})
}
