package agent

import (
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"lars.internal/lb/policy"
	"lars.internal/route"
)

// settingsCheck tells of settings that this agent does not understand, as those of a
// newer version. They are ignored, and the others of the service apply.
type settingsCheck struct {
	// Immutable after newSettingsCheck.
	base  policy.Config // of a service without settings
	log   *slog.Logger
	clock func() time.Duration
	quota *quota

	bad atomic.Uint64
}

func newSettingsCheck(cfg *Config) *settingsCheck {
	return &settingsCheck{base: cfg.balancing(), log: cfg.Log, clock: cfg.Clock, quota: newQuota()}
}

// of returns what a service with these settings gets.
func (c *settingsCheck) of(settings []route.Setting) policy.Config {
	own, _ := c.base.With(settings)
	return own
}

// note takes the settings that a service has from now on. It may be called from any
// goroutine.
func (c *settingsCheck) note(key route.Key, settings []route.Setting) {
	if len(settings) == 0 {
		return
	}
	_, errs := c.base.With(settings)
	if len(errs) == 0 {
		return
	}
	c.bad.Add(uint64(len(errs)))
	if c.quota.take(c.clock()) {
		c.log.Warn("agent: settings are ignored, the others of the service apply", "service", key, "ignored", len(errs), "reason", errors.Join(errs...))
	}
}
