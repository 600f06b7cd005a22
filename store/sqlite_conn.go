package store

import (
	"context"
	"database/sql/driver"
	"os"
)

// sqliteConnector makes connections to a SQLite file that end when another file
// takes its place. A connection would else go on with the file that it opened,
// deleted or not: edits in the new one would never be seen, and what is written
// would be lost, without an error.
type sqliteConnector struct {
	driver.Connector
	path string
}

// Connect implements driver.Connector.
func (c *sqliteConnector) Connect(ctx context.Context) (driver.Conn, error) {
	// Looking before opening errs on the side of opening once too often.
	file, err := os.Stat(c.path)
	if err != nil {
		file = nil // what is wrong with the file, opening it tells
	}
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &sqliteConn{conn.(driverConn), c.path, file}, nil
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
