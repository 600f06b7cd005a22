package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lars.internal/route"
)

const (
	// unfinished begins the name of the folder in which a backup is made.
	unfinished = ".lars-backup-"

	// abandoned is how old such a folder is when no backup can be at work in it.
	abandoned = 24 * time.Hour
)

// Backup writes all that Copy copies into a new SQLite file, whatever kind of
// database db is, while programs go on using it. The file is complete and
// checked when it appears under its name; nothing else belongs to it. It fails
// if there is a file of that name.
func (db *DB) Backup(ctx context.Context, path string) (Copied, error) {
	c, err := db.backup(ctx, path)
	if err != nil {
		return Copied{}, fmt.Errorf("store: back up %s to %s: %w", db, path, err)
	}
	return c, nil
}

func (db *DB) backup(ctx context.Context, path string) (Copied, error) {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return Copied{}, errors.New("there is a file of that name; name another, or move it away")
	}
	sweepBackups(filepath.Dir(path))
	// The folder keeps the side files of SQLite apart, and is on the same disk.
	folder, err := os.MkdirTemp(filepath.Dir(path), unfinished)
	if err != nil {
		return Copied{}, err
	}
	defer os.RemoveAll(folder)
	file, err := db.sqliteBeside(filepath.Join(folder, "lars.db"))
	if err != nil {
		return Copied{}, err
	}
	defer file.Close()
	if err := file.Migrate(ctx); err != nil {
		return Copied{}, err
	}
	c, err := Copy(ctx, db, file)
	if err != nil {
		return Copied{}, err
	}
	if err := file.seal(ctx); err != nil {
		return Copied{}, err
	}
	return c, os.Rename(file.source.path, path)
}

// sweepBackups removes what backups that were killed have left in a folder. That
// it fails, or is not allowed, harms no backup.
func sweepBackups(folder string) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return
	}
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && e.IsDir() && strings.HasPrefix(e.Name(), unfinished) && time.Since(info.ModTime()) > abandoned {
			_ = os.RemoveAll(filepath.Join(folder, e.Name()))
		}
	}
}

// sqliteBeside returns a SQLite database that is opened as db was.
func (db *DB) sqliteBeside(path string) (*DB, error) {
	options := db.options
	options.Logger = nil
	return Open("sqlite:"+path, options)
}

// seal checks a SQLite database and makes it one file, which is on the disk when
// seal returns. It is closed then.
func (db *DB) seal(ctx context.Context) error {
	if err := db.checkIntegrity(ctx); err != nil {
		return err
	}
	db.pool.SetMaxOpenConns(1)
	var mode string
	if err := db.pool.QueryRowContext(ctx, `PRAGMA journal_mode = DELETE`).Scan(&mode); err != nil {
		return err
	}
	if mode != "delete" {
		return fmt.Errorf("the journal of %s is %q, want it in the file", db.source.path, mode)
	}
	if err := db.Close(); err != nil {
		return err
	}
	f, err := os.Open(db.source.path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// checkIntegrity reads all of a SQLite database and fails if it is damaged. Other
// databases look after that themselves.
func (db *DB) checkIntegrity(ctx context.Context) error {
	if err := db.integrity(ctx); err != nil {
		return fmt.Errorf("%s: %w", db.source.path, db.explain(err))
	}
	return nil
}

func (db *DB) integrity(ctx context.Context) error {
	if db.dialect != sqliteDialect {
		return nil
	}
	var first string
	if err := db.pool.QueryRowContext(ctx, `PRAGMA integrity_check(1)`).Scan(&first); err != nil {
		return err
	}
	if first != "ok" {
		return fmt.Errorf("the file is damaged: %s", strings.Join(strings.Fields(first), " "))
	}
	return nil
}

// Restored says what a Restore has done.
type Restored struct {
	// Copied is what went into a database that was empty; else it is zero and
	// Edit says what the restore changed.
	Copied Copied
	Edit   route.EditResult
}

// Restore restores a backup, in the name of who, while programs go on using the
// database. An empty database, which is made if need be, gets all of it. Where
// there is something already, routes, settings and names become those of the
// backup, by one edit like any other: in one transaction, under a new version,
// announced, with audit rows. History, audit and statistics stay what they are
// then. The backup is checked first, and is brought up to date if it is older; the
// file itself is not touched.
func (db *DB) Restore(ctx context.Context, who, path string) (Restored, error) {
	r, err := db.restore(ctx, who, path)
	if err != nil {
		return Restored{}, fmt.Errorf("store: restore %s from %s: %w", db, path, err)
	}
	return r, nil
}

func (db *DB) restore(ctx context.Context, who, path string) (Restored, error) {
	folder, err := os.MkdirTemp("", "lars-restore-")
	if err != nil {
		return Restored{}, err
	}
	defer os.RemoveAll(folder)
	backup, err := db.openBackup(ctx, path, filepath.Join(folder, "lars.db"))
	if err != nil {
		return Restored{}, err
	}
	defer backup.Close()
	if err := db.CheckSchema(ctx, ForAll); errors.Is(err, ErrNoSchema) {
		err = db.Migrate(ctx)
		if err != nil {
			return Restored{}, err
		}
	} else if err != nil {
		return Restored{}, err
	}
	c, err := Copy(ctx, backup, db)
	if err == nil || !errors.Is(err, ErrNotEmpty) {
		return Restored{Copied: c}, err
	}
	edit, err := db.replace(ctx, who, backup)
	if unknown := (*route.UnknownEditError)(nil); errors.As(err, &unknown) {
		err = fmt.Errorf("%w; it is not known whether it was restored: restore it again, which changes nothing if it was", unknown.Err)
	}
	return Restored{Edit: edit}, err
}

// openBackup opens a copy of a backup, checked and up to date.
func (db *DB) openBackup(ctx context.Context, path, at string) (*DB, error) {
	if wal, err := os.Stat(path + "-wal"); err == nil && wal.Size() > 0 {
		return nil, fmt.Errorf("it is in use, since there is %s-wal; back it up first: lars db backup NEW --dsn 'sqlite:%s'", path, path)
	}
	if err := copyFile(path, at); err != nil {
		return nil, err
	}
	backup, err := db.sqliteBeside(at)
	if err != nil {
		return nil, err
	}
	err = backup.checkBackup(ctx)
	switch {
	case ctx.Err() != nil:
		err = ctx.Err() // it says nothing of the backup
	case err != nil:
		err = fmt.Errorf("the backup is of no use: %w", err)
	default:
		err = backup.Migrate(ctx)
	}
	if err != nil {
		backup.Close()
		return nil, err
	}
	return backup, nil
}

func (db *DB) checkBackup(ctx context.Context) error {
	if err := db.integrity(ctx); err != nil {
		return err
	}
	// An empty file can be migrated too, and would take everything away.
	for _, t := range tables[:2] {
		if err := t.probe(ctx, db.pool); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close())
}
