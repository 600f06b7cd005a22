package agent

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"lars.internal/access"
	"lars.internal/engine"
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
	// every pull unanswered before the next one has its turn.
	silenceFactor = 3

	// watchInterval is how often that is looked at.
	watchInterval = time.Second

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

// dnsClient keeps the routes as the dns service has them: it sends pulls, takes
// answers and pushes, and pulls everything anew on each connection, because
// pulls died with the old one and the other side knows of no subscription.
type dnsClient struct {
	// Immutable after newDNSClient.
	engine  *engine.Engine
	clock   func() time.Duration
	changed func() // a route changed; must not block
	log     *slog.Logger
	silence time.Duration // unanswered for so long means that nobody is there
	client  *reactor.Client
	pulls   *reactor.Queue[route.Key]
	link    link

	// Owned by the loop goroutine.
	renewing []route.Key    // still to be pulled after the connection start
	step     int            // of these, at a time
	timer    *reactor.Timer // the next step
	watch    *reactor.Timer // looks for silence
	pending  bool           // a pull was sent and nothing came since
	answered bool           // something came since the connection start
	sentAt   time.Duration  // the first such pull
	body     []byte         // of the message that is being sent

	confirmed atomic.Bool  // connected, all services are pulled anew, and the other side answers
	right     atomic.Int64 // when the routes were last known to be right, by clock; engine.LongAgo: never

	sent     atomic.Uint64 // pulls
	dropped  atomic.Uint64 // pulls that found no connection or no room
	answers  atomic.Uint64
	pushes   atomic.Uint64
	ignored  atomic.Uint64 // answers and pushes for services that nobody asks for
	badHosts atomic.Uint64 // hosts with an address that nobody can call
	broken   atomic.Uint64 // bodies that are no message
}

func newDNSClient(cfg *Config, e *engine.Engine, changed func()) (*dnsClient, error) {
	d := &dnsClient{
		engine:  e,
		clock:   cfg.Clock,
		changed: changed,
		log:     cfg.Log,
		silence: silenceFactor * cfg.UpdateTimeout,
		link:    link{what: "dns service", log: cfg.Log},
	}
	router := reactor.NewRouter[*reactor.Conn]()
	router.Handle(larspb.IDGetRouteResponse, d.received)
	connect := reactor.ClientConfig{
		Random:       cfg.Random,
		Router:       router,
		OnStart:      d.started,
		OnClose:      d.closed,
		OnDialFailed: d.link.failed,
		BackoffMin:   reconnectMin,
		BackoffMax:   reconnectMax,
		DrainTimeout: drainTimeout,
		Log:          cfg.Log,
	}
	cfg.DNS.name(&connect)
	access.Prover{Secret: cfg.DNS.Secret, Key: "[dnsserver] secret", Log: cfg.Log}.Equip(&connect)
	client, err := reactor.NewClient(connect)
	if err != nil {
		return nil, err
	}
	d.client = client
	d.right.Store(int64(engine.LongAgo))
	d.pulls = reactor.NewQueue(client.Loop(), pullQueue, d.sendPulls)
	return d, nil
}

// run keeps the connection until ctx is done.
func (d *dnsClient) run(ctx context.Context) error { return d.client.Run(ctx) }

// pull asks for the route of a service. It may be called from any goroutine.
func (d *dnsClient) pull(key route.Key) {
	if d.pulls.Put(key) != nil {
		d.dropped.Add(1)
		d.engine.PullFailed(key)
	}
}

// sendPulls sends a batch of pulls. Without a connection it drops them: the
// next connection start pulls everything.
func (d *dnsClient) sendPulls(keys []route.Key) {
	conn := d.client.Conn()
	if conn == nil || !d.link.connected.Load() {
		d.dropped.Add(uint64(len(keys)))
		return
	}
	for _, key := range keys {
		d.send(conn, key)
	}
}

func (d *dnsClient) send(conn *reactor.Conn, key route.Key) {
	d.body = larspb.RouteQuery{Modid: key.Modid, Cmdid: key.Cmdid}.AppendPull(d.body[:0])
	if conn.Pending() > highWater || conn.Send(larspb.IDGetRouteRequest, d.body) != nil {
		d.dropped.Add(1)
		d.engine.PullFailed(key)
		return
	}
	d.sent.Add(1)
	if !d.pending {
		d.pending, d.sentAt = true, d.clock()
	}
}

// started is the reset hook.
func (d *dnsClient) started(conn *reactor.Conn) {
	d.renewing = d.engine.ConnectionStarted()
	d.step = len(d.renewing)/renewSteps + 1
	d.watch = conn.Loop().Every(watchInterval, func() { d.watchSilence(conn) })
	d.renew(conn)
	d.link.up(conn)
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

// confirm notes whether the routes are those of the dns service.
func (d *dnsClient) confirm() {
	confirmed := d.answered && len(d.renewing) == 0
	d.confirmed.Store(confirmed)
	if confirmed {
		d.right.Store(int64(d.clock()))
	}
}

// watchSilence gives up a connection on which nothing is answered.
func (d *dnsClient) watchSilence(conn *reactor.Conn) {
	if !d.pending || d.clock()-d.sentAt <= d.silence {
		return
	}
	d.log.Warn("agent: dns service does not answer, trying the next", "addr", conn.RemoteAddr(), "for", d.silence)
	conn.Abort()
}

func (d *dnsClient) closed(conn *reactor.Conn, reason error) {
	d.link.down(conn, reason)
	d.confirmed.Store(false)
	d.pending, d.answered, d.renewing = false, false, nil
	d.watch.Stop()
	if d.timer != nil {
		d.timer.Stop()
	}
}

// received takes an answer or a push.
func (d *dnsClient) received(_ *reactor.Conn, body []byte) {
	var a larspb.RouteAnswer
	if a.Parse(body) != nil {
		d.broken.Add(1)
		return
	}
	d.pending, d.answered = false, true
	d.confirm()
	d.badHosts.Add(uint64(a.Refused))
	if a.Refused > 0 && len(a.Hosts) == 0 {
		return // the hosts that are known serve better than none
	}
	r := engine.Route{
		Hosts: withoutDuplicates(a.Hosts), Version: a.Version,
		Stale: a.Stale, Removed: a.Removed, Truncated: a.Truncated,
	}
	o := d.engine.Update(a.Key, r, d.clock())
	switch {
	case o.Unknown:
		d.ignored.Add(1)
		return
	case o.Push:
		d.pushes.Add(1)
	default:
		d.answers.Add(1)
	}
	if o.Changed {
		d.changed()
	}
}

// withoutDuplicates returns each host once, in the order of hosts if there were
// no duplicates.
func withoutDuplicates(hosts []route.Host) []route.Host {
	sorted := slices.Clone(hosts)
	slices.SortFunc(sorted, route.Host.Compare)
	if sorted = slices.Compact(sorted); len(sorted) < len(hosts) {
		return sorted
	}
	return hosts
}
