package route

import (
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseHost(t *testing.T) {
	tests := []struct {
		text string
		want Host
		err  string // a part of it; empty: none
	}{
		{"192.168.1.113:7777", Host{0xc0a80171, 7777}, ""},
		{"0.0.0.1:1", Host{1, 1}, ""},
		{"255.255.255.255:65535", Host{math.MaxUint32, 65535}, ""},
		{"[::ffff:10.0.0.1]:80", Host{0x0a000001, 80}, ""},
		{"", Host{}, "want IPv4:PORT"},
		{"10.0.0.1", Host{}, "want IPv4:PORT"},
		{"10.0.0.1:", Host{}, "want IPv4:PORT"},
		{"10.0.0:80", Host{}, "want IPv4:PORT"},
		{"10.0.0.256:80", Host{}, "want IPv4:PORT"},
		{"010.0.0.1:80", Host{}, "want IPv4:PORT"},
		{"localhost:80", Host{}, "want IPv4:PORT"},
		{"10.0.0.1:65536", Host{}, "want IPv4:PORT"},
		{"10.0.0.1:-1", Host{}, "want IPv4:PORT"},
		{"10.0.0.1:0", Host{}, "port is outside 1..65535"},
		{"0.0.0.0:80", Host{}, "address is zero"},
		{"[::1]:80", Host{}, "not an IPv4 address"},
	}
	for _, tt := range tests {
		got, err := ParseHost(tt.text)
		if got != tt.want || (err == nil) != (tt.err == "") {
			t.Errorf("ParseHost(%q) = %v, %v; want %v, error %q", tt.text, got, err, tt.want, tt.err)
		}
		if err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("ParseHost(%q): %v; want %q in it", tt.text, err, tt.err)
		}
	}
}

func TestNewHost(t *testing.T) {
	tests := []struct {
		ip   uint32
		port int64
		ok   bool
	}{
		{1, 1, true},
		{math.MaxUint32, 65535, true},
		{0, 80, false},
		{1, 0, false},
		{1, -1, false},
		{1, 65536, false},
		{1, 70000, false},
		{1, 1<<32 + 80, false},
		{1, math.MinInt64, false},
	}
	for _, tt := range tests {
		got, err := NewHost(tt.ip, tt.port)
		want := Host{}
		if tt.ok {
			want = Host{tt.ip, uint16(tt.port)}
		}
		if got != want || (err == nil) != tt.ok {
			t.Errorf("NewHost(%d, %d) = %v, %v", tt.ip, tt.port, got, err)
		}
	}
}

func TestHostOfNothing(t *testing.T) {
	if h, err := HostOf(netip.AddrPort{}); err == nil {
		t.Errorf("HostOf of the zero AddrPort is %v, want an error", h)
	}
}

func TestHostProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func() Host {
			ip := rapid.OneOf(rapid.Uint32Range(1, 3), rapid.Uint32Min(1)).Draw(t, "ip")
			return Host{ip, rapid.Uint16Range(1, math.MaxUint16).Draw(t, "port")}
		}
		a, b := draw(), draw()
		if back, err := ParseHost(a.String()); err != nil || back != a {
			t.Errorf("ParseHost(%q) = %v, %v", a.String(), back, err)
		}
		if back, err := HostOf(a.AddrPort()); err != nil || back != a {
			t.Errorf("HostOf(%v) = %v, %v", a.AddrPort(), back, err)
		}
		if want := a.AddrPort().Compare(b.AddrPort()); a.Compare(b) != want {
			t.Errorf("%v.Compare(%v) = %d, want %d as the standard library says", a, b, a.Compare(b), want)
		}
	})
}

func TestHostOrder(t *testing.T) {
	hosts := []Host{{2, 1}, {1, 9}, {0x80000000, 1}, {1, 1}}
	slices.SortFunc(hosts, Host.Compare)
	if want := []Host{{1, 1}, {1, 9}, {2, 1}, {0x80000000, 1}}; !slices.Equal(hosts, want) {
		t.Errorf("sorted: %v, want %v", hosts, want)
	}
}

func TestJoinHosts(t *testing.T) {
	hosts := make([]Host, 22)
	for i := range hosts {
		hosts[i] = Host{IP: 0x0a000001, Port: uint16(i + 1)}
	}
	for n, want := range map[int]string{0: "", 1: "10.0.0.1:1", 2: "10.0.0.1:1 10.0.0.1:2"} {
		if got := JoinHosts(hosts[:n]); got != want {
			t.Errorf("%d hosts: %q, want %q", n, got, want)
		}
	}
	if got := JoinHosts(hosts); !strings.HasSuffix(got, " 10.0.0.1:20 and 2 more") {
		t.Errorf("22 hosts: %q", got)
	}
}
