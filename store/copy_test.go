package store

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lars.internal/internal/testdb"
	"lars.internal/route"
)

// fill puts something into every table that Copy copies.
func (e *env) fill(db *DB) {
	e.Helper()
	e.edit(db, add(key(1, 2), host(1), host(2)), add(key(-1, 3), host(3)))
	e.edit(db, remove(key(1, 2), host(1)))
	many := make([]route.Host, 700) // more than a statement takes
	for i := range many {
		many[i] = host(uint32(1000 + i))
	}
	e.edit(db, set(key(7, 7), many...))
	statuses := []route.CallStatus{status(1, 1, 10, 1), status(2, 1, 10, 3)}
	statuses[1].Overload = true
	if _, err := db.UpsertStatus(e.Context(), statuses); err != nil {
		e.Fatal(err)
	}
	e.exec(`INSERT INTO RouteHost (modid, cmdid, serverip, serverport, weight, zone, note)
		VALUES (1, 2, ?, 7777, 50, 'eu1', 'Zoë''s machine')`, host(2).IP)
	e.exec(`INSERT INTO RouteHost (modid, cmdid, serverip, serverport, drained) VALUES (1, 2, ?, 7777, 1)`, host(8).IP)
	e.exec(`INSERT INTO ServiceSetting (modid, cmdid, name, value) VALUES (1, 2, 'ramp', '5s')`)
	e.exec(`INSERT INTO ModIDConfig (modid, content) VALUES (1, 'Zoë''s lists')`)
	e.exec(`INSERT INTO CmdIDConfig (cmdid, content) VALUES (2, 'fetch')`)
}

// emptyOn returns an empty database with tables, of each kind.
func emptyOn(t *testing.T) map[string]*env {
	s := testdb.MariaDB(t)
	return map[string]*env{
		"sqlite":  {T: t, dsn: "sqlite:" + filepath.Join(t.TempDir(), "to.db"), clock: &clock{now: now}, bad: new(badRows)},
		"mariadb": {T: t, dsn: s.DSN(), raw: s.DB(), clock: &clock{now: now}, bad: new(badRows)},
	}
}

// contentsOf returns what a database holds, by table.
func (e *env) contentsOf(db *DB) map[string][][]any {
	e.Helper()
	tx, end, err := db.beginLong(e.Context(), nil)
	if err != nil {
		e.Fatal(err)
	}
	defer end()
	all := make(map[string][][]any)
	for _, table := range copyTables {
		_, err := table.each(e.Context(), tx, func(row []any) error {
			all[table.name] = append(all[table.name], row)
			return nil
		})
		if err != nil {
			e.Fatal(err)
		}
	}
	return all
}

func TestCopy(t *testing.T) {
	eachDialect(t, func(e *env) {
		from := e.migrated()
		e.fill(from)
		for kind, target := range emptyOn(e.T) {
			to := target.migrated()
			c, err := Copy(e.Context(), from, to)
			if err != nil {
				e.Fatalf("to %s: %v", kind, err)
			}
			e.want("version", target.version(to), e.version(from))
			e.want("version in the result", c.Version, e.version(from))
			e.want("hosts in the result", c.Rows("RouteData"), uint64(702))
			if diff := cmp.Diff(e.contentsOf(from), target.contentsOf(to)); diff != "" {
				e.Errorf("to %s: contents (-from +to):\n%s", kind, diff)
			}
			// The copy goes on where the first was.
			target.edit(to, add(key(1, 2), host(9)))
			if _, err := Copy(e.Context(), from, to); !errors.Is(err, ErrNotEmpty) {
				e.Errorf("to %s, which is not empty: got error %v", kind, err)
			}
		}
	})
}

// A copy that fails leaves nothing.
func TestCopyIsAllOrNothing(t *testing.T) {
	eachDialect(t, func(e *env) {
		from := e.migrated()
		e.fill(from)
		if from.dialect == sqliteDialect {
			e.exec(`UPDATE ServerCallStatus SET overload = 'of two letters'`) // CHAR(1) takes no such text
			to := emptyOn(e.T)["mariadb"]
			db := to.migrated()
			if _, err := Copy(e.Context(), from, db); err == nil || !strings.Contains(err.Error(), "table ServerCallStatus") {
				e.Fatalf("got error %v", err)
			}
			e.want("rows", to.number(`SELECT COUNT(*) FROM RouteData`), int64(0))
			e.want("version", to.version(db), uint64(0))
		}
		bare, err := Open("sqlite:"+filepath.Join(e.TempDir(), "none.db"), Options{})
		if err != nil {
			e.Fatal(err)
		}
		defer bare.Close()
		_, err = Copy(e.Context(), from, bare)
		e.wantMigrateHint("to a database without tables", err)
	})
}

// A backup is taken while the database is in use, and comes back as an edit.
func TestFinding24BackupAndRestore(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		e.fill(db)
		was := e.load(db)
		path := filepath.Join(e.TempDir(), "backup ?#.db")
		if _, err := db.Backup(e.Context(), path); err != nil {
			e.Fatal(err)
		}
		if _, err := db.Backup(e.Context(), path); err == nil || !strings.Contains(err.Error(), "there is a file of that name") {
			e.Errorf("a second backup to the same name: got error %v", err)
		}
		if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
			e.Errorf("beside the backup lie %v, %v", left, err)
		}

		e.edit(db, remove(key(7, 7)), add(key(5, 5), host(5)))
		e.exec(`UPDATE ModIDConfig SET content = 'wrong'`)
		wrong, mark := e.load(db), e.look(db)
		r, err := db.Restore(e.Context(), "ann", path)
		if err != nil {
			e.Fatal(err)
		}
		restored := e.load(db)
		if diff := route.Diff(was, restored); len(diff) > 0 {
			e.Errorf("services that differ from the backup: %v", diff)
		}
		e.want("restored in one edit", r.Edit.Version, wrong.Version()+1)
		e.want("name", e.number(`SELECT COUNT(*) FROM ModIDConfig WHERE content = 'Zoë''s lists'`), int64(1))
		// A dns service that runs finds the services, as after any edit.
		changes, err := db.Changed(e.Context(), mark, e.look(db))
		if err != nil {
			e.Fatal(err)
		}
		if diff := cmp.Diff([]route.Key{key(5, 5), key(7, 7)}, changes.Keys); diff != "" {
			e.Errorf("announced (-want +got):\n%s", diff)
		}
		e.want("audit rows of the restore", e.number(`SELECT COUNT(*) FROM RouteAudit WHERE who = 'ann'`), int64(2))
	})
}

// The names of services were restored after the routes, in a transaction of their
// own: a restore that ended in between left routes without their names.
func TestRestoreIsAllOrNothing(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		e.fill(db)
		path := filepath.Join(e.TempDir(), "backup.db")
		if _, err := db.Backup(e.Context(), path); err != nil {
			e.Fatal(err)
		}
		e.edit(db, remove(key(7, 7)))
		e.exec(`DELETE FROM CmdIDConfig`)
		trigger := `CREATE TRIGGER refuses BEFORE INSERT ON CmdIDConfig `
		if db.dialect == sqliteDialect {
			trigger += `BEGIN SELECT RAISE(ABORT, 'no more names'); END`
		} else {
			trigger += `FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no more names'`
		}
		e.exec(trigger)
		was := e.version(db)
		_, err := db.Restore(e.Context(), "ann", path)
		if err == nil || !strings.Contains(err.Error(), "table CmdIDConfig") || !strings.Contains(err.Error(), "no more names") {
			e.Errorf("got error %v, want that of the names", err)
		}
		e.want("version", e.version(db), was)
		e.want("hosts", e.number(`SELECT COUNT(*) FROM RouteData`), int64(2))
		e.want("names of modids", e.number(`SELECT COUNT(*) FROM ModIDConfig`), int64(1))
		e.exec(`DROP TRIGGER refuses`)
		if _, err := db.Restore(e.Context(), "ann", path); err != nil {
			e.Fatal(err)
		}
		e.want("hosts after all", e.number(`SELECT COUNT(*) FROM RouteData`), int64(702))
		e.want("names after all", e.number(`SELECT COUNT(*) FROM CmdIDConfig WHERE content = 'fetch'`), int64(1))
	})
}

// A database that is gone comes back with all that it held.
func TestFinding24RestoreIntoNothing(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		e.fill(db)
		path := filepath.Join(e.TempDir(), "backup.db")
		if _, err := db.Backup(e.Context(), path); err != nil {
			e.Fatal(err)
		}
		for kind, target := range emptyOn(e.T) {
			to := target.open()
			if _, err := to.Restore(e.Context(), "ann", path); err != nil {
				e.Fatalf("to %s: %v", kind, err)
			}
			if diff := cmp.Diff(e.contentsOf(db), target.contentsOf(to)); diff != "" {
				e.Errorf("to %s: contents (-was +restored):\n%s", kind, diff)
			}
		}
	})
}

// A backup of the release before lacks the tables that are newer.
func TestRestoreOfAnOlderBackup(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		e.fill(db)
		was := make(map[route.Key]route.Route) // what that release stored
		e.load(db).All(func(k route.Key, r route.Route) bool {
			was[k] = route.Of(route.HostsOf(r.Hosts)...)
			return true
		})
		path := filepath.Join(e.TempDir(), "old.db")
		if _, err := db.Backup(e.Context(), path); err != nil {
			e.Fatal(err)
		}
		e.makeOlder(path)
		e.edit(db, remove(key(7, 7)))
		if _, err := db.Restore(e.Context(), "ann", path); err != nil {
			e.Fatal(err)
		}
		if diff := route.Diff(route.NewTable(0, was), e.load(db)); len(diff) > 0 {
			e.Errorf("services that differ from the backup: %v", diff)
		}
	})
}

// makeOlder takes away from a backup what step 9 and later ones made.
func (e *env) makeOlder(path string) {
	e.Helper()
	db, err := openSQLite(source{dialect: sqliteDialect, path: path}, time.Minute, slog.New(slog.DiscardHandler))
	if err != nil {
		e.Fatal(err)
	}
	defer db.Close()
	for _, query := range []string{`DROP TABLE RouteHost`, `DROP TABLE ServiceSetting`,
		`DELETE FROM lars_schema WHERE version_id >= 9`, `PRAGMA journal_mode = DELETE`} {
		if _, err := db.ExecContext(e.Context(), query); err != nil {
			e.Fatalf("%s: %v", query, err)
		}
	}
}

// What is no backup takes nothing away.
func TestFinding24RestoreChecksTheBackup(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		e.fill(db)
		folder := e.TempDir()
		good := filepath.Join(folder, "good.db")
		if _, err := db.Backup(e.Context(), good); err != nil {
			e.Fatal(err)
		}
		text, err := os.ReadFile(good)
		if err != nil {
			e.Fatal(err)
		}
		damaged := strings.Repeat("x", 4096)
		tests := []struct{ name, content, wal, want string }{
			{"empty.db", "", "", "no use"},
			{"text.db", "no database at all", "", "no use"},
			{"cut.db", string(text[:len(text)/2]), "", "no use"},
			{"damaged.db", string(text[:8192]) + damaged + string(text[8192+len(damaged):]), "", "no use"},
			{"live.db", string(text), "something", "in use"},
		}
		for _, tt := range tests {
			path := filepath.Join(folder, tt.name)
			if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
				e.Fatal(err)
			}
			if tt.wal != "" {
				if err := os.WriteFile(path+"-wal", []byte(tt.wal), 0o600); err != nil {
					e.Fatal(err)
				}
			}
			_, err := db.Restore(e.Context(), "ann", path)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				e.Errorf("%s: got error %v, want %q", tt.name, err, tt.want)
			}
		}
		e.want("hosts", e.number(`SELECT COUNT(*) FROM RouteData`), int64(702))
	})
}

// Audit rows of large services were sent to MySQL in one statement of up to 30 MB,
// over the server's max_allowed_packet, so that it closed the connection.
func TestCopyOfLongTexts(t *testing.T) {
	from := &env{T: t, dsn: "sqlite:" + filepath.Join(t.TempDir(), "from.db"), clock: &clock{now: now}, bad: new(badRows)}
	source := from.migrated()
	text := strings.Repeat("x", maxDetails)
	for i := range maxRows {
		_, err := source.pool.ExecContext(t.Context(), `INSERT INTO RouteAudit (time, version, previous, who, action, modid, cmdid, details, edit_id)
			VALUES (1, ?, ?, 'tester', 'set', 1, 2, ?, '')`, i+1, i, text)
		if err != nil {
			t.Fatal(err)
		}
	}
	to := emptyOn(t)["mariadb"].migrated()
	c, err := Copy(t.Context(), source, to)
	if err != nil {
		t.Fatal(err)
	}
	if n := c.Rows("RouteAudit"); n != maxRows {
		t.Errorf("%d audit rows copied, want %d", n, maxRows)
	}
}

// A backup that was killed left its unfinished folder for good.
func TestBackupRemovesWhatKilledOnesLeft(t *testing.T) {
	e := &env{T: t, dsn: "sqlite:" + filepath.Join(t.TempDir(), "lars.db"), clock: &clock{now: now}, bad: new(badRows)}
	db := e.migrated()
	folder := t.TempDir()
	for name, age := range map[string]time.Duration{".lars-backup-1": 2 * abandoned, ".lars-backup-2": 0, "mine": 2 * abandoned} {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Join(path, "inside"), 0o700); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(-age)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Backup(t.Context(), filepath.Join(folder, "backup.db")); err != nil {
		t.Fatal(err)
	}
	var names []string
	entries, err := os.ReadDir(folder)
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	if diff := cmp.Diff([]string{".lars-backup-2", "backup.db", "mine"}, names); err != nil || diff != "" {
		t.Errorf("in the folder (-want +got), %v:\n%s", err, diff)
	}
}

// A restore that was interrupted blamed the backup.
func TestInterruptedRestoreBlamesNoBackup(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		path := filepath.Join(e.TempDir(), "backup.db")
		if _, err := db.Backup(e.Context(), path); err != nil {
			e.Fatal(err)
		}
		ctx, interrupt := context.WithCancel(e.Context())
		interrupt()
		if _, err := db.Restore(ctx, "ann", path); !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "no use") {
			e.Errorf("got error %v", err)
		}
	})
}
