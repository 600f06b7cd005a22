package access

import (
	"cmp"
	"fmt"
	"log/slog"
	"time"

	"google.golang.org/protobuf/proto"

	"lars.internal/larspb"
	"lars.internal/reactor"
)

const (
	// challengeWait is how long a client that has a secret waits to be asked for
	// it. A server with a secret asks at once.
	challengeWait = time.Second

	// answerWait is how long a server may take to prove itself.
	answerWait = 5 * time.Second
)

// Prover answers the challenges of a client's servers, and has them prove that
// they know the secret, too.
type Prover struct {
	// Secret is what both sides know. Default: there is none to prove.
	Secret string

	// Role is what the servers are, dns or reporter.
	Role string

	// Require refuses a server that does not prove itself: one without a secret,
	// and one older than level 1. Default: it is obeyed, with a warning.
	Require bool

	Section string           // where the operator sets it: [dnsserver]
	Log     *slog.Logger     // gets what goes wrong; nil: nothing
	Now     func() time.Time // nil: time.Now
}

// Equip lets a client prove the secret. The client's own start hook and router
// begin when the server has proven itself, or when it has not asked for a proof
// for a second, so that clients may have the secret before their servers do;
// the close hook runs only for connections whose start hook ran. Call it when
// cfg is complete. It fails for a secret that is too short, and for one that is
// required and missing.
func (p Prover) Equip(cfg *reactor.ClientConfig) error {
	if p.Require && p.Secret == "" {
		return fmt.Errorf("%s require_proof is on and %s secret is empty: set the [access] secret of the servers", p.Section, p.Section)
	}
	if err := CheckSecret(p.Section+" secret", p.Secret); err != nil {
		return err
	}
	p.Log = cmp.Or(p.Log, slog.New(slog.DiscardHandler))
	if p.Now == nil {
		p.Now = time.Now
	}
	t := &talk{Prover: p, router: cfg.Router, start: cfg.OnStart, end: cfg.OnClose}
	cfg.OnStart, cfg.OnClose = t.started, t.closed
	if p.Secret == "" {
		cfg.Router.Handle(larspb.IDChallenge, t.challengedWithoutSecret)
		return nil
	}
	router := reactor.NewRouter[*reactor.Conn]()
	router.Handle(larspb.IDChallenge, t.challenged)
	router.Handle(larspb.IDServerProof, t.answered)
	cfg.Router = router // anything else is dropped before the server has proven itself
	return nil
}

// talk is what a client and its present server prove to each other. Owned by
// the client's loop.
type talk struct {
	Prover
	router *reactor.Router[*reactor.Conn] // of the client, for proven servers
	start  func(*reactor.Conn)
	end    func(*reactor.Conn, error)
	lines  lines
	asked  bool // a server has asked for a proof in vain, so the next is given time to

	// Of the present connection.
	begun    bool
	wait     *reactor.Timer // not nil: for what the server has to say
	exchange exchange
	proved   bool // the proof was sent
}

func (t *talk) started(c *reactor.Conn) {
	t.begun, t.wait, t.proved, t.exchange = false, nil, false, exchange{}
	if t.Secret == "" && !t.asked {
		t.begin(c)
		return
	}
	t.wait = c.Loop().After(challengeWait, func() { t.unasked(c) })
}

// begin hands the connection to the client.
func (t *talk) begin(c *reactor.Conn) {
	t.stopWaiting()
	t.begun = true
	if t.Secret != "" {
		c.SetRouter(t.router)
	}
	if t.start != nil {
		t.start(c)
	}
}

func (t *talk) stopWaiting() {
	if t.wait != nil {
		t.wait.Stop()
	}
}

func (t *talk) closed(c *reactor.Conn, reason error) {
	t.stopWaiting()
	if t.begun {
		if t.end != nil {
			t.end(c, reason)
		}
		return
	}
	if t.proved {
		t.warn(c, "the server ended the connection on the proof; is "+t.Section+" secret the same as its [access] secret?")
	}
}

// unasked handles a server that has not asked for a proof: it is used with a
// warning, or refused if Require is set.
func (t *talk) unasked(c *reactor.Conn) {
	switch {
	case t.Require:
		t.refuse(c, "the server does not ask for a proof and gives none; "+t.Section+" require_proof refuses it")
		return
	case t.Secret != "":
		t.warn(c, "the server does not ask for a proof and gives none; set [access] secret there, then "+t.Section+" require_proof here")
	}
	t.begin(c)
}

// challengedWithoutSecret takes a Challenge without a secret. The server ends the
// connection; the client's own hooks need not hear of the next ones.
func (t *talk) challengedWithoutSecret(c *reactor.Conn, _ []byte) {
	t.asked = true
	t.stopWaiting()
	t.warn(c, "the server asks for a secret and none is set: set "+t.Section+" secret")
}

// challenged answers a Challenge.
func (t *talk) challenged(c *reactor.Conn, body []byte) {
	var m larspb.Challenge
	if t.proved || proto.Unmarshal(body, &m) != nil || len(m.Nonce) != nonceSize {
		t.refuse(c, "the server sent a challenge that is none")
		return
	}
	t.proved = true
	switch {
	case m.Level >= 1:
		t.exchange = exchange{role: t.Role, server: m.Nonce, agent: newNonce()}
		send(c, larspb.IDProof, &larspb.Proof{
			Mac: t.exchange.proof(t.Secret, agentSide), Nonce: t.exchange.agent, Role: t.Role,
		})
		t.stopWaiting()
		t.wait = c.Loop().After(answerWait, func() { t.refuse(c, "the server did not prove that it knows the secret") })
	case t.Require:
		t.refuse(c, "the server cannot prove that it knows the secret; upgrade it, or set "+t.Section+" require_proof = off")
	default:
		send(c, larspb.IDProof, &larspb.Proof{Mac: legacyProof(t.Secret, m.Nonce)})
		t.begin(c)
	}
}

// answered takes a ServerProof.
func (t *talk) answered(c *reactor.Conn, body []byte) {
	var m larspb.ServerProof
	if t.exchange.agent == nil || proto.Unmarshal(body, &m) != nil || !t.exchange.verify(t.Secret, serverSide, m.Mac) {
		t.refuse(c, "the server did not prove that it knows the secret")
		return
	}
	t.exchange = exchange{}
	t.begin(c)
}

// refuse gives the server up; the client tries the next.
func (t *talk) refuse(c *reactor.Conn, why string) {
	t.proved = false // there is a line for it already
	t.warn(c, why)
	c.Abort()
}

// warn logs a warning, once for each server and minute.
func (t *talk) warn(c *reactor.Conn, text string) {
	if t.lines.due(c.RemoteAddr().Addr(), t.Now()) {
		t.Log.Warn("access: "+text, "server", c.RemoteAddr())
	}
}
