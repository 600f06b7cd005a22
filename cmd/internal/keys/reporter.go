package keys

import (
	"lars.internal/internal/config"
	"lars.internal/reporter"
)

// Reporter declares the sections [reactor], [access] and [reporter]. A file may
// write [repoter], as the original's does.
func Reporter(s *config.Set) *reporter.Config {
	c, d := new(reporter.Config), reporter.DefaultConfig()
	bindReactor(s, &c.Reactor, d.Reactor)
	bindAccess(s, &c.Access)
	s.Int(&c.Threads, "reporter", "db_thread_cnt", d.Threads, config.Between(1, reporter.MaxThreads), "threads that store reports")
	s.Int(&c.QueueSize, "reporter", "queue_size", d.QueueSize, config.Between(1, reporter.MaxQueueSize), "reports that may wait for their acknowledgement at each of them")
	s.Duration(&c.Retention, "reporter", "retention", d.Retention, config.Between(reporter.MinRetention, reporter.MaxRetention), "how long rows are kept that no report renews")
	s.Alias("repoter", "reporter")
	return c
}
