package agent

import (
	"slices"
	"sync"
	"testing"
	"time"

	"lars.internal/larspb"
	"lars.internal/route"
)

func TestServesWhatDNSKnows(t *testing.T) {
	s := startSystem(t, nil)
	s.dns.set(key12, hostsN(3)...)
	p := s.program(0)
	if _, code := p.getHost(key12); code != noExist {
		t.Errorf("first question: %v, want NOEXIST", code)
	}
	p.served(key12)
	seen := make(map[route.Host]int)
	for range 300 {
		h, _ := p.getHost(key12)
		seen[h]++
	}
	for _, h := range hostsN(3) {
		if seen[h] != 100 {
			t.Errorf("host %v was picked %d times of 300", h, seen[h])
		}
	}
	if n := s.dns.pulls(key12); n != 1 {
		t.Errorf("%d pulls, want 1", n)
	}
	eventually(t, "ready", func() bool { return s.Ready() == nil })
}

func TestPushChangesPicks(t *testing.T) {
	s := startSystem(t, nil)
	s.dns.set(key12, hostN(0))
	p := s.program(1)
	p.served(key12)
	s.dns.push(key12, hostN(1))
	eventually(t, "the pushed host is picked", func() bool {
		h, code := p.getHost(key12)
		return code == succ && h == hostN(1)
	})
	s.dns.push(key12)
	eventually(t, "the service is gone", func() bool {
		_, code := p.getHost(key12)
		return code == noExist
	})
	s.dns.push(key12, hostsN(2)...)
	p.served(key12)
}

// Hosts that nobody can call are left out; a route of nothing else is ignored.
func TestBadHostsInAnswer(t *testing.T) {
	s := startSystem(t, nil)
	s.dns.set(key12, hostN(0), hostN(1))
	p := s.program(0)
	p.served(key12)
	bad := []*larspb.HostInfo{{Ip: 0, Port: 80}, {Ip: 7, Port: 0}, {Ip: 7, Port: 70000}, {Ip: 7, Port: -1}}
	m := &larspb.GetRouteResponse{Modid: 1, Cmdid: 2, Host: bad}
	s.dns.send(larspb.IDGetRouteResponse, m)
	good := larspb.NewHostInfo(hostN(5).AddrPort())
	m.Host = append(m.Host, good, good)
	s.dns.send(larspb.IDGetRouteResponse, m)
	eventually(t, "the good host is picked", func() bool {
		h, _ := p.getHost(key12)
		return h == hostN(5)
	})
	if got := s.Agent.dns.badHosts.Load(); got != 8 {
		t.Errorf("%d bad hosts were counted, want 8", got)
	}
	if m := p.getRoute(key12, 0); len(m.Host) != 1 {
		t.Errorf("route %v, want one host", m)
	}
}

func TestOldRouteIsPulledAgain(t *testing.T) {
	clock := newFakeClock()
	s := startSystem(t, func(c *Config) { c.Clock = clock.read })
	s.dns.set(key12, hostN(0))
	p := s.program(0)
	p.served(key12)
	s.dns.set(key12, hostN(1)) // without a push
	for range 100 {
		p.getHost(key12)
	}
	if n := s.dns.pulls(key12); n != 1 {
		t.Errorf("a young route: %d pulls", n)
	}
	clock.advance(15*time.Second + 1)
	eventually(t, "the new route is picked", func() bool {
		h, _ := p.getHost(key12)
		return h == hostN(1)
	})
	if n := s.dns.pulls(key12); n != 2 {
		t.Errorf("%d pulls, want 2", n)
	}
}

// In the original a pull that died with its connection leaves its service
// PULLING for ever. Here the next connection repeats it.
func TestDefect30LostPullIsRepeated(t *testing.T) {
	s := startSystem(t, func(c *Config) { c.UpdateTimeout = time.Hour }) // age brings no pull
	s.dns.set(key12, hostN(0))
	s.dns.setMute(true)
	p := s.program(0)
	p.getHost(key12)
	eventually(t, "the pull arrives", func() bool { return s.dns.pulls(key12) == 1 })
	s.dns.stop()
	for range 100 {
		p.getHost(key12)
	}
	s.dns.setMute(false)
	s.dns.start()
	eventually(t, "it is pulled though nobody asks", func() bool { return s.dns.pulls(key12) == 2 })
	p.served(key12)
}

// All known services are subscribed again when a dns service returns, without
// any request for them.
func TestReconnectPullsAllServices(t *testing.T) {
	s := startSystem(t, nil)
	const n = 500
	p := s.program(0)
	for i := range n {
		key := route.Key{Modid: 1, Cmdid: int32(i)}
		s.dns.set(key, hostN(i))
		p.getHost(key)
	}
	pulled := func(times int) bool {
		for i := range n {
			if s.dns.pulls(route.Key{Modid: 1, Cmdid: int32(i)}) < times {
				return false
			}
		}
		return true
	}
	eventually(t, "all are pulled", func() bool { return pulled(1) })
	eventually(t, "all are answered", func() bool { return len(s.engine.Table()) == n })
	s.dns.hangUp()
	eventually(t, "all are pulled again", func() bool { return pulled(2) })
	if got := s.dns.pulls(route.Key{Modid: 1, Cmdid: n / 2}); got != 2 {
		t.Errorf("%d pulls of one service, want 2", got)
	}
}

// While no dns service is there picks go on, and requests cause no pulls.
func TestNoDNSUnderTraffic(t *testing.T) {
	clock := newFakeClock()
	s := startSystem(t, func(c *Config) { c.Clock = clock.read })
	s.dns.set(key12, hostN(0))
	p := s.program(0)
	p.served(key12)
	s.dns.stop()
	eventually(t, "the agent notices", func() bool { return !s.Agent.dns.link.connected.Load() })
	sent := s.Agent.dns.sent.Load()
	for range 240 { // an hour
		clock.advance(15 * time.Second)
		for range 10 {
			if h, code := p.getHost(key12); code != succ || h != hostN(0) {
				t.Fatalf("without dns: %v %v", h, code)
			}
			p.getHost(route.Key{Modid: 9})
		}
	}
	if err := s.Ready(); err != nil {
		t.Errorf("not ready with a known route: %v", err)
	}
	if got := s.Agent.dns.sent.Load(); got != sent {
		t.Errorf("%d pulls were sent without a connection", got-sent)
	}
	s.dns.set(key12, hostN(1))
	s.dns.start()
	eventually(t, "the route is renewed", func() bool {
		h, _ := p.getHost(key12)
		return h == hostN(1)
	})
}

func TestNextDNSTakesOver(t *testing.T) {
	second := startDNS(t)
	second.set(key12, hostN(2))
	s := startSystem(t, func(c *Config) { c.DNS.Addrs = append(c.DNS.Addrs, second.addr.String()) })
	s.dns.set(key12, hostN(1))
	p := s.program(0)
	if h := p.served(key12); h != hostN(1) {
		t.Errorf("host %v, want that of the first dns", h)
	}
	s.dns.stop()
	eventually(t, "the second dns is asked", func() bool {
		h, _ := p.getHost(key12)
		return h == hostN(2)
	})
}

// A dns service that takes everything and answers nothing is given up.
func TestSilentDNSIsLeft(t *testing.T) {
	clock := newFakeClock()
	second := startDNS(t)
	second.set(key12, hostN(2))
	s := startSystem(t, func(c *Config) {
		c.Clock = clock.read
		c.DNS.Addrs = append(c.DNS.Addrs, second.addr.String())
	})
	s.dns.setMute(true)
	p := s.program(0)
	p.getHost(key12)
	eventually(t, "the pull arrives", func() bool { return s.dns.pulls(key12) > 0 })
	clock.advance(46 * time.Second)
	p.served(key12)
}

// A broken message from a dns service changes nothing.
func TestGarbageFromDNS(t *testing.T) {
	s := startSystem(t, nil)
	s.dns.set(key12, hostN(0))
	p := s.program(0)
	p.served(key12)
	s.dns.peer.mu.Lock()
	for conn := range s.dns.conns {
		conn.Write([]byte{2, 0, 0, 0, 1, 0, 0, 0, 0xff})
		conn.Write([]byte{77, 0, 0, 0, 1, 0, 0, 0, 0xff})
	}
	s.dns.peer.mu.Unlock()
	eventually(t, "it is counted", func() bool { return s.Agent.dns.broken.Load() == 1 })
	if h, code := p.getHost(key12); code != succ || h != hostN(0) {
		t.Errorf("after it: %v %v", h, code)
	}
	s.dns.push(key12, hostN(1))
	eventually(t, "pushes still arrive", func() bool { h, _ := p.getHost(key12); return h == hostN(1) })
}

// The same through sockets: hosts are removed and added again while programs on
// all ports pick and report.
func TestDefect03PushesUnderLoad(t *testing.T) {
	s := startSystem(t, nil)
	s.dns.set(key12, hostsN(4)...)
	s.program(0).served(key12)
	done := make(chan struct{})
	var wg sync.WaitGroup
	for port := range Ports {
		p := s.program(port)
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				if h, code := p.getHost(key12); code == succ {
					p.report(key12, h, i%4 > 0)
				}
			}
		})
	}
	for i := range 500 {
		s.dns.push(key12, hostsN(6)[i%3:3+i%4]...)
	}
	s.dns.push(key12, hostsN(2)...)
	eventually(t, "the last push counts", func() bool {
		have, _, _ := s.engine.Interest(key12, s.cfg.Clock())
		return slices.Equal(route.HostsOf(have.Hosts), hostsN(2))
	})
	close(done)
	wg.Wait()
	if err := s.engine.Check(); err != nil {
		t.Error(err)
	}
}

// A route that dns had to cut is marked as cut for programs too, whatever fits.
func TestRouteThatDNSCut(t *testing.T) {
	s := startSystem(t, nil)
	s.dns.set(key12, hostsN(3)...)
	p := s.program(0)
	p.served(key12)
	m := responseOf(key12, hostsN(4))
	m.Truncated = true
	s.dns.send(larspb.IDGetRouteResponse, m)
	eventually(t, "the push is taken", func() bool { return len(p.getRoute(key12, 0).Host) == 4 })
	if !p.getRoute(key12, 0).Truncated {
		t.Error("the program is not told that there are more hosts")
	}
	if d, _ := s.Hosts(key12); !d.Cut {
		t.Error("nor are people")
	}
	s.dns.push(key12, hostsN(5)...)
	eventually(t, "the whole route comes", func() bool { return len(p.getRoute(key12, 0).Host) == 5 })
	if p.getRoute(key12, 0).Truncated {
		t.Error("still marked as cut")
	}
}
