// Package access decides who may use a service: peers from allowed networks
// that know a shared secret.
//
//	gate := access.NewGate(access.Config{Allow: networks, Secret: secret, Log: log})
//	gate.Guard(&serverConfig) // on the side that is called
//
//	access.Prover{Secret: secret, Key: "[dnsserver] secret", Log: log}.Equip(&clientConfig)
//
// A server that has a secret sends each new connection a challenge, a random
// nonce, and takes nothing before the proof, the MAC of the nonce under the
// secret. The secret itself is never sent, and a nonce is good for one
// connection, so what was overheard cannot be used again. The traffic behind
// it is neither encrypted nor signed.
//
// A refused peer is closed and counted, and logged at most once a minute. A
// Gate is safe for concurrent use.
package access

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

const (
	// nonceSize is the length of a challenge in bytes.
	nonceSize = 32

	// logEvery is how often one peer's refusals are logged.
	logEvery = time.Minute

	// maxLogged bounds how many peers are remembered for that.
	maxLogged = 1024
)

// Reasons for which a peer is refused.
var (
	ErrNetwork = errors.New("its address is in none of the networks of [access] allow")
	ErrSecret  = errors.New("it did not prove that it knows [access] secret")
)

// Config says who may use a service. The zero value admits everybody.
type Config struct {
	Allow  []netip.Prefix // networks that may connect; empty: all
	Secret string         // to be proven by every peer; empty: none
	Log    *slog.Logger   // gets refusals; nil: nothing
	Now    func() time.Time
}

// Gate applies a Config.
type Gate struct {
	// Immutable after NewGate.
	cfg Config

	mu      sync.Mutex // guards everything below
	refused uint64
	logged  map[netip.Addr]time.Time // when a peer was logged last
}

// NewGate returns a gate.
func NewGate(cfg Config) *Gate {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Gate{cfg: cfg, logged: make(map[netip.Addr]time.Time)}
}

// Admit returns nil if the peer's network may connect, else ErrNetwork.
func (g *Gate) Admit(peer netip.AddrPort) error {
	if len(g.cfg.Allow) == 0 {
		return nil
	}
	addr := peer.Addr().Unmap()
	for _, network := range g.cfg.Allow {
		if network.Contains(addr) {
			return nil
		}
	}
	return ErrNetwork
}

// Asks tells whether peers have to prove a secret.
func (g *Gate) Asks() bool { return g.cfg.Secret != "" }

// Challenge returns a fresh nonce, to be sent to one peer.
func (g *Gate) Challenge() []byte {
	nonce := make([]byte, nonceSize)
	rand.Read(nonce) // never fails (crypto/rand)
	return nonce
}

// Verify tells whether mac is the answer to nonce, in constant time.
func (g *Gate) Verify(nonce, mac []byte) bool {
	return hmac.Equal(mac, Proof(g.cfg.Secret, nonce))
}

// Proof returns the answer to a challenge: HMAC-SHA-256 (RFC 2104) of the
// nonce under the secret.
func Proof(secret string, nonce []byte) []byte {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write(nonce)
	return h.Sum(nil)
}

// Refused counts a peer that was turned away, and logs it unless its address
// was logged within the last minute.
func (g *Gate) Refused(peer netip.AddrPort, reason error) {
	if g.noteRefusal(peer.Addr()) {
		g.cfg.Log.Warn("access: peer refused", "peer", peer, "reason", reason)
	}
}

// Count returns how many peers were refused.
func (g *Gate) Count() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.refused
}

// noteRefusal counts and tells whether to log.
func (g *Gate) noteRefusal(addr netip.Addr) bool {
	now := g.cfg.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refused++
	last, known := g.logged[addr]
	if known && now.Sub(last) < logEvery {
		return false
	}
	if !known && len(g.logged) >= maxLogged && !g.forgetLocked(now) {
		return false
	}
	g.logged[addr] = now
	return true
}

// forgetLocked drops the peers that may be logged again anyway, and tells
// whether that made room.
func (g *Gate) forgetLocked(now time.Time) bool {
	for addr, last := range g.logged {
		if now.Sub(last) >= logEvery {
			delete(g.logged, addr)
		}
	}
	return len(g.logged) < maxLogged
}
