package client

import (
	"sync"

	"lars.internal/call"
	"lars.internal/route"
)

// maxBudgets bounds the services whose budget is known. A program calls few; one
// more takes the place of any other, which then starts anew.
const maxBudgets = 10_000

// budgets holds the budget of each service that DoRetry was called for.
type budgets struct {
	mu       sync.Mutex // guards everything below
	services map[route.Key]*call.Budget
}

// ofLocked returns the budget of a service, a new one if there is none.
func (b *budgets) ofLocked(key route.Key) *call.Budget {
	if s := b.services[key]; s != nil {
		return s
	}
	for other := range b.services {
		if len(b.services) < maxBudgets {
			break
		}
		delete(b.services, other)
	}
	budget := call.NewBudget(call.DefaultShare)
	if b.services == nil {
		b.services = make(map[route.Key]*call.Budget)
	}
	b.services[key] = &budget
	return &budget
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
