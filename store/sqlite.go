package store

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	"golang.org/x/sys/unix"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	larssql "lars.internal/sql"
)

var sqliteDialect = &dialect{
	name:       "sqlite",
	goose:      goose.DialectSQLite3,
	migrations: larssql.SQLite,
	read:       sql.TxOptions{ReadOnly: true},
	clock:      `CAST(strftime('%s', 'now') AS INTEGER)`,
	indexes: `SELECT LOWER(m.name), l.name, l."unique", i.name FROM sqlite_master m
		JOIN pragma_index_list(m.name) l JOIN pragma_index_info(l.name) i
		WHERE m.type = 'table' AND i.name IS NOT NULL ORDER BY m.name, l.name, i.seqno`,
	insertIgnore: `INSERT OR IGNORE`,
	rowList:      `VALUES `,
	upsert: ` ON CONFLICT (modid, cmdid, ip, port, caller) DO UPDATE SET
		succ_cnt = excluded.succ_cnt, err_cnt = excluded.err_cnt,
		ts = excluded.ts, overload = excluded.overload
		WHERE excluded.ts >= ts OR ts > unixepoch() + ` + statusAhead,
	expire: `DELETE FROM ServerCallStatus WHERE (modid, cmdid, ip, port, caller) IN
		(SELECT modid, cmdid, ip, port, caller FROM ServerCallStatus WHERE ts < ? ORDER BY ts LIMIT ?)`,
	older:    olderSQLite,
	rowError: rowErrorSQLite,
	classify: classifySQLite,
	hint:     hintSQLite,
}

// busyWait bounds one wait for a lock of SQLite. The wait does not heed its
// context. It is therefore short, and the operation is tried again.
const busyWait = 100 * time.Millisecond

// openSQLite opens an existing file; createSQLite makes one. A mistyped path is
// therefore an error, not an empty database. busy bounds the wait for a lock.
func openSQLite(src source, busy time.Duration, logger *slog.Logger) (*sql.DB, error) {
	q := url.Values{
		"mode": {"rw"},
		// Writers take the lock when they begin: taking it later, after a
		// read, fails at once if somebody else wrote in between.
		"_txlock": {"immediate"},
		"_pragma": {
			fmt.Sprintf("busy_timeout(%d)", busy.Milliseconds()),
			"journal_mode(WAL)", // readers and the writer do not wait for each other
			"synchronous(FULL)", // an edit that was acknowledged survives a power failure
		},
	}
	path := (&url.URL{Path: src.path}).EscapedPath()
	connector, err := sqlite.NewConnector("file:" + path + "?" + q.Encode())
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(&sqliteConnector{Connector: connector, path: src.path, busy: busy, logger: logger}), nil
}

// createSQLite makes the file if it does not exist, readable by its owner
// alone; SQLite gives its side files the same mode. A file that exists is not
// opened: closing it would end the locks that this process has on it.
func createSQLite(src source) error {
	f, err := os.OpenFile(src.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w; make its folder first", err)
	case err != nil:
		return err
	}
	return f.Close()
}

// sqliteCode returns the code of an error of SQLite without its details, and 0
// for other errors.
func sqliteCode(err error) int {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return 0
	}
	return e.Code() & 0xff // the higher bits are details
}

func classifySQLite(err error) fault {
	switch sqliteCode(err) {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return conflict
	case sqlite3.SQLITE_ERROR, sqlite3.SQLITE_SCHEMA: // the latter while another process makes the tables
		if strings.Contains(err.Error(), "no such table") || strings.Contains(err.Error(), "no such column") {
			return noSchema
		}
	}
	return fatal
}

// hintSQLite names the file, which SQLite does not, and what is wrong with it.
func hintSQLite(src source, err error) error {
	switch sqliteCode(err) {
	case sqlite3.SQLITE_CANTOPEN:
		return cannotOpen(src.path, err)
	case sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT:
		return fmt.Errorf("%w; %s is no SQLite database, or a damaged one: name another file, or move this one away "+
			"with its -wal and -shm and bring a backup back: lars db restore BACKUP", err, src.path)
	case sqlite3.SQLITE_READONLY:
		return fmt.Errorf("%w; this user has to be able to write %s and its folder", err, src.path)
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR:
		return fmt.Errorf("%w; is there space left for %s?", err, src.path)
	}
	return err
}

// errNoFile is what explain takes for missing tables.
var errNoFile = errors.New("there is no file")

// cannotOpen finds out why a file cannot be opened, which SQLite does not say. It
// does not open the file: closing it would end the locks that this process has on
// it.
func cannotOpen(path string, err error) error {
	info, cause := os.Stat(path)
	switch {
	case errors.Is(cause, fs.ErrNotExist):
		return fmt.Errorf("%w %s", errNoFile, path)
	case cause == nil && info.IsDir():
		cause = &fs.PathError{Op: "open", Path: path, Err: unix.EISDIR}
	case cause == nil:
		if denied := unix.Access(path, unix.R_OK|unix.W_OK); denied != nil {
			cause = &fs.PathError{Op: "open", Path: path, Err: denied}
		}
	}
	if cause != nil {
		return fmt.Errorf("%w; name a file that this user can write", cause)
	}
	return fmt.Errorf("%w; this user has to be able to write the folder of %s too", err, path)
}
