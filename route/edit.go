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

// Action is what a Change does to a service.
type Action uint8

// The actions. The zero Action is none.
const (
	Add         Action = iota + 1 // the service gets the hosts that it lacks, and all of Hosts the attributes
	Set                           // the service has exactly the hosts; the ones that stay keep what is known of them
	Remove                        // the service loses the hosts; without hosts, all of them and its settings
	Drain                         // the hosts are not called any more; what is known of them stays
	Undrain                       // the hosts are called again
	Alter                         // the hosts, which the service must have, get the attributes
	Configure                     // the service gets the settings
	Unconfigure                   // the service loses the settings that Settings name; without any, all
)

var actionNames = [...]string{"", "add", "set", "remove", "drain", "undrain", "alter", "configure", "unconfigure"}

// String returns the action as the audit has it: "add", for example.
func (a Action) String() string {
	if a < Add || int(a) >= len(actionNames) {
		return fmt.Sprintf("action %d", uint8(a))
	}
	return actionNames[a]
}

// Change is one step of an Edit.
type Change struct {
	Action     Action
	Key        Key
	Hosts      []Host
	Attributes Attributes // of Add, Set and Alter
	Settings   []Setting  // of Configure and Unconfigure, which goes by the names alone

	// Everywhere makes a Drain or Undrain one of all services that have a host of
	// Hosts. Port 0 stands for every port of the address. Key is not looked at.
	Everywhere bool
}

// Apply returns a service after the change; have is what it was. Hosts that are
// drained stay so unless the change says otherwise. Only Alter fails, for a host
// that the service lacks.
func (c Change) Apply(have Service) (Service, error) {
	s := have.clone()
	switch c.Action {
	case Add:
		s.put(c)
	case Set:
		s.Hosts = slices.DeleteFunc(s.Hosts, func(m Member) bool { return !slices.Contains(c.Hosts, m.Host) })
		s.put(c)
	case Remove:
		if len(c.Hosts) == 0 {
			return Service{Key: s.Key}, nil
		}
		s.Hosts = slices.DeleteFunc(s.Hosts, func(m Member) bool { return slices.Contains(c.Hosts, m.Host) })
	case Drain, Undrain:
		s.each(c.Hosts, func(m *Member) { m.Drained = c.Action == Drain })
	case Alter:
		for _, h := range c.Hosts {
			if _, found := s.find(h); !found {
				return have, fmt.Errorf("service %v has no host %v; add it: lars route add %v %v", s.Key, h, s.Key, h)
			}
		}
		s.each(c.Hosts, func(m *Member) { *m = c.Attributes.apply(*m) })
	case Configure:
		s.configure(c.Settings)
	case Unconfigure:
		s.unconfigure(c.Settings)
	}
	return s, nil
}

// put gives the service the hosts of a change that it lacks, and all of the
// change's hosts the attributes.
func (s *Service) put(c Change) {
	for _, h := range c.Hosts {
		at, found := s.find(h)
		if !found {
			s.Hosts = slices.Insert(s.Hosts, at, MemberOf(h))
		}
		s.Hosts[at] = c.Attributes.apply(s.Hosts[at])
	}
}

// each calls f for those of hosts that the service has.
func (s *Service) each(hosts []Host, f func(*Member)) {
	for _, h := range hosts {
		if at, found := s.find(h); found {
			f(&s.Hosts[at])
		}
	}
}

func (s *Service) configure(settings []Setting) {
	for _, set := range settings {
		at, found := slices.BinarySearchFunc(s.Settings, set, compareSettings)
		if found {
			s.Settings[at] = set
		} else {
			s.Settings = slices.Insert(s.Settings, at, set)
		}
	}
}

func (s *Service) unconfigure(named []Setting) {
	if len(named) == 0 {
		s.Settings = nil
		return
	}
	s.Settings = slices.DeleteFunc(s.Settings, func(has Setting) bool {
		return slices.ContainsFunc(named, func(n Setting) bool { return n.Name == has.Name })
	})
}

// Steps returns the changes that make one service the other.
func Steps(have, want Service) []Change {
	if len(want.Hosts) == 0 && len(want.Settings) == 0 {
		return []Change{{Action: Remove, Key: have.Key}}
	}
	var changes []Change
	change := func(action Action, c Change) {
		c.Action, c.Key = action, have.Key
		changes = append(changes, c)
	}
	d := Compare(have, want)
	if len(d.Added) > 0 || len(d.Removed) > 0 {
		change(Set, Change{Hosts: want.addresses()})
	}
	for _, a := range d.Altered {
		m := a.After
		change(Alter, Change{Hosts: []Host{m.Host}, Attributes: Attributes{&m.Weight, &m.Zone, &m.Note}})
	}
	if len(d.Drained) > 0 {
		change(Drain, Change{Hosts: d.Drained})
	}
	if len(d.Undrained) > 0 {
		change(Undrain, Change{Hosts: d.Undrained})
	}
	if len(d.Unconfigured) > 0 {
		var named []Setting
		for _, name := range d.Unconfigured {
			named = append(named, Setting{Name: name})
		}
		change(Unconfigure, Change{Settings: named})
	}
	if len(d.Configured) > 0 {
		change(Configure, Change{Settings: d.Configured})
	}
	return changes
}

// addresses returns all hosts, drained ones too.
func (s *Service) addresses() []Host {
	hosts := make([]Host, len(s.Hosts))
	for i, m := range s.Hosts {
		hosts[i] = m.Host
	}
	return hosts
}

// Edit is a change of the routes in one step: all of its changes become
// visible together, under one version. Changes of the same service apply in
// order. To move a host is to remove it from one service and to add it to
// another within one Edit; what is known of it does not go along.
type Edit struct {
	Who     string // for the audit, 1 to 255 bytes
	Changes []Change

	// IfVersion, unless nil, is the version of the routes that the editor has
	// seen. The edit fails with a *ConflictError if one of its services has
	// changed since, or if that is not on record any more.
	IfVersion *uint64

	// Check, unless nil, is asked about each service that the edit names, while
	// the edit can still be refused: by returning an error. It may be called
	// several times and must not wait for anything.
	Check func(before, after Service) error

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
	After    []Service       // all services that the edit named, in order, as they are now; none if Repeated
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
			text.WriteString(" " + h.Host.String())
			if h.Drained {
				text.WriteString(" (drained)")
			}
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
