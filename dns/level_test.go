package dns_test

import (
	"encoding/binary"
	"io"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"lars.internal/dns"
	"lars.internal/larspb"
	"lars.internal/route"
)

// askLevel sends a GetRouteRequest as an agent of this project does.
func (p *peer) askLevel(keys ...route.Key) {
	p.t.Helper()
	for _, k := range keys {
		p.sendFrame(larspb.IDGetRouteRequest, &larspb.GetRouteRequest{Modid: k.Modid, Cmdid: k.Cmdid, Level: larspb.Level})
	}
}

func (p *peer) sendFrame(id int32, m proto.Message) {
	p.t.Helper()
	b, err := larspb.AppendFrame(nil, id, m)
	if err != nil {
		p.t.Fatal(err)
	}
	p.send(b)
}

// frame reads one frame of any kind.
func (p *peer) frame() (id int32, body []byte) {
	p.t.Helper()
	if err := p.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		p.t.Fatal(err)
	}
	var header [larspb.HeaderSize]byte
	if _, err := io.ReadFull(p.conn, header[:]); err != nil {
		p.t.Fatalf("waiting for a frame: %v", err)
	}
	body = make([]byte, binary.LittleEndian.Uint32(header[4:]))
	if _, err := io.ReadFull(p.conn, body); err != nil {
		p.t.Fatal(err)
	}
	return int32(binary.LittleEndian.Uint32(header[:])), body
}

// message reads one frame that has to be of a kind.
func message[M proto.Message](p *peer, want int32, m M) M {
	p.t.Helper()
	id, body := p.frame()
	if id != want {
		p.t.Fatalf("message %d, want %d", id, want)
	}
	if err := proto.Unmarshal(body, m); err != nil {
		p.t.Fatal(err)
	}
	return m
}

// route reads an answer with all of its fields.
func (p *peer) route() *larspb.GetRouteResponse {
	p.t.Helper()
	return message(p, larspb.IDGetRouteResponse, new(larspb.GetRouteResponse))
}

// meet asks as an agent of this project for the first time, and reads the Hello.
func (p *peer) meet(keys ...route.Key) {
	p.t.Helper()
	p.askLevel(keys...)
	if h := message(p, larspb.IDHello, new(larspb.Hello)); h.Level != larspb.Level || h.Role != "dns" || h.Instance == "" {
		p.t.Errorf("Hello is %v", h)
	}
}

// After a fail-over to a dns with an old snapshot, removed hosts came back: an
// answer did not say how old it is.
func TestFinding16AnswersSayVersionAndStale(t *testing.T) {
	store := newFakeStore()
	store.edit(services{k12: {h1}, k13: {h3}}) // version 101
	in := startLoaded(t, store, nil)
	p, cpp := dial(t, in), dial(t, in)
	p.meet(k12)
	if r := p.route(); r.Version != 101 || r.Stale || r.Removed || r.Level != larspb.Level {
		t.Errorf("answer is %v", r)
	}
	cpp.ask(k12)
	if r := cpp.route(); r.Version != 0 || r.Stale || r.Removed || r.Level != 0 {
		t.Errorf("an agent without a level got fields that it does not know: %v", r)
	}
	store.edit(services{k12: {h2}})
	if r := p.route(); r.Version != 102 || r.Level != larspb.Level || len(r.Host) != 1 {
		t.Errorf("push is %v", r)
	}
	cpp.expect(k12, h2)

	store.setFault(errStore, "Look", "Load")
	eventually(t, "the failure shows", func() bool { return in.metric(t, "lars_dns_store_up") == "0" })
	p.askLevel(k13)
	if r := p.route(); !r.Stale || r.Version != 102 {
		t.Errorf("answer without the store is %v, want it to be stale", r)
	}
	cpp.ask(k13)
	if r := cpp.route(); r.Stale || r.Version != 0 {
		t.Errorf("an agent without a level got fields that it does not know: %v", r)
	}
	store.setFault(nil, "Look", "Load")
	in.awaitMetric(t, "lars_dns_store_up", "1")
	p.askLevel(k13)
	if r := p.route(); r.Stale {
		t.Errorf("answer with the store is %v", r)
	}
}

// An answer that is empty by an edit says so; one that is empty for another
// reason does not.
func TestFinding17RemovedByAnEdit(t *testing.T) {
	store := newFakeStore()
	store.edit(services{k12: {h1}, k13: {h3}})
	p := dial(t, startLoaded(t, store, often))
	p.meet(k12)
	p.route()
	store.edit(services{k12: nil})
	if r := p.route(); !r.Removed || len(r.Host) != 0 {
		t.Errorf("push after an edit is %v, want removed", r)
	}
	p.askLevel(k12)
	if r := p.route(); !r.Removed {
		t.Errorf("answer after an edit is %v, want removed", r)
	}
	p.askLevel(route.Key{Modid: 8, Cmdid: 8})
	if r := p.route(); r.Removed {
		t.Errorf("answer for a service that never was is %v", r)
	}
	p.askLevel(k13)
	p.route()
	store.scribble(services{k13: nil})
	if r := p.route(); r.Removed || len(r.Host) != 0 {
		t.Errorf("push of what changed without a record is %v", r)
	}
	store.edit(services{k12: {h2}})
	if r := p.route(); r.Removed || len(r.Host) != 1 {
		t.Errorf("push of a service that is back is %v", r)
	}
}

// A reload that saw an edit before the next look did took it for a change without
// a record: agents got an empty route that no edit had made so, and kept the hosts
// that an operator had removed; the line in the log had the version before.
func TestFinding17EditThatAReloadSeesFirst(t *testing.T) {
	store := newFakeStore()
	store.edit(services{k12: {h1}, k13: {h2}})
	in := startLoaded(t, store, often)
	p := dial(t, in)
	p.meet(k12)
	before := p.route().Version
	store.setFault(errStore, "Look")
	store.await(t, "Look", 1)
	store.edit(services{k12: nil})
	store.await(t, "Load", 3) // they have read what no look has seen
	store.setFault(nil, "Look")
	if r := p.route(); !r.Removed || len(r.Host) != 0 || r.Version <= before {
		t.Errorf("push after an edit is %v, want removed, with a version above %d", r, before)
	}
}

func TestPingAndHello(t *testing.T) {
	in := startLoaded(t, newFakeStore(), nil)
	p := dial(t, in)
	p.meet(k12)
	p.route()
	p.sendFrame(larspb.IDHello, &larspb.Hello{Level: 1, Role: "agent"})
	p.sendFrame(larspb.IDPing, &larspb.Ping{Number: 7})
	if m := message(p, larspb.IDPong, new(larspb.Pong)); m.Number != 7 {
		t.Errorf("Pong has number %d, want 7", m.Number)
	}
	p.askLevel(k12) // no second Hello comes
	p.route()
}

// A request that waits for the first load does not keep dns from showing who it
// is.
func TestHelloBeforeTheFirstLoad(t *testing.T) {
	store := newFakeStore()
	store.setFault(errStore, "Load")
	p := dial(t, start(t, store, nil))
	p.meet(k12)
	p.sendFrame(larspb.IDPing, &larspb.Ping{Number: 1})
	message(p, larspb.IDPong, new(larspb.Pong))
	store.setFault(nil, "Load")
	if r := p.route(); r.Level != larspb.Level {
		t.Errorf("answer is %v", r)
	}
}

func TestBrokenPeerMessagesEndTheConnection(t *testing.T) {
	in := startLoaded(t, newFakeStore(), nil)
	for _, id := range []int32{larspb.IDPing, larspb.IDHello, larspb.IDUnsubscribe} {
		p := dial(t, in)
		frame := make([]byte, larspb.HeaderSize)
		larspb.PutHeader(frame, id, 1)
		p.send(append(frame, 0xff))
		p.expectEnd()
	}
	in.awaitMetric(t, "lars_dns_bad_messages_total", "3")
}

// A subscription ended with the connection alone, so an agent that had evicted
// a service got its pushes for ever, and used up the limit.
func TestFinding18Unsubscribe(t *testing.T) {
	store := newFakeStore()
	store.edit(services{k12: {h1}, k13: {h3}})
	in := startLoaded(t, store, func(c *dns.Config) { c.MaxSubscriptions = 2 })
	p := dial(t, in)
	p.meet(k12, k13)
	p.route()
	p.route()
	in.awaitMetric(t, "lars_dns_subscriptions", "2")
	for range 2 { // the second finds nothing to end
		p.sendFrame(larspb.IDUnsubscribe, &larspb.Unsubscribe{Modid: k12.Modid, Cmdid: k12.Cmdid})
	}
	in.awaitMetric(t, "lars_dns_subscriptions", "1")
	store.edit(services{k12: {h2}, k13: {h1}})
	if r := p.route(); r.Cmdid != k13.Cmdid {
		t.Errorf("pushed %v, want %v alone", r, k13)
	}
	p.askLevel(k12)
	if r := p.route(); r.Cmdid != k12.Cmdid || len(r.Host) != 1 {
		t.Errorf("answer is %v", r)
	}
	store.edit(services{k12: {h3}})
	if r := p.route(); r.Cmdid != k12.Cmdid {
		t.Errorf("pushed %v, want %v again", r, k12)
	}
	in.awaitMetric(t, "lars_dns_lookups_unsubscribed_total", "0")
}

// The limit showed in a counter alone, while new services got no pushes.
func TestFinding18LimitIsSaid(t *testing.T) {
	store := newFakeStore()
	in := startLoaded(t, store, func(c *dns.Config) { c.MaxSubscriptions = 1 })
	p := dial(t, in)
	p.ask(k12, k13, route.Key{Modid: 9})
	for range 3 {
		p.next()
	}
	if n := in.log.count("too many subscriptions"); n != 1 {
		t.Errorf("%d lines about the limit, want 1", n)
	}
}

// Subscriptions were bounded for each connection alone, so that 1,024 hostile
// peers could take 11 GB.
func TestFinding48SubscriptionsOfAllConnections(t *testing.T) {
	store := newFakeStore()
	real := []route.Key{{Modid: 1, Cmdid: 1}, {Modid: 1, Cmdid: 2}, {Modid: 1, Cmdid: 3}}
	for _, key := range real {
		store.edit(services{key: {h1}})
	}
	// Two subscriptions to services with hosts, and one to a service without.
	in := startLoaded(t, store, func(c *dns.Config) { c.MaxAllSubscriptions = 2 })
	hostile := dial(t, in)
	hostile.ask(route.Key{Modid: 66, Cmdid: 1}, route.Key{Modid: 66, Cmdid: 2}, route.Key{Modid: 66, Cmdid: 3})
	for range 3 {
		hostile.next()
	}
	in.awaitMetric(t, "lars_dns_subscriptions", "1")
	in.awaitMetric(t, "lars_dns_subscriptions_without_hosts", "1")
	p, q := dial(t, in), dial(t, in)
	p.ask(real[0])
	p.expect(real[0], h1)
	q.ask(real[1], real[2])
	q.expect(real[1], h1)
	q.expect(real[2], h1)
	in.awaitMetric(t, "lars_dns_subscriptions", "3")
	in.awaitMetric(t, "lars_dns_lookups_unsubscribed_total", "3")
	p.conn.Close()
	in.awaitMetric(t, "lars_dns_subscriptions", "2")
	q.ask(real[2])
	q.expect(real[2], h1)
	in.awaitMetric(t, "lars_dns_subscriptions", "3")
}

// A service counts by what it is now: one that gets its first host leaves the
// room for services without.
func TestFinding48ServicesChangeTheirRoom(t *testing.T) {
	store := newFakeStore()
	in := startLoaded(t, store, func(c *dns.Config) { c.MaxAllSubscriptions = 20 })
	p, q := dial(t, in), dial(t, in)
	for _, x := range []*peer{p, q} {
		x.ask(k12)
		x.expect(k12)
	}
	in.awaitMetric(t, "lars_dns_subscriptions_without_hosts", "2")
	store.edit(services{k12: {h1}})
	p.expect(k12, h1)
	q.expect(k12, h1)
	in.awaitMetric(t, "lars_dns_subscriptions_without_hosts", "0")
	store.edit(services{k12: nil})
	p.expect(k12)
	q.expect(k12)
	in.awaitMetric(t, "lars_dns_subscriptions_without_hosts", "2")
	p.conn.Close()
	q.conn.Close()
	in.awaitMetric(t, "lars_dns_subscriptions_without_hosts", "0")
}
