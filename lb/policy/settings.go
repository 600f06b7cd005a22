package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"lars.internal/call"
	"lars.internal/lb/adaptive"
	"lars.internal/route"
)

// The names of settings that are no keys of package adaptive.
const (
	keyPolicy        = "policy"
	keyUpdateTimeout = "update_timeout"

	// keyRetryBudget is checked here alone: programs read it, see package call.
	keyRetryBudget = call.ShareSetting
)

// Bounds of update_timeout.
const (
	minUpdateTimeout = time.Second
	maxUpdateTimeout = 24 * time.Hour
)

// ofMachine are the keys of package adaptive that no service can have: why not.
var ofMachine = map[string]string{
	"zone":          "it is the zone of a machine, [adaptive] zone of its agent",
	"probe_timeout": "an agent probes an address once for all services; set [adaptive] probe_timeout of the agents",
}

// Keys returns the names that settings of a service may have.
func Keys() []string {
	keys := []string{keyPolicy, keyUpdateTimeout, keyRetryBudget}
	for _, k := range adaptive.Keys() {
		if _, ok := ofMachine[k]; !ok {
			keys = append(keys, k)
		}
	}
	return keys
}

// Check returns an error if a service cannot have this setting. It names the
// setting and what is expected.
func Check(name, value string) error {
	c := DefaultConfig()
	return c.set(name, value)
}

// CheckAll returns an error if a service cannot have these settings together.
func CheckAll(settings []route.Setting) error {
	c := DefaultConfig()
	for _, s := range settings {
		if err := c.set(s.Name, s.Value); err != nil {
			return err
		}
	}
	return c.Validate()
}

// With returns the Config of a service with these settings. A setting that makes
// no sense, by itself or beside the others, is left out and has an error; the rest
// applies.
func (c Config) With(settings []route.Setting) (Config, []error) {
	var errs []error
	own := c
	for _, s := range settings {
		if err := own.set(s.Name, s.Value); err != nil {
			errs = append(errs, err)
		}
	}
	if own.Validate() == nil {
		return own, errs
	}
	return c.withEach(settings)
}

// withEach is With for settings that make no sense together: each is taken that
// is valid beside those before it.
func (c Config) withEach(settings []route.Setting) (Config, []error) {
	var errs []error
	for _, s := range settings {
		next := c
		err := next.set(s.Name, s.Value)
		if err == nil {
			err = next.Validate()
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		c = next
	}
	return c, errs
}

// set gives a key the value that people wrote.
func (c *Config) set(name, value string) error {
	switch name {
	case keyPolicy:
		if !slices.Contains(Names(), value) {
			return fmt.Errorf("policy: policy = %s: want one of %s", value, strings.Join(Names(), ", "))
		}
		c.Policy = value
		return nil
	case keyUpdateTimeout:
		return c.setUpdateTimeout(value)
	case keyRetryBudget:
		if _, err := call.ParseShare(value); err != nil {
			return fmt.Errorf("policy: %s = %w", name, err)
		}
		return nil
	}
	if why, ok := ofMachine[name]; ok {
		return fmt.Errorf("policy: %s is no setting of a service: %s", name, why)
	}
	if !slices.Contains(adaptive.Keys(), name) {
		return fmt.Errorf("policy: unknown setting %q: want one of %s", name, strings.Join(Keys(), ", "))
	}
	return c.Adaptive.Set(name, value)
}

func (c *Config) setUpdateTimeout(value string) error {
	d, err := time.ParseDuration(value)
	if n, notInt := strconv.ParseInt(value, 10, 32); notInt == nil {
		d, err = time.Duration(n)*time.Second, nil
	}
	if err != nil || d < minUpdateTimeout || d > maxUpdateTimeout {
		return fmt.Errorf("policy: update_timeout = %s: want seconds or a time like 15s, from 1s to 24h", value)
	}
	c.UpdateTimeout = d
	return nil
}
