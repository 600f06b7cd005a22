package adaptive

import "time"

// Reconfigure replaces the configuration by cfg, which must be valid. What is
// known of the hosts stays: what is ejected is not judged anew, and what is
// weighed is compared with the new limits at the next failure.
func (b *Balancer) Reconfigure(cfg Config, now time.Duration) {
	b.seen = now
	probes, doubt, waiting := cfg.Probe && !b.cfg.Probe, b.doubt, len(b.base)
	b.cfg, b.doubt = cfg, uint8(cfg.Doubtful)
	b.up, b.down = cfg.steps()
	for i := range b.hosts {
		h := &b.hosts[i]
		h.nextCheck = 0
		b.locate(int32(i))
		b.doubtAnew(int32(i), doubt, now)
		if probes && !h.has(trusted) {
			b.base = append(b.base, b.ids[i])
		}
	}
	b.rebuild()
	b.baseProbes(len(b.base)-waiting, now)
}

// doubtAnew makes a host that became doubtful by the new limit wait for its test
// as if its last call had failed now.
func (b *Balancer) doubtAnew(i int32, before uint8, now time.Duration) {
	h := &b.hosts[i]
	switch {
	case h.row < b.doubt:
		h.clear(measure)
	case h.state == up && h.row < before:
		c := b.chill(i)
		c.outPicks, c.nextProbe = b.picks, now+firstTest
	}
}
