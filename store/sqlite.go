package store

import (
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	larssql "lars/sql"
)

var sqliteDialect = &dialect{
	name:       "sqlite",
	goose:      goose.DialectSQLite3,
	migrations: larssql.SQLite,
	read:       sql.TxOptions{ReadOnly: true},
	rowList:    `VALUES `,
	upsert: ` ON CONFLICT (modid, cmdid, ip, port, caller) DO UPDATE SET
		succ_cnt = excluded.succ_cnt, err_cnt = excluded.err_cnt,
		ts = excluded.ts, overload = excluded.overload
		WHERE excluded.ts >= ts`,
	classify: classifySQLite,
}

// busyWait bounds one wait for a lock of SQLite. The wait does not heed its
// context, so it is short, and the operation is tried again.
const busyWait = 100 * time.Millisecond

// openSQLite opens an existing file; createSQLite makes one. A mistyped path
// is so an error, not an empty database.
// busy bounds the wait for a lock.
func openSQLite(src source, busy time.Duration) (*sql.DB, error) {
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
	return sql.OpenDB(connector), nil
}

// createSQLite makes the file if it does not exist, readable by its owner
// alone; SQLite gives its side files the same mode.
func createSQLite(src source) error {
	f, err := os.OpenFile(src.path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

func classifySQLite(err error) fault {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return fatal
	}
	switch e.Code() & 0xff { // the higher bits are details
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return conflict
	case sqlite3.SQLITE_CANTOPEN:
		return noSchema
	case sqlite3.SQLITE_ERROR:
		if strings.Contains(e.Error(), "no such table") || strings.Contains(e.Error(), "no such column") {
			return noSchema
		}
	}
	return fatal
}
