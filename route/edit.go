package route

import (
	"errors"
	"fmt"
	"slices"
)

// ErrHistoryGone means that the services that changed since a version are not
// known any more. Reading all routes tells everything.
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

// Edit is what somebody does to the routes in one step: all of its changes
// become visible together, under one version. Changes of the same service
// apply in order. To move a host is to remove it from one service and to add
// it to another within one Edit.
type Edit struct {
	Who     string // for the audit, 1 to 255 bytes
	Changes []Change
}

// EditResult says what an Edit did.
type EditResult struct {
	Version  uint64          // of the routes after the edit
	Changed  bool            // false: everything was so already, and no version was made
	Services []ServiceChange // the services that differ now, in order
}

// ServiceChange says what an Edit did to one service.
type ServiceChange struct {
	Key            Key
	Added, Removed []Host // in order
}

// Service is a service with its hosts.
type Service struct {
	Key   Key
	Hosts []Host
}
