package agent

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"lars.internal/keep"
	"lars.internal/larspb"
	"lars.internal/route"
)

// The original keeps nothing on disk: without a dns service it starts blind.
// Here an empty answer still means that the service has no hosts, but an agent
// that starts without any dns service answers from its snapshot.
func TestDefect25StartFromSnapshot(t *testing.T) {
	file := filepath.Join(t.TempDir(), "routes")
	s := startSystem(t, func(c *Config) { c.Snapshot = file })
	other := route.Key{Modid: 3, Cmdid: 4}
	s.dns.set(key12, hostsN(2)...)
	s.dns.set(other, hostN(7))
	p := s.program(0)
	p.served(key12)
	p.served(other)
	s.dns.push(other)
	eventually(t, "the other service is gone", func() bool {
		_, code := p.getHost(other)
		return code == noExist
	})
	s.stop()
	s.dns.stop()

	a, _ := startAgent(t, func(c *Config) {
		c.Snapshot = file
		c.DNS.Addrs = []string{s.dns.addr.String()}
		c.Reporter.Addrs = []string{s.reporter.addr.String()}
	})
	p = newProgram(t, a, 2)
	if _, code := p.getHost(key12); code != succ {
		t.Errorf("first question after the start: %v", code)
	}
	if m := p.getRoute(key12, 0); len(m.Host) != 2 {
		t.Errorf("route %v, want two hosts", m)
	}
	if _, code := p.getHost(other); code != noExist {
		t.Errorf("the service that was removed: %v", code)
	}
	if err := a.Ready(); err != nil {
		t.Errorf("not ready: %v", err)
	}
	if age := a.keeper.Age(); age < 0 || age > time.Hour {
		t.Errorf("age %v", age)
	}
	s.dns.set(key12, hostN(5))
	s.dns.start()
	eventually(t, "the route is renewed", func() bool {
		h, _ := p.getHost(key12)
		return h == hostN(5)
	})
}

// The snapshot is written while the agent runs, not only at its end.
func TestSnapshotFollowsRoutes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "routes")
	s := startSystem(t, func(c *Config) { c.Snapshot = file })
	s.dns.set(key12, hostN(0))
	s.program(0).served(key12)
	holds := func(h route.Host) func() bool {
		return func() bool {
			table, _, err := keep.Read(file)
			return err == nil && slices.Equal(route.HostsOf(table.Route(key12).Hosts), []route.Host{h})
		}
	}
	eventually(t, "the route is on disk", holds(hostN(0)))
	s.dns.push(key12, hostN(1))
	eventually(t, "the push is on disk", holds(hostN(1)))
}

func TestBadSnapshotIsIgnored(t *testing.T) {
	good := filepath.Join(t.TempDir(), "routes")
	s := startSystem(t, func(c *Config) { c.Snapshot = good })
	s.dns.set(key12, hostN(0))
	s.program(0).served(key12)
	s.stop()
	content, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	flipped := slices.Clone(content)
	flipped[len(flipped)-6] ^= 1
	for name, bytes := range map[string][]byte{"empty": nil, "cut": content[:len(content)-3], "changed": flipped, "other": []byte("[agent]\n")} {
		t.Run(name, func(t *testing.T) {
			file, log := filepath.Join(t.TempDir(), "routes"), newLines()
			if err := os.WriteFile(file, bytes, 0o644); err != nil {
				t.Fatal(err)
			}
			a, _ := startAgent(t, func(c *Config) {
				c.Snapshot, c.Log = file, log.logger()
				c.DNS.Addrs = []string{s.dns.addr.String()}
				c.Reporter.Addrs = []string{s.reporter.addr.String()}
			})
			newProgram(t, a, 0).served(key12)
			if n := log.count("snapshot of routes ignored"); n != 1 {
				t.Errorf("%d lines about the snapshot, want 1", n)
			}
		})
	}
}

// A dns service that takes connections and answers nothing confirms no route.
func TestSnapshotAgesWhileNobodyAnswers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "routes")
	table := route.NewTable(1, map[route.Key]route.Route{key12: route.Of(hostsN(2)...)})
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	hourAgo := time.Now().Add(-time.Hour)
	if err := errors.Join(route.WriteSnapshot(f, table, hourAgo), f.Close()); err != nil {
		t.Fatal(err)
	}
	mute := startPeer(t, func(net.Conn, int32, []byte) {})
	a, stop := startAgent(t, func(c *Config) {
		c.Snapshot = file
		c.DNS.Addrs = []string{mute.addr.String()}
		c.Reporter.Addrs = []string{mute.addr.String()}
	})
	eventually(t, "the agent is connected", func() bool { return a.dns.link.connected.Load() })
	stop()
	_, at, err := keep.Read(file)
	if err != nil || time.Since(at) < 59*time.Minute {
		t.Errorf("the snapshot is of %v, %v; want %v", at, err, hourAgo)
	}
}

// A dns service that could not confirm its own table confirms no route of an
// agent.
func TestFinding21StaleAnswersConfirmNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "routes")
	var stale atomic.Bool
	dns := startPeer(t, func(conn net.Conn, id int32, body []byte) {
		if id != larspb.IDGetRouteRequest {
			return
		}
		q := parse(t, body, new(larspb.GetRouteRequest))
		answer := responseOf(route.Key{Modid: q.Modid, Cmdid: q.Cmdid}, hostsN(2))
		answer.Level, answer.Version, answer.Stale = 1, 7, stale.Load()
		write(t, conn, larspb.IDGetRouteResponse, answer)
	})
	clock := newFakeClock()
	a, _ := startAgent(t, func(c *Config) {
		c.Snapshot, c.Clock = file, clock.read
		c.DNS.Addrs, c.Reporter.Addrs = []string{dns.addr.String()}, []string{startReporter(t).addr.String()}
	})
	p := newProgram(t, a, 0)
	p.served(key12)
	right := func() time.Duration { return time.Duration(a.dns.right.Load()) }
	eventually(t, "the routes are confirmed", func() bool { return right() == clock.read() })
	stale.Store(true)
	clock.advance(time.Hour)
	answers := a.dns.answers.Load()
	eventually(t, "the route is pulled again", func() bool {
		p.getHost(key12)
		return a.dns.answers.Load() > answers
	})
	if at := right(); at != clock.read()-time.Hour {
		t.Errorf("right at %v, want %v", at, clock.read()-time.Hour)
	}
}
