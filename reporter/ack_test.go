package reporter

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"lars.internal/larspb"
	"lars.internal/reactor"
	"lars.internal/route"
)

// agent is an agent of this project as the reporter sees it.
type agent struct {
	net.Conn
	t      *testing.T
	number uint64
}

const run = 7

func (r *running) agent() *agent { return &agent{Conn: r.dial(), t: r.t} }

// report sends a report that is to be acknowledged and returns its number.
func (a *agent) report(m *larspb.ReportStatusRequest) uint64 {
	a.t.Helper()
	a.number++
	m.Run, m.Number, m.Level = run, a.number, larspb.Level
	send(a.t, a, m)
	return a.number
}

// read returns the next message.
func (a *agent) read() (id int32, body []byte) {
	a.t.Helper()
	a.SetReadDeadline(time.Now().Add(deadline))
	head := make([]byte, larspb.HeaderSize)
	if _, err := io.ReadFull(a, head); err != nil {
		a.t.Fatalf("no message: %v", err)
	}
	body = make([]byte, binary.LittleEndian.Uint32(head[4:]))
	if _, err := io.ReadFull(a, body); err != nil {
		a.t.Fatal(err)
	}
	return int32(binary.LittleEndian.Uint32(head)), body
}

// await returns the body of the next message with this id.
func (a *agent) await(want int32) []byte {
	a.t.Helper()
	for {
		if id, body := a.read(); id == want {
			return body
		}
	}
}

// awaitAcks waits for the acknowledgement of each of the reports, in any order.
func (a *agent) awaitAcks(numbers ...uint64) {
	a.t.Helper()
	missing := map[uint64]bool{}
	for _, n := range numbers {
		missing[n] = true
	}
	for len(missing) > 0 {
		var ack larspb.Ack
		if err := ack.Parse(a.await(larspb.IDReportAck)); err != nil || ack.Run != run || !missing[ack.Number] {
			a.t.Fatalf("got %+v, %v; waiting for %v", ack, err, missing)
		}
		delete(missing, ack.Number)
	}
}

// wantSilence checks that nothing but signs of life has come when the server has
// answered a Ping that is sent after everything else.
func (a *agent) wantSilence() {
	a.t.Helper()
	const number = 99
	frame, err := larspb.AppendFrame(nil, larspb.IDPing, &larspb.Ping{Number: number})
	if err != nil {
		a.t.Fatal(err)
	}
	if _, err := a.Write(frame); err != nil {
		a.t.Fatal(err)
	}
	for {
		id, body := a.read()
		var pong larspb.Echo
		switch {
		case id == larspb.IDReportAck:
			a.t.Fatal("a report was acknowledged")
		case id == larspb.IDPong && pong.Parse(body) == nil && pong.Number == number:
			return
		}
	}
}

// A reporter that was killed while its database was away took its waiting rows
// with it: no agent knew that they were not stored, so none sent them again.
func TestFinding46AcknowledgedMeansStored(t *testing.T) {
	r := start(t, Config{Threads: 1})
	r.sink.behave(func(context.Context) error { return errAway })
	a := r.agent()
	first := a.report(status(noon, 1, hostA, hostB))
	r.sink.awaitCall(t)
	second := a.report(status(noon+1, 2, hostA)) // merged with the first
	a.wantSilence()
	r.sink.behave(nil)
	a.awaitAcks(first, second)
	if row, _ := r.sink.get(rowA); row.Succ != 2 {
		t.Errorf("row %+v, want 2 successes", row)
	}
	r.awaitMetric("lars_reporter_acks_total", 2)
	r.awaitMetric(`lars_reporter_queue_reports{thread="0"}`, 0)
}

// A report is acknowledged when all of its rows are stored, not some of them,
// and one that came while its row was being stored waits for the next call.
func TestFinding46AcknowledgedWhenComplete(t *testing.T) {
	r := start(t, Config{Threads: 1})
	release := r.sink.hold()
	defer release()
	a := r.agent()
	numbers := []uint64{a.report(status(noon, 1, hostA))}
	r.sink.awaitCall(t) // the row of hostA is on its way
	numbers = append(numbers, a.report(status(noon+1, 2, hostA)), a.report(status(noon+1, 2, manyHosts(batchRows+1)...)))
	a.wantSilence()
	release()
	a.awaitAcks(numbers...)
	if row, _ := r.sink.get(rowA); row.Succ != 2 || r.sink.len() != batchRows+2 {
		t.Errorf("row %+v of %d, want 2 successes of %d rows", row, r.sink.len(), batchRows+2)
	}
}

// Repeating these does not help: they are acknowledged, and counted.
func TestFinding46WhatIsNeverStoredIsAcknowledged(t *testing.T) {
	r := start(t, Config{Threads: 1})
	a := r.agent()
	a.awaitAcks(a.report(status(noon, 1, hostA)))
	a.awaitAcks(a.report(status(noon-5, 2, hostA)))        // older than what is stored
	a.awaitAcks(a.report(status(noon, 1, route.Host{})))   // no host that anybody could call
	a.awaitAcks(a.report(status(noon, 1)))                 // nothing at all
	a.awaitAcks(a.report(status(noon+1, 3, hostA, hostA))) // one row twice
	r.awaitMetric("lars_reporter_rows_ignored_total", 1)
	r.awaitMetric("lars_reporter_rows_written_total", 2)
	r.awaitMetric(`lars_reporter_rows_dropped_total{reason="bad_host"}`, 1)
}

// Reports of the C++ stack, and those of agents from before, are never answered.
func TestFinding46OthersGetNoAnswer(t *testing.T) {
	r := start(t, Config{})
	a := r.agent()
	send(t, a, status(noon, 1, hostA))
	old := status(noon, 2, hostA)
	old.Run, old.Number = run, 1 // no level: its sender knows no acknowledgement
	send(t, a, old)
	r.awaitRow(rowA, 2)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(a); err != nil || len(got) > 0 {
		t.Errorf("got %x, %v; want nothing", got, err)
	}
}

// A peer that hangs keeps its connection, and the kernel goes on to acknowledge
// for it: only a message that it has to answer shows whether it lives.
func TestFinding2SignsOfLife(t *testing.T) {
	r := start(t, Config{})
	a := r.agent()
	hello, err := larspb.AppendFrame(nil, larspb.IDHello, &larspb.Hello{Level: 1, Role: "agent"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Write(bytes.Repeat(hello, 2)); err != nil {
		t.Fatal(err)
	}
	var answer larspb.Hello
	if err := proto.Unmarshal(a.await(larspb.IDHello), &answer); err != nil {
		t.Fatal(err)
	}
	if answer.Level != larspb.Level || answer.Role != "reporter" || answer.Instance == "" {
		t.Errorf("got %v", &answer)
	}
	a.wantSilence() // and with it the Pong
	if id, _ := func() (int32, []byte) { a.report(status(noon, 1, hostA)); return a.read() }(); id != larspb.IDReportAck {
		t.Errorf("message %d, want the acknowledgement: one Hello is enough", id)
	}
}

// With a database that hangs, the reporter dropped the newest reports and kept
// the older ones. It stops reading instead, so that agents keep and merge.
func TestFinding13PausesInsteadOfDropping(t *testing.T) {
	tests := []struct {
		name string
		cfg  Config
	}{
		{"too many reports", Config{Threads: 1, QueueSize: 4}},
		{"too many rows", Config{Threads: 1, MaxRows: 4}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := start(t, tt.cfg)
			release := r.sink.hold()
			defer release()
			a, b := r.agent(), r.agent()
			a.report(status(noon, 1, hostB))
			r.sink.awaitCall(t)
			const reports = 20
			for i := range uint32(reports) {
				a.report(status(noon+i, i, hostA))
			}
			r.awaitMetric("lars_reporter_connections_paused", 1)
			other := status(noon, 1, hostA)
			other.Caller++
			b.report(other)
			r.awaitMetric("lars_reporter_connections_paused", 2)
			if n := r.metric("lars_reporter_reports_total"); n > 5 {
				t.Errorf("%d reports were taken, want at most 5", n)
			}
			a.await(larspb.IDPong) // a sign of life, although the connection is not read
			release()
			r.awaitRow(rowA, reports-1)
			r.awaitRow(rowID{key, hostA, localhost + 1}, 1)
			r.awaitMetric("lars_reporter_acks_total", reports+2)
			r.awaitMetric("lars_reporter_connections_paused", 0)
		})
	}
}

// Agents of the C++ stack keep nothing and would fill their memory if they had
// to wait: for their new rows the oldest of theirs go, and of nobody else.
func TestFinding13OldestUnacknowledgedRowsGoFirst(t *testing.T) {
	r := start(t, Config{Threads: 1, MaxRows: 4})
	release := r.sink.hold()
	defer release()
	a, cpp := r.agent(), r.dial()
	send(t, cpp, status(noon, 1, hostB))
	r.sink.awaitCall(t)
	a.report(status(noon, 1, hostA))
	r.awaitMetric("lars_reporter_reports_total", 2)
	hosts := manyHosts(5)
	for i, h := range hosts {
		send(t, cpp, status(noon, uint32(i)+1, h))
	}
	r.awaitMetric(`lars_reporter_rows_dropped_total{reason="backlog_full"}`, 3)
	release()
	a.awaitAcks(1)
	r.awaitRow(rowID{key, hosts[3], localhost}, 4)
	r.awaitRow(rowID{key, hosts[4], localhost}, 5)
	r.awaitRow(rowA, 1)
	if r.sink.len() != 4 {
		t.Errorf("%d rows stored, want 4: of hostA, hostB and the last two", r.sink.len())
	}
}

// A connection that ends while it is not read leaves nothing behind.
func TestFinding13PausedAgentGoesAway(t *testing.T) {
	r := start(t, Config{Threads: 1, QueueSize: 1})
	release := r.sink.hold()
	defer release()
	a := r.agent()
	a.report(status(noon, 1, hostA))
	r.sink.awaitCall(t)
	a.report(status(noon, 2, hostA))
	r.awaitMetric("lars_reporter_connections_paused", 1)
	a.Conn.(*net.TCPConn).SetLinger(0)
	a.Close()
	r.awaitMetric("lars_reporter_connections", 0)
	r.awaitMetric("lars_reporter_connections_paused", 0)
	if n := len(r.threads[0].parked); n != 0 {
		t.Errorf("%d connections are parked, want none", n)
	}
}

// A report that was taken is stored and acknowledged before the connection ends,
// and an agent that does not close its side holds nothing up.
func TestFinding50StopAcknowledgesAndDoesNotWait(t *testing.T) {
	r := start(t, Config{Threads: 1})
	release := r.sink.hold()
	defer release()
	a := r.agent()
	number := a.report(status(noon, 1, hostA))
	r.sink.awaitCall(t)
	stopped := make(chan error, 1)
	go func() { stopped <- r.stop() }() // ends by release, awaited below
	r.await("the end of serving", func() bool { return r.Ready() != nil })
	begin := time.Now()
	release()
	a.awaitAcks(number)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("it took %v to stop with an idle agent", took)
	}
}

// A frame full of empty results cost an allocation for each of 32,763 of them,
// 16 ms. It is read into memory that is used again, and given up for what it is.
func TestFinding50EmptyResultsCostLittle(t *testing.T) {
	s, err := New(Config{Sink: newSink(), Reactor: reactor.ServerConfig{Addr: freePort}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var m larspb.ReportStatusRequest
	for range (larspb.MaxBody - 2) / 2 {
		m.Results = append(m.Results, new(larspb.HostCallResult))
	}
	body, err := proto.Marshal(&m)
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{server: s}
	if n := testing.AllocsPerRun(100, func() { p.handle(body) }); n > 10 {
		t.Errorf("%v allocations a frame, want hardly any", n)
	}
}
