package engine

import "fmt"

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
	if n := e.Len(); n != total || n > e.cfg.MaxServices {
		return fmt.Errorf("engine: %d services, counted %d, allowed %d", total, n, e.cfg.MaxServices)
	}
	return nil
}

func (e *Engine) checkShard(sh *shard) error {
	if err := sh.asked.check(); err != nil {
		return err
	}
	if sh.asked.len != len(sh.services) {
		return fmt.Errorf("engine: %d services, %d in the list", len(sh.services), sh.asked.len)
	}
	for key, s := range sh.services {
		if s.key != key || e.shardOf(key) != sh {
			return fmt.Errorf("engine: service %v is at the place of %v", s.key, key)
		}
		if (s.balancer == nil) != (len(s.hosts) == 0) || (s.account == nil) != (s.balancer == nil) {
			return fmt.Errorf("engine: service %v: %d hosts, balancer %v, account %v", key, len(s.hosts), s.balancer, s.account)
		}
	}
	return nil
}

// check walks the list both ways.
func (l *list) check() error {
	forth, back := 0, 0
	for s := l.first; s != nil; s = s.next {
		forth++
		if s.next != nil && s.next.asked < s.asked {
			return fmt.Errorf("engine: service %v is in the list before %v, which was asked for earlier", s.key, s.next.key)
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
