package agent

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"lars.internal/larspb"
	"lars.internal/reactor"
)

// A server of this project that is silent for pingAfter gets a Ping, and when it
// stays silent for pongWait after that, the connection is given up: a server
// that hangs is noticed within 10 s, and so is one whose machine is gone. C++
// servers get no Ping.
const (
	pingAfter    = 2 * time.Second
	pongWait     = 6 * time.Second
	signInterval = 500 * time.Millisecond // between two looks

	// oursFor is how long an address that had a server of this project is
	// expected to have one. One that hangs takes connections and says nothing,
	// as a C++ report service does.
	oursFor = 10 * time.Minute

	// maxOurs bounds how many such addresses are remembered.
	maxOurs = 64
)

// link is what an agent knows of a service that it is connected to: a line when
// a connection comes and goes, one for the first of a row of failed attempts,
// and the signs of life of the server.
type link struct {
	// Immutable.
	what  string
	log   *slog.Logger
	clock func() time.Duration
	hello []byte // of this agent

	// Immutable while connected: the constants, but in tests.
	signInterval, pingAfter, pongWait time.Duration

	connected atomic.Bool

	// Owned by the loop goroutine.
	silent bool                             // a failed attempt was logged already
	ours   map[netip.AddrPort]time.Duration // servers of this project: when they were last heard

	// Of the connection.
	level  uint32        // of the server; 0: nothing but the ids of C++ peers is for it
	asked  time.Duration // when something was first sent that shows our level; longAgo: not yet
	heard  time.Duration // the last message
	pinged time.Duration // when the Ping went out that nothing came after; longAgo: there is none
	number uint64        // of the last Ping
	looked time.Duration // when look last ran
	signs  *reactor.Timer
}

// longAgo is earlier than every time of the agent's clock.
const longAgo = time.Duration(-1 << 62)

func newLink(what string, cfg *Config) *link {
	return &link{
		what: what, log: cfg.Log, clock: cfg.Clock, hello: cfg.hello,
		signInterval: signInterval, pingAfter: pingAfter, pongWait: pongWait,
		ours: make(map[netip.AddrPort]time.Duration),
	}
}

// handle adds the messages of the link itself to a router.
func (l *link) handle(router *reactor.Router[*reactor.Conn]) {
	router.Handle(larspb.IDPong, func(c *reactor.Conn, _ []byte) { l.hear(c, larspb.Level) })
	router.Handle(larspb.IDHello, func(c *reactor.Conn, _ []byte) { l.hear(c, larspb.Level) })
}

func (l *link) up(conn *reactor.Conn) {
	now := l.clock()
	l.silent = false
	l.level, l.asked, l.heard, l.pinged, l.looked = 0, longAgo, now, longAgo, now
	l.signs = conn.Loop().Every(l.signInterval, func() { l.look(conn) })
	l.connected.Store(true)
	l.log.Info("agent: connected to "+l.what, "addr", conn.RemoteAddr())
}

func (l *link) down(conn *reactor.Conn, reason error) {
	l.connected.Store(false)
	l.signs.Stop()
	level := slog.LevelWarn
	if errors.Is(reason, reactor.ErrClosed) || errors.Is(reason, reactor.ErrReturn) {
		level = slog.LevelInfo // the agent ended it, and said so where that is news
	}
	l.log.Log(context.Background(), level, "agent: connection to "+l.what+" ended", "addr", conn.RemoteAddr(), "reason", reason)
}

func (l *link) failed(addr netip.AddrPort, err error) {
	if l.silent {
		return
	}
	l.silent = true
	l.log.Warn("agent: no connection to "+l.what+", still trying", "addr", addr, "reason", err)
}

// ask notes that something was sent which a server of this project answers.
func (l *link) ask() {
	if l.asked == longAgo {
		l.asked = l.clock()
	}
}

// hear notes a message of the server, and its level; 0: the message has none.
func (l *link) hear(conn *reactor.Conn, level uint32) {
	l.heard, l.pinged = l.clock(), longAgo
	if level == 0 {
		return
	}
	if l.level == 0 {
		_ = conn.Send(larspb.IDHello, l.hello) // without a connection it is not needed
	}
	l.level = max(l.level, level)
	l.remember(conn.RemoteAddr())
}

// remember notes that the address has a server of this project now.
func (l *link) remember(addr netip.AddrPort) {
	if _, known := l.ours[addr]; !known && len(l.ours) >= maxOurs {
		clear(l.ours)
	}
	l.ours[addr] = l.heard
}

// isOurs reports whether the server is one of this project, as far as is known:
// it showed its level on this connection, or on one not long ago.
func (l *link) isOurs(conn *reactor.Conn) bool {
	at, known := l.ours[conn.RemoteAddr()]
	return l.level > 0 || known && l.clock()-at < oursFor
}

// look sends a Ping if it is time for one, and gives up a server that is silent
// for too long.
func (l *link) look(conn *reactor.Conn) {
	now := l.clock()
	late := now-l.looked > 4*l.signInterval
	l.looked = now
	switch {
	case late: // this process was stopped: what came meanwhile is still to be read
		l.heard, l.pinged = now, longAgo
	case l.level == 0:
		if l.asked != longAgo && l.isOurs(conn) && now-max(l.asked, l.heard) >= l.pingAfter+l.pongWait {
			l.giveUp(conn, now-max(l.asked, l.heard))
		}
	case l.pinged != longAgo && now-l.pinged >= l.pongWait:
		l.giveUp(conn, now-l.heard)
	case l.pinged == longAgo && now-l.heard >= l.pingAfter:
		l.number++
		l.pinged = now
		_ = conn.Send(larspb.IDPing, larspb.Echo{Number: l.number}.Append(nil)) // as in hear
	}
}

func (l *link) giveUp(conn *reactor.Conn, silent time.Duration) {
	l.log.Warn("agent: "+l.what+" is silent, trying the next", "addr", conn.RemoteAddr(), "for", silent.Round(time.Second).String())
	conn.Abort()
}

// dial returns the client of the servers that peers names, whose link is l. role
// is what they are to prove, section where their keys are. hooks has the router
// and what is called at the start and at the end of a connection.
func (l *link) dial(cfg *Config, peers *Peers, role, section string, hooks reactor.ClientConfig) (*reactor.Client, error) {
	l.handle(hooks.Router)
	hooks.Random = cfg.Random
	hooks.OnDialFailed = l.failed
	hooks.ConnectTimeout = connectTimeout
	hooks.BackoffMin, hooks.BackoffMax = reconnectMin, reconnectMax
	hooks.DrainTimeout = drainTimeout
	hooks.Conn = reactor.ConnConfig{KeepAlive: cfg.KeepAlive, PeerTimeout: cfg.PeerTimeout}
	hooks.Log = cfg.Log
	peers.name(&hooks)
	if err := peers.prover(role, section, cfg.Log).Equip(&hooks); err != nil {
		return nil, err
	}
	return reactor.NewClient(hooks)
}
