package access

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"lars.internal/larspb"
	"lars.internal/reactor"
)

// deadline is how long a test waits for what has to come.
const deadline = 20 * time.Second

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within %v", what, deadline)
		case <-tick.C:
		}
	}
}

// journal is a log that is read while it is written.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(b)
}

func (j *journal) count(text string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.buf.String(), text)
}

func (j *journal) log() *slog.Logger { return slog.New(slog.NewTextHandler(j, nil)) }

// played is a server of the test's own, which sees what a client sends.
type played struct {
	addr  netip.AddrPort
	conns chan net.Conn
}

func play(t *testing.T) *played {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &played{addr: netip.MustParseAddrPort(l.Addr().String()), conns: make(chan net.Conn, 64)}
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.conns <- c
		}
	})
	t.Cleanup(func() {
		l.Close()
		accepting.Wait()
		for len(p.conns) > 0 {
			(<-p.conns).Close()
		}
	})
	return p
}

func (p *played) accept(t *testing.T) net.Conn {
	t.Helper()
	select {
	case c := <-p.conns:
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(deadline))
		return c
	case <-time.After(deadline):
		t.Fatal("no agent connected")
		return nil
	}
}

func write(t *testing.T, c net.Conn, id int32, m proto.Message) {
	t.Helper()
	frame, err := larspb.AppendFrame(nil, id, m)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(frame); err != nil {
		t.Fatal(err)
	}
}

// read reads a frame of this id, which has to be the next.
func read(t *testing.T, c net.Conn, id int32, m proto.Message) {
	t.Helper()
	head := make([]byte, larspb.HeaderSize)
	if _, err := io.ReadFull(c, head); err != nil {
		t.Fatalf("waiting for message %d: %v", id, err)
	}
	body := make([]byte, int(head[4])|int(head[5])<<8)
	if _, err := io.ReadFull(c, body); err != nil {
		t.Fatal(err)
	}
	if err := proto.Unmarshal(body, m); err != nil || int32(head[0]) != id {
		t.Fatalf("got message %d, %v; want %d", head[0], err, id)
	}
}

func ended(t *testing.T, c net.Conn) {
	t.Helper()
	_, err := io.Copy(io.Discard, c) // nil, or a reset
	if e, ok := err.(net.Error); ok && e.Timeout() {
		t.Fatal("the connection stays open")
	}
}

// dialRaw connects as a peer of the test's own.
func dialRaw(t *testing.T, addr netip.AddrPort, from string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: deadline}
	c, err := d.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(deadline))
	return c
}

// A server that does not know the secret was obeyed, since the proof was
// one-sided. Nothing that it sends is taken now.
func TestFinding49AServerHasToProveItself(t *testing.T) {
	var log journal
	server := play(t)
	client := dial(t, server.addr, Prover{Secret: swordfish, Section: "[dnsserver]", Log: log.log()})
	c := server.accept(t)
	write(t, c, larspb.IDChallenge, &larspb.Challenge{Nonce: newNonce(), Level: 1})
	var proof larspb.Proof
	read(t, c, larspb.IDProof, &proof)
	if proof.Role != "dns" || len(proof.Nonce) != nonceSize {
		t.Errorf("the proof is for role %q with a nonce of %d bytes", proof.Role, len(proof.Nonce))
	}
	write(t, c, echoID, &larspb.GetRouteRequest{Modid: 1}) // an order before the proof
	write(t, c, larspb.IDServerProof, &larspb.ServerProof{Mac: proof.Mac})
	ended(t, c)
	if len(client) != 0 {
		t.Errorf("the client went on: %q", <-client)
	}
	eventually(t, "a line", func() bool { return log.count("did not prove that it knows the secret") == 1 })
}

// Any secret of 32 bytes that a server asks to be signed was signed, and a
// challenge of another length, too.
func TestFinding49OddChallengesAreRefused(t *testing.T) {
	for name, m := range map[string]*larspb.Challenge{
		"short":         {Nonce: []byte("short")},
		"long":          {Nonce: make([]byte, 100)},
		"none, level 1": {Level: 1},
	} {
		t.Run(name, func(t *testing.T) {
			server := play(t)
			dial(t, server.addr, Prover{Secret: swordfish})
			c := server.accept(t)
			write(t, c, larspb.IDChallenge, m)
			if n, _ := io.Copy(io.Discard, c); n != 0 {
				t.Errorf("it was answered with %d bytes", n)
			}
		})
	}
}

// A server that never asks for the secret was obeyed silently.
func TestFinding49AServerThatNeverAsks(t *testing.T) {
	t.Run("is obeyed with one line", func(t *testing.T) {
		var log journal
		addr, _, server := serve(t, Config{})
		client := dial(t, addr, Prover{Secret: swordfish, Section: "[dnsserver]", Log: log.log()})
		server.await(t, "start")
		client.await(t, "start")
		client.await(t, "answer")
		if log.count("[dnsserver] require_proof") != 1 {
			t.Errorf("the log is %q", log.buf.String())
		}
	})
	t.Run("is refused if a proof is required", func(t *testing.T) {
		var log journal
		server := play(t)
		client := dial(t, server.addr, Prover{Secret: swordfish, Require: true, Section: "[dnsserver]", Log: log.log()})
		ended(t, server.accept(t))
		if len(client) != 0 || log.count("[dnsserver] require_proof refuses it") != 1 {
			t.Errorf("%d events on the client, the log is %q", len(client), log.buf.String())
		}
	})
}

// A server of before level 1 cannot prove itself: it gets the proof that it
// knows, unless one of its own is required.
func TestFinding49AnOlderServer(t *testing.T) {
	for _, require := range []bool{false, true} {
		server := play(t)
		client := dial(t, server.addr, Prover{Secret: swordfish, Require: require, Section: "[dnsserver]"})
		c := server.accept(t)
		nonce := newNonce()
		write(t, c, larspb.IDChallenge, &larspb.Challenge{Nonce: nonce})
		if require {
			ended(t, c)
			continue
		}
		var proof larspb.Proof
		read(t, c, larspb.IDProof, &proof)
		if !bytes.Equal(proof.Mac, legacyProof(swordfish, nonce)) || proof.Role != "" || proof.Nonce != nil {
			t.Errorf("the proof is %v", &proof)
		}
		client.await(t, "start")
	}
}

// An agent of before level 1 is served with one warning, until that is switched
// off.
func TestFinding49AnOlderAgent(t *testing.T) {
	for _, refuse := range []bool{false, true} {
		var log journal
		addr, gate, server := serve(t, Config{Secret: swordfish, RefuseLegacy: refuse, Log: log.log()})
		for range 3 {
			c := dialRaw(t, addr, "127.0.0.1")
			var m larspb.Challenge
			read(t, c, larspb.IDChallenge, &m)
			write(t, c, larspb.IDProof, &larspb.Proof{Mac: legacyProof(swordfish, m.Nonce)})
			if refuse {
				ended(t, c)
				continue
			}
			server.await(t, "start")
			write(t, c, echoID, &larspb.GetRouteRequest{})
			server.await(t, "message")
			c.Close()
			server.await(t, "end")
		}
		if refuse && (gate.Count() != 3 || log.count("legacy_proof is off") != 1) {
			t.Errorf("%d refused, the log is %q", gate.Count(), log.buf.String())
		}
		if !refuse && (gate.Count() != 0 || log.count("legacy_proof = off") != 1) {
			t.Errorf("%d refused, the log is %q", gate.Count(), log.buf.String())
		}
	}
}

// Guesses are judged a few at a time; then the address is refused before it is
// asked, and others are served.
func TestFinding49AnAddressThatGuessesIsRefused(t *testing.T) {
	addr, gate, server := serve(t, Config{Secret: swordfish})
	asked := 0
	for range 50 {
		c := dialRaw(t, addr, "127.0.0.2")
		head := make([]byte, 1)
		if n, _ := c.Read(head); n == 0 {
			continue // refused, not asked
		}
		asked++
		write(t, c, larspb.IDProof, &larspb.Proof{Mac: []byte("guess"), Nonce: newNonce(), Role: "dns"})
		ended(t, c)
	}
	if asked < guessBurst || asked > guessBurst+5 {
		t.Errorf("%d guesses were judged, want %d", asked, guessBurst)
	}
	eventually(t, "all are refused", func() bool { return gate.Count() == 50 })
	for len(server) > 0 {
		if got := <-server; got != "refused" {
			t.Fatalf("the server got %q", got)
		}
	}
	dial(t, addr, Prover{Secret: swordfish}).await(t, "start")
}

// An agent without the secret logged each of its attempts, several a second.
func TestFinding49RetriesAreLoggedOnce(t *testing.T) {
	for _, secret := range []string{"", "guess-guess-guess"} {
		var log journal
		addr, gate, _ := serveWith(t, Config{Secret: swordfish}, func(c *reactor.ServerConfig) { c.UnprovenTimeout = 50 * time.Millisecond })
		router := reactor.NewRouter[*reactor.Conn]()
		starts := make(events, 64)
		client := reactor.ClientConfig{
			Addrs: []netip.AddrPort{addr}, Router: router, BackoffMin: time.Millisecond, BackoffMax: time.Millisecond,
			OnStart: func(c *reactor.Conn) { starts <- "start"; c.Send(echoID, nil) },
		}
		if err := (Prover{Secret: secret, Role: "dns", Section: "[dnsserver]", Log: log.log()}).Equip(&client); err != nil {
			t.Fatal(err)
		}
		c, err := reactor.NewClient(client)
		if err != nil {
			t.Fatal(err)
		}
		run(t, c.Run)
		want := uint64(guessBurst)
		if secret == "" {
			want = 3
		}
		eventually(t, "it is refused", func() bool { return gate.Count() >= want })
		if n := log.count("[dnsserver] secret"); n != 1 {
			t.Errorf("secret %q: %d lines: %q", secret, n, log.buf.String())
		}
		if len(starts) > 1 {
			t.Errorf("secret %q: the client was told of %d connections", secret, len(starts))
		}
	}
}

// A peer that proves the secret when all places are taken is closed, and neither
// hook of the server's own runs.
func TestFinding12AProvenPeerWithoutAPlace(t *testing.T) {
	addr, _, server := serveWith(t, Config{Secret: swordfish}, func(c *reactor.ServerConfig) { c.MaxConns = 1 })
	waiting := dialRaw(t, addr, "127.0.0.2")
	var m larspb.Challenge
	read(t, waiting, larspb.IDChallenge, &m)
	dial(t, addr, Prover{Secret: swordfish}).await(t, "start")
	server.await(t, "start")
	server.await(t, "message")
	write(t, waiting, larspb.IDProof, &larspb.Proof{Mac: legacyProof(swordfish, m.Nonce)})
	server.await(t, "refused")
	ended(t, waiting)
	if len(server) != 0 {
		t.Errorf("the server got %q", <-server)
	}
}
