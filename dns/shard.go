package dns

import (
	"errors"
	"log/slog"
	"sync/atomic"

	"lars.internal/larspb"
	"lars.internal/reactor"
	"lars.internal/route"
)

// shard is the part of the service that lives on one event loop: the
// connections of that loop, their subscriptions, and what is to be pushed to
// them. The loop goroutine owns all of it but the counters.
//
// Each frame is encoded from the table of that moment. Tables only get newer,
// and one goroutine sends, so no connection gets an older route after a newer
// one.
type shard struct {
	// Immutable after newShard.
	loop      *reactor.Loop
	table     *atomic.Pointer[route.Table] // the service's
	log       *slog.Logger
	maxSubs   int // subscriptions of one connection
	highWater int // unsent bytes of a connection from which frames wait

	audiences map[route.Key][]*subscriber // never empty; in no order
	push      pusher
	scratch   []byte // memory of the last answer

	count shardCounts // written here, read anywhere
}

// subscriber is the property of a connection.
type subscriber struct {
	conn *reactor.Conn
	at   map[route.Key]int      // services that it subscribed to: index in the audience
	late map[route.Key]struct{} // services whose newest route is still to be sent; nil: none
}

// shardCounts has one writer, the loop goroutine.
type shardCounts struct {
	lookups       counter
	held          counter // lookups that waited for the first load
	unsubscribed  counter // lookups over the limit on subscriptions
	badMessages   counter
	pushes        counter // frames
	delayed       counter // frames that waited for a slow reader
	slowClosed    counter // connections that read too slowly
	subscriptions counter // at the moment
	connections   counter // at the moment
}

// counter has one writer and any number of readers. It costs a plain load and
// store, without a locked instruction.
type counter struct{ v atomic.Int64 }

func (c *counter) add(n int64) { c.v.Store(c.v.Load() + n) }

func newShard(loop *reactor.Loop, table *atomic.Pointer[route.Table], cfg *Config) *shard {
	s := &shard{
		loop: loop, table: table, log: cfg.Log,
		maxSubs: cfg.MaxSubscriptions, highWater: cfg.MaxOutput / 8,
		audiences: make(map[route.Key][]*subscriber),
	}
	s.push.init(s)
	return s
}

// start is the hook of a new connection.
func (s *shard) start(c *reactor.Conn) {
	s.count.connections.add(1)
	c.SetProperty(&subscriber{conn: c, at: make(map[route.Key]int)})
}

// close is the hook of a connection that has ended: its subscriptions end
// with it, before its descriptor can be another connection's.
func (s *shard) close(c *reactor.Conn, reason error) {
	s.count.connections.add(-1)
	sub := c.Property().(*subscriber)
	for key, i := range sub.at {
		s.leave(key, i)
	}
	s.push.forget(sub)
	if errors.Is(reason, reactor.ErrStalled) {
		s.count.slowClosed.add(1)
	}
}

// leave takes the subscriber at index i out of an audience. The last one takes
// its place, which pusher.next relies on.
func (s *shard) leave(key route.Key, i int) {
	s.count.subscriptions.add(-1)
	audience := s.audiences[key]
	last := len(audience) - 1
	if last == 0 {
		delete(s.audiences, key)
		return
	}
	audience[i] = audience[last]
	audience[i].at[key] = i
	audience[last] = nil
	s.audiences[key] = audience[:last]
}

// subscribe makes sub hear of a service, and tells whether it does.
func (s *shard) subscribe(sub *subscriber, key route.Key) bool {
	if _, ok := sub.at[key]; ok {
		return true
	}
	if len(sub.at) >= s.maxSubs {
		return false
	}
	audience := s.audiences[key]
	sub.at[key] = len(audience)
	s.audiences[key] = append(audience, sub)
	s.count.subscriptions.add(1)
	return true
}

// answer handles a GetRouteRequest. It subscribes first and reads the table
// then: a table that comes in between is announced after this handler.
func (s *shard) answer(c *reactor.Conn, body []byte) {
	s.count.lookups.add(1)
	var q larspb.RouteQuery
	if err := q.Parse(body); err != nil {
		s.count.badMessages.add(1)
		c.Close()
		return
	}
	key := route.Key{Modid: q.Modid, Cmdid: q.Cmdid}
	sub := c.Property().(*subscriber)
	subscribed := s.subscribe(sub, key)
	if !subscribed {
		s.count.unsubscribed.add(1)
	}
	table := s.table.Load()
	switch {
	case table != nil:
		s.scratch = larspb.RouteAnswer{Key: key, Hosts: table.Hosts(key)}.Append(s.scratch[:0], larspb.MaxBody)
		s.send(sub, key, s.scratch)
	case subscribed:
		s.count.held.add(1) // the announcement of the first table answers it
	default:
		c.Close() // there is nothing to answer with and no place to remember
	}
}

// send sends a route, or remembers to do so when the peer has read more of
// what it got before. It tells whether it was sent.
func (s *shard) send(sub *subscriber, key route.Key, body []byte) bool {
	if sub.conn.Pending() >= s.highWater {
		s.postpone(sub, key)
		return false
	}
	err := sub.conn.Send(larspb.IDGetRouteResponse, body)
	if err == nil {
		delete(sub.late, key) // it has the newest now
		return true
	}
	if errors.Is(err, reactor.ErrOutputFull) || errors.Is(err, reactor.ErrNoBuffers) {
		s.abort(sub)
	}
	return false // otherwise the connection is ending already
}

func (s *shard) postpone(sub *subscriber, key route.Key) {
	s.count.delayed.add(1)
	if len(sub.late) >= s.maxSubs {
		s.abort(sub)
		return
	}
	s.push.postpone(sub, key)
}

// abort ends a connection that would miss a route otherwise. Its agent
// connects and asks again.
func (s *shard) abort(sub *subscriber) {
	s.count.slowClosed.add(1)
	sub.conn.Abort()
}
