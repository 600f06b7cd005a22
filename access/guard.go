package access

import (
	"cmp"
	"crypto/hmac"
	"errors"
	"net/netip"
	"time"

	"google.golang.org/protobuf/proto"

	"lars.internal/larspb"
	"lars.internal/reactor"
)

const (
	// proofTimeout is how long a peer may take to prove the secret.
	proofTimeout = 5 * time.Second

	// unprovenConns and unprovenPerAddr bound the connections that are not
	// proven, if the server's Config does not. A fleet that reconnects at once
	// proves itself within milliseconds each.
	unprovenConns   = 1024
	unprovenPerAddr = 64
)

// unproven is the property of a connection that has not proven the secret.
type unproven struct {
	nonce []byte
	ended bool // the peer was refused
}

// Guard lets a server take only what the gate admits. A connection of the
// server's own hooks and router begins when the peer has proven the secret;
// until then any other message ends it. Call it when cfg is complete.
func (g *Gate) Guard(cfg *reactor.ServerConfig) {
	g.guardNetworks(cfg)
	if g.Asks() {
		g.guardSecret(cfg)
	}
}

func (g *Gate) guardNetworks(cfg *reactor.ServerConfig) {
	refused := cfg.OnRefuse
	cfg.Admit = g.Admit
	cfg.OnRefuse = func(peer netip.AddrPort, reason error) {
		if errors.Is(reason, ErrNetwork) || errors.Is(reason, ErrGuesses) {
			g.Refused(peer, reason)
		}
		if refused != nil {
			refused(peer, reason)
		}
	}
}

// preAuth is what a server does with connections that are not proven.
type preAuth struct {
	gate   *Gate
	router *reactor.Router[*reactor.Conn] // of the server, for proven ones
	start  func(*reactor.Conn)
	end    func(*reactor.Conn, error)
}

func (g *Gate) guardSecret(cfg *reactor.ServerConfig) {
	p := &preAuth{gate: g, router: cfg.Router, start: cfg.OnStart, end: cfg.OnClose}
	router := reactor.NewRouter[*reactor.Conn]()
	router.Handle(larspb.IDProof, p.proof)
	router.HandleOther(func(c *reactor.Conn, _ int32, _ []byte) { p.refuse(c, ErrSecret) })
	cfg.Router = router
	cfg.OnStart = p.started
	cfg.OnClose = p.closed
	cfg.AwaitProof = true
	if cfg.MaxUnproven == 0 {
		cfg.MaxUnproven, cfg.MaxUnprovenPerAddr = unprovenConns, unprovenPerAddr
	}
	cfg.UnprovenTimeout = cmp.Or(cfg.UnprovenTimeout, proofTimeout)
}

func (p *preAuth) started(c *reactor.Conn) {
	u := &unproven{nonce: newNonce()}
	c.SetProperty(u)
	send(c, larspb.IDChallenge, &larspb.Challenge{Nonce: u.nonce, Level: larspb.Level})
}

// closed runs the server's own hook if its start hook has run.
func (p *preAuth) closed(c *reactor.Conn, reason error) {
	u, ok := c.Property().(*unproven)
	switch {
	case !ok && p.end != nil:
		p.end(c, reason)
	case ok && !u.ended && errors.Is(reason, reactor.ErrUnproven):
		p.gate.Refused(c.RemoteAddr(), ErrSecret)
	}
}

func (p *preAuth) refuse(c *reactor.Conn, reason error) {
	c.Property().(*unproven).ended = true
	p.gate.Refused(c.RemoteAddr(), reason)
	c.Close()
}

// proof judges a Proof, and hands a connection that is proven to the server.
func (p *preAuth) proof(c *reactor.Conn, body []byte) {
	var m larspb.Proof
	if proto.Unmarshal(body, &m) != nil {
		p.refuse(c, ErrSecret)
		return
	}
	answer, err := p.gate.judge(&m, c.Property().(*unproven).nonce)
	if err != nil {
		if errors.Is(err, ErrSecret) {
			p.gate.guessed(c.RemoteAddr())
		}
		p.refuse(c, err)
		return
	}
	if !c.Proven() {
		return // there is no place for it; the connection ends, and OnRefuse was told
	}
	if answer != nil {
		send(c, larspb.IDServerProof, answer)
	} else {
		p.gate.tookLegacy(c.RemoteAddr())
	}
	c.SetProperty(nil)
	c.SetRouter(p.router)
	if p.start != nil {
		p.start(c)
	}
}

// judge returns the answer to a proof, nil for that of an older agent. The
// error is ErrSecret or ErrLegacy.
func (g *Gate) judge(m *larspb.Proof, nonce []byte) (*larspb.ServerProof, error) {
	if len(m.Nonce) == 0 {
		switch {
		case g.cfg.RefuseLegacy:
			return nil, ErrLegacy
		case !hmac.Equal(m.Mac, legacyProof(g.cfg.Secret, nonce)):
			return nil, ErrSecret
		}
		return nil, nil
	}
	x := exchange{role: g.cfg.Role, server: nonce, agent: m.Nonce}
	if len(m.Nonce) != nonceSize || m.Role != g.cfg.Role || !x.verify(g.cfg.Secret, agentSide, m.Mac) {
		return nil, ErrSecret
	}
	return &larspb.ServerProof{Mac: x.proof(g.cfg.Secret, serverSide)}, nil
}

// send sends a small message on a connection that has just begun. It fails only
// if the connection has ended, which the close hook hears of.
func send(c *reactor.Conn, id int32, m proto.Message) {
	body, err := proto.Marshal(m)
	if err == nil {
		_ = c.Send(id, body)
	}
}
