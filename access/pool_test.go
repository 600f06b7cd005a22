package access

import (
	"net"
	"net/netip"
	"testing"

	"lars.internal/reactor"
)

// With a secret, peers that proved nothing held the places of a server for
// seconds, and a few hundred of them kept all agents out. They have places of
// their own: peers that know the secret get in through any number of them.
func TestFinding12UnprovenPeersKeepNobodyOut(t *testing.T) {
	const secret, places, pool = "a secret of more than 16 bytes", 2, 4
	router := reactor.NewRouter[*reactor.Conn]()
	router.Handle(echoID, func(c *reactor.Conn, body []byte) { c.Send(echoID, body) })
	server := reactor.ServerConfig{
		Addr: netip.MustParseAddrPort("127.0.0.1:0"), Router: router, Loops: 1,
		MaxConns: places, MaxUnproven: pool,
	}
	newGate(t, Config{Secret: secret, Role: "dns"}).Guard(&server)
	if !server.AwaitProof { // no peer can show it, since every message but a proof ends the connection
		t.Error("a message that proves nothing takes a connection out of the pool")
	}
	s, err := reactor.NewServer(server)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	run(t, s.Serve)
	for range places {
		for range 3 * pool {
			silent, err := net.Dial("tcp", s.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { silent.Close() })
		}
		client := dial(t, s.Addr(), Prover{Secret: secret})
		client.await(t, "start")
		client.await(t, "answer")
	}
	if n := s.Conns() - s.Unproven(); n != places {
		t.Errorf("%d places taken, want %d", n, places)
	}
}
