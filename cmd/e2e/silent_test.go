package e2e_test

import (
	"fmt"
	"net"
	"testing"
)

// Connections that said nothing took all places of a server and shut its agents
// out, with the configuration as shipped.
func testFinding47SilentConnections(t *testing.T, bin string) {
	const silent = 1200
	w := newWorld(t, bin, sqlite(t))
	w.startReporter()
	addr := fmt.Sprintf("127.0.0.1:%d", w.repPort)
	first := playAgent(t, addr)
	first.report(1)
	first.readUntil(func(int32) bool { return len(first.pending) == 0 })
	for i := range silent { // of ten machines
		from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i%10))}}
		conn, err := from.Dial("tcp4", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
	}
	for _, a := range []*playedAgent{playAgent(t, addr), first} {
		a.report(2)
		a.readUntil(func(int32) bool { return len(a.pending) == 0 })
	}
}
