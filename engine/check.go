package engine

import (
	"errors"
	"fmt"

	"lars.internal/lb"
)

// Check returns an error if the lists and counts of the engine contradict each
// other. It is for tests; no service may be added or evicted meanwhile.
func (e *Engine) Check() error {
	total := 0
	for i := range e.shards {
		sh := &e.shards[i]
		sh.mu.Lock()
		err := e.checkShard(sh)
		total += len(sh.services)
		sh.mu.Unlock()
		if err != nil {
			return err
		}
	}
	if n := e.Len(); n != total || e.known.Load() > int64(e.cfg.MaxServices) || e.empty.Load() > e.maxEmpty {
		return fmt.Errorf("engine: %d services, counted %d; %d with hosts of %d, %d without of %d",
			total, n, e.known.Load(), e.cfg.MaxServices, e.empty.Load(), e.maxEmpty)
	}
	return nil
}

func (e *Engine) checkShard(sh *shard) error {
	if err := errors.Join(sh.known.check(true), sh.empty.check(false)); err != nil {
		return err
	}
	if sh.known.len+sh.empty.len != len(sh.services) {
		return fmt.Errorf("engine: %d services, %d and %d in the lists", len(sh.services), sh.known.len, sh.empty.len)
	}
	if err := sh.agenda.check(sh); err != nil {
		return err
	}
	for key, s := range sh.services {
		if s.key != key || e.shardOf(key) != sh {
			return fmt.Errorf("engine: service %v is at the place of %v", s.key, key)
		}
		if (s.balancer == nil) != (len(s.route.Hosts) == 0) || (s.account == nil) != (s.balancer == nil) {
			return fmt.Errorf("engine: service %v: %d hosts, balancer %v, account %v", key, len(s.route.Hosts), s.balancer, s.account)
		}
	}
	return nil
}

// check walks the list both ways. Its services have hosts, or all have none.
func (l *list) check(hosts bool) error {
	forth, back := 0, 0
	for s := l.first; s != nil; s = s.next {
		forth++
		if s.next != nil && s.next.used < s.used {
			return fmt.Errorf("engine: service %v is in the list before %v, which was used earlier", s.key, s.next.key)
		}
		if (s.balancer != nil) != hosts {
			return fmt.Errorf("engine: service %v with %d hosts is in the other list", s.key, len(s.route.Hosts))
		}
	}
	for s := l.last; s != nil; s = s.prev {
		back++
	}
	if forth != l.len || back != l.len {
		return fmt.Errorf("engine: list: %d forth, %d back, counted %d", forth, back, l.len)
	}
	return nil
}

// check finds each service with hosts where its due says, and nothing else.
func (a *agenda) check(sh *shard) error {
	forth, back := 0, 0
	for s := a.first; s != nil; s = s.place.next {
		forth++
		if s.place.due != soon || s.balancer == nil || sh.services[s.key] != s {
			return fmt.Errorf("engine: service %v, due %v, balancer %v, is to be ticked soon", s.key, s.place.due, s.balancer)
		}
	}
	for s := a.last; s != nil; s = s.place.prev {
		back++
	}
	for i, s := range a.later {
		if s.place.at != i || s.place.due < a.later[0].place.due || s.balancer == nil || sh.services[s.key] != s {
			return fmt.Errorf("engine: service %v, due %v, balancer %v, is to be ticked later", s.key, s.place.due, s.balancer)
		}
	}
	scheduled := 0
	for _, s := range sh.services {
		if s.place.due != lb.Never {
			scheduled++
		}
	}
	if forth != a.len || back != a.len || scheduled != a.len+len(a.later) {
		return fmt.Errorf("engine: agenda: %d forth, %d back, counted %d; %d later; %d scheduled", forth, back, a.len, len(a.later), scheduled)
	}
	return nil
}
