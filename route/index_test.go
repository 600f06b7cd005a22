package route

import (
	"testing"

	"pgregory.net/rapid"
)

// An index finds exactly the hosts of its list, while the list grows and
// after it was rebuilt for a shorter one.
func TestIndexFindsEachHost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := rapid.Custom(func(t *rapid.T) Host {
			return Host{IP: 0x0a000001 + rapid.Uint32Range(0, 40).Draw(t, "ip"), Port: 7777}
		})
		var x Index
		var hosts []Host
		check := func() {
			for i, h := range hosts {
				if got := x.Find(hosts, h); got != i {
					t.Fatalf("Find(%v) = %d, want %d", h, got, i)
				}
			}
			if got := x.Find(hosts, Host{IP: 1, Port: 1}); got != -1 {
				t.Fatalf("Find of a host that is not there = %d", got)
			}
		}
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			h := draw.Draw(t, "host")
			if x.Find(hosts, h) < 0 {
				hosts = append(hosts, h)
				x.Appended(hosts)
			}
			check()
		}
		hosts = hosts[:len(hosts)/2]
		x.Rebuild(hosts, 0)
		check()
	})
}
