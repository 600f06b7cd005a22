package access

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// swordfish is the secret of the tests.
const swordfish = "swordfish-swordfish"

func newGate(t *testing.T, cfg Config) *Gate {
	t.Helper()
	g, err := NewGate(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestAdmit(t *testing.T) {
	networks := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.168.1.7/32")}
	for _, tt := range []struct {
		name  string
		allow []netip.Prefix
		peer  string
		want  error
	}{
		{"no list admits all", nil, "8.8.8.8:1", nil},
		{"inside a network", networks, "10.1.2.3:1", nil},
		{"exactly one host", networks, "192.168.1.7:1", nil},
		{"its neighbour", networks, "192.168.1.8:1", ErrNetwork},
		{"IPv4 within IPv6", networks, "[::ffff:10.1.2.3]:1", nil},
		{"IPv6", networks, "[::1]:1", ErrNetwork},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := newGate(t, Config{Allow: tt.allow}).Admit(netip.MustParseAddrPort(tt.peer))
			if !errors.Is(got, tt.want) {
				t.Errorf("Admit(%s) = %v, want %v", tt.peer, got, tt.want)
			}
		})
	}
}

func TestRefusalsAreCountedAndLoggedOncePerPeerAndMinute(t *testing.T) {
	var log strings.Builder
	now := time.Unix(1000, 0)
	g := newGate(t, Config{Log: slog.New(slog.NewTextHandler(&log, nil)), Now: func() time.Time { return now }})
	lines := func() int { return strings.Count(log.String(), "peer refused") }

	peer, other := netip.MustParseAddrPort("10.0.0.1:1"), netip.MustParseAddrPort("10.0.0.2:1")
	for range 10 {
		g.Refused(peer, ErrSecret)
	}
	if lines() != 1 || !strings.Contains(log.String(), "10.0.0.1") || !strings.Contains(log.String(), "[access] secret") {
		t.Errorf("after ten refusals of one peer: %q", log.String())
	}
	g.Refused(other, ErrNetwork)
	if lines() != 2 {
		t.Errorf("another peer has no line of its own: %q", log.String())
	}
	now = now.Add(logEvery)
	g.Refused(peer, ErrSecret)
	if lines() != 3 {
		t.Errorf("no line after a minute: %q", log.String())
	}
	if g.Count() != 12 {
		t.Errorf("Count = %d, want 12", g.Count())
	}
}

func TestRememberedPeersAreBounded(t *testing.T) {
	now := time.Unix(1000, 0)
	g := newGate(t, Config{Now: func() time.Time { return now }})
	addr := netip.MustParseAddr("10.0.0.0")
	for range 2 * maxLogged {
		addr = addr.Next()
		g.Refused(netip.AddrPortFrom(addr, 1), ErrNetwork)
	}
	if len(g.lines.last) != maxLogged || g.Count() != 2*maxLogged {
		t.Fatalf("%d peers remembered, %d counted", len(g.lines.last), g.Count())
	}
	now = now.Add(logEvery)
	g.Refused(netip.AddrPortFrom(addr.Next(), 1), ErrNetwork)
	if len(g.lines.last) != 1 {
		t.Errorf("%d peers remembered after a minute, want 1", len(g.lines.last))
	}
}

// A Config in a log line does not give the secret away.
func TestConfigHidesTheSecret(t *testing.T) {
	c := Config{Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}, Secret: swordfish}
	if got, want := fmt.Sprintf("%v", c), "allow 10.0.0.0/8 ::1/128, secret set"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := (Config{}).String(), "allow all, secret none"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
