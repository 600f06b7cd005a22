package dns

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

// DefaultPort is the TCP port of the route service.
const DefaultPort = 7778

// Config says what a Server does. Store must be set; the zero value of the
// rest is ready to use.
type Config struct {
	// Reactor [reactor] is where to listen, and for how many; its router and
	// hooks are the server's own. Defaults: Addr 127.0.0.1:7778, MaxConns 1024,
	// Loops 5.
	Reactor reactor.ServerConfig

	// Store is where the routes are.
	Store Store

	// Access [access] is who may connect. Default: everybody.
	Access access.Config

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

	// MaxAllSubscriptions is the same for all connections together. Those to
	// services without hosts are counted separately, with a tenth of this as
	// their bound. Default 5,000,000: about 500 MB at worst.
	MaxAllSubscriptions int

	// MaxLoss is what share of all hosts, in percent, a load may remove
	// without change records, from 10 hosts on. One that removes more is held
	// back: the routes before it are served, and the server is not ready, until
	// an operator accepts it, the rows are back, or AcceptAfter is over. Edits
	// are served all the same. Lower holds back rightful changes by hand;
	// higher lets more of an accident through. Default 30; 100 turns it off.
	MaxLoss int

	// AcceptAfter is for how long a load that is held back has to be seen
	// unchanged before it is served. Lower gives operators less time to
	// restore the rows. Default 1 h.
	AcceptAfter time.Duration

	// Build is the version of the program, which agents see. Default: none.
	Build string

	// MaxOutput is how many bytes may wait for one connection, at least 256
	// KiB. From an eighth of it on, pushes wait and merge. Higher lets more of
	// a burst into the sockets at once, at that much memory for each slow
	// reader. Default 8 MiB.
	MaxOutput int

	// StallTimeout closes a connection whose peer took none of its output for
	// so long. Default 30 s.
	StallTimeout time.Duration
}

// minOutput leaves room for a turn's worth of the longest frames above the mark
// from which pushes wait.
const minOutput = 256 << 10

// DefaultConfig returns the Config in which every field has its default. Store is
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
	c.BadRows = cmp.Or(c.BadRows, NewBadRows(nil))
	c.Log = cmp.Or(c.Log, slog.New(slog.DiscardHandler))
	c.Access.Log, c.Access.Role = cmp.Or(c.Access.Log, c.Log), "dns"
	c.PollInterval = cmp.Or(c.PollInterval, 100*time.Millisecond)
	c.QueryTimeout = cmp.Or(c.QueryTimeout, 5*time.Second)
	c.ReloadInterval = cmp.Or(c.ReloadInterval, 10*time.Second)
	c.MaxSubscriptions = cmp.Or(c.MaxSubscriptions, 100_000)
	c.MaxAllSubscriptions = cmp.Or(c.MaxAllSubscriptions, 5_000_000)
	c.MaxLoss = cmp.Or(c.MaxLoss, 30)
	c.AcceptAfter = cmp.Or(c.AcceptAfter, time.Hour)
	c.MaxOutput = cmp.Or(c.MaxOutput, 8<<20)
	c.StallTimeout = cmp.Or(c.StallTimeout, 30*time.Second)
}

func (c *Config) validate() error {
	switch {
	case c.Store == nil:
		return errors.New("dns: no Store")
	case c.PollInterval < 0 || c.QueryTimeout < 0 || c.ReloadInterval < 0 || c.StallTimeout < 0 || c.AcceptAfter < 0:
		return errors.New("dns: a duration is negative")
	case c.MaxSubscriptions < 0 || c.MaxAllSubscriptions < 0:
		return fmt.Errorf("dns: MaxSubscriptions %d, MaxAllSubscriptions %d: want no negative number", c.MaxSubscriptions, c.MaxAllSubscriptions)
	case c.MaxLoss < 0 || c.MaxLoss > 100:
		return fmt.Errorf("dns: MaxLoss %d: want a percentage of 0 to 100", c.MaxLoss)
	case c.MaxOutput < minOutput:
		return fmt.Errorf("dns: MaxOutput %d: want at least %d bytes", c.MaxOutput, minOutput)
	}
	return nil
}
