package dns

import (
	"errors"
	"maps"
	"sync/atomic"

	"lars.internal/larspb"
	"lars.internal/reactor"
	"lars.internal/route"
)

// minShrink is from how many services on the memory of those that nobody asks for
// any more is given back.
const minShrink = 4096

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
	routes    *routes // the server's, as the next two
	room      *room
	greeting  []byte
	highWater int // unsent bytes of a connection from which frames wait

	audiences map[route.Key][]*subscriber // never empty; in no order
	rowless   map[route.Key]struct{}      // audiences that room counts as those of a service without hosts
	most      int                         // audiences, since the two maps were made
	push      pusher
	scratch   []byte // memory of the last answer

	count shardCounts // written here, read anywhere
}

// shardCounts has one writer, the loop goroutine.
type shardCounts struct {
	lookups       counter
	held          counter // lookups that waited for the first load
	unsubscribed  counter // lookups over a limit on subscriptions
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

func newShard(loop *reactor.Loop, s *Server) *shard {
	sh := &shard{
		loop: loop, routes: &s.routes, room: s.room, greeting: s.greeting, highWater: s.cfg.MaxOutput / 8,
		audiences: make(map[route.Key][]*subscriber), rowless: make(map[route.Key]struct{}),
	}
	sh.push.init(sh)
	return sh
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
	_, rowless := s.rowless[key]
	s.room.give(rowless)
	audience := s.audiences[key]
	last := len(audience) - 1
	if last == 0 {
		delete(s.audiences, key)
		delete(s.rowless, key)
		s.shrink()
		return
	}
	audience[i] = audience[last]
	audience[i].at[key] = i
	audience[last] = nil
	s.audiences[key] = audience[:last]
}

// shrink makes the maps anew when most of what they held is gone. A map keeps the
// room of its largest size, which peers that asked for made-up names, and left,
// would have taken for good.
func (s *shard) shrink() {
	if s.most < minShrink || len(s.audiences) > s.most/4 {
		return
	}
	s.audiences, s.rowless = remade(s.audiences), remade(s.rowless)
	s.most = len(s.audiences)
}

func remade[V any](m map[route.Key]V) map[route.Key]V {
	fresh := make(map[route.Key]V, len(m))
	maps.Copy(fresh, m)
	return fresh
}

// subscribe makes sub hear of a service, and reports whether it does.
func (s *shard) subscribe(sub *subscriber, key route.Key) bool {
	if _, ok := sub.at[key]; ok {
		return true
	}
	audience := s.audiences[key]
	rowless := s.isRowless(key, len(audience) > 0)
	switch _, limit := s.room.of(rowless); {
	case len(sub.at) >= s.room.perConn:
		s.room.warn(sub.conn.RemoteAddr(), "[dns] max_subscriptions", int64(s.room.perConn))
		return false
	case !s.room.take(rowless):
		s.room.warn(sub.conn.RemoteAddr(), "[dns] max_all_subscriptions", limit)
		return false
	}
	if rowless {
		s.rowless[key] = struct{}{}
	}
	sub.at[key] = len(audience)
	s.audiences[key] = append(audience, sub)
	s.most = max(s.most, len(s.audiences))
	s.count.subscriptions.add(1)
	return true
}

// isRowless reports whether a subscription counts as one to a service without
// hosts: as those of the audience do, if there is one. Before the first load
// every service may have some.
func (s *shard) isRowless(key route.Key, hasAudience bool) bool {
	if hasAudience {
		_, ok := s.rowless[key]
		return ok
	}
	table := s.routes.table.Load()
	return table != nil && len(table.Route(key).Hosts) == 0
}

// recount counts an audience anew, after a change of its service.
func (s *shard) recount(key route.Key) {
	_, was := s.rowless[key]
	is := len(s.routes.table.Load().Route(key).Hosts) == 0
	switch {
	case is == was:
		return
	case is:
		s.rowless[key] = struct{}{}
	default:
		delete(s.rowless, key)
	}
	s.room.move(len(s.audiences[key]), is)
}

// answer handles a GetRouteRequest. It subscribes first and reads the table
// then: a table that comes in between is announced after this handler.
func (s *shard) answer(c *reactor.Conn, body []byte) {
	s.count.lookups.add(1)
	var q larspb.RouteQuery
	if q.Parse(body) != nil {
		s.refuse(c)
		return
	}
	key := route.Key{Modid: q.Modid, Cmdid: q.Cmdid}
	sub := c.Property().(*subscriber)
	s.meet(sub, q.Level)
	subscribed := s.subscribe(sub, key)
	if !subscribed {
		s.count.unsubscribed.add(1)
	}
	table := s.routes.table.Load()
	switch {
	case table != nil:
		s.scratch = s.routes.answer(table, key, sub.level).Append(s.scratch[:0], larspb.MaxBody)
		s.send(sub, key, s.scratch)
	case subscribed:
		s.count.held.add(1) // the announcement of the first table answers it
	default:
		c.Close() // there is nothing to answer with and no place to remember
	}
}

// send sends a route, or remembers to do so when the peer has read more of
// what it got before. It reports whether it was sent.
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
	if len(sub.late) >= s.room.perConn {
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
