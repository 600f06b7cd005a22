package dns_test

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"lars.internal/agent"
	"lars.internal/client"
	"lars.internal/route"
	"lars.internal/store"
)

// Each of several services on one database has its own cursor and hears of
// every edit.
func TestManyServicesOnOneDatabase(t *testing.T) {
	for _, n := range []int{2, 3} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			d := sharedDatabase(t)
			var peers []*peer
			for range n {
				p := dial(t, d.serveLoaded(nil))
				p.ask(k12)
				p.expect(k12)
				peers = append(peers, p)
			}
			for port := range uint16(20) {
				h := route.Host{IP: h1.IP, Port: 1000 + port}
				d.edit(set(k12, h))
				for _, p := range peers {
					p.expect(k12, h)
				}
			}
		})
	}
}

// Two editors are at work at a time. In the end all services have all of it,
// also the one that was stopped meanwhile and started from its snapshot.
func TestManyServicesEditorsAtOnce(t *testing.T) {
	d := sharedDatabase(t)
	keep := keepAt(filepath.Join(t.TempDir(), "routes"))
	a, b, c := d.serveLoaded(nil), d.serveLoaded(nil), d.serveLoaded(keep)
	p, q := dial(t, a), dial(t, b)
	for _, x := range []*peer{p, q} {
		x.ask(k12)
		x.expect(k12)
	}
	c.stop()

	var editing sync.WaitGroup
	var all []route.Host
	for _, ip := range []uint32{h1.IP, h2.IP} {
		var hosts []route.Host
		for port := range uint16(30) {
			hosts = append(hosts, route.Host{IP: ip, Port: 1000 + port})
		}
		all = append(all, hosts...)
		editor := d.open(store.Options{QueryTimeout: patience})
		editing.Go(func() {
			for _, h := range hosts {
				edit := route.Edit{Who: "test", Changes: []route.Change{add(k12, h)}}
				if _, err := editor.EditRoutes(t.Context(), edit); err != nil {
					t.Errorf("add %v: %v", h, err)
				}
			}
		})
	}
	editing.Wait()
	p.expectFinally(k12, all...)
	q.expectFinally(k12, all...)
	r := dial(t, d.serve(keep))
	r.ask(k12)
	r.expectFinally(k12, all...)
}

// startAgent runs an agent that names route services, and returns a program on
// its machine.
func startAgent(t *testing.T, services ...netip.AddrPort) *client.Client {
	t.Helper()
	var addrs []string
	for _, s := range services {
		addrs = append(addrs, s.String())
	}
	a, err := agent.New(agent.Config{
		DNS:      agent.Peers{Addrs: addrs},
		Reporter: agent.Peers{Addrs: []string{"127.0.0.1:1"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("agent: %v", err)
		}
	})
	program, err := client.New(client.Config{Agent: a.Addr().String(), Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return program
}

// awaitRoute asks an agent until a service has exactly these hosts there.
func awaitRoute(t *testing.T, program *client.Client, key route.Key, hosts ...route.Host) {
	t.Helper()
	var want []netip.AddrPort
	for _, h := range hosts {
		want = append(want, h.AddrPort())
	}
	eventually(t, fmt.Sprintf("the agent has %v", want), func() bool {
		got, err := program.GetRoute(t.Context(), key.Modid, key.Cmdid)
		slices.SortFunc(got, netip.AddrPort.Compare)
		return err == nil && slices.Equal(got, want)
	})
}

// An agent that names several services goes on with the next when one ends,
// and hears of edits there.
func TestAgentMovesToTheNextService(t *testing.T) {
	d := sharedDatabase(t)
	d.edit(set(k12, h1), set(k13, h3))
	a, b, c := d.serveLoaded(nil), d.serveLoaded(nil), d.serveLoaded(nil)
	program := startAgent(t, a.Addr(), b.Addr(), c.Addr())
	awaitRoute(t, program, k12, h1)
	awaitRoute(t, program, k13, h3)
	d.edit(set(k12, h1, h2))
	awaitRoute(t, program, k12, h1, h2)
	live := []*instance{a, b, c}
	for _, host := range []route.Host{h2, h1} {
		has := func(in *instance) bool { return in.metric(t, "lars_dns_connections") == "1" }
		i := slices.IndexFunc(live, has) // the agent begins at a random one
		live[i].stop()
		live = slices.Delete(live, i, i+1)
		d.edit(set(k12, host))
		awaitRoute(t, program, k12, host)
		eventually(t, "the agent has subscribed to k13 too, though nobody asked again", func() bool {
			return slices.ContainsFunc(live, func(in *instance) bool { return in.metric(t, "lars_dns_subscriptions") == "2" })
		})
		d.edit(set(k13, host))
		awaitRoute(t, program, k13, host)
	}
}
