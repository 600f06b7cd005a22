package reporter

import (
	"bytes"
	"errors"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"lars.internal/larspb"
	"lars.internal/reactor"
)

// signEvery is how often a connection that is not read gets a sign of life. An
// agent takes a server for dead that is silent for a few seconds after a Ping.
const signEvery = 2 * time.Second

// scratch lends memory to read reports into.
var scratch = sync.Pool{New: func() any { return new(larspb.StatusReport) }}

// peer is what the server knows of a connection. Owned by the connection's loop,
// but for server and conn, which are immutable.
type peer struct {
	server *Server
	conn   *reactor.Conn

	level   uint32         // of the agent; 0: one that knows no message of ours above 101
	held    []byte         // a report that found no room; the connection is not read meanwhile
	waitsAt *thread        // the thread that has no room for it
	signs   *reactor.Timer // sends signs of life while held is set
	ended   bool
}

func (s *Server) started(c *reactor.Conn) { c.SetProperty(&peer{server: s, conn: c}) }

func (s *Server) ended(c *reactor.Conn, _ error) {
	p := c.Property().(*peer)
	p.ended = true
	if p.held != nil {
		p.waitsAt.forget(p)
		p.release()
	}
}

// report handles a ReportStatusRequest.
func (s *Server) report(c *reactor.Conn, body []byte) {
	p := c.Property().(*peer)
	if at := p.handle(body); at != nil {
		p.park(body, at)
	}
}

// hello handles an agent's Hello, ping its Ping.
func (s *Server) hello(c *reactor.Conn, body []byte) {
	var m larspb.Hello
	if proto.Unmarshal(body, &m) != nil {
		s.count.malformed.Inc()
		return
	}
	c.Property().(*peer).meet(m.Level)
}

func (s *Server) ping(c *reactor.Conn, body []byte) {
	var m larspb.Echo
	if m.Parse(body) != nil {
		s.count.malformed.Inc()
		return
	}
	p := c.Property().(*peer)
	p.meet(1)                                 // only agents of ours know the message
	_ = c.Reply(larspb.IDPong, m.Append(nil)) // an agent that is gone needs none
}

// meet notes the level of the agent, and greets the first time that it has one.
func (p *peer) meet(level uint32) {
	if level > 0 && p.level == 0 {
		_ = p.conn.Reply(larspb.IDHello, p.server.greeting) // as above
	}
	p.level = max(p.level, level)
}

// handle takes over a report. It returns nil, or the thread that has no room
// for it.
func (p *peer) handle(body []byte) (full *thread) {
	s := p.server
	if s.stopping.Load() {
		s.count.closed.Inc()
		return nil
	}
	m := scratch.Get().(*larspb.StatusReport)
	defer scratch.Put(m)
	*m = larspb.StatusReport{Results: m.Results[:0]}
	if m.Parse(body) != nil || len(m.Results) > maxResults {
		s.count.malformed.Inc()
		return nil
	}
	p.meet(m.Level)
	d, r := decode(m, s.cfg.Now().Unix()), p.receiptFor(m)
	if len(d.rows) > 0 {
		if t := s.threads[threadFor(m.Key, uint32(m.Caller), len(s.threads))]; !t.put(d.rows, r, p) {
			return t
		}
	} else if r != nil {
		r.give(s.count) // there is nothing to wait for
	}
	s.countReport(m, d)
	return nil
}

// receiptFor returns the receipt of a report, nil for one that asks for none.
func (p *peer) receiptFor(m *larspb.StatusReport) *receipt {
	if m.Level == 0 || m.Run == 0 || m.Number == 0 {
		return nil
	}
	return &receipt{conn: p.conn, ack: larspb.Ack{Run: m.Run, Number: m.Number}}
}

// park holds a report that found no room at t, and the reader with it.
func (p *peer) park(body []byte, t *thread) {
	if p.held == nil {
		p.server.paused.Add(1)
		p.conn.PauseReading()
		p.signs = p.conn.Loop().Every(signEvery, p.sign)
	}
	p.held, p.waitsAt = bytes.Clone(body), t
}

// sign shows the agent that this server is there, although it does not read. An
// agent that is gone shows by the error of the next one.
func (p *peer) sign() {
	if p.conn.Send(larspb.IDPong, larspb.Echo{Number: 1}.Append(nil)) != nil {
		p.conn.Abort()
	}
}

// resume handles the report that was held, and lets the reader go on unless
// there is no room again. It is safe from any goroutine.
func (p *peer) resume() {
	p.conn.Loop().Post(func() { // a loop that has ended has ended the connection
		if p.ended || p.held == nil {
			return
		}
		if at := p.handle(p.held); at != nil {
			p.waitsAt = at
			return
		}
		p.release()
		p.conn.ResumeReading()
	})
}

// release ends what park began, but for the reader.
func (p *peer) release() {
	p.held, p.waitsAt = nil, nil
	p.signs.Stop()
	p.server.paused.Add(-1)
}

// give acknowledges the report. The connection of an agent that does not read is
// aborted, so that the agent sends the report again. It is safe from any
// goroutine.
func (r *receipt) give(count *counts) {
	err := r.conn.Send(larspb.IDReportAck, r.ack.Append(nil))
	if err == nil {
		count.acks.Inc()
		return
	}
	if errors.Is(err, reactor.ErrOutputFull) {
		r.conn.Abort()
	}
}
