package agent

import (
	"time"

	"lars.internal/engine"
	"lars.internal/route"
)

// restore fills the engine from the snapshot file, with as many services as it
// may hold. They are as old as the table, so the first request for one pulls
// it.
func (a *Agent) restore() {
	table, _ := a.keeper.Load()
	if table == nil {
		return
	}
	now, age := a.cfg.Clock(), a.keeper.Age()
	a.dns.right.Store(int64(now - age))
	updated := now - max(age, a.cfg.UpdateTimeout+1)
	for key, r := range table.All {
		if a.engine.Full() {
			break
		}
		a.engine.Restore(key, r, updated, now)
		a.checks.note(key, r.Settings)
	}
}

// snapshot returns what the keeper is to keep.
func (a *Agent) snapshot() (*route.Table, time.Time) {
	right := time.Duration(a.dns.right.Load())
	if right == engine.LongAgo {
		return nil, time.Time{}
	}
	asOf := time.Now().Add(right - a.cfg.Clock())
	return route.NewTable(uint64(asOf.Unix()), a.engine.Table()), asOf
}
