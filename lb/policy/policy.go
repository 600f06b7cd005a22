// Package policy says which balancer a service gets, and with which
// configuration: what a machine has by default, and what the settings of the
// service change.
//
//	cfg := policy.DefaultConfig()                  // of the machine
//	own, errs := cfg.With(settings)                // of a service
//	b = own.Renew(b, seed, now)                    // nil at first
//	err := policy.Check("evidence", "40")          // before a setting is stored
//
// It is pure: no I/O, no log, no clock. A Config may be read from any goroutine
// while nobody writes it.
package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"lars.internal/lb"
	"lars.internal/lb/adaptive"
	"lars.internal/lb/classic"
	"lars.internal/lb/shadow"
)

// The names of the policies.
const (
	Classic  = "classic"  // package classic: the original's, step by step
	Adaptive = "adaptive" // package adaptive
)

// Names returns the names of the policies.
func Names() []string { return []string{Classic, Adaptive} }

// Config is what a service gets. The zero value is not valid: start from
// DefaultConfig.
type Config struct {
	// Policy [policy] is the name of the balancer.
	Policy string

	// Shadow is the policy of a second balancer that looks on, beside a
	// balancer of the other policy. Empty, the default: none.
	Shadow string

	// Classic is the configuration of policy classic. No setting changes it.
	Classic classic.Config

	// Adaptive is the configuration of policy adaptive. Its keys are settings,
	// except for those that belong to a machine.
	Adaptive adaptive.Config

	// UpdateTimeout [update_timeout] is the age at which a route is pulled
	// again, 1 s to 24 h. Default 15 s. Shorter: more requests.
	UpdateTimeout time.Duration
}

// DefaultConfig returns the Config in which each value has its default.
func DefaultConfig() Config {
	return Config{
		Policy:        Adaptive,
		Classic:       classic.DefaultConfig(),
		Adaptive:      adaptive.DefaultConfig(),
		UpdateTimeout: 15 * time.Second,
	}
}

// Validate returns an error that names the first key whose value makes no
// sense, and the values that do.
func (c *Config) Validate() error {
	if !slices.Contains(Names(), c.Policy) {
		return fmt.Errorf("policy: policy = %q: want one of %s", c.Policy, strings.Join(Names(), ", "))
	}
	if c.Shadow != "" && !slices.Contains(Names(), c.Shadow) {
		return fmt.Errorf("policy: shadow = %q: want one of %s, or nothing", c.Shadow, strings.Join(Names(), ", "))
	}
	if err := c.Classic.Validate(); err != nil {
		return err
	}
	return c.Adaptive.Validate()
}

// Renew returns the balancer of a service that has the balancer have, nil for
// none: the same one, reconfigured, if it has the policy, so that the states of
// hosts stay. Else it is the one that looked on, if that has the policy, or a new
// one, without hosts, whose random numbers begin at seed. c must be valid.
func (c *Config) Renew(have lb.Balancer, seed uint64, now time.Duration) lb.Balancer {
	first := c.find(c.Policy, have, seed, now)
	if !c.shadowed() {
		return first
	}
	second := c.find(c.Shadow, have, seed, now)
	if b, ok := have.(*shadow.Balancer); ok && b.First() == first {
		return b // so the second one is that of before, too
	}
	return shadow.New(first, second)
}

// shadowed reports whether a second balancer looks on.
func (c *Config) shadowed() bool { return c.Shadow != "" && c.Shadow != c.Policy }

// OfShadow returns the Config of the balancer that looks on, false if there is none.
func (c *Config) OfShadow() (Config, bool) {
	second := *c
	second.Policy, second.Shadow = c.Shadow, ""
	return second, c.shadowed()
}

// find returns the balancer of a policy among those of have, reconfigured, or a
// new one.
func (c *Config) find(name string, have lb.Balancer, seed uint64, now time.Duration) lb.Balancer {
	all := [2]lb.Balancer{have}
	if b, ok := have.(*shadow.Balancer); ok {
		all = [2]lb.Balancer{b.First(), b.Shadow()}
	}
	for _, b := range all {
		switch b := b.(type) {
		case *adaptive.Balancer:
			if name == Adaptive {
				b.Reconfigure(c.Adaptive, now)
				return b
			}
		case *classic.Balancer:
			if name == Classic {
				return b // no setting changes its configuration
			}
		}
	}
	if name == Adaptive {
		return adaptive.New(c.Adaptive, seed)
	}
	return classic.New(c.Classic, seed)
}
