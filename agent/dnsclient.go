package agent

import (
	"context"
	"log/slog"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"lars.internal/engine"
	"lars.internal/internal/backoff"
	"lars.internal/larspb"
	"lars.internal/reactor"
	"lars.internal/route"
)

const (
	// pullQueue is how many pulls may wait for the dns client's loop. One that
	// finds no room is tried again with a later request.
	pullQueue = 1 << 16

	// renewSteps and renewPause spread the pulls after a connection start over
	// a second.
	renewSteps = 50
	renewPause = 20 * time.Millisecond

	// silenceFactor times update_timeout is how long a dns service may leave
	// every pull unanswered before the agent tries the next one.
	silenceFactor = 3

	// firstAnswer is how long a dns service may leave the first pull of a
	// connection, or that of a service without hosts, unanswered, as long as
	// there is another dns service to ask. It doubles each time that none of them
	// has answered anything.
	firstAnswer = 1250 * time.Millisecond

	// connectTimeout bounds an attempt to connect. With firstAnswer it lets the
	// second of two services answer within 2 s, and it leaves room for a SYN
	// that is lost once.
	connectTimeout = 1200 * time.Millisecond

	// tickInterval is how often the engine is asked what is due.
	tickInterval = time.Second

	// watchInterval is how often silence is looked at.
	watchInterval = 250 * time.Millisecond

	// reconnectMin and reconnectMax bound the pause before a connection is
	// tried again. A service that was restarted has its agents back within
	// seconds, and one of ten thousand agents costs it one attempt each.
	reconnectMin = 100 * time.Millisecond
	reconnectMax = 5 * time.Second

	// drainTimeout is how long what was sent at the end may take to be
	// written.
	drainTimeout = 2 * time.Second

	// highWater is the number of unsent bytes above which a client sends no
	// more for the moment.
	highWater = 1 << 20
)

// question is the service that is pulled on a new connection when there is no
// other: any answer shows that the dns service works. No route has this service.
var question = route.Key{Modid: math.MinInt32, Cmdid: math.MaxInt32}

// dnsClient keeps the routes as the dns service has them: it sends pulls, takes
// answers and pushes, and pulls everything anew on each connection, because
// pulls were lost with the old one and dns has no subscription of the new one.
type dnsClient struct {
	// Immutable after newDNSClient.
	engine  *engine.Engine
	clock   func() time.Duration
	changed func() // a route changed; must not block
	log     *slog.Logger
	routes  *routeLog
	checks  *settingsCheck
	zone    string        // of this machine
	silence time.Duration // without an answer for so long the dns service counts as dead
	client  *reactor.Client
	pulls   *reactor.Queue[request]
	link    *link

	// Owned by the loop goroutine.
	begun    time.Duration  // when the connection started
	renewing []route.Key    // still to be pulled after the connection start
	step     int            // of these, at a time
	timer    *reactor.Timer // the next step
	watch    *reactor.Timer // looks for silence
	sentAt   time.Duration  // the first pull that nothing came after; longAgo: there is none
	hungryAt time.Duration  // the same for the pulls of services without hosts, and for the first on a connection
	stale    bool           // the last answer was from a table that dns could not confirm
	mute     int            // connections in a row on which nothing was answered
	body     []byte         // of the message that is being sent

	answered atomic.Bool  // the other side answered on this connection
	right    atomic.Int64 // when the routes were last known to be right, by clock; longAgo: never

	sent         atomic.Uint64 // pulls
	dropped      atomic.Uint64 // pulls that found no connection or no room
	answers      atomic.Uint64
	pushes       atomic.Uint64
	unsubscribed atomic.Uint64 // services of which no pushes are wanted any more
	ignored      atomic.Uint64 // answers and pushes for services that no program asks for
	badHosts     atomic.Uint64 // hosts with an address that cannot be called
	trimmed      atomic.Uint64 // weights, zones and settings beyond their limits
	broken       atomic.Uint64 // bodies that are no message
}

func newDNSClient(cfg *Config, e *engine.Engine, checks *settingsCheck, changed func()) (*dnsClient, error) {
	d := &dnsClient{
		engine:  e,
		clock:   cfg.Clock,
		changed: changed,
		log:     cfg.Log,
		routes:  newRouteLog(cfg),
		checks:  checks,
		zone:    cfg.Adaptive.Zone,
		silence: silenceFactor * cfg.UpdateTimeout,
		link:    newLink("dns service", cfg),
	}
	router := reactor.NewRouter[*reactor.Conn]()
	router.Handle(larspb.IDGetRouteResponse, d.received)
	client, err := d.link.dial(cfg, &cfg.DNS, "dns", "[dnsserver]",
		reactor.ClientConfig{Router: router, OnStart: d.started, OnClose: d.closed})
	if err != nil {
		return nil, err
	}
	d.client = client
	d.right.Store(int64(longAgo))
	d.pulls = reactor.NewQueue(client.Loop(), pullQueue, d.sendPulls)
	return d, nil
}

// request is a pull that waits for the loop.
type request struct {
	key route.Key
	at  time.Duration
}

// run keeps the connection until ctx is done.
func (d *dnsClient) run(ctx context.Context) error {
	err := d.client.Loop().Post(func() { d.client.Loop().Every(tickInterval, d.tick) })
	if err != nil {
		return err
	}
	return d.client.Run(ctx)
}

// tick does what has become due by time alone.
func (d *dnsClient) tick() {
	due := d.engine.Tick(d.clock())
	for i := range due.Changes {
		d.routes.changed(&due.Changes[i])
		d.changed()
	}
	gone := d.engine.TakeGone(nil)
	conn := d.open()
	if conn == nil {
		d.dropped.Add(uint64(len(due.Pulls)))
		return
	}
	for _, key := range gone {
		d.unsubscribe(conn, key)
	}
	for _, key := range due.Pulls { // after it: they subscribe again
		d.send(conn, key)
	}
}

// open returns the connection that can be sent on, nil if there is none.
func (d *dnsClient) open() *reactor.Conn {
	if !d.link.connected.Load() {
		return nil
	}
	return d.client.Conn()
}

// pull asks for the route of a service. It may be called from any goroutine.
func (d *dnsClient) pull(key route.Key) {
	if d.pulls.Put(request{key, d.clock()}) != nil {
		d.dropped.Add(1)
		d.engine.PullFailed(key)
	}
}

// sendPulls sends a batch of pulls. Without a connection it drops them: the
// next connection start pulls everything. Those from before the present start
// are pulled by it, too.
func (d *dnsClient) sendPulls(batch []request) {
	conn := d.open()
	if conn == nil {
		d.dropped.Add(uint64(len(batch)))
		return
	}
	for _, r := range batch {
		if r.at >= d.begun {
			d.send(conn, r.key)
		}
	}
}

func (d *dnsClient) send(conn *reactor.Conn, key route.Key) {
	if !d.ask(conn, key) {
		d.dropped.Add(1)
		d.engine.PullFailed(key)
		return
	}
	d.sent.Add(1)
}

// ask sends a request and reports whether the connection took it.
func (d *dnsClient) ask(conn *reactor.Conn, key route.Key) bool {
	d.body = larspb.RouteQuery{Modid: key.Modid, Cmdid: key.Cmdid, Zone: d.zone, Level: larspb.Level}.AppendPull(d.body[:0])
	if conn.Pending() > highWater || conn.Send(larspb.IDGetRouteRequest, d.body) != nil {
		return false
	}
	d.link.ask()
	if d.sentAt == longAgo {
		d.sentAt = d.clock()
	}
	if d.hungryAt == longAgo && (!d.answered.Load() || !d.engine.Served(key)) {
		d.hungryAt = d.clock()
	}
	return true
}

// started is the reset hook.
func (d *dnsClient) started(conn *reactor.Conn) {
	d.begun = d.clock()
	d.renewing = d.engine.ConnectionStarted()
	d.step = len(d.renewing)/renewSteps + 1
	d.sentAt, d.hungryAt = longAgo, longAgo
	d.watch = conn.Loop().Every(watchInterval, func() { d.watchSilence(conn) })
	d.link.up(conn)
	if len(d.renewing) == 0 {
		d.ask(conn, question) // shows whether the other side answers
	}
	d.renew(conn)
}

// renew pulls the next part of all services.
func (d *dnsClient) renew(conn *reactor.Conn) {
	n := min(d.step, len(d.renewing))
	for _, key := range d.renewing[:n] {
		if d.engine.Renew(key, d.clock()) {
			d.send(conn, key)
		}
	}
	d.renewing = d.renewing[n:]
	if len(d.renewing) > 0 {
		d.timer = conn.Loop().After(renewPause, func() { d.renew(conn) })
	}
	d.confirm()
}

// confirm notes that the routes are right, if all have been pulled on this
// connection and dns answers from a table that is not stale.
func (d *dnsClient) confirm() {
	if d.answered.Load() && !d.stale && len(d.renewing) == 0 {
		d.right.Store(int64(d.clock()))
	}
}

// watchSilence gives up a connection on which nothing is answered.
func (d *dnsClient) watchSilence(conn *reactor.Conn) {
	now, wait := d.clock(), d.silence
	silent := d.sentAt != longAgo && now-d.sentAt > wait
	if servers := d.client.Servers(); !silent && servers > 1 && d.hungryAt != longAgo {
		wait = backoff.Policy{Min: firstAnswer, Max: d.silence}.After(d.mute / servers)
		silent = now-d.hungryAt > wait
	}
	if silent {
		d.log.Warn("agent: dns service does not answer, trying the next", "addr", conn.RemoteAddr(), "for", wait.String())
		conn.Abort()
	}
}

func (d *dnsClient) closed(conn *reactor.Conn, reason error) {
	d.link.down(conn, reason)
	d.mute++
	if d.answered.Swap(false) {
		d.mute = 0
	}
	d.renewing = nil
	d.watch.Stop()
	if d.timer != nil {
		d.timer.Stop()
	}
}

// received takes an answer or a push.
func (d *dnsClient) received(conn *reactor.Conn, body []byte) {
	var a larspb.RouteAnswer
	if a.Parse(body) != nil {
		d.broken.Add(1)
		return
	}
	d.link.hear(conn, a.Level)
	d.sentAt, d.hungryAt, d.stale = longAgo, longAgo, a.Stale
	d.answered.Store(true)
	d.confirm()
	d.badHosts.Add(uint64(a.Refused))
	d.trimmed.Add(uint64(a.Trimmed))
	if a.Refused > 0 && len(a.Hosts) == 0 {
		return // the hosts that are known serve better than none
	}
	r := engine.Route{
		Hosts: withoutDuplicates(a.Hosts), Settings: a.Settings, Version: a.Version,
		Stale: a.Stale, Removed: a.Removed, Truncated: a.Truncated,
	}
	o := d.engine.Update(a.Key, r, d.clock())
	switch {
	case o.Unknown:
		d.unsubscribe(conn, a.Key)
		if a.Key != question {
			d.ignored.Add(1)
		}
		return
	case o.Push:
		d.pushes.Add(1)
	default:
		d.answers.Add(1)
	}
	d.routes.note(&o)
	if o.Resettled {
		d.checks.note(a.Key, a.Settings)
	}
	if o.Changed {
		d.changed()
	}
}

// unsubscribe ends the pushes of a service that no program asks for any more. A
// C++ dns goes on sending them.
func (d *dnsClient) unsubscribe(conn *reactor.Conn, key route.Key) {
	if d.link.level > 0 && conn.Send(larspb.IDUnsubscribe, larspb.Unsubscription{Key: key}.Append(nil)) == nil {
		d.unsubscribed.Add(1)
	}
}

// withoutDuplicates returns each host once, the first of it, in the order of
// hosts if there were no duplicates.
func withoutDuplicates(hosts []route.Endpoint) []route.Endpoint {
	byHost := func(a, b route.Endpoint) int { return a.Host.Compare(b.Host) }
	sorted := slices.Clone(hosts)
	slices.SortStableFunc(sorted, byHost)
	sorted = slices.CompactFunc(sorted, func(a, b route.Endpoint) bool { return a.Host == b.Host })
	if len(sorted) < len(hosts) {
		return sorted
	}
	return hosts
}
