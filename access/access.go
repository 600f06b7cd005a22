// Package access admits peers to a service: those from allowed networks that
// know a shared secret.
//
//	gate, err := access.NewGate(access.Config{Allow: networks, Secret: secret, Role: "dns", Log: log})
//	gate.Guard(&serverConfig) // on the side that is called
//
//	access.Prover{Secret: secret, Role: "dns", Section: "[dnsserver]", Log: log}.Equip(&clientConfig)
//
// A server that has a secret sends each new connection a challenge, a random
// nonce, and takes nothing before the proof. The agent answers with a nonce of
// its own and the MAC of both, of the server's role and of the direction under
// the secret; the server answers with its MAC of the same, and the agent takes
// nothing before that. Therefore a proof cannot be replayed, passed on to a
// server of the other role, or sent back to its maker.
//
// Agents older than level 1 prove the MAC of the server's nonce alone, and the
// server proves nothing to them. Their proofs are taken, with a warning,
// unless Config.RefuseLegacy is set. A new agent gives such a proof to a
// server older than level 1, unless Prover.Require is set.
//
// The secret itself is never sent. The traffic after the proof is neither
// encrypted nor signed: a relay between the two that passes everything on can
// still read and change it.
//
// An address whose proofs are wrong too often is refused for a while. A refused
// peer is closed and counted, and logged at most once a minute, on either side.
// Connections that are not proven yet have a small pool of their own, so they
// take no place of the server's agents.
//
// A Gate is safe for concurrent use.
package access

import (
	"cmp"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

// Reasons for which a peer is refused.
var (
	ErrNetwork = errors.New("its address is in none of the networks of [access] allow")
	ErrSecret  = errors.New("it did not prove that it knows [access] secret")
	ErrGuesses = errors.New("too many wrong proofs of [access] secret came from its address")
	ErrLegacy  = errors.New("its proof is that of an older agent, and [access] legacy_proof is off")
)

// Config describes the peers that may use a service. The zero value admits all.
type Config struct {
	// Allow are the networks that may connect. Default: all.
	Allow []netip.Prefix

	// Secret has to be proven by every peer, at least MinSecret bytes. Default:
	// nothing is to be proven.
	Secret string

	// Role is what the server is, dns or reporter. A proof is good for it alone.
	Role string

	// RefuseLegacy refuses the proofs of agents older than level 1, which a
	// server in the path can pass on. Default: they are taken with a warning.
	RefuseLegacy bool

	Log *slog.Logger     // gets refusals; nil: nothing
	Now func() time.Time // nil: time.Now
}

// String names the networks; the secret is in no log.
func (c Config) String() string {
	secret := "none"
	if c.Secret != "" {
		secret = "set"
	}
	return "allow " + cmp.Or(joined(c.Allow), "all") + ", secret " + secret
}

func joined(networks []netip.Prefix) string {
	text := ""
	for i, n := range networks {
		if i > 0 {
			text += " "
		}
		text += n.String()
	}
	return text
}

// Gate applies a Config.
type Gate struct {
	// Immutable after NewGate.
	cfg Config

	mu      sync.Mutex // guards everything below
	refused uint64
	lines   lines // about refused peers
	legacy  lines // about peers whose proofs are those of older agents
	brake   brake
}

// NewGate returns a gate. It fails for a secret that is too short.
func NewGate(cfg Config) (*Gate, error) {
	if err := CheckSecret("[access] secret", cfg.Secret); err != nil {
		return nil, err
	}
	cfg.Log = cmp.Or(cfg.Log, slog.New(slog.DiscardHandler))
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Gate{cfg: cfg}, nil
}

// Admit returns nil if the peer may connect, else ErrNetwork or ErrGuesses.
func (g *Gate) Admit(peer netip.AddrPort) error {
	if !g.allows(peer.Addr().Unmap()) {
		return ErrNetwork
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.brake.refuses(peer.Addr(), g.cfg.Now()) {
		return ErrGuesses
	}
	return nil
}

func (g *Gate) allows(addr netip.Addr) bool {
	for _, network := range g.cfg.Allow {
		if network.Contains(addr) {
			return true
		}
	}
	return len(g.cfg.Allow) == 0
}

// Asks reports whether peers have to prove a secret.
func (g *Gate) Asks() bool { return g.cfg.Secret != "" }

// Refused counts a peer that was turned away, and logs it unless its address
// was logged within the last minute.
func (g *Gate) Refused(peer netip.AddrPort, reason error) {
	g.mu.Lock()
	g.refused++
	due := g.lines.due(peer.Addr(), g.cfg.Now())
	g.mu.Unlock()
	if due {
		g.cfg.Log.Warn("access: peer refused", "peer", peer, "reason", reason)
	}
}

// Count returns how many peers were refused.
func (g *Gate) Count() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.refused
}

// guessed counts a wrong proof.
func (g *Gate) guessed(peer netip.AddrPort) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.brake.wrong(peer.Addr(), g.cfg.Now())
}

// tookLegacy logs that the proof of an older agent was taken, once for each
// peer and minute.
func (g *Gate) tookLegacy(peer netip.AddrPort) {
	g.mu.Lock()
	due := g.legacy.due(peer.Addr(), g.cfg.Now())
	g.mu.Unlock()
	if due {
		g.cfg.Log.Warn("access: took the proof of an older agent, which a server in the path could have passed on; "+
			"upgrade the agent, then set [access] legacy_proof = off", "peer", peer)
	}
}
