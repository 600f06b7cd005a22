package main

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestThousands(t *testing.T) {
	for _, c := range []struct {
		n    int
		want string
	}{{0, "0"}, {999, "999"}, {1000, "1,000"}, {20_001, "20,001"}, {1_234_567, "1,234,567"}} {
		if got := thousands(c.n); got != c.want {
			t.Errorf("thousands(%d) = %q, want %q", c.n, got, c.want)
		}
	}
}

func TestBackendsDoWhatTheyAreCalled(t *testing.T) {
	f, err := newFarm()
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	for _, b := range f.backends {
		failures := 0
		for range 10 {
			if call(t.Context(), b.addr) != nil {
				failures++
			}
		}
		want := map[string]int{"fails half": 5, "dead": 10}[b.what]
		if failures != want {
			t.Errorf("%s: %d of 10 calls failed, want %d", b.what, failures, want)
		}
	}
}

func TestFreeUDPRow(t *testing.T) {
	addr, err := freeUDPRow(3)
	if err != nil {
		t.Fatal(err)
	}
	first := netip.MustParseAddrPort(addr)
	for i := range uint16(3) {
		c, err := net.ListenPacket("udp4", netip.AddrPortFrom(first.Addr(), first.Port()+i).String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
}

func TestStoredWantsANewRowOfEachHost(t *testing.T) {
	since := time.Unix(1000, 0)
	a, b := netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("127.0.0.1:2")
	hosts := []*backend{{addr: a}, {addr: b}}
	for _, c := range []struct {
		name string
		rows []storedRow
		want bool
	}{
		{"no rows", nil, false},
		{"one host is missing", []storedRow{{Host: a, Time: since}}, false},
		{"one row is old", []storedRow{{Host: a, Time: since}, {Host: b, Time: since.Add(-time.Second)}}, false},
		{"all are new", []storedRow{{Host: a, Time: since}, {Host: b, Time: since.Add(time.Second)}}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := stored(c.rows, hosts, since); got != c.want {
				t.Errorf("stored = %v, want %v", got, c.want)
			}
		})
	}
}

// good returns results in which all came out as it has to.
func good() *results {
	fine, bad := netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("127.0.0.1:2")
	return &results{
		farm:  &farm{backends: []*backend{{what: "healthy", addr: fine}, {what: "dead", addr: bad}}},
		load:  &load{calls: 30, hosts: map[netip.AddrPort]*tally{fine: {succ: 10}, bad: {err: 20}}, latency: newLatency()},
		agent: map[netip.AddrPort]agentHost{bad: {Ejected: 1}},
	}
}

func TestVerdict(t *testing.T) {
	if err := good().verdict(); err != nil {
		t.Fatalf("good results: %v", err)
	}
	for _, c := range []struct {
		name  string
		spoil func(r *results)
		want  string
	}{
		{"a pick failed", func(r *results) { r.load.lost, r.load.lostBy = 1, errors.New("no answer") }, "no answer"},
		{"a call is missing", func(r *results) { r.load.calls++ }, "30 calls ended, want 31"},
		{"the dead host was not ejected", func(r *results) { clear(r.agent) }, "(dead) was never ejected"},
		{"a healthy host failed", func(r *results) {
			r.load.hosts[r.farm.backends[0].addr].err = 1
			r.load.calls++
		}, "(healthy) failed 1 calls"},
		{"a host was never called", func(r *results) {
			*r.load.hosts[r.farm.backends[0].addr] = tally{}
			r.load.calls = 20
		}, "(healthy) was never called"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := good()
			c.spoil(r)
			if err := r.verdict(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("verdict is %v, want %q", err, c.want)
			}
		})
	}
}
