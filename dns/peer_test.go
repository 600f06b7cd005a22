package dns_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"lars.internal/larspb"
	"lars.internal/route"
)

// peer is an agent, played over a plain socket.
type peer struct {
	t    *testing.T
	conn net.Conn
}

func dial(t *testing.T, in *instance) *peer {
	t.Helper()
	conn, err := net.Dial("tcp", in.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &peer{t, conn}
}

// ask sends a GetRouteRequest for each key, in one write.
func (p *peer) ask(keys ...route.Key) {
	p.t.Helper()
	var b []byte
	for _, k := range keys {
		var err error
		b, err = larspb.AppendFrame(b, larspb.IDGetRouteRequest, &larspb.GetRouteRequest{Modid: k.Modid, Cmdid: k.Cmdid})
		if err != nil {
			p.t.Fatal(err)
		}
	}
	p.send(b)
}

func (p *peer) send(b []byte) {
	p.t.Helper()
	if _, err := p.conn.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

// answer is a GetRouteResponse.
type answer struct {
	Key   route.Key
	Hosts []route.Host
}

// next reads one frame.
func (p *peer) next() answer {
	p.t.Helper()
	a, err := p.read()
	if err != nil {
		p.t.Fatalf("waiting for an answer: %v", err)
	}
	return a
}

func (p *peer) read() (answer, error) {
	if err := p.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return answer{}, err
	}
	var header [larspb.HeaderSize]byte
	if _, err := io.ReadFull(p.conn, header[:]); err != nil {
		return answer{}, err
	}
	body := make([]byte, binary.LittleEndian.Uint32(header[4:]))
	if _, err := io.ReadFull(p.conn, body); err != nil {
		return answer{}, err
	}
	if id := int32(binary.LittleEndian.Uint32(header[:])); id != larspb.IDGetRouteResponse {
		return answer{}, errors.New("not a GetRouteResponse")
	}
	var m larspb.GetRouteResponse
	if err := proto.Unmarshal(body, &m); err != nil {
		return answer{}, err
	}
	a := answer{Key: route.Key{Modid: m.Modid, Cmdid: m.Cmdid}}
	for _, h := range m.Host {
		a.Hosts = append(a.Hosts, route.Host{IP: uint32(h.Ip), Port: uint16(h.Port)})
	}
	return a, nil
}

// expect reads one frame and compares it.
func (p *peer) expect(key route.Key, hosts ...route.Host) {
	p.t.Helper()
	want := answer{key, hosts}
	if diff := cmp.Diff(want, p.next()); diff != "" {
		p.t.Fatalf("answer (-want +got):\n%s", diff)
	}
}

// expectBoth reads two frames and compares them, in either order.
func (p *peer) expectBoth(a, b answer) {
	p.t.Helper()
	x, y := p.next(), p.next()
	if x.Key == b.Key {
		x, y = y, x
	}
	if diff := cmp.Diff([]answer{a, b}, []answer{x, y}); diff != "" {
		p.t.Fatalf("answers (-want +got):\n%s", diff)
	}
}

// expectFinally reads frames of one service until one has these hosts.
func (p *peer) expectFinally(key route.Key, hosts ...route.Host) {
	p.t.Helper()
	for {
		a := p.next()
		if a.Key != key {
			p.t.Fatalf("answer for service %v, want %v", a.Key, key)
		}
		if slices.Equal(a.Hosts, hosts) {
			return
		}
	}
}

// expectSilence checks that nothing was sent: what is asked for next is the
// next thing that comes.
func (p *peer) expectSilence() {
	p.t.Helper()
	probe := route.Key{Modid: 404, Cmdid: 404}
	p.ask(probe)
	p.expect(probe)
}

// expectEnd reads until the service has closed the connection.
func (p *peer) expectEnd() {
	p.t.Helper()
	for {
		if _, err := p.read(); err != nil {
			if errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
				p.t.Fatal("the connection is still open")
			}
			return
		}
	}
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

var (
	k12 = route.Key{Modid: 1, Cmdid: 2}
	k13 = route.Key{Modid: 1, Cmdid: 3}
	h1  = route.Host{IP: 0xC0A80171, Port: 7777}
	h2  = route.Host{IP: 0xC0A80172, Port: 7777}
	h3  = route.Host{IP: 0xC0A80173, Port: 7777}
)
