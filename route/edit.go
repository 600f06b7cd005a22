package route

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrHistoryGone means that the services that changed since a version are not
// known any more. Reading all routes still works.
var ErrHistoryGone = errors.New("what changed is not recorded any more")

// MaxHosts is the most hosts that an edit may leave a service with: as many as
// one frame to an agent holds at their largest, so that no host of a route is
// ever left out.
const MaxHosts = (frameBytes - answerBytes - settingBytes) / hostBytes

// The sizes that MaxHosts follows from, in bytes, each field at its largest and
// with its tag.
const (
	frameBytes = 65_527 // the body of a frame

	// GetRouteResponse without hosts and settings: modid, cmdid, seq,
	// truncated, version, stale, removed, level.
	answerBytes = 11 + 11 + 6 + 2 + 11 + 2 + 2 + 6

	// 32 settings, each with a key and a value of 128 bytes.
	settingBytes = 32 * (4 + 2*(3+128))

	// HostInfo: tag and length, ip, which may be a negative number, port,
	// weight, and a zone of 32 bytes.
	hostBytes = 2 + 11 + 4 + 6 + 2 + 32
)

// Action is what a Change does to the hosts of a service.
type Action uint8

// The actions. The zero Action is none.
const (
	Add    Action = iota + 1 // the service gets the hosts that it lacks
	Set                      // the service has exactly the hosts
	Remove                   // the service loses the hosts; without hosts, all
)

// String returns the action as people write it: "add", "set" or "remove".
func (a Action) String() string {
	switch a {
	case Add:
		return "add"
	case Set:
		return "set"
	case Remove:
		return "remove"
	}
	return fmt.Sprintf("action %d", uint8(a))
}

// Change is one step of an Edit.
type Change struct {
	Action Action
	Key    Key
	Hosts  []Host
}

// Apply returns the hosts of a service after the change, in order and without
// duplicates; have is what the service had.
func (c Change) Apply(have []Host) []Host {
	switch c.Action {
	case Add:
		return normalize(slices.Concat(have, c.Hosts))
	case Set:
		return normalize(c.Hosts)
	case Remove:
		if len(c.Hosts) == 0 {
			return nil
		}
		gone := normalize(c.Hosts)
		return slices.DeleteFunc(normalize(have), func(h Host) bool {
			_, found := slices.BinarySearchFunc(gone, h, Host.Compare)
			return found
		})
	}
	return normalize(have)
}

// Edit is a change of the routes in one step: all of its changes become
// visible together, under one version. Changes of the same service apply in
// order. To move a host is to remove it from one service and to add it to
// another within one Edit.
type Edit struct {
	Who     string // for the audit, 1 to 255 bytes
	Changes []Change

	// IfVersion, unless nil, is the version of the routes that the editor has
	// seen. The edit fails with a *ConflictError if one of its services has
	// changed since, or if that is not on record any more.
	IfVersion *uint64

	// ID names this edit and no other, in at most MaxEditID bytes. An edit
	// that was made is not made again. Empty: a new random one.
	ID string
}

// MaxEditID is the longest ID of an Edit, in bytes.
const MaxEditID = 64

// EditResult says what an Edit did.
type EditResult struct {
	Version  uint64          // of the routes after the edit
	Changed  bool            // false: everything was so already, and no version was made
	Repeated bool            // an edit with this ID was made before, as Version; nothing was done now
	Services []ServiceChange // the services that differ now, in order; none if Repeated
}

// ServiceChange says what an Edit did to one service.
type ServiceChange struct {
	Key            Key
	Added, Removed []Host // in order
}

// ConflictError means that an Edit was not made because its services have
// changed since the version that the editor had seen.
type ConflictError struct {
	Seen     uint64    // the version that the editor had seen
	Version  uint64    // of the routes now
	Services []Service // those of the edit as they are now
}

// Error names the hosts that the services have now, the first of them at least.
func (e *ConflictError) Error() string {
	const shown = 10
	var text strings.Builder
	fmt.Fprintf(&text, "the routes have changed since version %d; now, at version %d,", e.Seen, e.Version)
	for i, s := range e.Services {
		if i == shown {
			fmt.Fprintf(&text, " and %d more services", len(e.Services)-shown)
			break
		}
		fmt.Fprintf(&text, " %v has", s.Key)
		if len(s.Hosts) == 0 {
			text.WriteString(" no hosts")
		}
		for _, h := range s.Hosts[:min(len(s.Hosts), shown)] {
			text.WriteString(" " + h.String())
		}
		if more := len(s.Hosts) - shown; more > 0 {
			fmt.Fprintf(&text, " and %d more", more)
		}
		text.WriteString(",")
	}
	return strings.TrimSuffix(text.String(), ",") + "; look at them, then edit with that version"
}

// UnknownEditError means that the connection to the store broke during an edit,
// so that it is not known whether the edit was made.
type UnknownEditError struct {
	ID  string // of the edit
	Err error  // what happened
}

// Error says how to find out.
func (e *UnknownEditError) Error() string {
	return fmt.Sprintf("%v; it is not known whether the edit was made: make it again with the id %s, by which it is made only once", e.Err, e.ID)
}

// Unwrap returns what happened.
func (e *UnknownEditError) Unwrap() error { return e.Err }

// Service is a service with its hosts.
type Service struct {
	Key   Key
	Hosts []Host
}
