package route

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxNote is the longest note on a host, in bytes.
const MaxNote = 255

// Service is a service as editors see it, with the hosts that are not called now.
type Service struct {
	Key      Key
	Hosts    []Member  // in order, without duplicates
	Settings []Setting // in order of their names, without duplicates
}

// Member is a host of a service with all that is known of it.
type Member struct {
	Endpoint        // Weight is never 0: it is what the host has when it is called again
	Note     string // for people, up to MaxNote bytes
	Drained  bool   // not called now
}

// MemberOf returns a host for which nothing was set.
func MemberOf(h Host) Member { return Member{Endpoint: Endpoint{Host: h, Weight: DefaultWeight}} }

// Callable returns the hosts that may be called, in order.
func (s Service) Callable() []Host {
	var hosts []Host
	for _, m := range s.Hosts {
		if !m.Drained {
			hosts = append(hosts, m.Host)
		}
	}
	return hosts
}

// find returns where a host is in the service, or would be.
func (s *Service) find(h Host) (at int, found bool) {
	return slices.BinarySearchFunc(s.Hosts, h, func(m Member, h Host) int { return m.Host.Compare(h) })
}

// clone returns a copy whose lists are its own, in order.
func (s *Service) clone() Service {
	c := Service{s.Key, slices.Clone(s.Hosts), slices.Clone(s.Settings)}
	slices.SortFunc(c.Hosts, func(a, b Member) int { return a.Host.Compare(b.Host) })
	slices.SortFunc(c.Settings, compareSettings)
	return c
}

func compareSettings(a, b Setting) int { return cmp.Compare(a.Name, b.Name) }

// Attributes are what an edit changes of a host; nil leaves it as it is. A weight
// of 0 drains the host, which keeps the weight that it had. Any other weight is
// for when the host is called: a drained host stays drained.
type Attributes struct {
	Weight     *uint32
	Zone, Note *string
}

// apply returns a host with the attributes.
func (a Attributes) apply(m Member) Member {
	if a.Weight != nil && *a.Weight == 0 {
		m.Drained = true
	} else if a.Weight != nil {
		m.Weight = *a.Weight
	}
	if a.Zone != nil {
		m.Zone = *a.Zone
	}
	if a.Note != nil {
		m.Note = *a.Note
	}
	return m
}

// Check returns why no host can have these attributes.
func (a Attributes) Check() error {
	if a.Weight != nil && *a.Weight > MaxWeight {
		return fmt.Errorf("weight %d: want 0 to %d", *a.Weight, MaxWeight)
	}
	if a.Zone != nil {
		if err := checkText("zone", *a.Zone, MaxZone); err != nil {
			return err
		}
		if strings.ContainsFunc(*a.Zone, unicode.IsSpace) {
			return fmt.Errorf("zone %q: want no spaces", *a.Zone)
		}
	}
	if a.Note != nil {
		return checkText("note", *a.Note, MaxNote)
	}
	return nil
}

// checkText refuses what a table or a terminal cannot hold.
func checkText(what, text string, most int) error {
	switch {
	case len(text) > most:
		return fmt.Errorf("%s of %d bytes: want at most %d", what, len(text), most)
	case !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fmt.Errorf("%s %q: it has characters that cannot be shown", what, text)
	case strings.TrimSpace(text) != text:
		return fmt.Errorf("%s %q: want no spaces at its ends", what, text)
	}
	return nil
}

// Check returns why no service can have this setting, whatever its meaning.
func (s Setting) Check() error {
	if s.Name == "" {
		return fmt.Errorf("setting %q: want a name", s)
	}
	if err := checkText("name of a setting", s.Name, MaxSetting); err != nil {
		return err
	}
	return checkText("value of "+s.Name, s.Value, MaxSetting)
}

// String returns the setting as people write it: "policy=classic".
func (s Setting) String() string { return s.Name + "=" + s.Value }

// ServiceChange says what an Edit did to one service. Each list is in order.
type ServiceChange struct {
	Key                Key
	Added, Removed     []Host       // of all hosts, drained ones too
	Drained, Undrained []Host       // Drained has those that were added drained, too
	Altered            []Alteration // hosts with another weight, zone or note; added ones if not the default
	Configured         []Setting    // new, or with another value
	Unconfigured       []string     // names of settings that are gone
}

// Alteration is a host before and after an Edit.
type Alteration struct {
	Before, After Member
}

// String names the host and what it has now that it did not have:
// "10.0.0.7:80 weight=50 zone=eu1".
func (a Alteration) String() string {
	text := a.After.Host.String()
	if a.Before.Weight != a.After.Weight {
		text += fmt.Sprintf(" weight=%d", a.After.Weight)
	}
	if a.Before.Zone != a.After.Zone {
		text += fmt.Sprintf(" zone=%s", cmp.Or(a.After.Zone, `""`))
	}
	if a.Before.Note != a.After.Note {
		text += fmt.Sprintf(" note=%q", a.After.Note)
	}
	return text
}

// Compare returns what differs between a service before and after.
func Compare(before, after Service) ServiceChange {
	c := ServiceChange{Key: after.Key}
	for _, m := range before.Hosts {
		if _, found := after.find(m.Host); !found {
			c.Removed = append(c.Removed, m.Host)
		}
	}
	for _, m := range after.Hosts {
		old := MemberOf(m.Host)
		if at, found := before.find(m.Host); found {
			old = before.Hosts[at]
		} else {
			c.Added = append(c.Added, m.Host)
		}
		c.compareHost(old, m)
	}
	for _, s := range after.Settings {
		if !slices.Contains(before.Settings, s) {
			c.Configured = append(c.Configured, s)
		}
	}
	for _, s := range before.Settings {
		if _, found := slices.BinarySearchFunc(after.Settings, s, compareSettings); !found {
			c.Unconfigured = append(c.Unconfigured, s.Name)
		}
	}
	return c
}

func (c *ServiceChange) compareHost(before, after Member) {
	switch {
	case after.Drained && !before.Drained:
		c.Drained = append(c.Drained, after.Host)
	case before.Drained && !after.Drained:
		c.Undrained = append(c.Undrained, after.Host)
	}
	if before.Endpoint != after.Endpoint || before.Note != after.Note {
		c.Altered = append(c.Altered, Alteration{before, after})
	}
}

// Empty reports whether nothing differs.
func (c *ServiceChange) Empty() bool {
	return len(c.Added) == 0 && len(c.Removed) == 0 && len(c.Drained) == 0 && len(c.Undrained) == 0 &&
		len(c.Altered) == 0 && len(c.Configured) == 0 && len(c.Unconfigured) == 0
}
