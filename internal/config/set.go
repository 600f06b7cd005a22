package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Key describes one key of a Set: how it is written in each source, what it
// takes and what it means.
type Key struct {
	Section string // as in [reactor]
	Name    string // as in threadNum
	Kind    string // int, float, bool, string, duration, choice, list, addr, addrs, networks, secret
	Want    string // what a value has to be: "an integer 1..256"
	Default string // as a file would write it; "" for an empty one
	Doc     string // what it means, half a sentence
}

// Env returns the environment variable that overrides the key:
// LARS_REACTOR_THREADNUM.
func (k Key) Env() string {
	return "LARS_" + strings.ToUpper(k.Section+"_"+k.Name)
}

// Flag returns the flag that overrides the key, without its dash:
// reactor.threadNum.
func (k Key) Flag() string { return k.Section + "." + k.Name }

// String returns the key as messages write it: [reactor] threadNum.
func (k Key) String() string { return "[" + k.Section + "] " + k.Name }

// entry is a Key with the variable that it fills.
type entry struct {
	Key

	// assign stores what text says and reports whether it was understood.
	assign func(text string) bool

	// canonical writes text as Default is written.
	canonical func(text string) (string, bool)

	from  source // that gave the value last
	place string // and where, as errors write it; "" for the default
	other bool   // the value is another one than the default
}

// Set is the list of keys that one program takes. Make it with NewSet.
type Set struct {
	// Version is what -version prints after the name. Empty: the version that
	// the Go tool stamped into the binary.
	Version string

	name    string // of the program, for help and errors
	entries []*entry
	byName  map[string]*entry // by Flag
	byEnv   map[string]*entry
	aliases map[string]string // section as a file may write it -> section

	secrets  []secretKey
	siblings map[string]bool // variables of other programs of Lars
	warnings []string
	loaded   []func() // of AfterLoad
}

// NewSet returns an empty set for the program of this name.
func NewSet(name string) *Set {
	return &Set{
		name:    name,
		byName:  map[string]*entry{},
		byEnv:   map[string]*entry{},
		aliases: map[string]string{},

		siblings: map[string]bool{},
	}
}

// Name returns the name of the program.
func (s *Set) Name() string { return s.name }

// Alias lets a file write [old] where it means [section]. Environment and
// flags know the section only.
func (s *Set) Alias(old, section string) { s.aliases[old] = section }

// AfterLoad has f called after each load that found nothing wrong: for a
// variable that follows from several keys.
func (s *Set) AfterLoad(f func()) { s.loaded = append(s.loaded, f) }

// Keys returns all keys in the order of their declaration.
func (s *Set) Keys() []Key {
	keys := make([]Key, len(s.entries))
	for i, e := range s.entries {
		keys[i] = e.Key
	}
	return keys
}

// IsSet reports whether a file, the environment or a flag gave this key a
// value, equal to the default or not. It panics for a key that is not in the set.
func (s *Set) IsSet(section, name string) bool {
	e := s.byName[section+"."+name]
	if e == nil {
		panic(fmt.Sprintf("config: IsSet of [%s] %s, which %s does not have", section, name, s.name))
	}
	return e.from != fromDefault
}

// Origin returns where the value of a key comes from, as errors write it,
// FILE:LINE: [section] name, LARS_SECTION_NAME or -section.name; "" for the
// default. changed reports whether the value is another one than the default. A
// secret that is in a file of its own has none. It panics for a key that is not in
// the set.
func (s *Set) Origin(section, name string) (place string, changed bool) {
	e := s.byName[section+"."+name]
	if e == nil {
		panic(fmt.Sprintf("config: Origin of [%s] %s, which %s does not have", section, name, s.name))
	}
	return e.place, e.other
}

// add declares a key. A declaration that cannot work is a mistake in the
// program, so it panics, as package flag does.
func (s *Set) add(e *entry) {
	switch {
	case e.Section == "" || e.Name == "" || e.Doc == "":
		panic(fmt.Sprintf("config: key %v has no section, name or doc", e.Key))
	case s.byEnv[e.Env()] != nil:
		panic(fmt.Sprintf("config: %v and %v share the variable %s", s.byEnv[e.Env()].Key, e.Key, e.Env()))
	}
	if _, ok := e.canonical(e.Default); !ok && e.Default != "" {
		panic(fmt.Sprintf("config: the default of %v is %q, want %s", e.Key, e.Default, e.Want))
	}
	s.entries = append(s.entries, e)
	s.byName[e.Flag()] = e
	s.byEnv[e.Env()] = e
}

// section returns the section that a file means by name, "" if there is none.
func (s *Set) section(name string) string {
	if to, ok := s.aliases[name]; ok {
		name = to
	}
	if slices.Contains(s.sections(), name) {
		return name
	}
	return ""
}

// sections returns the names of all sections in the order of declaration.
func (s *Set) sections() []string {
	var names []string
	for _, e := range s.entries {
		if !slices.Contains(names, e.Section) {
			names = append(names, e.Section)
		}
	}
	return names
}

// names returns the names of the keys of one section, sorted.
func (s *Set) names(section string) []string {
	var names []string
	for _, e := range s.entries {
		if e.Section == section {
			names = append(names, e.Name)
		}
	}
	slices.Sort(names)
	return names
}

// sectionNames returns what a file may write in brackets, sorted.
func (s *Set) sectionNames() []string {
	names := slices.AppendSeq(s.sections(), maps.Keys(s.aliases))
	slices.Sort(names)
	return names
}
