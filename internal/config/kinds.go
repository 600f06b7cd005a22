package config

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Range is the span of values that a number may have, both ends included. The
// zero Range allows every value.
type Range[T cmp.Ordered] struct{ lo, hi T }

// Between returns the range lo..hi. Floats are written as such:
// Between(0.0, 1.0).
func Between[T cmp.Ordered](lo, hi T) Range[T] { return Range[T]{lo, hi} }

func (r Range[T]) has(v T) bool { return r == Range[T]{} || r.lo <= v && v <= r.hi }

func (r Range[T]) describe(what string, format func(T) string) string {
	if r == (Range[T]{}) {
		return what
	}
	return what + " " + format(r.lo) + ".." + format(r.hi)
}

// kind is what all keys of one type share.
type kind[T any] struct {
	name   string
	want   string
	parse  func(text string) (T, bool)
	format func(T) string
}

// bind declares a key and puts its default into p.
func bind[T any](s *Set, p *T, section, name string, def T, k kind[T], doc string) {
	*p = def
	s.add(&entry{
		Key: Key{section, name, k.name, k.want, k.format(def), doc},
		assign: func(text string) bool {
			v, ok := k.parse(text)
			if ok {
				*p = v
			}
			return ok
		},
		canonical: func(text string) (string, bool) {
			v, ok := k.parse(text)
			return k.format(v), ok
		},
	})
}

// Int declares a key that holds a decimal integer.
func (s *Set) Int(p *int, section, name string, def int, r Range[int], doc string) {
	bind(s, p, section, name, def, kind[int]{
		name: "int",
		want: r.describe("an integer", strconv.Itoa),
		parse: func(text string) (int, bool) {
			v, err := strconv.Atoi(text)
			return v, err == nil && r.has(v)
		},
		format: strconv.Itoa,
	}, doc)
}

// Float declares a key that holds a finite number.
func (s *Set) Float(p *float64, section, name string, def float64, r Range[float64], doc string) {
	bind(s, p, section, name, def, kind[float64]{
		name: "float",
		want: r.describe("a number", formatFloat),
		parse: func(text string) (float64, bool) {
			v, err := strconv.ParseFloat(text, 64)
			return v, err == nil && !math.IsNaN(v) && !math.IsInf(v, 0) && r.has(v)
		},
		format: formatFloat,
	}, doc)
}

func formatFloat(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// Bool declares a key that holds true or false; yes, no, on, off, 1 and 0 in
// any case are taken too.
func (s *Set) Bool(p *bool, section, name string, def bool, doc string) {
	bind(s, p, section, name, def, kind[bool]{
		name:   "bool",
		want:   "true or false",
		parse:  parseBool,
		format: strconv.FormatBool,
	}, doc)
}

func parseBool(text string) (value, ok bool) {
	switch strings.ToLower(text) {
	case "true", "yes", "on", "1":
		return true, true
	case "false", "no", "off", "0":
		return false, true
	}
	return false, false
}

// String declares a key that holds any text, the empty one included.
func (s *Set) String(p *string, section, name, def, doc string) {
	bind(s, p, section, name, def, kind[string]{
		name:   "string",
		want:   "a text",
		parse:  func(text string) (string, bool) { return text, true },
		format: func(v string) string { return v },
	}, doc)
}

// Choice declares a key that holds one of a few words. An empty value is allowed
// if the default is that too.
func (s *Set) Choice(p *string, section, name, def string, choices []string, doc string) {
	choices = slices.Clone(choices)
	want := "one of " + strings.Join(choices, ", ")
	if def == "" {
		want += ", or nothing"
	}
	bind(s, p, section, name, def, kind[string]{
		name: "choice",
		want: want,
		parse: func(text string) (string, bool) {
			return text, slices.Contains(choices, text) || text == "" && def == ""
		},
		format: func(v string) string { return v },
	}, doc)
}

// Duration declares a key that holds a span of time: a bare integer is seconds,
// as in the original's files, else the form of time.ParseDuration, 100ms.
func (s *Set) Duration(p *time.Duration, section, name string, def time.Duration, r Range[time.Duration], doc string) {
	bind(s, p, section, name, def, kind[time.Duration]{
		name: "duration",
		want: r.describe("seconds or a duration like 100ms,", formatDuration),
		parse: func(text string) (time.Duration, bool) {
			v, ok := parseDuration(text)
			return v, ok && r.has(v)
		},
		format: formatDuration,
	}, doc)
}

func parseDuration(text string) (time.Duration, bool) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		const limit = int64(math.MaxInt64 / time.Second)
		return time.Duration(n) * time.Second, -limit <= n && n <= limit
	}
	d, err := time.ParseDuration(text)
	return d, err == nil
}

// formatDuration drops the zeros of 1m0s and 1h0m0s.
func formatDuration(d time.Duration) string {
	text := d.String()
	if short, ok := strings.CutSuffix(text, "m0s"); ok {
		text = short + "m"
	}
	if short, ok := strings.CutSuffix(text, "h0m"); ok {
		text = short + "h"
	}
	return text
}

// Strings declares a key that holds a list of words, separated by commas or blanks.
func (s *Set) Strings(p *[]string, section, name string, def []string, doc string) {
	bindList(s, p, section, name, def, "list", "words separated by commas",
		func(text string) (string, bool) { return text, true },
		func(v string) string { return v }, doc)
}

// Addr declares a key that holds an IPv4 address; localhost is 127.0.0.1. An
// empty value is the zero Addr and allowed if the default is that too.
func (s *Set) Addr(p *netip.Addr, section, name string, def netip.Addr, doc string) {
	k := kind[netip.Addr]{name: "addr", want: "an IPv4 address or localhost", parse: parseAddr, format: formatAddr}
	if !def.IsValid() {
		k.want = "an IPv4 address, localhost or nothing"
		k.parse = func(text string) (netip.Addr, bool) {
			if text == "" {
				return netip.Addr{}, true
			}
			return parseAddr(text)
		}
	}
	bind(s, p, section, name, def, k, doc)
}

func parseAddr(text string) (netip.Addr, bool) {
	if text == "localhost" {
		text = "127.0.0.1"
	}
	a, err := netip.ParseAddr(text)
	return a, err == nil && a.Is4()
}

func formatAddr(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// HostPorts declares a key that holds a list of HOST:PORT, separated by commas or
// blanks: a host is a name or an IPv4 address, a port is 1..65535.
func (s *Set) HostPorts(p *[]string, section, name string, def []string, doc string) {
	bindList(s, p, section, name, def, "addrs", "HOST:PORT with a name or an IPv4 address, more of them separated by commas",
		parseHostPort, func(v string) string { return v }, doc)
}

func parseHostPort(text string) (string, bool) {
	host, port, _ := strings.Cut(text, ":")
	n, err := strconv.ParseUint(port, 10, 16)
	return text, isHost(host) && err == nil && n > 0
}

// isHost reports whether a text is an IPv4 address or a host name (RFC 1123,
// and the underscore that many use).
func isHost(text string) bool {
	if strings.Trim(text, "0123456789.") == "" { // no top-level domain is a number
		a, err := netip.ParseAddr(text)
		return err == nil && a.Is4()
	}
	if len(text) > 253 {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(text, "."), ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || strings.Trim(label, hostLetters) != "" {
			return false
		}
	}
	return true
}

const hostLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

// Prefixes declares a key that holds a list of networks, 10.0.0.0/8, or single
// addresses, separated by commas or blanks; IPv6 is taken too.
func (s *Set) Prefixes(p *[]netip.Prefix, section, name string, def []netip.Prefix, doc string) {
	bindList(s, p, section, name, def, "networks", "networks like 10.0.0.0/8 separated by commas",
		parsePrefix, netip.Prefix.String, doc)
}

// parsePrefix refuses 10.1.2.3/8: the writer meant either the network or the host.
func parsePrefix(text string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(text)
	return p, err == nil && p == p.Masked()
}

// bindList declares a key whose value is a list of elements.
func bindList[T any](s *Set, p *[]T, section, name string, def []T, kindName, want string,
	parse func(string) (T, bool), format func(T) string, doc string) {
	bind(s, p, section, name, slices.Clone(def), kind[[]T]{
		name:   kindName,
		want:   want,
		parse:  func(text string) ([]T, bool) { return parseList(text, parse) },
		format: func(list []T) string { return formatList(list, format) },
	}, doc)
}

func parseList[T any](text string, parse func(string) (T, bool)) ([]T, bool) {
	var list []T
	for _, field := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(", \t", r) }) {
		v, ok := parse(field)
		if !ok {
			return nil, false
		}
		list = append(list, v)
	}
	return list, true
}

func formatList[T any](list []T, format func(T) string) string {
	texts := make([]string, len(list))
	for i, v := range list {
		texts[i] = format(v)
	}
	return strings.Join(texts, ", ")
}
