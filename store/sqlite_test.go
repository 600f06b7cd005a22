package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"modernc.org/sqlite"

	"lars.internal/route"
)

// SQLite itself says "unable to open database file" of all of these.
func TestUnusableFileSaysWhy(t *testing.T) {
	folder := t.TempDir()
	text := filepath.Join(folder, "notes.txt")
	if err := os.WriteFile(text, []byte(strings.Repeat("no database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	nowhere := filepath.Join(folder, "none", "lars.db")
	tests := []struct {
		name, path       string
		version, migrate string // what the errors of these have to hold
	}{
		{"a folder", folder, "open " + folder + ": is a directory; name a file", "is a directory"},
		{"another kind of file", text, text + " is no SQLite database", text + " is no SQLite database"},
		{"no folder", nowhere, "there is no file " + nowhere, "no such file or directory; make its folder first"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			db, err := Open("sqlite:"+tt.path, Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.Version(t.Context()); err == nil || !strings.Contains(err.Error(), tt.version) {
				t.Errorf("Version: got %v, want %q", err, tt.version)
			}
			if err := db.Migrate(t.Context()); err == nil || !strings.Contains(err.Error(), tt.migrate) {
				t.Errorf("Migrate: got %v, want %q", err, tt.migrate)
			}
		})
	}
}

// Somebody removes the database of a running server, or restores another.
func TestAnotherFileInItsPlaceIsNoticed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lars.db")
	e := &env{T: t, dsn: "sqlite:" + path, clock: &clock{now: 1_700_000_000}, bad: new(badRows)}
	db := e.migrated()
	e.edit(db, add(key(1, 1), host(1)))

	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	if _, err := db.Version(t.Context()); !errors.Is(err, ErrNoSchema) {
		t.Errorf("without the file: got %v, want %v", err, ErrNoSchema)
	}

	other := e.migrated()
	e.edit(other, add(key(2, 2), host(2)))
	table := e.load(db)
	if got := route.HostsOf(table.Route(key(1, 1)).Hosts); len(got) > 0 {
		t.Errorf("the hosts %v of the removed file are still there", got)
	}
	if got := route.HostsOf(table.Route(key(2, 2)).Hosts); len(got) != 1 || got[0] != host(2) {
		t.Errorf("got %v from the new file, want %v", got, host(2))
	}
	e.edit(db, route.Change{Action: route.Remove, Key: key(2, 2)})
	if got := e.load(other).Route(key(2, 2)).Hosts; len(got) > 0 {
		t.Errorf("the edit went elsewhere: %v", got)
	}
}

// A backup that was moved over the database of a running server: SQLite applied
// the log of the former file to it, which undid the restore or damaged it.
func TestFinding24FileMovedOverTheDatabase(t *testing.T) {
	folder := t.TempDir()
	path, backup := filepath.Join(folder, "lars.db"), filepath.Join(folder, "backup.db")
	e := &env{T: t, dsn: "sqlite:" + path, clock: &clock{now: now}, bad: new(badRows)}
	log := new(logText)
	e.migrated()
	other := e.open()
	db, err := Open(e.dsn, Options{Logger: slog.New(slog.NewTextHandler(log, nil)), Now: e.clock.read})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for i := range int32(50) {
		e.edit(db, add(key(i, 1), host(1)))
	}
	if _, err := db.Backup(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	was := e.load(db)
	for i := range int32(50) {
		e.edit(db, set(key(i, 1), host(2), host(3)))
	}
	e.load(other) // a second server, with connections of its own

	if err := os.Rename(backup, path); err != nil {
		t.Fatal(err)
	}
	for name, server := range map[string]*DB{"the one": db, "the other": other} {
		if diff := route.Diff(was, e.load(server)); len(diff) > 0 {
			t.Errorf("%s: %d services are not those of the backup", name, len(diff))
		}
		if err := server.checkIntegrity(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	e.edit(other, add(key(9, 9), host(9)))
	if got := route.HostsOf(e.load(db).Route(key(9, 9)).Hosts); len(got) != 1 {
		t.Errorf("the two are on two files: %v", got)
	}
	if got := log.String(); strings.Count(got, "another file has taken the place") != 1 || !strings.Contains(got, path) {
		t.Errorf("want one line that names the file, got %q", got)
	}
}

// refusing refuses some connections with an error.
type refusing struct {
	driver.Connector
	left int
	err  error
}

func (r *refusing) Connect(ctx context.Context) (driver.Conn, error) {
	if r.left--; r.left >= 0 {
		return nil, r.err
	}
	return r.Connector.Connect(ctx)
}

// Of migrations of a new file at once, a few in a hundred found it locked at the
// moment in which they opened it, for which SQLite does not wait.
func TestFinding26OpeningWaitsForALock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lars.db")
	file, err := sqlite.NewConnector("file:" + path + "?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	plain := sql.OpenDB(file)
	defer plain.Close()
	holder, err := plain.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, locked := plain.BeginTx(t.Context(), nil) // on another connection
	holder.Rollback()
	if classifySQLite(locked) != conflict {
		t.Fatalf("got error %v, want one of a lock", locked)
	}
	for _, busy := range []time.Duration{time.Minute, 0} {
		c := &sqliteConnector{Connector: &refusing{file, 3, locked}, path: path, busy: busy, logger: slog.New(slog.DiscardHandler)}
		pool := sql.OpenDB(c)
		if err := pool.PingContext(t.Context()); (err == nil) != (busy > 0) {
			t.Errorf("with a wait of %v: got error %v", busy, err)
		}
		pool.Close()
	}
}
