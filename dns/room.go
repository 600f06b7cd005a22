package dns

import (
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"
)

// rowlessShare is what part of all subscriptions may be to services without
// hosts: 1/10. Any peer can make up names of such services.
const rowlessShare = 10

// warnEvery is how often a limit on subscriptions is named in the log.
const warnEvery = time.Minute

// room bounds the subscriptions of all connections. Those to services without
// hosts have a bound of their own, so that made-up names do not keep agents from
// subscribing to what there is. Safe for concurrent use.
type room struct {
	// Immutable after newRoom.
	perConn              int
	maxNamed, maxRowless int64
	log                  *slog.Logger

	named, rowless atomic.Int64 // subscriptions to services with hosts, and without
	warned         atomic.Int64 // Unix nanoseconds of the last warning
}

func newRoom(cfg *Config) *room {
	all := int64(cfg.MaxAllSubscriptions)
	return &room{perConn: cfg.MaxSubscriptions, maxNamed: all, maxRowless: max(all/rowlessShare, 1), log: cfg.Log}
}

// of returns the count of a kind, and its bound.
func (r *room) of(rowless bool) (*atomic.Int64, int64) {
	if rowless {
		return &r.rowless, r.maxRowless
	}
	return &r.named, r.maxNamed
}

// take takes a place if there is one.
func (r *room) take(rowless bool) bool {
	count, limit := r.of(rowless)
	if count.Add(1) <= limit {
		return true
	}
	count.Add(-1)
	return false
}

func (r *room) give(rowless bool) {
	count, _ := r.of(rowless)
	count.Add(-1)
}

// move counts subscriptions as the other kind, when a service has got its first
// host or lost its last. It may exceed a bound: no subscription ends for that.
func (r *room) move(n int, toRowless bool) {
	from, _ := r.of(!toRowless)
	to, _ := r.of(toRowless)
	from.Add(-int64(n))
	to.Add(int64(n))
}

// warn says, at most once a minute, that a request was answered without a
// subscription.
func (r *room) warn(peer netip.AddrPort, key string, limit int64) {
	now, last := time.Now().UnixNano(), r.warned.Load()
	if last != 0 && now-last < int64(warnEvery) || !r.warned.CompareAndSwap(last, now) {
		return
	}
	r.log.Warn("dns: too many subscriptions, so requests are answered and later changes are not pushed",
		"peer", peer, "limit", limit, "key", key)
}
