package agent

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"lars.internal/engine"
	"lars.internal/lb"
	"lars.internal/lb/adaptive"
	"lars.internal/lb/classic"
	"lars.internal/route"
)

// policies are the names of the balancers that an agent constructs.
var policies = []string{"classic", "adaptive"}

// Policies returns the values that Config.Policy may have.
func Policies() []string { return slices.Clone(policies) }

// newEngine returns an engine whose balancers begin with random numbers of their
// own: different ones for each agent and service, so that the agents of a fleet
// that starts do not all call the same hosts first. cfg must be valid.
func newEngine(cfg *Config) *engine.Engine {
	seed, policy, balance := rand.Uint64(), cfg.Policy, cfg.Balance
	return engine.New(engine.Config{
		UpdateTimeout: cfg.UpdateTimeout,
		MaxServices:   cfg.MaxServices,
		KeepEmptied:   cfg.KeepEmptied,
		NewBalancer: func(key route.Key, _ []route.Setting, have lb.Balancer, _ time.Duration) lb.Balancer {
			if have != nil {
				return have
			}
			begin := rand.New(rand.NewPCG(seed, key.Hash())).Uint64()
			if policy == "adaptive" {
				return adaptive.New(adaptive.DefaultConfig(), begin)
			}
			return classic.New(balance, begin)
		},
	})
}

// validateBalance returns an error for a policy that does not exist or whose
// configuration makes no sense.
func (c *Config) validateBalance() error {
	if !slices.Contains(policies, c.Policy) {
		return fmt.Errorf("agent: policy %q: want one of: %s", c.Policy, strings.Join(policies, ", "))
	}
	if err := c.Balance.Validate(); err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	return nil
}
