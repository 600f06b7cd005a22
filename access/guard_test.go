package access

import (
	"cmp"
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"lars.internal/larspb"
	"lars.internal/reactor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const echoID = 1

// events are what happened on both sides, in the order in which it did.
type events chan string

func (e events) await(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-e:
		if got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("no %q", want)
	}
}

// serve runs a server behind a gate until the test ends. It reports starts,
// messages and ends.
func serve(t *testing.T, cfg Config) (netip.AddrPort, *Gate, events) {
	t.Helper()
	return serveWith(t, cfg, func(*reactor.ServerConfig) {})
}

func serveWith(t *testing.T, cfg Config, change func(*reactor.ServerConfig)) (netip.AddrPort, *Gate, events) {
	t.Helper()
	seen := make(events, 100)
	router := reactor.NewRouter[*reactor.Conn]()
	router.Handle(echoID, func(c *reactor.Conn, body []byte) {
		seen <- "message"
		c.Send(echoID, body)
	})
	server := reactor.ServerConfig{
		Addr: netip.MustParseAddrPort("127.0.0.1:0"), Router: router, Loops: 1,
		OnStart:  func(*reactor.Conn) { seen <- "start" },
		OnClose:  func(*reactor.Conn, error) { seen <- "end" },
		OnRefuse: func(netip.AddrPort, error) { seen <- "refused" },
	}
	change(&server)
	cfg.Role = "dns"
	gate := newGate(t, cfg)
	gate.Guard(&server)
	s, err := reactor.NewServer(server)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	run(t, s.Serve)
	return s.Addr(), gate, seen
}

// run runs a server or client until the test ends.
func run(t *testing.T, serve func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := serve(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
}

// dial runs a client that sends one message from its start hook.
func dial(t *testing.T, addr netip.AddrPort, p Prover) events {
	t.Helper()
	seen := make(events, 64)
	router := reactor.NewRouter[*reactor.Conn]()
	router.Handle(echoID, func(*reactor.Conn, []byte) { seen <- "answer" })
	client := reactor.ClientConfig{
		Addrs: []netip.AddrPort{addr}, Router: router, BackoffMin: time.Hour, BackoffMax: time.Hour,
		OnStart: func(c *reactor.Conn) { seen <- "start"; c.Send(echoID, []byte("hello")) },
		OnClose: func(*reactor.Conn, error) { seen <- "end" },
	}
	p.Role = cmp.Or(p.Role, "dns")
	if err := p.Equip(&client); err != nil {
		t.Fatal(err)
	}
	c, err := reactor.NewClient(client)
	if err != nil {
		t.Fatal(err)
	}
	run(t, c.Run)
	return seen
}

func TestThePeerThatKnowsTheSecretIsServed(t *testing.T) {
	addr, gate, server := serve(t, Config{Secret: swordfish})
	client := dial(t, addr, Prover{Secret: swordfish})
	server.await(t, "start")
	server.await(t, "message")
	client.await(t, "start")
	client.await(t, "answer")
	if gate.Count() != 0 {
		t.Errorf("%d peers refused", gate.Count())
	}
}

func TestTheClientMayHaveTheSecretBeforeItsServer(t *testing.T) {
	addr, _, server := serve(t, Config{})
	client := dial(t, addr, Prover{Secret: swordfish})
	server.await(t, "start")
	client.await(t, "start")
	client.await(t, "answer")
}

func TestAWrongSecretIsRefused(t *testing.T) {
	addr, gate, server := serve(t, Config{Secret: swordfish})
	client := dial(t, addr, Prover{Secret: "guess-guess-guess"})
	// Neither side's own hooks run.
	eventually(t, "the refusal is counted", func() bool { return gate.Count() == 1 })
	if len(client) != 0 || len(server) != 0 {
		t.Errorf("%d events on the client, %d on the server", len(client), len(server))
	}
}

func TestAMessageBeforeTheProofIsRefused(t *testing.T) {
	addr, gate, server := serve(t, Config{Secret: swordfish})
	var log strings.Builder
	client := dial(t, addr, Prover{Section: "[dnsserver]", Log: slog.New(slog.NewTextHandler(&log, nil))})
	client.await(t, "start")
	client.await(t, "end")
	if gate.Count() != 1 || len(server) != 0 {
		t.Errorf("%d refused, %d events on the server", gate.Count(), len(server))
	}
	if !strings.Contains(log.String(), "[dnsserver] secret") {
		t.Errorf("the log does not name the key: %q", log.String())
	}
}

func TestAForeignNetworkIsRefused(t *testing.T) {
	addr, gate, server := serve(t, Config{Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	client := dial(t, addr, Prover{})
	server.await(t, "refused")
	client.await(t, "start")
	client.await(t, "end")
	if gate.Count() != 1 {
		t.Errorf("%d refused", gate.Count())
	}
}

// A C++ peer knows none of these messages: with the gate open it never sees
// one.
func TestAnOpenGateSaysNothing(t *testing.T) {
	addr, _, _ := serve(t, Config{})
	router := reactor.NewRouter[*reactor.Conn]()
	seen := make(events, 4)
	router.HandleOther(func(_ *reactor.Conn, id int32, _ []byte) {
		if id == larspb.IDChallenge {
			seen <- "challenge"
			return
		}
		seen <- "answer"
	})
	c, err := reactor.NewClient(reactor.ClientConfig{
		Addrs: []netip.AddrPort{addr}, Router: router,
		OnStart: func(c *reactor.Conn) { c.Send(echoID, nil) },
	})
	if err != nil {
		t.Fatal(err)
	}
	run(t, c.Run)
	seen.await(t, "answer")
}
