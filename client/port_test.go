package client

import (
	"math"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The original indexes before its array of sockets when the sum is negative
// or does not fit 32 bits.
func TestDefect12AnyPairHasAPort(t *testing.T) {
	tests := []struct {
		modid, cmdid int32
		want         int
	}{
		{1, 2, 0},
		{7, 3, 1},
		{300, 70000, 1},
		{0, 0, 0},
		{0, 1, 1},
		{0, 2, 2},
		{-1, 0, 2},
		{0, -2, 1},
		{-1, -2, 0},
		{-1, 1, 0},
		{math.MaxInt32, 0, 1},
		{math.MaxInt32, 1, 2},
		{math.MaxInt32, math.MaxInt32, 2},
		{math.MinInt32, 0, 1},
		{math.MinInt32, -1, 0},
		{math.MinInt32, math.MinInt32, 2},
		{math.MinInt32, math.MaxInt32, 2},
	}
	got := make(chan request, 1)
	agent := startAgent(t, func(r request) {
		got <- r
		r.reply(r.answer(0, goodHost))
	})
	c := agent.newClient(testTimeout)
	for _, tt := range tests {
		if _, err := c.GetHost(testContext(t), tt.modid, tt.cmdid); err != nil {
			t.Fatalf("%d/%d: %v", tt.modid, tt.cmdid, err)
		}
		r := receive(t, got)
		if r.port != tt.want || r.key.Modid != tt.modid || r.key.Cmdid != tt.cmdid {
			t.Errorf("%d/%d reached port %d as %v, want port %d", tt.modid, tt.cmdid, r.port, r.key, tt.want)
		}
	}
}

func TestDefect12PortIsTheEuclideanRemainder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		modid, cmdid := rapid.Int32().Draw(t, "modid"), rapid.Int32().Draw(t, "cmdid")
		sum := new(big.Int).Add(big.NewInt(int64(modid)), big.NewInt(int64(cmdid)))
		want := new(big.Int).Mod(sum, big.NewInt(3)).Int64()
		if got := portOf(modid, cmdid); int64(got) != want {
			t.Fatalf("portOf(%d, %d) = %d, want %d", modid, cmdid, got, want)
		}
	})
}

func TestConfigAddress(t *testing.T) {
	tests := []struct{ agent, want string }{
		{"", "127.0.0.1:8888"},
		{"127.0.0.1:9000", "127.0.0.1:9000"},
		{"192.168.1.113:8888", "192.168.1.113:8888"},
		{":8888", "127.0.0.1:8888"},
		{"0.0.0.0:8888", "127.0.0.1:8888"},
		{"127.0.0.1:65533", "127.0.0.1:65533"},
	}
	for _, tt := range tests {
		cfg := Config{Agent: tt.agent}
		cfg.setDefaults()
		if got, err := cfg.resolve(); err != nil || got.String() != tt.want {
			t.Errorf("%q: %v, %v; want %v", tt.agent, got, err, tt.want)
		}
		if cfg.Timeout != 100*time.Millisecond {
			t.Errorf("timeout %v, want 100ms", cfg.Timeout)
		}
	}
}

func TestNewRejectsBadConfig(t *testing.T) {
	tests := []struct {
		name string
		cfg  Config
		text string
	}{
		{"no port", Config{Agent: "127.0.0.1"}, `"127.0.0.1"`},
		{"port 0", Config{Agent: "127.0.0.1:0"}, "1..65533"},
		{"no room for three ports", Config{Agent: "127.0.0.1:65534"}, "1..65533"},
		{"IPv6", Config{Agent: "[::1]:8888"}, "IPv4:PORT"},
		{"negative timeout", Config{Timeout: -1}, "positive"},
	}
	for _, tt := range tests {
		c, err := New(tt.cfg)
		if err == nil {
			c.Close()
			t.Errorf("%s: no error", tt.name)
			continue
		}
		if text := err.Error(); !strings.HasPrefix(text, "client: ") || !strings.Contains(text, tt.text) {
			t.Errorf("%s: %q, want a text with %q", tt.name, text, tt.text)
		}
	}
}

// While no agent runs, its ports are as good as any to the kernel. A client
// that got one would talk to itself.
func TestDialAvoidsTheAgentsPorts(t *testing.T) {
	agent := startAgent(t, func(request) {})
	var offered []netip.AddrPort
	udp, err := dial(agent.first, func(local netip.AddrPort) bool {
		offered = append(offered, local)
		return len(offered) < 3
	})
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	if got := udp.LocalAddr().(*net.UDPAddr).AddrPort(); len(offered) != 3 || got != offered[2] {
		t.Fatalf("got %v of %v, want the third", got, offered)
	}
	for _, addr := range offered[:2] {
		free, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(addr))
		if err != nil {
			t.Errorf("a socket that was turned down is still open: %v", err)
			continue
		}
		free.Close()
	}
	if _, err := dial(agent.first, func(netip.AddrPort) bool { return true }); err == nil {
		t.Error("no error though every port is reserved")
	}
}

func TestAgentPorts(t *testing.T) {
	reserved := agentPorts(netip.MustParseAddrPort("127.0.0.1:40000"))
	tests := map[string]bool{
		"127.0.0.1:39999": false,
		"127.0.0.1:40000": true,
		"127.0.0.1:40002": true,
		"127.0.0.1:40003": false,
		"127.0.0.2:40000": false,
	}
	for addr, want := range tests {
		if got := reserved(netip.MustParseAddrPort(addr)); got != want {
			t.Errorf("%s: %v, want %v", addr, got, want)
		}
	}
}
