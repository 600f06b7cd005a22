package adaptive

// rebuild makes the tables that Pick draws from. It is called when the state,
// the weight or the zone of a host has changed.
func (b *Balancer) rebuild() {
	b.rot, b.trials = b.rot[:0], b.trials[:0]
	all, live := b.enter(0)
	b.local = len(b.rot)
	if b.cfg.Zone != "" {
		allRemote, liveRemote := b.enter(remote)
		b.share = chance(b.localShare(all, live))
		all, live = all+allRemote, live+liveRemote
	}
	b.panicky = len(b.rot) == 0 && all > 0
	if b.panicky {
		b.enterAll()
		live = all
	}
	b.halve = uint32(b.cfg.Forget * len(b.rot))
	b.limitLoad(all, live)
	b.keep, b.alias = b.keep[:0], b.alias[:0]
	if b.uneven {
		b.keep, b.alias = b.keep[:len(b.rot)], b.alias[:len(b.rot)]
		b.fill(0, b.local)
		b.fill(b.local, len(b.rot))
	}
}

// enter appends the hosts in rotation that are in this zone, or remote, and
// returns the weight of all hosts there and of those in rotation.
func (b *Balancer) enter(where flags) (all, live float64) {
	for i := range b.hosts {
		h := &b.hosts[i]
		if h.flags&remote != where || h.drained() {
			continue
		}
		all += h.weight()
		switch h.state {
		case trial:
			b.trials = append(b.trials, int32(i))
		case up:
			live += h.weight()
			b.rot = append(b.rot, int32(i))
		}
	}
	return all, live
}

// localShare returns the share of the picks that stay local: all, until the
// live local hosts would get more than Overprovision times their share.
func (b *Balancer) localShare(all, live float64) float64 {
	switch {
	case b.local == 0:
		return 0
	case b.local == len(b.rot):
		return 1
	}
	return min(1, b.cfg.Overprovision*live/all)
}

// enterAll fills the table when no host is in rotation: with the ejected hosts
// that take connections, else with all. A call is a better test than none.
func (b *Balancer) enterAll() {
	for pass := 0; len(b.rot) == 0; pass++ {
		for i := range b.hosts {
			if !b.hosts[i].drained() && (pass > 0 || b.coldOf(int32(i)).reason != dead) {
				b.rot = append(b.rot, int32(i))
			}
		}
	}
	b.local = len(b.rot)
}
