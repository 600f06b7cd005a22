package adaptive

import (
	"math"
	"time"
)

// shedStep is what is taken off the share of refused picks in a second without
// distress.
const shedStep = math.MaxUint32 / 50

// live counts the outcome of a call to a host in rotation that is not doubtful.
// busy: the host had too much to do, as far as one can see.
func (b *Balancer) live(h *host, busy bool) {
	if h.state != up || h.row >= b.doubt {
		return
	}
	b.ended++
	if busy {
		b.busy++
	}
}

// limitLoad sets the share of the picks that is refused in distress, so that a
// live host gets at most LoadLimit times its share.
func (b *Balancer) limitLoad(all, live float64) {
	b.limit = 0
	if l := b.cfg.LoadLimit; l > 0 && live*l < all {
		b.limit = chance(1 - live*l/all)
	}
	b.shed = min(b.shed, b.limit)
}

// moveShed raises or lowers the share of refused picks, once a second. Without
// distress nothing is refused: nine dead of ten idle hosts are no reason.
func (b *Balancer) moveShed(now time.Duration) {
	if now < b.nextShed {
		return
	}
	b.nextShed = now + time.Second
	if float64(b.busy) > b.cfg.Distress*float64(b.ended) {
		b.shed = b.limit
	} else {
		b.shed -= min(b.shed, shedStep)
	}
	if b.ended > 0 {
		b.lateShare = float32(b.busy) / float32(b.ended)
	}
	b.ended, b.busy = 0, 0
}
