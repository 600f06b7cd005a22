package agent

import (
	"cmp"
	"math/rand/v2"
	"time"

	"lars.internal/engine"
	"lars.internal/lb"
	"lars.internal/lb/adaptive"
	"lars.internal/lb/classic"
	"lars.internal/lb/policy"
	"lars.internal/route"
)

// setPolicyDefaults chooses the policy if none is named: classic where its rules
// were tuned, since their values mean nothing to the other one.
func (c *Config) setPolicyDefaults() {
	c.Balance = cmp.Or(c.Balance, classic.DefaultConfig())
	c.Adaptive = cmp.Or(c.Adaptive, adaptive.DefaultConfig())
	switch {
	case c.Policy != "":
		c.PolicyReason = cmp.Or(c.PolicyReason, "it is named")
	case c.Balance != classic.DefaultConfig():
		c.Policy, c.PolicyReason = policy.Classic, "none is named, and a key of [loadbalance] is not its default"
	default:
		c.Policy, c.PolicyReason = policy.Adaptive, "none is named, and all keys of [loadbalance] but update_timeout are their defaults"
	}
}

// balancing returns what a service without settings gets.
func (c *Config) balancing() policy.Config {
	b := policy.DefaultConfig()
	b.Policy, b.Shadow, b.Classic, b.Adaptive, b.UpdateTimeout = c.Policy, c.Shadow, c.Balance, c.Adaptive, c.UpdateTimeout
	return b
}

// newEngine returns an engine whose balancers begin with random numbers of their
// own: different ones for each agent and service, so that the agents of a fleet
// that starts do not all call the same hosts first. cfg must be valid.
func newEngine(cfg *Config) *engine.Engine {
	seed, base := rand.Uint64(), cfg.balancing()
	return engine.New(engine.Config{
		UpdateTimeout: cfg.UpdateTimeout,
		MaxServices:   cfg.MaxServices,
		KeepEmptied:   cfg.KeepEmptied,
		Epoch:         cfg.epoch,
		NewBalancer: func(key route.Key, settings []route.Setting, have lb.Balancer, now time.Duration) lb.Balancer {
			own, _ := base.With(settings)
			return own.Renew(have, rand.New(rand.NewPCG(seed, key.Hash())).Uint64(), now)
		},
		UpdateTimeoutOf: func(settings []route.Setting) time.Duration {
			own, _ := base.With(settings)
			return own.UpdateTimeout
		},
	})
}
