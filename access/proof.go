package access

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
)

const (
	// MinSecret is the length in bytes below which a secret is refused: with a
	// proof that was overheard, secrets can be tried offline, without the brake.
	MinSecret = 16

	// nonceSize is the length of a nonce in bytes.
	nonceSize = 32

	// proofDomain keeps these MACs apart from all others under the secret.
	proofDomain = "lars access proof 1"
)

// CheckSecret fails for a secret that is too short. An empty one means that
// there is none, which is accepted. key is where it is set: "[access]
// secret".
func CheckSecret(key, secret string) error {
	if secret == "" || len(secret) >= MinSecret {
		return nil
	}
	return fmt.Errorf("%s has %d bytes, want at least %d; make one with: openssl rand -hex 32", key, len(secret), MinSecret)
}

// side is the maker of a MAC.
type side byte

const (
	agentSide  side = 'a'
	serverSide side = 's'
)

// exchange is what a proof is bound to. It is of no use to a server of another
// role, on another connection, or in the other direction.
type exchange struct {
	role          string // of the server
	server, agent []byte // nonces
}

// proof returns the MAC of one side: HMAC-SHA-512/256 of the domain, the side,
// the role and both nonces, the last three each after its length. The hash
// differs from that of legacyProof, because an old agent signs any nonce, and
// must not be made to sign this.
func (x exchange) proof(secret string, of side) []byte {
	h := hmac.New(sha512.New512_256, []byte(secret))
	h.Write([]byte(proofDomain))
	h.Write([]byte{byte(of)})
	for _, part := range [][]byte{[]byte(x.role), x.server, x.agent} {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part))))
		h.Write(part)
	}
	return h.Sum(nil)
}

// verify reports whether mac is the proof of one side, in constant time.
func (x exchange) verify(secret string, of side, mac []byte) bool {
	return hmac.Equal(mac, x.proof(secret, of))
}

// legacyProof returns the proof of an agent that knows no other: HMAC-SHA-256
// (RFC 2104) of the server's nonce under the secret. It proves nothing about
// the server, and a server can pass it on to another.
func legacyProof(secret string, nonce []byte) []byte {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write(nonce)
	return h.Sum(nil)
}

func newNonce() []byte {
	nonce := make([]byte, nonceSize)
	rand.Read(nonce) // never fails (crypto/rand)
	return nonce
}
