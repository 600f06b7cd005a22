package reporter

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"lars.internal/access"
	"lars.internal/reactor"
)

// DefaultPort is the TCP port on which agents look for the report service.
const DefaultPort = 7779

// The limits of Threads, QueueSize and Retention.
const (
	MaxThreads   = 64
	MaxQueueSize = 1_000_000
	MinRetention = time.Hour
	MaxRetention = 100 * 365 * 24 * time.Hour
)

// Config describes a Server. Sink must be set; the zero value of everything
// else is ready to use. The name in brackets is the key in the configuration
// file.
type Config struct {
	// Sink stores the call statistics.
	Sink Sink

	// Reactor [reactor] is where to listen, and for how many; its router and
	// hooks are the server's own. Defaults: Addr 127.0.0.1:7779, MaxConns 1024,
	// Loops 5.
	Reactor reactor.ServerConfig

	// Access [access] is who may connect. Default: everybody.
	Access access.Config

	// Threads [reporter db_thread_cnt] is the number of storing threads, 1 to
	// 64. Default 3. Higher: more statements at once, of use when the database
	// is far away; give the Sink as many connections. Lower: fewer connections.
	Threads int

	// QueueSize [reporter queue_size] is the number of reports that may wait for
	// their acknowledgement at each storing thread, 1 to 1,000,000. Default
	// 8192. Above it, and above MaxRows, connections with such reports are not
	// read until half of it is stored; their agents wait and merge. Higher: agents
	// wait less while the database is away, with more memory. Lower: less memory.
	QueueSize int

	// MaxRows is the number of rows that wait at each storing thread; the last
	// report may go over it. Reports that are not acknowledged, those of the C++
	// stack, are merged and read on: the oldest of their rows are dropped for new
	// ones. Default 100,000, about 40 MB. Higher: more of their rows outlive a
	// long outage. Lower: less memory.
	MaxRows int

	// Retention [reporter retention] is how long rows are kept that no report
	// renews: those of hosts and callers that are gone. An hour at least, default
	// 7 days. They are removed in small steps. Longer: a larger table.
	Retention time.Duration

	// Build is the version of the program, which agents see. Empty: none.
	Build string

	// QueryTimeout bounds one call of the Sink. Default 10 s. It should leave
	// the Sink time to try a second database host. Higher: a hanging database
	// fills the queue meanwhile. Lower: a busy one looks dead.
	QueryTimeout time.Duration

	// RetryMin and RetryMax bound the pause after a failed call of the Sink. It
	// doubles with each failure, and a random part of up to half is taken off.
	// Defaults 100 ms and 5 s. Shorter: statistics come back sooner after an
	// outage, with more load on a database in trouble.
	RetryMin, RetryMax time.Duration

	// FlushTimeout bounds how long Serve goes on storing what it has accepted,
	// before it closes the connections. Default 5 s. Longer: less is lost when
	// the database is slow, and the process ends later.
	FlushTimeout time.Duration

	// Now is the clock that judges the timestamps of reports. Nil: time.Now.
	Now func() time.Time

	// Log gets a line for each change of state. Nil: none.
	Log *slog.Logger
}

// DefaultConfig returns the Config in which every field has its default. Sink is
// still to be set.
func DefaultConfig() Config {
	var c Config
	c.setDefaults()
	return c
}

func (c *Config) setDefaults() {
	c.Reactor.Addr = cmp.Or(c.Reactor.Addr, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), DefaultPort))
	c.Reactor.MaxConns = cmp.Or(c.Reactor.MaxConns, 1024)
	c.Reactor.Loops = cmp.Or(c.Reactor.Loops, 5)
	c.Threads = cmp.Or(c.Threads, 3)
	c.QueueSize = cmp.Or(c.QueueSize, 8192)
	c.MaxRows = cmp.Or(c.MaxRows, 100_000)
	c.Retention = cmp.Or(c.Retention, 7*24*time.Hour)
	c.QueryTimeout = cmp.Or(c.QueryTimeout, 10*time.Second)
	c.RetryMin = cmp.Or(c.RetryMin, 100*time.Millisecond)
	c.RetryMax = cmp.Or(c.RetryMax, 5*time.Second)
	c.FlushTimeout = cmp.Or(c.FlushTimeout, 5*time.Second)
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Log = cmp.Or(c.Log, slog.New(slog.DiscardHandler))
	c.Access.Log, c.Access.Role = cmp.Or(c.Access.Log, c.Log), "reporter"
}

func (c *Config) validate() error {
	switch {
	case c.Sink == nil:
		return errors.New("no Sink to store reports in")
	case c.Threads < 1 || c.Threads > MaxThreads:
		return fmt.Errorf("[reporter] db_thread_cnt: got %d, want 1..%d", c.Threads, MaxThreads)
	case c.QueueSize < 1 || c.QueueSize > MaxQueueSize:
		return fmt.Errorf("[reporter] queue_size: got %d, want 1..%d", c.QueueSize, MaxQueueSize)
	case c.MaxRows < 1:
		return fmt.Errorf("MaxRows: got %d, want at least 1", c.MaxRows)
	case c.Retention < MinRetention || c.Retention > MaxRetention:
		return fmt.Errorf("[reporter] retention: got %v, want %v..%v", c.Retention, MinRetention, MaxRetention)
	case c.QueryTimeout < 0 || c.FlushTimeout < 0:
		return fmt.Errorf("QueryTimeout %v, FlushTimeout %v: want more than 0", c.QueryTimeout, c.FlushTimeout)
	case c.RetryMin < 0 || c.RetryMax < c.RetryMin:
		return fmt.Errorf("RetryMin %v, RetryMax %v: want 0 < RetryMin <= RetryMax", c.RetryMin, c.RetryMax)
	}
	return nil
}
