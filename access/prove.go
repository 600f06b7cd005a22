package access

import (
	"log/slog"
	"time"

	"google.golang.org/protobuf/proto"

	"lars.internal/larspb"
	"lars.internal/reactor"
)

// challengeWait is how long a client that has a secret waits to be asked for
// it. A server that asks does so at once; one that does not never will.
const challengeWait = time.Second

// Prover answers the challenges of a client's servers.
type Prover struct {
	Secret string       // empty: there is none to prove
	Key    string       // where the operator sets it: [dnsserver] secret
	Log    *slog.Logger // gets a server that asks in vain
}

// Equip lets a client prove the secret. The client's own start hook runs when
// that is done, or when the server has not asked for it for a second, so that
// clients may have the secret before their servers do; the close hook runs
// only for connections whose start hook ran. Call it when cfg is complete.
func (p Prover) Equip(cfg *reactor.ClientConfig) {
	start, end := cfg.OnStart, cfg.OnClose
	var wait *reactor.Timer // owned by the client's loop, as begun is
	begun := false
	begin := func(c *reactor.Conn) {
		begun = true
		if start != nil {
			start(c)
		}
	}

	cfg.OnStart = func(c *reactor.Conn) {
		begun, wait = false, nil
		if p.Secret == "" {
			begin(c)
			return
		}
		wait = c.Loop().After(challengeWait, func() { begin(c) })
	}
	cfg.OnClose = func(c *reactor.Conn, reason error) {
		if wait != nil {
			wait.Stop()
		}
		if begun && end != nil {
			end(c, reason)
		}
	}
	cfg.Router.Handle(larspb.IDChallenge, func(c *reactor.Conn, body []byte) {
		var m larspb.Challenge
		if p.Secret == "" || proto.Unmarshal(body, &m) != nil {
			p.Log.Error("access: the server asks for a secret and none is set: set "+p.Key, "addr", c.RemoteAddr())
			return
		}
		send(c, larspb.IDProof, &larspb.Proof{Mac: Proof(p.Secret, m.Nonce)})
		if wait.Stop() {
			begin(c)
		}
	})
}
