package engine

import (
	"slices"
	"time"

	"lars.internal/route"
)

// Route is an answer or a push of a dns service.
type Route struct {
	Hosts     []route.Host // none: the service has no hosts
	Version   uint64       // of the table of the dns service; 0: not known
	Stale     bool         // the table could not be confirmed lately
	Removed   bool         // there are no hosts because an edit made it so
	Truncated bool         // these are not all hosts
}

// Outcome is what became of a Route.
type Outcome struct {
	Unknown bool // nobody asks for the service any more: it was ignored
	Push    bool // no pull was under way
	Changed bool // the hosts are others than before
}

// Update makes the hosts of the route those of the service.
func (e *Engine) Update(key route.Key, r Route, now time.Duration) Outcome {
	sh := e.shardOf(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s := sh.services[key]
	if s == nil {
		return Outcome{Unknown: true}
	}
	o := Outcome{Push: s.state == StateNew, Changed: !slices.Equal(r.Hosts, s.hosts)}
	s.state, s.truncated = StateNew, r.Truncated
	if len(r.Hosts) == 0 {
		sh.empty(s)
		s.empty = min(s.empty+1, maxEmpty)
		return o
	}
	s.empty, s.updated = 0, now
	if o.Changed {
		e.setHosts(sh, s, r.Hosts, now)
	}
	return o
}

// ConnectionStarted is the reset of a connection to a dns service that starts:
// every PULLING service becomes NEW, since its pull may have died with the old
// connection, and it is forgotten when each was pulled. It returns all
// services, the ones without hosts first; each is to be passed to Renew.
func (e *Engine) ConnectionStarted() []route.Key {
	var urgent, rest []route.Key
	e.each(func(_ *shard, s *service) {
		s.state, s.pulled = StateNew, LongAgo
		if s.balancer == nil {
			urgent = append(urgent, s.key)
		} else {
			rest = append(rest, s.key)
		}
	})
	return append(urgent, rest...)
}

// Renew turns the service to PULLING and reports whether it did: not if it was
// pulled since ConnectionStarted already or is gone.
func (e *Engine) Renew(key route.Key, now time.Duration) bool {
	sh := e.shardOf(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s := sh.services[key]
	if s == nil || s.pulled != LongAgo {
		return false
	}
	s.startPull(now)
	return true
}

// PullFailed notes that a pull was not sent, so that the next request after a
// pause pulls again.
func (e *Engine) PullFailed(key route.Key) {
	sh := e.shardOf(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if s := sh.services[key]; s != nil {
		s.state = StateNew
	}
}
