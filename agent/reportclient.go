package agent

import (
	"context"
	"math"
	"net/netip"
	"sync/atomic"
	"time"

	"lars.internal/engine"
	"lars.internal/larspb"
	"lars.internal/ledger"
	"lars.internal/reactor"
)

const (
	// reportsPerTurn is how many services are reported before the loop looks
	// at its socket again.
	reportsPerTurn = 512

	// reportPause is the wait for room above the high-water mark, or for the
	// next turn.
	reportPause = 5 * time.Millisecond

	// doubtful is how long before the last proven contact reports to a service
	// that acknowledges nothing may have been lost: it may have had them waiting
	// when it ended. Totals make it harmless to send one twice.
	doubtful = time.Minute

	// never is later than every time of the agent's clock.
	never = time.Duration(1<<63 - 1)

	// lastHighWater is the high-water mark in bytes of the last flush. It leaves
	// room for a few of the longest messages below the hard cap of a connection.
	lastHighWater = 7 << 20
)

// reportClient sends call statistics: each interval one message for each service
// that has news. Without a connection, or while the other side reads too
// slowly, the news stay in the engine, where newer ones join them, so memory is
// bounded by the number of services.
//
// A report service of this project acknowledges each message once it is stored.
// Until then its results stay with the engine, and return to the line when the
// connection ends. One of the C++ stack acknowledges nothing: what the kernel of
// its machine has taken counts as arrived, and the services that were reported
// from a minute before the last such moment on are reported again on the next
// connection.
//
// What C++ does not know of a result is sent once the report service has shown a
// level. What is acknowledged of the messages before that on a connection is
// reported once more, so that it has all of it.
type reportClient struct {
	// Immutable after newReportClient.
	engine   *engine.Engine
	clock    func() time.Duration
	wall     func() time.Time
	interval time.Duration
	caller   netip.Addr // not valid: the connection's
	lastMark int        // high-water mark of the last flush
	client   *reactor.Client
	link     *link
	start    uint64 // the number of this start of the agent

	// Owned by the loop goroutine.
	timer   *reactor.Timer // the next flush, while connected
	end     func()         // not nil: this is the last flush; ends the client
	shard   int            // where the present flush is; engine.Parts: at its end
	left    int            // services of this shard that were waiting when it got there
	lost    time.Duration  // from here on reports may have been lost on the last connection; never: none
	since   time.Duration  // when the connection began
	proven  time.Duration  // when the peer's machine was last known to have all that was sent
	unowed  []uint64       // numbers of messages to a peer that has not shown a level on this connection
	trusted bool           // some of these counted as arrived on this connection
	plain   uint64         // the last message that was sent without what only a peer with a level gets
	results []ledger.Result
	coded   []larspb.CallResult // results as a message has them
	body    []byte
	stamp   int64 // Unix seconds; never goes back

	sent   atomic.Uint64 // messages
	failed atomic.Uint64 // messages that the connection did not take
	acked  atomic.Uint64 // messages that were acknowledged, without those that are sent once more
	again  atomic.Uint64 // messages that may be lost and whose results are reported again
}

func newReportClient(cfg *Config, e *engine.Engine) (*reportClient, error) {
	r := &reportClient{
		engine:   e,
		clock:    cfg.Clock,
		wall:     time.Now,
		interval: cfg.ReportInterval,
		caller:   cfg.Caller,
		lastMark: lastHighWater,
		link:     newLink("report service", cfg),
		shard:    engine.Parts,
		lost:     never,
		start:    cfg.run,
	}
	router := reactor.NewRouter[*reactor.Conn]()
	router.Handle(larspb.IDReportAck, r.ackReceived)
	client, err := r.link.dial(cfg, &cfg.Reporter, "reporter", "[reporter]",
		reactor.ClientConfig{Router: router, OnStart: r.started, OnClose: r.closed})
	if err != nil {
		return nil, err
	}
	r.client = client
	return r, nil
}

// run keeps the connection until ctx is done. Then it sends what there is and
// drains, and logs what is left.
func (r *reportClient) run(ctx context.Context) error {
	running, end := context.WithCancel(context.Background())
	defer end()
	stop := context.AfterFunc(ctx, func() {
		if r.client.Loop().Post(func() { r.flushLast(end) }) != nil {
			end()
		}
	})
	defer stop()
	err := r.client.Run(running)
	if n := r.engine.WaitingAll(); n > 0 {
		r.link.log.Warn("agent: stopped before all call results had arrived", "services", n)
	}
	return err
}

func (r *reportClient) started(conn *reactor.Conn) {
	r.link.up(conn)
	r.engine.Remind(r.lost)
	r.since = r.clock()
	r.lost, r.proven, r.trusted = never, r.since, false
	r.timer = conn.Loop().After(r.interval, func() { r.flush(conn) })
}

func (r *reportClient) closed(conn *reactor.Conn, reason error) {
	r.link.down(conn, reason)
	if r.trusted {
		r.lost = r.proven - doubtful
	}
	r.unowed = r.unowed[:0]
	r.again.Add(uint64(r.engine.InFlight()))
	r.engine.Returned()
	r.shard = engine.Parts
	r.timer.Stop()
	if r.end != nil {
		r.end()
	}
}

// flush goes on with the present flush or begins one, and sets the timer for
// the next turn.
func (r *reportClient) flush(conn *reactor.Conn) {
	r.settle(conn)
	if r.shard == engine.Parts {
		r.shard, r.left = 0, r.engine.Waiting(0)
	}
	pause := reportPause
	if r.sendSome(conn, reportsPerTurn, highWater) {
		pause = r.interval
	}
	if r.link.connected.Load() {
		r.timer.Reset(pause)
	}
}

// flushLast sends all that there is, and calls end when that is done, has taken
// drainTimeout, or the connection is gone.
func (r *reportClient) flushLast(end func()) {
	conn := r.client.Conn()
	if conn == nil || !r.link.connected.Load() {
		end()
		return
	}
	r.end = end
	r.timer.Stop()
	conn.Loop().After(drainTimeout, end)
	r.shard, r.left = 0, r.engine.Waiting(0)
	r.goOn(conn)
}

// goOn sends the next part of the last flush, what was counted meanwhile
// included, until all has arrived.
func (r *reportClient) goOn(conn *reactor.Conn) {
	r.settle(conn)
	if r.sendSome(conn, math.MaxInt, r.lastMark) {
		if r.engine.InFlight() == 0 && r.engine.WaitingAll() == 0 {
			r.end()
			return
		}
		r.shard, r.left = 0, r.engine.Waiting(0)
	}
	r.timer = conn.Loop().After(reportPause, func() { r.goOn(conn) })
}

// sendSome sends up to n services of the present flush while fewer than mark
// bytes wait to be written, and reports whether the flush is done.
func (r *reportClient) sendSome(conn *reactor.Conn, n, mark int) bool {
	for ; n > 0; n-- {
		for r.left == 0 {
			if r.shard++; r.shard == engine.Parts {
				return true
			}
			r.left = r.engine.Waiting(r.shard)
		}
		if conn.Pending() > mark || !r.link.connected.Load() {
			return false
		}
		r.left--
		r.sendNext(conn)
	}
	return false
}

// settle counts the messages without acknowledgement as arrived, once the
// peer's machine has all bytes that were sent. More cannot be known.
func (r *reportClient) settle(conn *reactor.Conn) {
	if conn.Pending() > 0 || conn.Unacknowledged() > 0 {
		return
	}
	r.proven = r.clock()
	if r.link.isOurs(conn) {
		return
	}
	for _, number := range r.unowed {
		r.engine.Acked(number)
	}
	r.trusted = r.trusted || len(r.unowed) > 0
	r.unowed = r.unowed[:0]
}

// ackReceived takes an acknowledgement.
func (r *reportClient) ackReceived(conn *reactor.Conn, body []byte) {
	r.link.hear(conn, larspb.Level)
	r.unowed = r.unowed[:0] // all of them will be acknowledged
	var a larspb.Ack
	if a.Parse(body) != nil || a.Run != r.start {
		return
	}
	if r.trusted { // what counted as arrived had not all that this one wants
		r.trusted = false
		r.engine.Remind(r.since)
	}
	if a.Number <= r.plain {
		r.engine.AckedInPart(a.Number)
	} else if r.engine.Acked(a.Number) {
		r.acked.Add(1)
	}
}

// sendNext reports one service of the present part. Its results stay with the
// engine until all messages have arrived; no other report of the service is made
// meanwhile.
func (r *reportClient) sendNext(conn *reactor.Conn) {
	report, results, ok := r.engine.TakeReport(r.shard, r.results[:0], r.clock())
	r.results = results
	if !ok {
		return
	}
	m := larspb.StatusReport{
		Key: report.Key, Caller: larspb.IPOf(r.callerOn(conn)), Time: r.now(), Results: r.coded[:0],
		Run: r.start, Level: larspb.Level,
	}
	whole := r.link.level > 0
	if whole {
		m.SpanMS = milliseconds(report.Span)
	}
	for i := range results {
		m.Results = append(m.Results, coded(&results[i], whole))
	}
	r.coded = m.Results
	for len(m.Results) > 0 {
		m.Number = r.engine.Number(report)
		r.body, m.Results = m.Append(r.body[:0], larspb.MaxBody)
		if conn.Send(larspb.IDReportStatusRequest, r.body) != nil {
			r.failed.Add(1)
			conn.Abort() // what is in flight is reported again on the next connection
			break
		}
		r.link.ask()
		r.sent.Add(1)
		if !whole {
			r.plain = m.Number
			r.unowed = append(r.unowed, m.Number)
		}
	}
	r.engine.Sent(report)
}

// now returns the time of a report. It stands still while a clock that was set
// back catches up: a report service keeps the newest, and of two of the same
// second the later one.
func (r *reportClient) now() uint32 {
	r.stamp = max(r.stamp, r.wall().Unix())
	return uint32(r.stamp)
}

// coded returns a result as a message has it: what C++ knows, or the whole.
func coded(r *ledger.Result, whole bool) larspb.CallResult {
	c := larspb.CallResult{
		IP: int32(r.Host.IP), Port: int32(r.Host.Port), Overload: r.Overload,
		Succ: r.Succ, Err: r.Err, TotalSucc: r.TotalSucc, TotalErr: r.TotalErr,
	}
	if !whole {
		return c
	}
	c.TotalSucc += r.PastSucc
	c.TotalErr += r.PastErr
	c.Refused, c.Timeout, c.LatencySum, c.Latency = r.Refused, r.Timeout, r.LatencySum, r.Latency
	c.State, c.Reason = uint32(r.State), uint32(r.Reason)
	c.Ejections, c.Reinstatements, c.Since = r.Ejections, r.Reinstatements, r.Since
	return c
}

// milliseconds returns d as a message has it, at least 1 unless it is 0.
func milliseconds(d time.Duration) uint32 {
	return uint32(min((d+time.Millisecond-1)/time.Millisecond, math.MaxUint32))
}

func (r *reportClient) callerOn(conn *reactor.Conn) netip.Addr {
	if r.caller.IsValid() {
		return r.caller
	}
	return conn.LocalAddr().Addr()
}
