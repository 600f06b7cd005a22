package dns

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"lars.internal/internal/config"
)

// DefaultPort is the TCP port of the route service.
const DefaultPort = 7778

// Config says what a Server does. Store must be set; the zero value of the
// rest is ready to use.
type Config struct {
	// Reactor is where to listen, and for how many: the section [reactor].
	// Default: 127.0.0.1:7778, 1024 connections, 5 event loops.
	Reactor *config.ReactorConfig

	// Store is where the routes are.
	Store Store

	// Access is who may connect: the section [access]. Default: everybody.
	Access *config.AccessConfig

	// BadRows counts the rows that Store skips. Default: none are known.
	BadRows *BadRows

	// Log gets a line for each change of state. Default: discarded.
	Log *slog.Logger

	// PollInterval is how often to look for a new version. An edit waits for
	// half of it on average. Lower costs the store one small query for each
	// look. Default 100 ms.
	PollInterval time.Duration

	// QueryTimeout is how long a query may take; for a full load, how long it
	// may go on without a row. Lower notices a store that hangs sooner, but
	// takes a busy one for dead. Default 5 s.
	QueryTimeout time.Duration

	// ReloadInterval is how often to read all routes and push what differs. It
	// finds rows that were written without a change record. It is stretched
	// to 20 times what the last load took, so that loads take at most 5 % of
	// the time. Default 10 s.
	ReloadInterval time.Duration

	// Snapshot is the file that keeps the routes for a start without the
	// store. It is written at most once a second. Default: none.
	Snapshot string

	// MaxSubscriptions is how many services one connection may subscribe to.
	// Above it requests are answered, but nothing is pushed, so the agent
	// learns of a change when it asks again. A subscription takes about 100
	// bytes. Default 100,000.
	MaxSubscriptions int

	// MaxOutput is how many bytes may wait for one connection, at least 256
	// KiB. From an eighth of it on, pushes wait and merge. Higher lets more of
	// a burst into the sockets at once, at that much memory for each slow
	// reader. Default 8 MiB.
	MaxOutput int

	// StallTimeout closes a connection whose peer took none of its output for
	// so long. Default 30 s.
	StallTimeout time.Duration
}

// Bind declares the sections [reactor], [access] and [dns] and returns a Config
// that loading the set fills.
func Bind(set *config.Set) *Config {
	c := &Config{Reactor: config.BindReactor(set, DefaultPort), Access: config.BindAccess(set)}
	set.Duration(&c.PollInterval, "dns", "poll_interval", defaultPoll,
		config.Between(10*time.Millisecond, time.Minute), "how often to look for a new version of the routes")
	set.Duration(&c.QueryTimeout, "dns", "query_timeout", defaultQueryTimeout,
		config.Between(100*time.Millisecond, 10*time.Minute), "longest time that a query may take")
	set.Duration(&c.ReloadInterval, "dns", "reload_interval", defaultReload,
		config.Between(time.Second, 24*time.Hour), "how often to read all routes")
	set.String(&c.Snapshot, "dns", "snapshot", "", "file that keeps the routes for a start without the database")
	return c
}

const (
	defaultPoll         = 100 * time.Millisecond
	defaultQueryTimeout = 5 * time.Second
	defaultReload       = 10 * time.Second

	// minOutput leaves room for a turn's worth of the longest frames above
	// the mark from which pushes wait.
	minOutput = 256 << 10
)

func (c *Config) setDefaults() {
	if c.Reactor == nil {
		c.Reactor = &config.ReactorConfig{
			IP: netip.AddrFrom4([4]byte{127, 0, 0, 1}), Port: DefaultPort, MaxConn: 1024, Threads: 5,
		}
	}
	c.Access = cmp.Or(c.Access, new(config.AccessConfig))
	c.BadRows = cmp.Or(c.BadRows, NewBadRows(nil))
	c.Log = cmp.Or(c.Log, slog.New(slog.DiscardHandler))
	c.PollInterval = cmp.Or(c.PollInterval, defaultPoll)
	c.QueryTimeout = cmp.Or(c.QueryTimeout, defaultQueryTimeout)
	c.ReloadInterval = cmp.Or(c.ReloadInterval, defaultReload)
	c.MaxSubscriptions = cmp.Or(c.MaxSubscriptions, 100_000)
	c.MaxOutput = cmp.Or(c.MaxOutput, 8<<20)
	c.StallTimeout = cmp.Or(c.StallTimeout, 30*time.Second)
}

func (c *Config) validate() error {
	switch {
	case c.Store == nil:
		return errors.New("dns: no Store")
	case c.PollInterval < 0 || c.QueryTimeout < 0 || c.ReloadInterval < 0 || c.StallTimeout < 0:
		return errors.New("dns: a duration is negative")
	case c.MaxSubscriptions < 0:
		return fmt.Errorf("dns: MaxSubscriptions %d is negative", c.MaxSubscriptions)
	case c.MaxOutput < minOutput:
		return fmt.Errorf("dns: MaxOutput %d: want at least %d bytes", c.MaxOutput, minOutput)
	}
	return nil
}
