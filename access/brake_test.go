package access

import (
	"net/netip"
	"testing"
	"time"
)

// One address made 7,924 guesses at the secret within three seconds.
func TestFinding49GuessesAreBraked(t *testing.T) {
	now := time.Unix(1000, 0)
	var b brake
	addr, other := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	guess := func(a netip.Addr) bool {
		if b.refuses(a, now) {
			return false
		}
		b.wrong(a, now)
		return true
	}
	made := 0
	for range 8000 { // within three seconds
		if guess(addr) {
			made++
		}
		now = now.Add(3 * time.Second / 8000)
	}
	if made != guessBurst {
		t.Errorf("%d guesses were judged, want %d", made, guessBurst)
	}
	if !guess(other) {
		t.Error("another address has to wait for it")
	}
	for range 100 { // an agent with a wrong secret tries every five seconds
		now = now.Add(5 * time.Second)
		if !guess(addr) {
			t.Fatal("an agent that tries at its own pace is refused by the brake")
		}
	}
}

// All addresses of a /64 network count as one, as one machine may have them all.
func TestFinding49GuessesAreCountedPerNetwork(t *testing.T) {
	now := time.Unix(1000, 0)
	var b brake
	addr := netip.MustParseAddr("2001:db8::1")
	for range guessBurst {
		b.wrong(addr, now)
		addr = addr.Next()
	}
	if !b.refuses(addr, now) || b.refuses(netip.MustParseAddr("2001:db8:0:1::1"), now) {
		t.Error("the network is not what counts")
	}
	if network(netip.MustParseAddr("::ffff:10.0.0.1")) != netip.MustParseAddr("10.0.0.1") {
		t.Error("an IPv4 address within IPv6 is not itself")
	}
}

func TestFinding49BrakedAddressesAreBounded(t *testing.T) {
	now := time.Unix(1000, 0)
	var b brake
	addr := netip.MustParseAddr("10.0.0.0")
	for range 2 * maxBraked {
		addr = addr.Next()
		b.wrong(addr, now)
	}
	if len(b.guesses) > maxBraked+1 {
		t.Errorf("%d addresses are remembered", len(b.guesses))
	}
	if !b.refuses(addr.Next(), now) {
		t.Error("in front of too many addresses, new ones do not share an allowance")
	}
	now = now.Add(time.Hour * 24)
	if b.refuses(addr.Next(), now) {
		t.Error("still refused a day later")
	}
	b.wrong(addr, now)
	if len(b.guesses) != 1 {
		t.Errorf("%d addresses are remembered a day later, want 1", len(b.guesses))
	}
}
