package access

import (
	"encoding/hex"
	"strings"
	"testing"
)

// The legacy proof is HMAC-SHA-256: RFC 4231, test case 2.
func TestLegacyProofIsStandard(t *testing.T) {
	const want = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
	if got := hex.EncodeToString(legacyProof("Jefe", []byte("what do ya want for nothing?"))); got != want {
		t.Errorf("legacyProof = %s, want %s", got, want)
	}
}

// The proof was bound to nothing but the server's nonce: a server of the other
// role, or one in the path, could have it made by an agent and pass it on, and
// there was none of the server.
func TestFinding49AProofIsGoodForOneExchangeAlone(t *testing.T) {
	x := exchange{role: "dns", server: newNonce(), agent: newNonce()}
	mac := x.proof(swordfish, agentSide)
	if !x.verify(swordfish, agentSide, mac) {
		t.Fatal("the right proof was refused")
	}
	for name, wrong := range map[string]bool{
		"another secret":         x.verify("guess-guess-guess", agentSide, mac),
		"the other direction":    x.verify(swordfish, serverSide, mac),
		"another role":           exchange{"reporter", x.server, x.agent}.verify(swordfish, agentSide, mac),
		"another server's nonce": exchange{"dns", newNonce(), x.agent}.verify(swordfish, agentSide, mac),
		"another agent's nonce":  exchange{"dns", x.server, newNonce()}.verify(swordfish, agentSide, mac),
		"the nonces exchanged":   exchange{"dns", x.agent, x.server}.verify(swordfish, agentSide, mac),
		"a moved border":         exchange{"dn", append([]byte("s"), x.server...), x.agent}.verify(swordfish, agentSide, mac),
		"the legacy proof":       x.verify(swordfish, agentSide, legacyProof(swordfish, x.server)),
		"nothing":                x.verify(swordfish, agentSide, nil),
	} {
		if wrong {
			t.Errorf("%s was taken for the proof", name)
		}
	}
}

// A secret of one letter was accepted silently.
func TestFinding49AShortSecretIsRefused(t *testing.T) {
	for _, secret := range []string{"", "0123456789abcdef", swordfish} {
		if err := CheckSecret("[access] secret", secret); err != nil {
			t.Errorf("%q: %v", secret, err)
		}
	}
	_, gateErr := NewGate(Config{Secret: "x"})
	proverErr := Prover{Secret: "0123456789abcde", Section: "[reporter]"}.Equip(nil)
	for key, err := range map[string]error{"[access] secret has 1 bytes": gateErr, "[reporter] secret has 15 bytes": proverErr} {
		if err == nil || !strings.Contains(err.Error(), key) || !strings.Contains(err.Error(), "openssl rand") {
			t.Errorf("got %v, want an error with %q and what to do", err, key)
		}
	}
	if err := (Prover{Require: true, Section: "[dnsserver]"}).Equip(nil); err == nil || !strings.Contains(err.Error(), "[dnsserver] secret is empty") {
		t.Errorf("a proof is required without a secret: %v", err)
	}
}
