package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// envPrefix begins the names of all variables that Lars reads.
const envPrefix = "LARS_"

// testPrefix begins names that are left to the tests of Lars.
const testPrefix = "LARS_TEST_"

// KnowAlso names variables that other programs of Lars take, so that one file of
// variables serves all of them. Load ignores these and refuses any other LARS_ name.
func (s *Set) KnowAlso(names ...string) {
	for _, name := range names {
		s.siblings[name] = true
	}
}

// loadEnviron gives the keys the values of their variables. Of two variables with one
// name the later one wins, as for the C library's setenv.
func (s *Set) loadEnviron(environ []string, found *findings) {
	values := make(map[string]string)
	for _, pair := range environ {
		if name, text, ok := strings.Cut(pair, "="); ok && text != "" && strings.HasPrefix(name, envPrefix) {
			values[name] = text
		}
	}
	var links []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		text, e := values[name], s.byEnv[name]
		switch {
		case isServiceLink(name, text, e != nil || s.siblings[name]):
			links = append(links, name)
		case e != nil:
			e.give(text, name, fromEnviron, found)
		case !s.siblings[name] && !strings.HasPrefix(name, testPrefix):
			found.add("%s: unknown variable, %s", name, suggest(name, s.knownNames()))
		}
	}
	if len(links) > 0 {
		s.warn("ignored %d variables that Kubernetes sets for its services, %s among them; enableServiceLinks: false leaves them out",
			len(links), links[0])
	}
}

func (s *Set) knownNames() []string {
	names := slices.Collect(maps.Keys(s.byEnv))
	names = slices.AppendSeq(names, maps.Keys(s.siblings))
	slices.Sort(names)
	return slices.Compact(names)
}

// Names and values of the variables that Kubernetes sets in a container for each
// service of its namespace, so for a service named lars-agent: LARS_AGENT_PORT=tcp://...,
// LARS_AGENT_SERVICE_HOST and more.
var (
	linkName  = regexp.MustCompile(`_SERVICE_HOST$|_SERVICE_PORT(_.*)?$|_PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)
	linkValue = regexp.MustCompile(`^(tcp|udp|sctp)://`)
)

// isServiceLink reports whether Kubernetes set a variable for a service. A name that
// a key has too is judged by its value alone.
func isServiceLink(name, text string, known bool) bool {
	return linkValue.MatchString(text) || !known && linkName.MatchString(name)
}

func (s *Set) warn(format string, args ...any) {
	s.warnings = append(s.warnings, fmt.Sprintf(format, args...))
}

// Warnings returns what Load found that is no error, a line each. The program logs it.
func (s *Set) Warnings() []string { return slices.Clone(s.warnings) }
