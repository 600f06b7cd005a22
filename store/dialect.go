package store

import (
	"context"
	"database/sql"
	"io/fs"

	"github.com/pressly/goose/v3"

	"lars.internal/route"
)

// dialect is what differs between the databases.
type dialect struct {
	// Immutable.
	name       string
	goose      goose.Dialect
	migrations fs.FS

	read         sql.TxOptions             // of a transaction whose statements all see one state
	lockRows     string                    // ends a SELECT whose rows are to be changed
	clock        string                    // the database's clock in Unix seconds
	rowList      string                    // begins the rows in (a, b) IN (...)
	upsert       string                    // ends the INSERT of call statistics
	expire       string                    // removes old call statistics, oldest first
	insertIgnore string                    // begins an INSERT that leaves a row that exists as it is
	indexes      string                    // SELECT table in lower case, index, whether unique, column; in order
	rowError     func(error) error         // says of an error of the INSERT of call statistics whether it is of a row
	classify     func(error) fault         // what an error means for a further try
	hint         func(source, error) error // adds to an error what a person may do about it

	// older returns how many rows of an INSERT of call statistics, which affected
	// so many, were older than what was stored.
	older func(ctx context.Context, db *DB, statuses []route.CallStatus, affected int) (int, error)
}

// fault says what to do about an error.
type fault int

const (
	fatal    fault = iota // a further try gives the same
	conflict              // lost against another transaction: try again
	lost                  // this host cannot serve: try the next
	noSchema              // tables or columns are missing
)
