package e2e_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"lars.internal/client"
)

// backend is a host that takes connections and closes them.
type backend struct {
	listener net.Listener
	addr     netip.AddrPort
	served   sync.WaitGroup // the goroutine that accepts
}

func startBackend(t *testing.T) *backend {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &backend{listener: l, addr: l.Addr().(*net.TCPAddr).AddrPort()}
	b.served.Go(func() { // ended by die
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	})
	t.Cleanup(b.die)
	return b
}

// die makes the host refuse connections from now on.
func (b *backend) die() {
	b.listener.Close()
	b.served.Wait()
}

// connect is the call that the tests make: a connection, closed at once.
func connect(ctx context.Context, addr netip.AddrPort) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp4", addr.String())
	if err != nil {
		return err
	}
	return conn.Close()
}

// threeBackends gives service 1/1 three hosts that the agent has probed, so that
// it knows that connections to them work.
func threeBackends(t *testing.T, bin string) (*world, []*backend) {
	t.Helper()
	w := bareWorld(t, bin, sqlite(t))
	w.lars("db", "migrate")
	backends := []*backend{startBackend(t), startBackend(t), startBackend(t)}
	for _, b := range backends {
		w.lars("route", "add", "1/1", b.addr.String())
	}
	w.startDNS()
	w.startReporter()
	w.startAgent("-agent.policy", "adaptive")
	w.served(1, 1)
	probed := `lars_agent_probe_connects_total{answer="ok"} 3` // which the hosts do not see
	eventually(t, "the agent has probed the hosts", func() bool { return strings.Contains(w.metrics(), probed) })
	return w, backends
}

// metrics is the page of metrics of the agent.
func (w *world) metrics() string {
	w.t.Helper()
	resp, err := http.Get("http://" + w.pages() + "/metrics")
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(page)
}

// testDeadHost: one host of three dies. The program that uses Do sees one failed
// call, and none after it.
func testDeadHost(t *testing.T, bin string) {
	w, backends := threeBackends(t, bin)
	do := func() error { return w.client.Do(t.Context(), 1, 1, connect) }
	for i := range 100 {
		if err := do(); err != nil {
			t.Fatalf("call %d of three good hosts: %v", i, err)
		}
	}
	backends[1].die()
	failed := 0
	for i := range 3000 {
		if err := do(); err != nil {
			failed++
			t.Logf("call %d: %v", i, err)
		}
	}
	if failed > 1 {
		t.Errorf("%d calls failed, want at most the first to the dead host", failed)
	}
}

// testDeadHostRetry: with DoRetry no caller sees the host die, and each call that
// failed was repeated.
func testDeadHostRetry(t *testing.T, bin string) {
	w, backends := threeBackends(t, bin)
	var refused atomic.Int64
	call := func(ctx context.Context, addr netip.AddrPort) error {
		err := connect(ctx, addr)
		if err != nil {
			refused.Add(1)
		}
		return err
	}
	var calls sync.WaitGroup
	for range 4 {
		calls.Go(func() {
			for i := range 1000 {
				if i == 100 {
					backends[1].die() // by one of them, the others run
				}
				if err := w.client.DoRetry(t.Context(), 1, 1, client.Retry{}, call); err != nil {
					t.Errorf("call %d: %v", i, err)
				}
			}
		})
	}
	calls.Wait()
	if n, s := refused.Load(), w.client.Stats(); n == 0 || uint64(n) != s.Retries {
		t.Errorf("%d calls were refused, %+v; want one second try for each", n, s)
	}
}
