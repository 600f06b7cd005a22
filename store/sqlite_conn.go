package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// openPause is the pause between two tries to open a file that is locked.
const openPause = time.Millisecond

// sqliteConnector makes connections to a SQLite file that end when another file
// takes its place. A connection would else go on with the file that it opened,
// deleted or not: edits in the new one would never be seen, and what is written
// would be lost, without an error.
//
// What the former file left in its write-ahead log must not be applied to the
// new one, which SQLite would do: it takes the log by its name. Such a log is
// known by its inode, and put aside.
type sqliteConnector struct {
	driver.Connector

	// Immutable.
	path   string
	busy   time.Duration // bounds the wait for a lock
	logger *slog.Logger

	mu   sync.Mutex  // guards everything below; held while the file is opened
	file os.FileInfo // that the last connection opened, nil if none
	wal  os.FileInfo // its write-ahead log, nil if none
}

// Connect implements driver.Connector.
func (c *sqliteConnector) Connect(ctx context.Context) (driver.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// Looking before opening errs on the side of opening once too often. What
	// is wrong with a file, opening it shows.
	file, err := os.Stat(c.path)
	if err != nil {
		file = nil
	}
	if c.file != nil && file != nil && !os.SameFile(c.file, file) {
		if err := c.noteReplaced(); err != nil {
			return nil, err
		}
	}
	conn, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	c.file, c.wal = file, nil
	if wal, err := os.Stat(c.walPath()); err == nil {
		c.wal = wal
	}
	return &sqliteConn{conn.(driverConn), c.path, file}, nil
}

// open opens the file. Of several processes that switch a new one to its
// write-ahead log at once, SQLite tells all but one that it is locked, without a
// wait.
func (c *sqliteConnector) open(ctx context.Context) (driver.Conn, error) {
	for until := time.Now().Add(c.busy); ; {
		conn, err := c.Connector.Connect(ctx)
		if err == nil || classifySQLite(err) != conflict || time.Now().After(until) || !sleep(ctx, openPause) {
			return conn, err
		}
	}
}

func (c *sqliteConnector) walPath() string { return c.path + "-wal" }

// noteReplaced names the change, and puts the write-ahead log of the former file
// aside. Of several processes that find it, one does so.
func (c *sqliteConnector) noteReplaced() error {
	unlock, err := lockFolder(filepath.Dir(c.path))
	if err != nil {
		return err
	}
	defer unlock()
	aside := ""
	if wal, err := os.Stat(c.walPath()); err == nil && c.wal != nil && os.SameFile(wal, c.wal) {
		aside = c.walPath() + ".replaced"
		if err := os.Rename(c.walPath(), aside); err != nil {
			return err
		}
		// It only says where what is in the log.
		if err := os.Remove(c.path + "-shm"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	c.logger.Warn("store: another file has taken the place of the database, going on with it; "+
		"to bring a backup back, use lars db restore", "file", c.path, "log of the former file", aside)
	return nil
}

// lockFolder keeps other processes of ours from putting logs aside in a folder
// until unlock is called.
func lockFolder(folder string) (unlock func(), err error) {
	f, err := os.Open(folder)
	if err != nil {
		return nil, err
	}
	for err = unix.EINTR; err == unix.EINTR; {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		f.Close()
		return nil, &fs.PathError{Op: "lock", Path: folder, Err: err}
	}
	return func() { f.Close() }, nil
}

// driverConn is what the driver's connections are to package sql.
type driverConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.Pinger
	driver.QueryerContext
	driver.SessionResetter
	driver.Validator
}

// sqliteConn is a connection to the file that had the path when it was made.
type sqliteConn struct {
	driverConn

	// Immutable.
	path string
	file os.FileInfo
}

// ResetSession implements driver.SessionResetter: package sql calls it before it
// uses a connection again.
func (c *sqliteConn) ResetSession(ctx context.Context) error {
	now, err := os.Stat(c.path)
	if err != nil || !os.SameFile(now, c.file) {
		return driver.ErrBadConn
	}
	return c.driverConn.ResetSession(ctx)
}
