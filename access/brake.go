package access

import (
	"net/netip"
	"time"
)

const (
	// guessBurst is the number of wrong proofs that an address may send at once,
	// so that a typing error does no harm.
	guessBurst = 10

	// guessEvery is the time after which it may send one more. An agent with a
	// wrong secret tries every five seconds at most, so the brake does not keep
	// it out once its secret is set right.
	guessEvery = 3 * time.Second

	// maxBraked bounds how many addresses are remembered. Above it, all others
	// share one allowance.
	maxBraked = 4096
)

// brake limits wrong proofs for each address, so that a secret cannot be
// guessed. Pure; its owner locks it.
type brake struct {
	guesses map[netip.Addr]allowance
}

// allowance is a bucket of guesses that fills up with time.
type allowance struct {
	used float64 // at the time at
	at   time.Time
}

func (a allowance) usedNow(now time.Time) float64 {
	return max(0, a.used-now.Sub(a.at).Seconds()/guessEvery.Seconds())
}

// refuses reports whether an address has used up its guesses.
func (b *brake) refuses(addr netip.Addr, now time.Time) bool {
	a, known := b.guesses[network(addr)]
	if !known && len(b.guesses) >= maxBraked {
		a = b.guesses[netip.Addr{}]
	}
	return a.usedNow(now) > guessBurst-1
}

// wrong counts a wrong proof.
func (b *brake) wrong(addr netip.Addr, now time.Time) {
	key := network(addr)
	if _, known := b.guesses[key]; !known && len(b.guesses) >= maxBraked && !b.forget(now) {
		key = netip.Addr{}
	}
	if b.guesses == nil {
		b.guesses = make(map[netip.Addr]allowance)
	}
	b.guesses[key] = allowance{used: b.guesses[key].usedNow(now) + 1, at: now}
}

// forget drops the addresses whose allowance is full again, and reports whether
// that made room.
func (b *brake) forget(now time.Time) bool {
	for addr, a := range b.guesses {
		if a.usedNow(now) == 0 {
			delete(b.guesses, addr)
		}
	}
	return len(b.guesses) < maxBraked
}

// network returns an IPv4 address itself, and the /64 network of an IPv6
// address, all of which one machine may have.
func network(a netip.Addr) netip.Addr {
	a = a.Unmap()
	if !a.Is6() {
		return a
	}
	p, _ := a.WithZone("").Prefix(64) // fails for a negative or too long prefix only
	return p.Addr()
}
