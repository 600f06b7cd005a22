package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// CheckShipped is for tests: it reports how a configuration file that is
// shipped as documentation differs from the set. The file has to hold every key
// once, directly below a comment, with the default as its value, and nothing
// else. The error has a line for each difference.
func (s *Set) CheckShipped(path string) error {
	text, err := readText(path)
	if err != nil {
		return err
	}
	raw := strings.Split(text, "\n")
	var errs []error
	var keys []string
	section := ""
	scan(text, func(l line, err error) {
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("%s:%d: %w", path, l.number, err))
		case l.heading != "":
			section = l.heading
		default:
			keys = append(keys, section+"."+l.name)
			if err := s.checkShippedKey(section, l, raw); err != nil {
				errs = append(errs, fmt.Errorf("%s:%d: [%s] %s: %w", path, l.number, section, l.name, err))
			}
		}
	})
	return errors.Join(append(errs, s.checkComplete(path, keys))...)
}

func (s *Set) checkShippedKey(section string, l line, raw []string) error {
	e := s.byName[section+"."+l.name]
	if e == nil {
		return fmt.Errorf("%s does not take it", s.name)
	}
	if above := l.number - 2; above < 0 || !strings.HasPrefix(strings.TrimSpace(raw[above]), ";") {
		return errors.New("no comment above it")
	}
	if got, ok := e.canonical(l.value); !ok || got != e.Default {
		return fmt.Errorf("got %q, want the default %q", got, e.Default)
	}
	return nil
}

func (s *Set) checkComplete(path string, keys []string) error {
	var errs []error
	for _, e := range s.entries {
		if !slices.Contains(keys, e.Flag()) {
			errs = append(errs, fmt.Errorf("%s: %v is missing", path, e.Key))
		}
	}
	return errors.Join(errs...)
}
