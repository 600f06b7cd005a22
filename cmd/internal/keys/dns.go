package keys

import (
	"time"

	"lars.internal/dns"
	"lars.internal/internal/config"
)

// DNS declares the sections [reactor], [access] and [dns].
func DNS(s *config.Set) *dns.Config {
	c, d := new(dns.Config), dns.DefaultConfig()
	bindReactor(s, &c.Reactor, d.Reactor)
	bindAccess(s, &c.Access)
	s.Duration(&c.PollInterval, "dns", "poll_interval", d.PollInterval,
		config.Between(10*time.Millisecond, time.Minute), "how often to look for a new version of the routes")
	s.Duration(&c.QueryTimeout, "dns", "query_timeout", d.QueryTimeout,
		config.Between(100*time.Millisecond, 10*time.Minute), "longest time that a query may take")
	s.Duration(&c.ReloadInterval, "dns", "reload_interval", d.ReloadInterval,
		config.Between(time.Second, 24*time.Hour), "how often to read all routes")
	s.String(&c.Snapshot, "dns", "snapshot", "", "file that keeps the routes for a start without the database")
	s.Int(&c.MaxLoss, "dns", "max_loss", d.MaxLoss, config.Between(1, 100),
		"percent of all hosts that a load may remove without change records")
	s.Duration(&c.AcceptAfter, "dns", "accept_after", d.AcceptAfter, config.Between(time.Second, 365*24*time.Hour),
		"time after which a load that is held back is served")
	s.Int(&c.MaxSubscriptions, "dns", "max_subscriptions", d.MaxSubscriptions, config.Between(1, 10_000_000),
		"services that one connection may subscribe to")
	s.Int(&c.MaxAllSubscriptions, "dns", "max_all_subscriptions", d.MaxAllSubscriptions, config.Between(1, 1_000_000_000),
		"subscriptions of all connections together")
	return c
}
