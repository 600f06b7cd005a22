package agent

import (
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"lars.internal/larspb"
	"lars.internal/route"
)

// insist asks for a host as a client does: an answer that stays away is asked
// for again.
func (p *program) insist(key route.Key) (route.Host, larspb.RetCode) {
	p.t.Helper()
	for deadline := time.Now().Add(testTimeout); time.Now().Before(deadline); {
		p.seq++
		p.tell(larspb.IDGetHostRequest, larspb.HostQuery{Seq: p.seq, Modid: key.Modid, Cmdid: key.Cmdid}.Append(nil))
		p.conn.SetReadDeadline(time.Now().Add(time.Second))
		n, err := p.conn.Read(p.buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		if err != nil {
			p.t.Fatal(err)
		}
		var a larspb.HostAnswer
		if id, body, err := larspb.ParseFrame(p.buf[:n]); err != nil || id != larspb.IDGetHostResponse || a.Parse(body) != nil {
			p.t.Fatalf("answer %x", p.buf[:n])
		}
		if a.Seq == p.seq {
			return route.Host{IP: uint32(a.IP), Port: uint16(a.Port)}, larspb.RetCode(a.Retcode)
		}
	}
	p.t.Fatalf("no answer about %v in %v", key, testTimeout)
	return route.Host{}, 0
}

// randomDatagram returns, in b, random bytes or a message of a program about a
// random service, of which some bytes may be others.
func randomDatagram(r *rand.Rand, b []byte) []byte {
	if r.IntN(3) == 0 {
		b = b[:r.IntN(1400)]
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	b = randomMessage(r, b)
	for range r.IntN(3) {
		b[r.IntN(len(b))] = byte(r.Uint32())
	}
	return b
}

func randomMessage(r *rand.Rand, b []byte) []byte {
	b = b[:larspb.HeaderSize]
	modid, cmdid := int32(1000+r.IntN(1000)), int32(r.Uint32())
	var id int32
	switch r.IntN(3) {
	case 0:
		id, b = larspb.IDGetHostRequest, larspb.HostQuery{Seq: r.Uint32(), Modid: modid, Cmdid: cmdid}.Append(b)
	case 1:
		id, b = larspb.IDAPIGetRouteRequest, larspb.RouteQuery{Seq: r.Uint32(), Modid: modid, Cmdid: cmdid}.Append(b)
	case 2:
		report := larspb.CallReport{Modid: modid, Cmdid: cmdid, HasHost: true, IP: int32(r.Uint32()), Port: r.Int32N(70000), Retcode: r.Int32N(2)}
		id, b = larspb.IDReportRequest, report.Append(b)
	}
	larspb.PutHeader(b, id, len(b)-larspb.HeaderSize)
	return b
}

// Datagrams of random bytes at full rate, on the port of a program, cost the
// agent neither its answers to that program nor more services than allowed.
func TestFloodOfRandomDatagrams(t *testing.T) {
	const most, questions = 20_000, 300
	s := startSystem(t, func(c *Config) { c.MaxServices = most })
	s.dns.set(key12, hostsN(3)...)
	p := s.program(0)
	p.served(key12)
	done := make(chan struct{})
	var wg sync.WaitGroup
	vandal := s.program(0)
	wg.Go(func() { // ended by done, awaited below
		r, b := rand.New(rand.NewPCG(1, 7)), make([]byte, 2048)
		for {
			select {
			case <-done:
				return
			default:
				vandal.conn.Write(randomDatagram(r, b)) // a full buffer is no failure of the test
			}
		}
	})
	for i := range questions {
		h, code := p.insist(key12)
		for code == noExist { // so many others were asked for since that it was forgotten
			h, code = p.insist(key12)
		}
		if code != succ || !slices.Contains(hostsN(3), h) {
			t.Fatalf("question %d: %v %v", i, h, code)
		}
	}
	close(done)
	wg.Wait()
	if n := s.engine.Len(); n > most {
		t.Errorf("%d services are kept, want at most %d", n, most)
	}
	c := s.engine.Counters()
	if s.ports.garbage() == 0 || c.NoHosts == 0 || c.ReportsUnknown == 0 {
		t.Errorf("%d datagrams were dropped, totals %+v: the flood has no variety", s.ports.garbage(), c)
	}
	if c.Ejected != 0 {
		t.Errorf("%d hosts were ejected by it", c.Ejected)
	}
	eventually(t, "the datagrams that still waited are taken", func() bool { return s.engine.Check() == nil })
}

// Services of one host and of 10,000 are picked from alike: each host in turn.
func TestServiceSizes(t *testing.T) {
	s := startSystem(t, nil)
	s.dns.setMute(true)
	p := s.program(0)
	now := s.cfg.Clock()
	for _, n := range []int{1, 10_000} {
		key := route.Key{Modid: int32(n), Cmdid: 1}
		s.engine.Restore(key, route.Of(hostsN(n)...), now, now)
		picked := make(map[route.Host]bool)
		for range n {
			h, code := p.getHost(key)
			if code != succ {
				t.Fatalf("%d hosts: %v", n, code)
			}
			picked[h] = true
		}
		if len(picked) != n {
			t.Errorf("%d of %d hosts were picked", len(picked), n)
		}
		for range 15 {
			p.report(key, hostN(n-1), false)
		}
		s.counted(key, 0, 15)
		latest := s.reporter.latest(key)
		if len(latest) != n || !latest[hostN(n-1)].Overload {
			t.Errorf("%d hosts: %d are reported, the last one as %v", n, len(latest), latest[hostN(n-1)])
		}
	}
}
