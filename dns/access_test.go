package dns_test

import (
	"io"
	"net/netip"
	"testing"

	"lars.internal/access"
	"lars.internal/dns"
	"lars.internal/route"
)

const refusals = `lars_dns_connections_refused_total{reason="access"}`

// The original answers anyone (defect 43).
func TestDefect43AForeignNetworkIsRefused(t *testing.T) {
	in := startLoaded(t, newFakeStore(), func(c *dns.Config) {
		c.Access = access.Config{Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	})
	p := dial(t, in)
	if n, _ := io.Copy(io.Discard, p.conn); n != 0 { // a reset is as good as an end
		t.Errorf("a refused peer got %d bytes", n)
	}
	in.awaitMetric(t, refusals, "1")
}

func TestDefect43ARouteNeedsTheSecret(t *testing.T) {
	store := newFakeStore()
	store.edit(services{k12: []route.Host{h1}})
	in := startLoaded(t, store, func(c *dns.Config) { c.Access = access.Config{Secret: "swordfish-swordfish"} })
	p := dial(t, in)
	p.ask(k12)
	got, err := io.ReadAll(p.conn) // the challenge, then the end
	if err != nil || len(got) == 0 || got[0] != 100 {
		t.Errorf("got % x, %v; want a challenge and the end", got, err)
	}
	in.awaitMetric(t, refusals, "1")
	in.awaitMetric(t, "lars_dns_lookups_total", "0")
}
