package agent

import (
	"time"

	"lars.internal/engine"
)

// routeWord returns for people how good the route of a service is: fresh, asking
// (no answer yet), no hosts, stale 40s, or emptied 12s ago. A route is fresh while
// the dns service would push its changes, or was confirmed within update_timeout.
func (a *Agent) routeWord(s *engine.ServiceState, now time.Duration) string {
	pushed := a.dns.link.connected.Load() && s.Pulled != engine.LongAgo && s.State == engine.StateNew && !s.Stale
	switch {
	case len(s.Hosts) == 0 && s.Answered == engine.LongAgo:
		return "asking"
	case len(s.Hosts) == 0:
		return "no hosts"
	case s.Emptied != engine.LongAgo:
		return "emptied " + age(now-s.Emptied) + " ago"
	case pushed || !s.Stale && now-s.Updated <= s.UpdateTimeout:
		return "fresh"
	}
	return "stale " + age(now-s.Updated)
}

// age returns a time in whole seconds.
func age(d time.Duration) string { return max(d, 0).Round(time.Second).String() }
