package access

import (
	"errors"
	"net/netip"
	"time"

	"google.golang.org/protobuf/proto"

	"lars.internal/larspb"
	"lars.internal/reactor"
)

// proofTimeout is how long a peer may take to prove the secret.
const proofTimeout = 5 * time.Second

// visitor is the property of a connection that has not proven the secret.
type visitor struct {
	nonce []byte
	late  *reactor.Timer
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
		if errors.Is(reason, ErrNetwork) {
			g.Refused(peer, reason)
		}
		if refused != nil {
			refused(peer, reason)
		}
	}
}

func (g *Gate) guardSecret(cfg *reactor.ServerConfig) {
	start, end, router := cfg.OnStart, cfg.OnClose, cfg.Router
	refuse := func(c *reactor.Conn) {
		c.Property().(*visitor).late.Stop()
		g.Refused(c.RemoteAddr(), ErrSecret)
		c.Close()
	}
	door := reactor.NewRouter[*reactor.Conn]()
	door.Handle(larspb.IDProof, func(c *reactor.Conn, body []byte) {
		var m larspb.Proof
		v := c.Property().(*visitor)
		if proto.Unmarshal(body, &m) != nil || !g.Verify(v.nonce, m.Mac) {
			refuse(c)
			return
		}
		v.late.Stop()
		c.SetProperty(nil)
		c.SetRouter(router)
		c.Proven()
		if start != nil {
			start(c)
		}
	})
	door.HandleOther(func(c *reactor.Conn, _ int32, _ []byte) { refuse(c) })

	cfg.Router = door
	cfg.AwaitProof = cfg.MaxUnproven > 0
	cfg.OnStart = func(c *reactor.Conn) {
		nonce := g.Challenge()
		late := c.Loop().After(proofTimeout, func() { refuse(c) })
		c.SetProperty(&visitor{nonce, late})
		send(c, larspb.IDChallenge, &larspb.Challenge{Nonce: nonce})
	}
	cfg.OnClose = func(c *reactor.Conn, reason error) {
		if v, ok := c.Property().(*visitor); ok {
			v.late.Stop()
			return
		}
		if end != nil {
			end(c, reason)
		}
	}
}

// send sends a small message on a connection that has just begun, so that only
// its end can be in the way; the close hook tells of that.
func send(c *reactor.Conn, id int32, m proto.Message) {
	body, err := proto.Marshal(m)
	if err == nil {
		_ = c.Send(id, body)
	}
}
