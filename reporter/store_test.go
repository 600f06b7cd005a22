package reporter_test

import (
	"context"
	"net"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lars.internal/larspb"
	"lars.internal/reactor"
	"lars.internal/reporter"
	"lars.internal/route"
	"lars.internal/store"
)

// A report goes all the way into a database: what Serve has accepted is there
// when it returns.
func TestReportReachesSQLite(t *testing.T) {
	db, err := store.Open("sqlite:"+filepath.Join(t.TempDir(), "lars.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	if err := db.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	service, err := reporter.New(reporter.Config{Sink: db, Reactor: reactor.ServerConfig{Addr: netip.MustParseAddrPort("127.0.0.1:0")}})
	if err != nil {
		t.Fatal(err)
	}
	if err := service.Listen(); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- service.Serve(ctx) }() // ended and awaited below

	ts := time.Now().Unix()
	sendReport(t, service.Addr().String(), uint32(ts))
	awaitStatus(t, db)
	stop()
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	got, err := db.Status(t.Context(), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	want := []route.CallStatus{{
		Key: route.Key{Modid: 1, Cmdid: 2}, Host: route.Host{IP: 0xc0a80171, Port: 7777}, Caller: 0xc0a80102,
		Succ: 7, Err: 3, Time: ts, Overload: true,
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

// sendReport sends a report of one host and of those with further addresses.
func sendReport(t *testing.T, addr string, ts uint32, further ...int32) {
	t.Helper()
	ip, caller := uint32(0xc0a80171), uint32(0xc0a80102)
	m := &larspb.ReportStatusRequest{Modid: 1, Cmdid: 2, Caller: int32(caller), Ts: ts}
	for _, ip := range append([]int32{int32(ip)}, further...) {
		m.Results = append(m.Results, &larspb.HostCallResult{Ip: ip, Port: 7777, Succ: 7, Err: 3, Overload: true, TotalSucc: 100})
	}
	frame, err := larspb.AppendFrame(nil, larspb.IDReportStatusRequest, m)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close() // so that Serve need not wait for this side
	if _, err := c.Write(frame); err != nil {
		t.Fatal(err)
	}
}

// awaitStatus waits until the table holds a row.
func awaitStatus(t *testing.T, db *store.DB) {
	t.Helper()
	await(t, "a row", func() bool {
		rows, err := db.Status(t.Context(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		return len(rows) > 0
	})
}
