package agent

import (
	"net/netip"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"lars.internal/larspb"
	"lars.internal/route"
)

// askDetails asks for a route as a program of level 1.
func (p *program) askDetails(key route.Key) *larspb.GetRouteResponse {
	p.t.Helper()
	body := p.ask(larspb.IDAPIGetRouteRequest, larspb.IDAPIGetRouteResponse,
		larspb.RouteQuery{Modid: key.Modid, Cmdid: key.Cmdid, Seq: 1, Level: larspb.Level}.Append(nil))
	m := new(larspb.GetRouteResponse)
	if err := proto.Unmarshal(body, m); err != nil {
		p.t.Fatal(err)
	}
	return m
}

// Weights, zones and settings reach programs of a level and the snapshot. A program
// without a level gets what it knows, and no host that is drained.
func TestDetailsReachProgramsOfALevel(t *testing.T) {
	file := filepath.Join(t.TempDir(), "routes")
	s := startSystem(t, func(c *Config) { c.Snapshot = file })
	s.dns.set(key12, hostsN(3)...)
	p := s.program(0)
	p.served(key12)
	m := responseOf(key12, hostsN(3))
	m.Host[0].Weight, m.Host[0].Zone = proto.Uint32(50), "eu1"
	m.Host[2].Weight = proto.Uint32(0)
	m.Settings = []*larspb.Setting{{Key: "ramp", Value: "3s"}}
	s.dns.send(larspb.IDGetRouteResponse, m)

	want := proto.Clone(m).(*larspb.GetRouteResponse)
	want.Seq, want.Level = 1, larspb.Level
	check := func(p *program) {
		t.Helper()
		eventually(t, "the details are there", func() bool { return cmp.Equal(want, p.askDetails(key12), protocmp.Transform()) })
		plain := larspb.RouteAnswer{Key: key12, Seq: 1, Hosts: route.Of(hostsN(2)...).Hosts}.Append(nil, larspb.MaxBody)
		query := larspb.RouteQuery{Modid: key12.Modid, Cmdid: key12.Cmdid, Seq: 1}
		if got := p.ask(larspb.IDAPIGetRouteRequest, larspb.IDAPIGetRouteResponse, query.Append(nil)); !slices.Equal(got, plain) {
			t.Errorf("a program without a level gets %x, want %x", got, plain)
		}
		for range 20 {
			if h, code := p.getHost(key12); code != succ || h == hostN(2) {
				t.Errorf("pick gives %v, %v", h, code)
			}
		}
	}
	check(p)
	s.stop()
	s.dns.stop()
	a, _ := startAgent(t, func(c *Config) {
		c.Snapshot = file
		c.DNS.Addrs = []string{s.dns.addr.String()}
		c.Reporter.Addrs = []string{s.reporter.addr.String()}
	})
	check(newProgram(t, a, 0))
}

// A weight that changes is a change of the route, which is logged and kept; what
// is beyond a limit is counted.
func TestChangedDetailsAreLoggedAndTrimmed(t *testing.T) {
	log := newLines()
	s := startSystem(t, func(c *Config) { c.Log = log.logger() })
	s.dns.set(key12, hostsN(2)...)
	s.program(0).served(key12)
	m := responseOf(key12, hostsN(2))
	m.Host[1].Weight = proto.Uint32(route.MaxWeight + 1)
	s.dns.send(larspb.IDGetRouteResponse, m)
	eventually(t, "the change is logged", func() bool {
		return log.count(`agent: route changed" service=1/2 added="" removed="" version=0 altered=10.0.0.1:1001`) == 1
	})
	if n := s.Agent.dns.trimmed.Load(); n != 1 {
		t.Errorf("%d values counted as beyond a limit, want 1", n)
	}
}

// An agent says in which zone it is.
func TestAgentSaysItsZone(t *testing.T) {
	ours := startOurs(t)
	ours.set(key12, hostN(0))
	s := startHastened(t, []netip.AddrPort{ours.addr}, []netip.AddrPort{ours.addr}, func(c *Config) {
		c.Adaptive = DefaultConfig().Adaptive
		c.Adaptive.Zone = "eu1"
	})
	s.program(0).served(key12)
	ours.mu.Lock()
	defer ours.mu.Unlock()
	if ours.zone != "eu1" {
		t.Errorf("zone %q", ours.zone)
	}
}
