package store

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lars.internal/internal/testdb"
	"lars.internal/route"
)

func TestMigrateTwiceChangesNothing(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		if err := db.CheckSchema(e.Context(), ForAll); err != nil {
			e.Fatal(err)
		}
		e.edit(db, add(key(1, 2), host(1)))
		steps := e.number(`SELECT COUNT(*) FROM lars_schema`)
		if err := db.Migrate(e.Context()); err != nil {
			e.Fatal(err)
		}
		e.want("recorded steps", e.number(`SELECT COUNT(*) FROM lars_schema`), steps)
		e.want("hosts", len(e.load(db).Route(key(1, 2)).Hosts), 1)
	})
}

// Each statement may run twice: a migration that was interrupted is made
// again.
func TestMigrateAgainAfterAnInterruption(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		e.exec(`DELETE FROM lars_schema WHERE version_id > 0`)
		if err := db.Migrate(e.Context()); err != nil {
			e.Fatal(err)
		}
		if err := db.CheckSchema(e.Context(), ForAll); err != nil {
			e.Fatal(err)
		}
	})
}

func TestMigrateAtOnce(t *testing.T) {
	eachDialect(t, func(e *env) {
		var wg sync.WaitGroup
		for range 4 {
			db := e.open()
			wg.Go(func() {
				if err := db.Migrate(e.Context()); err != nil {
					e.Error(err)
				}
			})
		}
		wg.Wait()
		if err := e.open().CheckSchema(e.Context(), ForAll); err != nil {
			e.Error(err)
		}
	})
}

func TestMigrateMakesFileAndDatabase(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "new.db")
		migrateNew(t, "sqlite:"+path)
		for _, name := range []string{path, path + "-wal"} {
			info, err := os.Stat(name)
			if err != nil {
				t.Fatal(err)
			}
			if mode := info.Mode().Perm(); mode != 0o600 {
				t.Errorf("%s has mode %o, want 600", filepath.Base(name), mode)
			}
		}
	})
	t.Run("mariadb", func(t *testing.T) {
		s := testdb.MariaDB(t)
		name := s.Database() + "_made`"
		t.Cleanup(func() { s.DB().Exec("DROP DATABASE IF EXISTS `" + s.Database() + "_made```") })
		migrateNew(t, strings.Replace(s.DSN(), s.Database(), strings.ReplaceAll(name, "`", "%60"), 1))
	})
}

func migrateNew(t *testing.T, dsn string) {
	t.Helper()
	db, err := Open(dsn, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if err := db.CheckSchema(t.Context(), ForAll); err == nil {
		t.Fatal("the tables are there before the migration")
	}
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := db.CheckSchema(t.Context(), ForAll); err != nil {
		t.Fatal(err)
	}
}

// originalTables are the tables as the C++ stack's script makes them, on a
// server whose default engine has no transactions.
var originalTables = map[string][]string{
	"mysql": {
		`CREATE TABLE RouteData (id int(10) unsigned NOT NULL AUTO_INCREMENT, modid int(10) unsigned NOT NULL,
			cmdid int(10) unsigned NOT NULL, serverip int(10) unsigned NOT NULL, serverport int(10) unsigned NOT NULL,
			PRIMARY KEY (id)) ENGINE=InnoDB AUTO_INCREMENT=116064 DEFAULT CHARSET=utf8`,
		`CREATE TABLE RouteVersion (id int(10) unsigned NOT NULL AUTO_INCREMENT, version int(10) unsigned NOT NULL,
			PRIMARY KEY (id)) ENGINE=MyISAM DEFAULT CHARSET=latin1`,
		`CREATE TABLE RouteChange (id int(10) unsigned NOT NULL AUTO_INCREMENT, modid int(10) unsigned NOT NULL,
			cmdid int(10) unsigned NOT NULL, version bigint(20) unsigned NOT NULL, PRIMARY KEY (id)) ENGINE=MyISAM DEFAULT CHARSET=latin1`,
		`CREATE TABLE ServerCallStatus (modid int(11) NOT NULL, cmdid int(11) NOT NULL, ip int(11) unsigned NOT NULL,
			port int(11) unsigned NOT NULL, caller int(11) unsigned NOT NULL, succ_cnt int(11) NOT NULL, err_cnt int(11) NOT NULL,
			ts bigint(20) NOT NULL, overload char(1) NOT NULL, PRIMARY KEY (modid, cmdid, ip, port, caller),
			KEY mlb_index (modid, cmdid, ip, port, caller)) ENGINE=InnoDB DEFAULT CHARSET=utf8`,
	},
	"sqlite": {
		`CREATE TABLE RouteData (id INTEGER PRIMARY KEY AUTOINCREMENT, modid INT NOT NULL, cmdid INT NOT NULL,
			serverip INT NOT NULL, serverport INT NOT NULL)`,
		`CREATE TABLE RouteVersion (id INTEGER PRIMARY KEY, version INT NOT NULL)`,
		`CREATE TABLE RouteChange (id INTEGER PRIMARY KEY AUTOINCREMENT, modid INT NOT NULL, cmdid INT NOT NULL, version INT NOT NULL)`,
		`CREATE TABLE ServerCallStatus (modid INT NOT NULL, cmdid INT NOT NULL, ip INT NOT NULL, port INT NOT NULL,
			caller INT NOT NULL, succ_cnt INT NOT NULL, err_cnt INT NOT NULL, ts INT NOT NULL, overload TEXT NOT NULL,
			PRIMARY KEY (modid, cmdid, ip, port, caller))`,
	},
}

func TestMigrateAdoptsAnOriginalDatabase(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.open()
		for _, query := range originalTables[db.dialect.name] {
			e.exec(query)
		}
		e.exec(`INSERT INTO RouteVersion (version) VALUES (1600000000)`)
		for _, n := range []uint32{1, 2, 1, 3, 1, 2} { // with duplicates
			e.exec(`INSERT INTO RouteData (modid, cmdid, serverip, serverport) VALUES (1, 2, ?, ?)`, host(n).IP, host(n).Port)
		}
		e.exec(`INSERT INTO RouteChange (modid, cmdid, version) VALUES (1, 2, 1600000000)`)
		e.exec(`INSERT INTO ServerCallStatus VALUES (1, 2, 3, 4, 5, 6, 7, 8, '1')`)
		first := e.number(`SELECT MIN(id) FROM RouteData`)
		err := db.CheckSchema(e.Context(), ForAll)
		e.wantError(err, ErrNoSchema)

		if err := db.Migrate(e.Context()); err != nil {
			e.Fatal(err)
		}
		if err := db.CheckSchema(e.Context(), ForAll); err != nil {
			e.Fatal(err)
		}
		table := e.load(db)
		e.want("version", table.Version(), uint64(1600000000))
		if diff := cmp.Diff([]route.Host{host(1), host(2), host(3)}, route.HostsOf(table.Route(key(1, 2)).Hosts)); diff != "" {
			e.Errorf("hosts (-want +got):\n%s", diff)
		}
		e.want("rows", e.number(`SELECT COUNT(*) FROM RouteData`), int64(3))
		e.want("the oldest row stays", e.number(`SELECT MIN(id) FROM RouteData`), first)
		e.want("statistics", e.number(`SELECT COUNT(*) FROM ServerCallStatus`), int64(1))
		e.want("changes", e.number(`SELECT COUNT(*) FROM RouteChange`), int64(1))
		// Edits work, and the engine has transactions.
		e.edit(db, add(key(1, 2), host(9)))
		if db.dialect == mysqlDialect {
			e.want("tables without transactions", e.number(`SELECT COUNT(*) FROM information_schema.tables
				WHERE table_schema = DATABASE() AND engine <> 'InnoDB'`), int64(0))
		}
	})
}

// Some have emptied RouteVersion, or their row has another id.
func TestMigrateMakesTheVersionRow(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.open()
		for _, query := range originalTables[db.dialect.name] {
			e.exec(query)
		}
		e.exec(`INSERT INTO RouteVersion (id, version) VALUES (7, 1600000000)`)
		if err := db.Migrate(e.Context()); err != nil {
			e.Fatal(err)
		}
		e.want("version", e.version(db), uint64(1600000000))
	})
}

func TestMissingTablesSayWhatToDo(t *testing.T) {
	tests := []struct {
		name   string
		break_ func(e *env)
		make   bool // make the tables first
	}{
		{"an empty database", func(*env) {}, false},
		{"a table dropped", func(e *env) { e.exec(`DROP TABLE RouteVersion`) }, true},
		{"no version row", func(e *env) { e.exec(`DELETE FROM RouteVersion`) }, true},
	}
	eachDialect(t, func(e *env) {
		for _, tt := range tests {
			if tt.make {
				e.migrated()
			}
			tt.break_(e)
			db := e.open()
			_, err := db.Version(e.Context())
			e.wantMigrateHint(tt.name, err)
			_, err = db.Load(e.Context(), make(route.Routes).Sink())
			e.wantMigrateHint(tt.name, err)
			_, err = db.EditRoutes(e.Context(), route.Edit{Who: "me", Changes: []route.Change{add(key(1, 1), host(1))}})
			e.wantMigrateHint(tt.name, err)
			e.wantMigrateHint(tt.name, db.CheckSchema(e.Context(), ForAll))
		}
		// And it is true.
		if err := e.migrated().CheckSchema(e.Context(), ForAll); err != nil {
			e.Error(err)
		}
	})
}

// A program newer than the tables says so before it trips over them.
func TestOldTablesSayWhatToDo(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		e.exec(`DELETE FROM lars_schema WHERE version_id = (SELECT * FROM (SELECT MAX(version_id) FROM lars_schema) AS newest)`)
		err := db.CheckSchema(e.Context(), ForAll)
		e.wantMigrateHint("old tables", err)
		if !strings.Contains(err.Error(), "step 9") || !strings.Contains(err.Error(), "step 10") {
			e.Errorf("error %q does not name the steps", err)
		}
	})
}

func (e *env) wantMigrateHint(name string, err error) {
	e.Helper()
	e.wantError(err, ErrNoSchema)
	text := err.Error()
	if !strings.Contains(text, "lars db migrate --dsn '") || strings.Count(text, "lars db migrate") != 1 {
		e.Errorf("%s: error %q does not name the command once", name, text)
	}
	if strings.Contains(text, testdb.Password) || strings.Contains(text, "\n") {
		e.Errorf("%s: error %q has the password or more than one line", name, text)
	}
}

func TestMissingFileIsNotMade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "typo.db")
	db, err := Open("sqlite:"+path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	e := &env{T: t}
	e.wantMigrateHint("version", second(db.Version(t.Context())))
	e.wantMigrateHint("check", db.CheckSchema(t.Context(), ForAll))
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the file was made: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }
