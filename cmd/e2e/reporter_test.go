package e2e_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"lars.internal/larspb"
	"lars.internal/route"
)

// playedAgent sends reports to a reporter and keeps those that are not
// acknowledged, one service each.
type playedAgent struct {
	net.Conn
	t       *testing.T
	number  uint64
	pending map[uint64]int32 // number of the report: cmdid
}

const playedRun = 4711

func playAgent(t *testing.T, addr string) *playedAgent {
	t.Helper()
	var conn net.Conn
	eventually(t, "the reporter listens", func() (ok bool) {
		var err error
		conn, err = net.Dial("tcp4", addr)
		return err == nil
	})
	t.Cleanup(func() { conn.Close() })
	return &playedAgent{Conn: conn, t: t, pending: map[uint64]int32{}}
}

// report sends a report of a service 3/cmdid.
func (a *playedAgent) report(cmdid int32) {
	a.t.Helper()
	a.number++
	a.pending[a.number] = cmdid
	r := larspb.StatusReport{
		Key: route.Key{Modid: 3, Cmdid: cmdid}, Caller: larspb.IPOf(hostC.Addr()), Time: uint32(time.Now().Unix()),
		Results: []larspb.CallResult{{IP: larspb.IPOf(hostA.Addr()), Port: int32(hostA.Port()), Succ: uint32(cmdid)}},
		Run:     playedRun, Number: a.number, Level: larspb.Level,
	}
	body, _ := r.Append(nil, larspb.MaxBody)
	a.send(larspb.IDReportStatusRequest, body)
}

func (a *playedAgent) send(id int32, body []byte) {
	a.t.Helper()
	frame := make([]byte, larspb.HeaderSize, larspb.HeaderSize+len(body))
	larspb.PutHeader(frame, id, len(body))
	if _, err := a.Write(append(frame, body...)); err != nil {
		a.t.Fatal(err)
	}
}

// readUntil takes acknowledgements until done says so; it is called after each
// message with its id.
func (a *playedAgent) readUntil(done func(id int32) bool) {
	a.t.Helper()
	a.SetReadDeadline(time.Now().Add(deadline))
	for id := int32(0); !done(id); {
		head := make([]byte, larspb.HeaderSize)
		if _, err := io.ReadFull(a, head); err != nil {
			a.t.Fatalf("%d reports are not acknowledged: %v", len(a.pending), err)
		}
		body := make([]byte, binary.LittleEndian.Uint32(head[4:]))
		if _, err := io.ReadFull(a, body); err != nil {
			a.t.Fatal(err)
		}
		id = int32(binary.LittleEndian.Uint32(head))
		if id != larspb.IDReportAck {
			continue
		}
		var ack larspb.Ack
		if err := ack.Parse(body); err != nil || ack.Run != playedRun {
			a.t.Fatalf("got acknowledgement %+v, %v", ack, err)
		}
		delete(a.pending, ack.Number)
	}
}

// A reporter that was killed while its database was away took its waiting rows
// with it. What it has acknowledged is in the table, and of all else its agents
// know that it may not be.
func testFinding46KilledReporter(t *testing.T, bin string) {
	w := newWorld(t, bin, sqlite(t))
	w.startReporter()
	addr := fmt.Sprintf("127.0.0.1:%d", w.repPort)
	a := playAgent(t, addr)
	const services = 100
	for cmdid := range int32(services) {
		a.report(cmdid)
	}
	a.readUntil(func(int32) bool { return len(a.pending) == 0 })

	unlock := lock(t, strings.TrimPrefix(w.dsn, "sqlite:"))
	for cmdid := range int32(services) {
		a.report(services + cmdid)
	}
	a.send(larspb.IDPing, larspb.Echo{Number: 1}.Append(nil))
	a.readUntil(func(id int32) bool { return id == larspb.IDPong }) // all reports have arrived
	if len(a.pending) != services {
		t.Errorf("%d of %d reports were acknowledged while nothing could be stored", services-len(a.pending), services)
	}
	w.reporter.kill()
	unlock()

	w.startReporter()
	again := playAgent(t, addr)
	for _, cmdid := range a.pending {
		again.report(cmdid)
	}
	again.readUntil(func(int32) bool { return len(again.pending) == 0 })
	db := open(t, w.dsn)
	for cmdid := range int32(2 * services) {
		key := route.Key{Modid: 3, Cmdid: cmdid}
		rows, err := db.Status(t.Context(), &key, 0)
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) != 1 || rows[0].Succ != uint32(cmdid) {
			t.Errorf("service %v has rows %+v, want one with %d successes", key, rows, cmdid)
		}
	}
}
