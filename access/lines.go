package access

import (
	"net/netip"
	"time"
)

const (
	// logEvery is how often there is a line about one peer.
	logEvery = time.Minute

	// maxLogged bounds how many peers are remembered for that.
	maxLogged = 1024
)

// lines decides what is logged: one line for each peer and minute. Pure; its
// owner locks it.
type lines struct {
	last map[netip.Addr]time.Time
}

// due reports whether a line about a peer may be written now, and counts it
// as written.
func (l *lines) due(addr netip.Addr, now time.Time) bool {
	last, known := l.last[addr]
	if known && now.Sub(last) < logEvery {
		return false
	}
	if !known && len(l.last) >= maxLogged && !l.forget(now) {
		return false
	}
	if l.last == nil {
		l.last = make(map[netip.Addr]time.Time)
	}
	l.last[addr] = now
	return true
}

// forget drops the peers that are due again anyway, and reports whether that
// made room.
func (l *lines) forget(now time.Time) bool {
	for addr, last := range l.last {
		if now.Sub(last) >= logEvery {
			delete(l.last, addr)
		}
	}
	return len(l.last) < maxLogged
}
