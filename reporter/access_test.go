package reporter

import (
	"crypto/hmac"
	"crypto/sha256"
	"io"
	"net/netip"
	"testing"

	"google.golang.org/protobuf/proto"

	"lars.internal/access"
	"lars.internal/larspb"
)

const refusals = `lars_reporter_connections_refused_total{reason="access"}`

// The original takes reports from anyone (defect 43).
func TestDefect43AReportNeedsTheSecret(t *testing.T) {
	r := start(t, Config{Access: access.Config{Secret: "swordfish-swordfish"}})

	stranger := r.dial()
	send(t, stranger, status(noon, 1, hostA))
	if _, err := io.Copy(io.Discard, stranger); err != nil { // the challenge, then the end
		t.Fatal(err)
	}
	r.awaitMetric(refusals, 1)

	agent := r.dial()
	var challenge larspb.Challenge
	head := make([]byte, larspb.HeaderSize)
	if _, err := io.ReadFull(agent, head); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, head[4])
	if _, err := io.ReadFull(agent, body); err != nil {
		t.Fatal(err)
	}
	if err := proto.Unmarshal(body, &challenge); err != nil || head[0] != byte(larspb.IDChallenge) {
		t.Fatalf("got message %d: %v", head[0], err)
	}
	mac := hmac.New(sha256.New, []byte("swordfish-swordfish")) // the proof of an older agent
	mac.Write(challenge.Nonce)
	proof, err := larspb.AppendFrame(nil, larspb.IDProof, &larspb.Proof{Mac: mac.Sum(nil)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := agent.Write(proof); err != nil {
		t.Fatal(err)
	}
	send(t, agent, status(noon, 2, hostA))
	r.awaitRow(rowA, 2)
}

func TestDefect43AForeignNetworkIsRefused(t *testing.T) {
	r := start(t, Config{Access: access.Config{Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}})
	c := r.dial()
	if n, _ := io.Copy(io.Discard, c); n != 0 { // a reset is as good as an end
		t.Errorf("a refused peer got %d bytes", n)
	}
	r.awaitMetric(refusals, 1)
}
