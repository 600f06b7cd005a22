package client

import (
	"sync"
	"time"

	"lars.internal/call"
	"lars.internal/route"
)

const (
	// maxBudgets bounds the services whose budget is known. A program calls
	// few; one more takes the place of any other, which then starts anew.
	maxBudgets = 10_000

	// shareAge is how long the setting of a service is taken as it is. To ask
	// for it costs a second try one more question to the agent.
	shareAge = 10 * time.Second
)

// budgets holds the budget of each service that DoRetry was called for.
type budgets struct {
	mu       sync.Mutex // guards everything below
	services map[route.Key]*serviceBudget
}

type serviceBudget struct {
	call.Budget
	asked time.Time // when the agent was asked for the setting last; zero: never
}

// ofLocked returns the budget of a service, a new one if there is none.
func (b *budgets) ofLocked(key route.Key) *serviceBudget {
	if s := b.services[key]; s != nil {
		return s
	}
	for other := range b.services {
		if len(b.services) < maxBudgets {
			break
		}
		delete(b.services, other)
	}
	s := &serviceBudget{Budget: call.NewBudget(call.DefaultShare)}
	if b.services == nil {
		b.services = make(map[route.Key]*serviceBudget)
	}
	b.services[key] = s
	return s
}

func (b *budgets) earn(key route.Key) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ofLocked(key).Earn()
}

func (b *budgets) take(key route.Key) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ofLocked(key).Take()
}

func (b *budgets) giveBack(key route.Key) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ofLocked(key).GiveBack()
}

func (b *budgets) setShare(key route.Key, share float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ofLocked(key).SetShare(share)
}

// isDue reports whether the setting of a service is to be asked for. The caller
// that gets true does so; others go on with what is known.
func (b *budgets) isDue(key route.Key, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.ofLocked(key)
	if !s.asked.IsZero() && now.Sub(s.asked) < shareAge {
		return false
	}
	s.asked = now
	return true
}
