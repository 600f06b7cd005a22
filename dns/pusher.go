package dns

import (
	"time"

	"lars.internal/larspb"
	"lars.internal/reactor"
	"lars.internal/route"
)

const (
	// turnFrames and turnBytes bound what is pushed before the loop gets back
	// to its sockets. 256 small frames take it about a millisecond; all of
	// turnBytes may go to one connection, on top of its high-water mark.
	turnFrames = 256
	turnBytes  = 128 << 10

	// lateInterval is how often to see whether slow readers take more.
	lateInterval = 10 * time.Millisecond
)

// pusher sends changed routes to the audiences of a shard, a bounded number
// in each turn of the loop. Owned by the loop goroutine.
//
// A service that is announced while it waits in the queue is pushed once. One
// that is announced while it is being pushed is pushed again.
type pusher struct {
	shard   *shard
	queue   []route.Key            // announced; first come, first served
	queued  map[route.Key]struct{} // what is in queue
	running bool                   // a turn is posted

	// The service that is being pushed. The audience is walked from its end
	// down: one that leaves is replaced by the last, which has got the route
	// already or still stands below left.
	key  route.Key
	left int // audience[:left] is still to be served

	// The last encodings: for agents without a level, and with one.
	plain, levelled encoding

	late    map[*subscriber]struct{} // have late services
	waiting bool                     // a timer will look at late
}

// encoding is the route of a service, from a table.
type encoding struct {
	body  []byte
	key   route.Key
	table *route.Table
	stale bool
}

// budget is what a turn may still send.
type budget struct{ frames, bytes int }

func newBudget() *budget { return &budget{turnFrames, turnBytes} }

func (b *budget) take(body []byte) {
	b.frames--
	b.bytes -= reactor.HeaderSize + len(body)
}

func (b *budget) spent() bool { return b.frames <= 0 || b.bytes <= 0 }

func (p *pusher) init(s *shard) {
	p.shard = s
	p.queued = make(map[route.Key]struct{})
	p.late = make(map[*subscriber]struct{})
}

// announce makes the services that have an audience be pushed.
func (p *pusher) announce(keys []route.Key) {
	for _, key := range keys {
		if len(p.shard.audiences[key]) > 0 {
			p.enqueue(key)
		}
	}
	p.start()
}

// announceAll is announce for every service that has an audience.
func (p *pusher) announceAll() {
	for key := range p.shard.audiences {
		p.enqueue(key)
	}
	p.start()
}

func (p *pusher) enqueue(key route.Key) {
	p.shard.recount(key)
	if _, ok := p.queued[key]; !ok {
		p.queued[key] = struct{}{}
		p.queue = append(p.queue, key)
	}
}

func (p *pusher) start() {
	if !p.running && len(p.queue) > 0 {
		p.running = true
		p.turn()
	}
}

// turn pushes until the budget is spent, and asks for another turn then.
func (p *pusher) turn() {
	for b := newBudget(); !b.spent(); {
		sub := p.next()
		if sub == nil {
			p.running = false
			return
		}
		p.pushTo(sub, p.key, b)
	}
	p.shard.loop.Post(p.turn) // a loop that has stopped has no subscribers
}

// next returns the subscriber that gets p.key next, nil if all is done.
func (p *pusher) next() *subscriber {
	for {
		audience := p.shard.audiences[p.key]
		if p.left = min(p.left, len(audience)); p.left > 0 {
			p.left--
			return audience[p.left]
		}
		if len(p.queue) == 0 {
			p.queue = nil
			return nil
		}
		p.key, p.queue = p.queue[0], p.queue[1:]
		delete(p.queued, p.key)
		p.left = len(p.shard.audiences[p.key])
	}
}

func (p *pusher) pushTo(sub *subscriber, key route.Key, b *budget) {
	body := p.encode(key, sub.level)
	b.take(body)
	if p.shard.send(sub, key, body) {
		p.shard.count.pushes.add(1)
	}
}

// encode returns the newest route of a service for agents of a level, valid
// until the next call. It encodes once for all of an audience.
func (p *pusher) encode(key route.Key, level uint32) []byte {
	e, r := &p.plain, p.shard.routes
	if level > 0 {
		e = &p.levelled
	}
	table, stale := r.table.Load(), r.stale.Load()
	if e.table != table || e.key != key || e.stale != stale {
		e.body = r.answer(table, key, level).Append(e.body[:0], larspb.MaxBody)
		e.key, e.table, e.stale = key, table, stale
	}
	return e.body
}

// postpone remembers that sub is to get a service when it has read more.
func (p *pusher) postpone(sub *subscriber, key route.Key) {
	if sub.late == nil {
		sub.late = make(map[route.Key]struct{})
	}
	sub.late[key] = struct{}{}
	p.late[sub] = struct{}{}
	p.wait()
}

// wait looks at the late ones by timer: nothing else shows that a peer has
// read, and it costs nothing while none is late.
func (p *pusher) wait() {
	if !p.waiting && len(p.late) > 0 {
		p.waiting = true
		p.shard.loop.After(lateInterval, p.catchUp)
	}
}

// catchUp sends late services to subscribers that have read enough.
func (p *pusher) catchUp() {
	p.waiting = false
	b := newBudget()
	for sub := range p.late {
		p.catchUpOne(sub, b)
		if b.spent() {
			break
		}
	}
	p.wait()
}

func (p *pusher) catchUpOne(sub *subscriber, b *budget) {
	for key := range sub.late {
		if b.spent() || sub.conn.Pending() >= p.shard.highWater {
			return
		}
		delete(sub.late, key) // send puts it back if it has to
		p.pushTo(sub, key, b)
	}
	if len(sub.late) == 0 {
		sub.late = nil
		delete(p.late, sub)
	}
}

// forget drops what was to be sent to a connection that has ended.
func (p *pusher) forget(sub *subscriber) {
	sub.late = nil
	delete(p.late, sub)
}
