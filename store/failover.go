package store

import (
	"context"
	"database/sql/driver"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"
)

// hosts connects to the first database host that answers, starting with the
// one in use. It implements driver.Connector.
//
// All connections are on one host. One host may lag another, and a reader that
// mixed them could see a version without its routes.
type hosts struct {
	// Immutable after newHosts.
	addrs       []string
	connectors  []driver.Connector
	dialTimeout time.Duration
	logger      *slog.Logger

	inUse atomic.Int64 // index into addrs

	mu     sync.Mutex // guards everything below
	served int64      // the host that an operation succeeded on last
	reason error      // why a host was left last
}

// newHosts prepares the hosts of a source. readTimeout bounds each wait for
// the database, 0 for none.
func newHosts(src source, options Options, readTimeout time.Duration) (*hosts, error) {
	h := &hosts{addrs: src.hosts, dialTimeout: options.DialTimeout, logger: options.Logger}
	for _, addr := range src.hosts {
		cfg, err := driverConfig(src, addr)
		if err != nil {
			return nil, err
		}
		session(cfg, options, readTimeout)
		c, err := mysql.NewConnector(cfg)
		if err != nil {
			return nil, fmt.Errorf("dsn: the parameters after the ?: %w", err)
		}
		h.connectors = append(h.connectors, c)
	}
	return h, nil
}

// current returns the host in use, for moveOn.
func (h *hosts) current() int64 { return h.inUse.Load() }

// moveOn makes the host after failed the one in use, unless another goroutine
// has done so. Connections to the old one are not used again.
func (h *hosts) moveOn(failed int64, reason error) {
	h.change(failed, (failed+1)%int64(len(h.addrs)), reason)
}

func (h *hosts) change(from, to int64, reason error) {
	if from != to && h.inUse.CompareAndSwap(from, to) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.reason = reason
	}
}

// noteServed logs that another host serves now. Moves alone are not logged:
// while no host can serve there is one after the other.
func (h *hosts) noteServed() {
	h.mu.Lock()
	defer h.mu.Unlock()
	to := h.current()
	if h.served != to {
		h.logger.Warn("store: database host changed", "from", h.addrs[h.served], "to", h.addrs[to], "reason", h.reason)
		h.served = to
	}
}

// Connect implements driver.Connector.
func (h *hosts) Connect(ctx context.Context) (driver.Conn, error) {
	var failed hostErrors
	first := h.current()
	for i := range h.connectors {
		at := (first + int64(i)) % int64(len(h.connectors))
		c, err := h.connectTo(ctx, at)
		if err == nil {
			if len(failed) > 0 {
				h.change(first, at, failed[0])
			}
			return c, nil
		}
		failed = append(failed, fmt.Errorf("%s: %w", h.addrs[at], err))
		if ctx.Err() != nil {
			break
		}
	}
	return nil, failed
}

// Driver implements driver.Connector.
func (h *hosts) Driver() driver.Driver { return &mysql.MySQLDriver{} }

// connectTo connects to one host and makes its reads causal: a Galera node
// then waits until it has what the cluster had committed when the read began.
// Other servers do not know the variable, or ignore it.
func (h *hosts) connectTo(ctx context.Context, at int64) (driver.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, h.dialTimeout)
	defer cancel()
	c, err := h.connectors[at].Connect(ctx)
	if err != nil {
		return nil, err
	}
	full, ok := c.(mysqlConn)
	if !ok {
		c.Close()
		return nil, fmt.Errorf("connection of type %T lacks methods that this package needs", c)
	}
	_, err = full.ExecContext(ctx, "SET SESSION wsrep_sync_wait = 1", nil)
	if err != nil && !isMySQLError(err, errUnknownVariable) {
		c.Close()
		return nil, err
	}
	return &hostConn{mysqlConn: full, hosts: h, at: at}, nil
}

// mysqlConn is all that database/sql asks of a connection of the driver. A
// wrapper that left one out would silently lose it.
type mysqlConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.NamedValueChecker
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// hostConn is a connection that is not used again once its host is not the
// one in use, or once the server has refused it a right: what an account may do
// in its database, a server finds out when the connection is made. After a GRANT
// only a new connection has the right.
type hostConn struct {
	mysqlConn

	// Immutable.
	hosts *hosts
	at    int64

	// Owned by the goroutine that package sql has lent the connection to.
	refused bool
}

// BeginTx implements driver.ConnBeginTx.
func (c *hostConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	tx, err := c.mysqlConn.BeginTx(ctx, opts)
	return tx, c.note(err)
}

// PrepareContext implements driver.ConnPrepareContext.
func (c *hostConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	stmt, err := c.mysqlConn.PrepareContext(ctx, query)
	return stmt, c.note(err)
}

// ExecContext implements driver.ExecerContext.
func (c *hostConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	result, err := c.mysqlConn.ExecContext(ctx, query, args)
	return result, c.note(err)
}

// QueryContext implements driver.QueryerContext.
func (c *hostConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := c.mysqlConn.QueryContext(ctx, query, args)
	return rows, c.note(err)
}

func (c *hostConn) note(err error) error {
	c.refused = c.refused || isRefusal(err)
	return err
}

// ResetSession implements driver.SessionResetter: called before a reuse.
func (c *hostConn) ResetSession(ctx context.Context) error {
	if c.hosts.current() != c.at {
		return driver.ErrBadConn
	}
	return c.mysqlConn.ResetSession(ctx)
}

// IsValid implements driver.Validator: called after a use.
func (c *hostConn) IsValid() bool {
	return !c.refused && c.hosts.current() == c.at && c.mysqlConn.IsValid()
}
