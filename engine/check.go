package engine

import (
	"errors"
	"fmt"
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
