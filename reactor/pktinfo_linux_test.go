package reactor

import (
	"fmt"
	"net/netip"
	"testing"
)

// A server on 0.0.0.0 that was asked at its second address answered from its
// first one, and the peer dropped the answer.
func TestFinding08AnswersComeFromTheAskedAddress(t *testing.T) {
	cases := []struct{ listen, asked string }{
		{"0.0.0.0:0", "127.0.0.1"}, {"0.0.0.0:0", "127.0.0.2"}, {"0.0.0.0:0", "127.1.2.3"},
		{"[::]:0", "127.0.0.2"}, {"[::]:0", "::1"}, {"127.0.0.2:0", "127.0.0.2"},
	}
	for _, c := range cases {
		t.Run(c.listen+" asked at "+c.asked, func(t *testing.T) {
			if netip.MustParseAddrPort(c.listen).Addr().Is6() {
				ipv6Loopback(t)
			}
			const requests, answers = 20, 2
			r := NewRouter[*Packet]()
			r.Handle(1, func(p *Packet, body []byte) {
				for range answers {
					p.Reply(2, body)
				}
			})
			r.Handle(3, func(p *Packet, body []byte) { p.Reply(4, body) })
			s := serveUDP(t, UDPConfig{Addr: netip.MustParseAddrPort(c.listen), Router: r, Batch: 8})
			// A connected socket takes datagrams of the asked address alone.
			p := newUDPPeer(t, netip.AddrPortFrom(netip.MustParseAddr(c.asked), s.Addr().Port()))
			for i := range 3 { // one by one
				p.send(frame(3, numbered(i)))
				p.want(4, numbered(i))
			}
			release := held(t, s.Loop())
			for i := range requests { // in batches
				p.send(frame(1, numbered(i)))
			}
			release()
			for i := range requests * answers {
				p.want(2, numbered(i/answers))
			}
		})
	}
}

func TestUDPEchoOnAllAddressesDoesNotAllocate(t *testing.T) {
	s := serveUDP(t, UDPConfig{Addr: netip.MustParseAddrPort("0.0.0.0:0")})
	nc := dialUDP(t, netip.AddrPortFrom(loopback.Addr(), s.Addr().Port()))
	one := frame(1, "0123456789abcdef")
	answer := make([]byte, 100)
	wantNoAllocs(t, func() {
		for range burst {
			nc.Write(one)
		}
		for range burst {
			nc.Read(answer)
		}
	})
}

// Peers that ask at several addresses in one batch.
func TestAskedAddressesAreNotMixedUp(t *testing.T) {
	s := serveUDP(t, UDPConfig{Addr: netip.MustParseAddrPort("0.0.0.0:0")})
	release := held(t, s.Loop())
	var peers []udpPeer
	for i := range 10 {
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, byte(1 + i)}), s.Addr().Port())
		peers = append(peers, newUDPPeer(t, addr))
	}
	for i, p := range peers {
		p.send(frame(1, fmt.Sprint("to address ", i)))
	}
	release()
	for i, p := range peers {
		p.want(2, fmt.Sprint("to address ", i))
	}
}
