package larspb

import (
	"net/netip"
	"testing"
)

func TestAddr(t *testing.T) {
	tests := []struct {
		text string
		ip   int32
	}{
		{"192.168.1.113", -0x3f57fe8f}, // 0xC0A80171
		{"10.0.0.1", 0x0a000001},
		{"127.255.255.255", 0x7fffffff},
		{"128.0.0.0", -0x80000000},
		{"255.255.255.255", -1},
		{"0.0.0.0", 0},
	}
	for _, tt := range tests {
		a := netip.MustParseAddr(tt.text)
		if got := AddrOf(tt.ip); got != a {
			t.Errorf("AddrOf(%d) = %v, want %v", tt.ip, got, a)
		}
		if got := IPOf(a); got != tt.ip {
			t.Errorf("IPOf(%v) = %d, want %d", a, got, tt.ip)
		}
		if got := IPOf(netip.AddrFrom16(a.As16())); got != tt.ip {
			t.Errorf("IPOf(%v as IPv6) = %d, want %d", a, got, tt.ip)
		}
	}
	for _, a := range []netip.Addr{{}, netip.MustParseAddr("::1")} {
		if got := IPOf(a); got != 0 {
			t.Errorf("IPOf(%v) = %d, want 0", a, got)
		}
	}
}

func TestHostInfoAddrPort(t *testing.T) {
	ap := netip.MustParseAddrPort("192.168.1.113:65535")
	if got := NewHostInfo(ap).AddrPort(); got != ap {
		t.Errorf("got %v, want %v", got, ap)
	}
	for _, port := range []int32{-1, 65536} {
		if got := (&HostInfo{Ip: 1, Port: port}).AddrPort(); got.IsValid() {
			t.Errorf("port %d: %v, want the zero AddrPort", port, got)
		}
	}
}
