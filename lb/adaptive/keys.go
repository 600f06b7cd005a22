package adaptive

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// maxTime bounds the times of Config far below the 24 days at which the
// difference of two times of 32 bits becomes ambiguous.
const maxTime = 24 * time.Hour

// maxProbeTime bounds the time of a probe: few are under way at a time, so those
// without an answer keep the others waiting.
const maxProbeTime = 10 * time.Second

// maxZone is the length of a zone's name in bytes, as in routes.
const maxZone = 32

// fields are the keys of Config, in the order of its declaration.
var fields = []struct {
	key string
	of  func(*Config) field
}{
	{"probe", func(c *Config) field { return probeField{&c.Probe} }},
	{"probe_interval", func(c *Config) field { return timeField{&c.ProbeInterval, 10 * time.Millisecond, maxTime} }},
	{"probe_timeout", func(c *Config) field { return timeField{&c.ProbeTimeout, time.Millisecond, maxProbeTime} }},
	{"stall_min", func(c *Config) field { return timeField{&c.StallMin, time.Millisecond, maxTime} }},
	{"evidence", func(c *Config) field { return numberField{&c.Evidence, 1, 1000} }},
	{"granted_error_rate", func(c *Config) field { return numberField{&c.GrantedErrorRate, 0.0001, 0.5} }},
	{"bad_error_rate", func(c *Config) field { return numberField{&c.BadErrorRate, 0.001, 0.99} }},
	{"max_ejected", func(c *Config) field { return numberField{&c.MaxEjected, 0, 1} }},
	{"doubtful", func(c *Config) field { return countField{&c.Doubtful, 1, 250} }},
	{"test_every", func(c *Config) field { return countField{&c.TestEvery, 1, 1_000_000} }},
	{"ramp", func(c *Config) field { return timeField{&c.Ramp, time.Millisecond, maxTime} }},
	{"ramp_min", func(c *Config) field { return numberField{&c.RampMin, 0.001, 1} }},
	{"latency_memory", func(c *Config) field { return timeField{&c.LatencyMemory, time.Millisecond, maxTime} }},
	{"forget", func(c *Config) field { return countField{&c.Forget, 1, 10_000} }},
	{"load_limit", func(c *Config) field { return limitField{numberField{&c.LoadLimit, 1, 1000}} }},
	{"distress", func(c *Config) field { return numberField{&c.Distress, 0, 1} }},
	{"overprovision", func(c *Config) field { return numberField{&c.Overprovision, 1, 1000} }},
	{"zone", func(c *Config) field { return zoneField{&c.Zone} }},
}

// Keys returns the keys of Config, in the order of its declaration.
func Keys() []string {
	keys := make([]string, len(fields))
	for i := range fields {
		keys[i] = fields[i].key
	}
	return keys
}

// Set sets a key to a value as people write it, 150ms, 0.01 or off; a time
// without a unit is in seconds. The error names the key and the values that it
// can have; then Config is as before.
func (c *Config) Set(key, value string) error {
	for i := range fields {
		if fields[i].key != key {
			continue
		}
		next := *c
		if f := fields[i].of(&next); !f.set(value) || !f.valid() {
			return fmt.Errorf("adaptive: %s = %s: want %s", key, value, f.want())
		}
		*c = next
		return nil
	}
	return fmt.Errorf("adaptive: unknown key %q: want one of %s", key, strings.Join(Keys(), ", "))
}

// Value returns the value of a key as Set takes it, false if there is no such
// key.
func (c Config) Value(key string) (string, bool) {
	for i := range fields {
		if fields[i].key == key {
			return fields[i].of(&c).String(), true
		}
	}
	return "", false
}

// Validate returns an error that names the first key whose value makes no
// sense, and the values that do.
func (c Config) Validate() error {
	for i := range fields {
		if f := fields[i].of(&c); !f.valid() {
			return fmt.Errorf("adaptive: %s = %s: want %s", fields[i].key, f, f.want())
		}
	}
	if c.BadErrorRate <= c.GrantedErrorRate {
		return fmt.Errorf("adaptive: bad_error_rate = %v: want more than granted_error_rate, which is %v", c.BadErrorRate, c.GrantedErrorRate)
	}
	return nil
}

// field is one value of a Config.
type field interface {
	set(text string) bool
	valid() bool
	want() string
	String() string
}

type probeField struct{ on *bool }

func (f probeField) set(text string) bool {
	*f.on = text == "tcp"
	return text == "tcp" || text == "off"
}

func (f probeField) valid() bool  { return true }
func (f probeField) want() string { return "tcp or off" }

// String returns the value as Set takes it.
func (f probeField) String() string {
	if *f.on {
		return "tcp"
	}
	return "off"
}

type timeField struct {
	d         *time.Duration
	low, high time.Duration
}

func (f timeField) set(text string) (ok bool) {
	if n, err := strconv.ParseInt(text, 10, 32); err == nil {
		*f.d = time.Duration(n) * time.Second
		return true
	}
	d, err := time.ParseDuration(text)
	*f.d = d
	return err == nil
}

func (f timeField) valid() bool { return *f.d >= f.low && *f.d <= f.high }

func (f timeField) want() string {
	return fmt.Sprintf("seconds or a time like 100ms, from %s to %s", short(f.low), short(f.high))
}

// String returns the value as Set takes it.
func (f timeField) String() string { return short(*f.d) }

// short writes a time without the zeros of 1m0s and 24h0m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

type countField struct {
	n         *int
	low, high int
}

func (f countField) set(text string) (ok bool) {
	n, err := strconv.Atoi(text)
	*f.n = n
	return err == nil
}

func (f countField) valid() bool { return *f.n >= f.low && *f.n <= f.high }

func (f countField) want() string {
	return fmt.Sprintf("an integer from %d to %d", f.low, f.high)
}

// String returns the value as Set takes it.
func (f countField) String() string { return strconv.Itoa(*f.n) }

type numberField struct {
	x         *float64
	low, high float64
}

func (f numberField) set(text string) (ok bool) {
	x, err := strconv.ParseFloat(text, 64)
	*f.x = x
	return err == nil
}

// valid is written so that it refuses NaN, which compares false.
func (f numberField) valid() bool { return *f.x >= f.low && *f.x <= f.high }

func (f numberField) want() string {
	return fmt.Sprintf("a number from %v to %v", f.low, f.high)
}

// String returns the value as Set takes it.
func (f numberField) String() string { return strconv.FormatFloat(*f.x, 'g', -1, 64) }

// limitField is a limit that 0 turns off.
type limitField struct{ numberField }

func (f limitField) valid() bool  { return *f.x == 0 || f.numberField.valid() }
func (f limitField) want() string { return "0 or " + f.numberField.want() }

type zoneField struct{ name *string }

func (f zoneField) set(text string) bool {
	*f.name = text
	return true
}

// valid refuses what a name cannot have in a table or a log.
func (f zoneField) valid() bool {
	return len(*f.name) <= maxZone && strings.IndexFunc(*f.name, func(r rune) bool {
		return r <= ' ' || r > '~'
	}) < 0
}

func (f zoneField) want() string {
	return fmt.Sprintf("at most %d characters of ASCII without spaces", maxZone)
}

// String returns the value as Set takes it.
func (f zoneField) String() string { return *f.name }

// steps returns the steps of the CUSUM.
func (c *Config) steps() (up, down uint16) {
	return units(math.Log(c.BadErrorRate / c.GrantedErrorRate)), units(math.Log((1 - c.GrantedErrorRate) / (1 - c.BadErrorRate)))
}
