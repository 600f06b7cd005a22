package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/pressly/goose/v3"

	larssql "lars.internal/sql"
)

var mysqlDialect = &dialect{
	name:       "mysql",
	goose:      goose.DialectMySQL,
	migrations: larssql.MySQL,
	read:       sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead},
	lockRows:   ` FOR UPDATE`,
	clock:      `UNIX_TIMESTAMP()`,
	indexes: `SELECT LOWER(table_name), index_name, non_unique = 0, column_name FROM information_schema.statistics
		WHERE table_schema = DATABASE() ORDER BY table_name, index_name, seq_in_index`,
	insertIgnore: `INSERT IGNORE`,
	// Assignments run from left to right, so ts has to be the last.
	upsert: ` ON DUPLICATE KEY UPDATE
		succ_cnt = IF(` + replacesMySQL + `, VALUES(succ_cnt), succ_cnt),
		err_cnt = IF(` + replacesMySQL + `, VALUES(err_cnt), err_cnt),
		overload = IF(` + replacesMySQL + `, VALUES(overload), overload),
		ts = IF(` + replacesMySQL + `, VALUES(ts), ts)`,
	expire:   `DELETE FROM ServerCallStatus WHERE ts < ? ORDER BY ts LIMIT ?`,
	older:    olderMySQL,
	rowError: rowErrorMySQL,
	classify: classifyMySQL,
	hint:     hintMySQL,
}

// replacesMySQL is the condition that a row of call statistics takes the place of
// the stored one.
const replacesMySQL = `VALUES(ts) >= ts OR ts > UNIX_TIMESTAMP() + ` + statusAhead

// Error numbers of MySQL, MariaDB and Galera.
// https://mariadb.com/kb/en/mariadb-error-codes/
const (
	errLockWaitTimeout  = 1205
	errDeadlock         = 1213 // on Galera also: lost against another node
	errRecordChanged    = 1020 // MariaDB with innodb_snapshot_isolation
	errTooManyConns     = 1040
	errNotReady         = 1047 // Galera: this node is outside of the cluster
	errShutdown         = 1053
	errDuringCommit     = 1180 // Galera: this node has left the cluster meanwhile
	errHostBlocked      = 1129
	errNormalShutdown   = 1077
	errAborting         = 1152
	errNetReadError     = 1158
	errNetReadTimeout   = 1159
	errNetWriteError    = 1160
	errNetWriteTimeout  = 1161
	errReadOnlyOption   = 1290
	errInterrupted      = 1317
	errReadOnlyTx       = 1792
	errReadOnlyMode     = 1836
	errConnectionKilled = 1927
	errNoTable          = 1146
	errNoColumn         = 1054
	errNoDatabase       = 1049
	errNoSuchUser       = 1045 // or another password
	errNoRightDatabase  = 1044
	errNoRightTable     = 1142
	errNoRightColumn    = 1143
	errNoRightServer    = 1227
	errTruncatedValue   = 1265
	errWrongValue       = 1366
	errCheckViolated    = 3819 // MySQL; MariaDB's has a SQLSTATE that says so
	errUnknownVariable  = 1193
)

func classifyMySQL(err error) fault {
	var e *mysql.MySQLError
	if !errors.As(err, &e) {
		if connectionLost(err) {
			return lost
		}
		return fatal
	}
	switch e.Number {
	case errLockWaitTimeout, errDeadlock, errRecordChanged:
		return conflict
	case errTooManyConns, errNotReady, errShutdown, errDuringCommit, errHostBlocked, errNormalShutdown, errAborting,
		errNetReadError, errNetReadTimeout, errNetWriteError, errNetWriteTimeout,
		errReadOnlyOption, errInterrupted, errReadOnlyTx, errReadOnlyMode, errConnectionKilled:
		return lost
	case errNoTable, errNoColumn, errNoDatabase:
		return noSchema
	}
	return fatal
}

// hintMySQL says what to do about an error that the server's text leaves open.
func hintMySQL(_ source, err error) error {
	var e *mysql.MySQLError
	if !errors.As(err, &e) {
		if connectionLost(err) {
			return fmt.Errorf("%w; is the database up there?", err)
		}
		return err
	}
	switch e.Number {
	case errNotReady:
		return fmt.Errorf("%w; the nodes that are left are no majority of their cluster, or still join it: start the others", err)
	case errReadOnlyOption, errReadOnlyMode:
		return fmt.Errorf("%w; make it writable, or give the DSN a host that is", err)
	case errNoSuchUser:
		return fmt.Errorf("%w; look at user and password of the DSN", err)
	case errNoRightDatabase, errNoRightTable, errNoRightColumn, errNoRightServer:
		return fmt.Errorf("%w; grant it, or name another user in the DSN", err)
	}
	return err
}

// isRefusal reports whether the server refused the account a right.
func isRefusal(err error) bool {
	var e *mysql.MySQLError
	if !errors.As(err, &e) {
		return false
	}
	switch e.Number {
	case errNoSuchUser, errNoRightDatabase, errNoRightTable, errNoRightColumn, errNoRightServer:
		return true
	}
	return false
}

// connectionLost reports whether an error is of the connection, not of the
// statement. A deadline counts: a host that hangs is no better than a dead one.
func connectionLost(err error) bool {
	var network net.Error
	return errors.As(err, &network) ||
		errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, mysql.ErrInvalidConn) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

func isMySQLError(err error, number uint16) bool {
	var e *mysql.MySQLError
	return errors.As(err, &e) && e.Number == number
}

// driverConfig returns what the driver needs to know of one host.
func driverConfig(src source, addr string) (*mysql.Config, error) {
	cfg, err := mysql.ParseDSN("/?" + src.params)
	if err != nil {
		return nil, fmt.Errorf("dsn: the parameters after the ?: %w", err)
	}
	cfg.User, cfg.Passwd, cfg.DBName = src.user, src.password, src.database
	cfg.Net, cfg.Addr = "tcp", addr
	cfg.InterpolateParams = true // one round trip per statement
	cfg.MultiStatements, cfg.AllowAllFiles, cfg.ParseTime = false, false, false
	cfg.Logger = &mysql.NopLogger{} // what it says comes as an error too
	return cfg, nil
}

// session completes the settings of a connection; the DSN's own come first. A lock
// wait ends well before the query that waits, so that it is not taken for a host
// that hangs; a server that is lax about values must not be so with us.
func session(cfg *mysql.Config, options Options, readTimeout time.Duration) {
	cfg.Timeout = positive(cfg.Timeout, options.DialTimeout)
	cfg.ReadTimeout = positive(cfg.ReadTimeout, readTimeout)
	cfg.WriteTimeout = positive(cfg.WriteTimeout, readTimeout)
	if cfg.Params == nil {
		cfg.Params = make(map[string]string)
	}
	preset := map[string]string{
		"sql_mode":                 "'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
		"innodb_lock_wait_timeout": fmt.Sprint(max(1, int(options.QueryTimeout/time.Second)/2)),
	}
	for name, value := range preset {
		if _, given := cfg.Params[name]; !given {
			cfg.Params[name] = value
		}
	}
}

// hostErrors are the errors of all hosts, one each.
type hostErrors []error

func (e hostErrors) Error() string {
	texts := make([]string, len(e))
	for i, err := range e {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (e hostErrors) Unwrap() []error { return e }
