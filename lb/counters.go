package lb

// Counters are totals of what a policy did.
type Counters struct {
	EjectedDead       uint64 // hosts whose connects failed
	EjectedRate       uint64 // hosts whose calls failed, more than those of the others
	EjectedShare      uint64 // hosts of which a share of the calls failed
	EjectedRow        uint64 // hosts that failed so many calls in a row
	EjectedWindow     uint64 // hosts that failed most calls of a window
	ProbesOK          uint64 // by answer
	ProbesRefused     uint64
	ProbesSilent      uint64
	SuspicionsCleared uint64 // by a call, before a probe was answered
	Trials            uint64 // times that calls were let through to test an ejected host
	PanicPicks        uint64 // while no host was in rotation
	ShedPicks         uint64 // refused for the sake of the other hosts
	RemotePicks       uint64 // of hosts outside the zone
	Forgotten         uint64 // calls that were never reported

	// Of a balancer that answers nobody, beside this one.
	ShadowEjected    uint64 // hosts
	ShadowReinstated uint64 // hosts
	ShadowPicks      uint64 // picks of hosts that it had ejected
	ShadowProbes     uint64 // probes that it had answered
}

// Plus returns the sums.
func (c Counters) Plus(o Counters) Counters { return c.combine(o, 1) }

// Minus returns the differences. Those below 0 wrap, so that they are right once
// enough is added.
func (c Counters) Minus(o Counters) Counters { return c.combine(o, ^uint64(0)) }

// combine returns c + times x o, modulo 2^64.
func (c Counters) combine(o Counters, times uint64) Counters {
	to, from := c.all(), o.all()
	for i := range to {
		*to[i] += times * *from[i]
	}
	return c
}

// all returns each counter.
func (c *Counters) all() [18]*uint64 {
	return [...]*uint64{
		&c.EjectedDead, &c.EjectedRate, &c.EjectedShare, &c.EjectedRow, &c.EjectedWindow,
		&c.ProbesOK, &c.ProbesRefused, &c.ProbesSilent, &c.SuspicionsCleared, &c.Trials,
		&c.PanicPicks, &c.ShedPicks, &c.RemotePicks, &c.Forgotten,
		&c.ShadowEjected, &c.ShadowReinstated, &c.ShadowPicks, &c.ShadowProbes,
	}
}
