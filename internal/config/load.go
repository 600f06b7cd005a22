package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ErrUsage is in the chain of an error that a flag caused; the program should
// exit with code 2.
var ErrUsage = errors.New("usage")

// Sources is where the values of a Set come from. The later field overrides
// the earlier one.
type Sources struct {
	// File is the path of an INI file. Empty: none.
	File string

	// Partial skips sections and keys of the file that the set does not have:
	// for a command that needs a few keys of a server's file.
	Partial bool

	// Environ is the environment, as os.Environ returns it. A variable that begins
	// with LARS_ is a key of the set, or known by KnowAlso, or an error. An empty
	// variable counts as none: that is how scripts and container files leave one out.
	Environ []string

	// Flags holds values by Key.Flag.
	Flags map[string]string
}

// Load gives the variables their values. The error has one line for each
// finding, at most ten, and wraps ErrUsage if one was about a flag. After an
// error the variables hold a mixture; do not use them.
func (s *Set) Load(src Sources) error {
	var found findings
	if src.File != "" {
		if err := s.loadFile(src.File, src.Partial, &found); err != nil {
			return fmt.Errorf("read the file of -config: %w", err)
		}
	}
	s.loadEnviron(src.Environ, &found)
	s.loadFlags(src.Flags, &found)
	s.loadSecrets(src, &found)
	if err := found.err(); err != nil {
		return err
	}
	for _, f := range s.loaded {
		f()
	}
	return nil
}

// source is where a value comes from. A later one overrides an earlier one.
type source int

const (
	fromDefault source = iota
	fromCredential
	fromFile
	fromEnviron
	fromFlag
)

// give assigns text to e, or notes that it cannot be at this place.
func (e *entry) give(text, place string, from source, found *findings) {
	e.from, e.place = from, place
	if !e.assign(text) {
		found.add("%s: got %q, want %s", place, text, e.Want)
		return
	}
	value, _ := e.canonical(text)
	e.other = value != e.Default
}

// fileLoad is the state of one walk through a file.
type fileLoad struct {
	set     *Set
	path    string
	partial bool
	found   *findings

	heading string         // last heading read; "" before the first
	section string         // what it means; "" if the set does not have it
	seen    map[*entry]int // line of each key that was given
}

func (s *Set) loadFile(path string, partial bool, found *findings) error {
	text, err := readText(path)
	if err != nil {
		return err
	}
	l := fileLoad{set: s, path: path, partial: partial, found: found, seen: map[*entry]int{}}
	scan(text, l.take)
	return nil
}

func (l *fileLoad) take(ln line, err error) {
	switch {
	case err != nil:
		l.note(ln, "%v", err)
	case ln.heading != "":
		l.enter(ln)
	case l.heading == "":
		l.note(ln, "key %s comes before any section, want [section] above it", ln.name)
	case l.section != "":
		l.assign(ln)
	}
}

func (l *fileLoad) enter(ln line) {
	l.heading, l.section = ln.heading, l.set.section(ln.heading)
	if l.section == "" && !l.partial {
		l.note(ln, "[%s]: unknown section, %s", ln.heading, suggest(ln.heading, l.set.sectionNames()))
	}
}

func (l *fileLoad) assign(ln line) {
	e := l.set.byName[l.section+"."+ln.name]
	switch {
	case e == nil && l.partial:
	case e == nil:
		l.note(ln, "[%s] %s: unknown key, %s", l.heading, ln.name, suggest(ln.name, l.set.names(l.section)))
	case l.seen[e] > 0:
		l.note(ln, "[%s] %s: given before in line %d, want it once", l.heading, ln.name, l.seen[e])
	default:
		l.seen[e] = ln.number
		if e.Kind == "secret" && ln.value == "" && ln.comment {
			l.set.warn("%s:%d: [%s] %s is empty, since what follows is a comment; put a value that begins with # or ; in double quotes",
				l.path, ln.number, l.heading, ln.name)
		}
		e.give(ln.value, fmt.Sprintf("%s:%d: [%s] %s", l.path, ln.number, l.heading, ln.name), fromFile, l.found)
	}
}

func (l *fileLoad) note(ln line, format string, args ...any) {
	l.found.add("%s:%d: %s", l.path, ln.number, fmt.Sprintf(format, args...))
}

// loadFlags goes by the order of the keys, so that findings have one too.
func (s *Set) loadFlags(flags map[string]string, found *findings) {
	before := found.total
	for _, e := range s.entries {
		if text, ok := flags[e.Flag()]; ok {
			e.give(text, "-"+e.Flag(), fromFlag, found)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		if s.byName[name] == nil {
			found.add("-%s: unknown flag", name)
		}
	}
	found.usage = found.total > before
}

// maxFindings is how many lines an error has at most. A file of another kind
// would else scroll the reason off the screen.
const maxFindings = 10

// findings collects what is wrong with the sources.
type findings struct {
	lines []string // the first maxFindings
	total int
	usage bool // a flag is among them
}

func (f *findings) add(format string, args ...any) {
	f.total++
	if f.total <= maxFindings {
		f.lines = append(f.lines, fmt.Sprintf(format, args...))
	}
}

func (f *findings) err() error {
	if f.total == 0 {
		return nil
	}
	lines := slices.Clone(f.lines)
	if more := f.total - len(lines); more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return &loadError{strings.Join(lines, "\n"), f.usage}
}

// loadError is the error of Load.
type loadError struct {
	text  string
	usage bool
}

func (e *loadError) Error() string { return e.text }

// Is lets errors.Is find ErrUsage without its text in every message.
func (e *loadError) Is(target error) bool { return e.usage && target == ErrUsage }
