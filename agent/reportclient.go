package agent

import (
	"context"
	"math"
	"net/netip"
	"sync/atomic"
	"time"

	"lars.internal/access"
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

	// doubtful is how long before the end of a connection its last reports
	// may have been lost. Totals make it harmless to send one twice.
	doubtful = time.Minute

	// lastHighWater is the high-water mark in bytes of the last flush. It leaves
	// room for a few of the longest messages below the hard cap of a connection.
	lastHighWater = 7 << 20
)

// reportClient sends call statistics: each interval one message for each
// service that has news. Without a connection, or while the other side reads
// too slowly, the news stay in the map, where newer ones join them, so memory
// is bounded by the number of services.
//
// One connection may die with messages that nobody read. The next one begins
// with all services that were reported in the last minute of the old one;
// results of a service that was forgotten meanwhile are lost with it.
type reportClient struct {
	// Immutable after newReportClient.
	engine   *engine.Engine
	clock    func() time.Duration
	wall     func() time.Time
	interval time.Duration
	caller   netip.Addr // not valid: the connection's
	lastMark int        // high-water mark of the last flush
	client   *reactor.Client
	link     link

	// Owned by the loop goroutine.
	timer   *reactor.Timer // the next flush, while connected
	end     func()         // not nil: this is the last flush; ends the client
	shard   int            // where the present flush is; engine.Parts: at its end
	left    int            // services of this shard that were waiting when it got there
	lost    time.Duration  // from here on reports may have been lost
	results []ledger.Result
	coded   []larspb.CallResult // results as a message has them
	body    []byte
	stamp   int64 // Unix seconds; never goes back

	sent   atomic.Uint64 // messages
	failed atomic.Uint64 // messages that the connection did not take
}

func newReportClient(cfg *Config, e *engine.Engine) (*reportClient, error) {
	r := &reportClient{
		engine:   e,
		clock:    cfg.Clock,
		wall:     time.Now,
		interval: cfg.ReportInterval,
		caller:   cfg.Caller,
		lastMark: lastHighWater,
		link:     link{what: "report service", log: cfg.Log},
		shard:    engine.Parts,
		lost:     engine.LongAgo + 1, // after services that were never reported
	}
	connect := reactor.ClientConfig{
		Random:       cfg.Random,
		Router:       reactor.NewRouter[*reactor.Conn](), // a report service answers nothing
		OnStart:      r.started,
		OnClose:      r.closed,
		OnDialFailed: r.link.failed,
		BackoffMin:   reconnectMin,
		BackoffMax:   reconnectMax,
		DrainTimeout: drainTimeout,
		Log:          cfg.Log,
	}
	cfg.Reporter.name(&connect)
	access.Prover{Secret: cfg.Reporter.Secret, Key: "[reporter] secret", Log: cfg.Log}.Equip(&connect)
	client, err := reactor.NewClient(connect)
	if err != nil {
		return nil, err
	}
	r.client = client
	return r, nil
}

// run keeps the connection until ctx is done. Then it sends what there is and
// drains, and tells if something is left.
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
		r.link.log.Warn("agent: call results not reported", "services", n)
	}
	return err
}

func (r *reportClient) started(conn *reactor.Conn) {
	r.link.up(conn)
	r.engine.Remind(r.lost)
	r.timer = conn.Loop().After(r.interval, func() { r.flush(conn) })
}

func (r *reportClient) closed(conn *reactor.Conn, reason error) {
	r.link.down(conn, reason)
	r.lost = r.clock() - doubtful
	r.shard = engine.Parts
	r.timer.Stop()
	if r.end != nil {
		r.end()
	}
}

// flush goes on with the present flush or begins one, and sets the timer for
// the next turn.
func (r *reportClient) flush(conn *reactor.Conn) {
	if r.shard == engine.Parts {
		r.shard, r.left = 0, r.engine.Waiting(0)
	}
	if r.sendSome(conn, reportsPerTurn, highWater) {
		r.timer.Reset(r.interval)
		return
	}
	r.timer.Reset(reportPause)
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

// goOn sends the next part of the last flush.
func (r *reportClient) goOn(conn *reactor.Conn) {
	if r.sendSome(conn, math.MaxInt, r.lastMark) {
		r.end()
		return
	}
	r.timer = conn.Loop().After(reportPause, func() { r.goOn(conn) })
}

// sendSome sends up to n services of the present flush while fewer than mark
// bytes wait to be written, and tells whether the flush is done.
func (r *reportClient) sendSome(conn *reactor.Conn, n, mark int) bool {
	for ; n > 0; n-- {
		for r.left == 0 {
			if r.shard++; r.shard == engine.Parts {
				return true
			}
			r.left = r.engine.Waiting(r.shard)
		}
		if conn.Pending() > mark {
			return false
		}
		r.left--
		r.sendNext(conn)
	}
	return false
}

// sendNext reports one service of the present part. What was sent counts as
// arrived: a report service that acknowledges nothing is all there is.
func (r *reportClient) sendNext(conn *reactor.Conn) {
	report, results, ok := r.engine.TakeReport(r.shard, r.results[:0], r.clock())
	r.results = results
	if !ok {
		return
	}
	m := larspb.StatusReport{
		Key: report.Key, Caller: larspb.IPOf(r.callerOn(conn)), Time: r.now(), Results: r.coded[:0],
	}
	for i := range results {
		m.Results = append(m.Results, coded(&results[i]))
	}
	r.coded = m.Results
	for len(m.Results) > 0 {
		r.body, m.Results = m.Append(r.body[:0], larspb.MaxBody)
		r.send(conn, r.body)
	}
	r.engine.Sent(report)
}

func (r *reportClient) send(conn *reactor.Conn, body []byte) {
	if conn.Send(larspb.IDReportStatusRequest, body) != nil {
		r.failed.Add(1)
		return
	}
	r.sent.Add(1)
}

// now returns the time of a report. It stands still while a clock that was set
// back catches up: a report service keeps the newest, and of two of the same
// second the later one.
func (r *reportClient) now() uint32 {
	r.stamp = max(r.stamp, r.wall().Unix())
	return uint32(r.stamp)
}

func coded(r *ledger.Result) larspb.CallResult {
	return larspb.CallResult{
		IP: int32(r.Host.IP), Port: int32(r.Host.Port), Overload: r.Overload,
		Succ: r.Succ, Err: r.Err, TotalSucc: r.TotalSucc, TotalErr: r.TotalErr,
	}
}

func (r *reportClient) callerOn(conn *reactor.Conn) netip.Addr {
	if r.caller.IsValid() {
		return r.caller
	}
	return conn.LocalAddr().Addr()
}
