package reporter

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lars.internal/larspb"
	"lars.internal/reactor"
	"lars.internal/route"
)

// vectors returns the frames that a C++ agent sends to the report service, by
// name.
func vectors(t *testing.T) map[string][]byte {
	t.Helper()
	text, err := os.ReadFile("../larspb/testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []struct {
		Name  string `json:"name"`
		ID    int32  `json:"msgid"`
		Frame string `json:"frame_hex"`
	}
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	frames := map[string][]byte{}
	for _, v := range all {
		if v.ID == larspb.IDReportStatusRequest {
			if frames[v.Name], err = hex.DecodeString(v.Frame); err != nil {
				t.Fatal(err)
			}
		}
	}
	return frames
}

func TestVectorsOfCppAgent(t *testing.T) {
	const ts = 1795344234
	a := route.CallStatus{Key: key, Host: hostA, Caller: localhost, Time: ts}
	b := route.CallStatus{Key: key, Host: hostB, Caller: localhost, Time: ts}
	failed := b
	failed.Err = 1
	want := map[string][2]route.CallStatus{
		"ReportStatusRequest after one success": {a, b},
		"ReportStatusRequest after one failure": {a, failed},
	}
	got := vectors(t)
	if len(got) != len(want) {
		t.Fatalf("%d vectors, want %d", len(got), len(want))
	}
	for name, frame := range got {
		t.Run(name, func(t *testing.T) {
			r := start(t, Config{})
			sendInPieces(t, r, frame)
			r.await("both rows", func() bool { return r.sink.len() == 2 })
			for _, w := range want[name] {
				row, _ := r.sink.get(rowOf(&w))
				if diff := cmp.Diff(w, row); diff != "" {
					t.Errorf("row (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// sendInPieces sends a frame several times, each time cut elsewhere.
func sendInPieces(t *testing.T, r *running, frame []byte) {
	t.Helper()
	c := r.dial()
	random := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		for rest := frame; len(rest) > 0; {
			n := 1 + random.IntN(len(rest))
			if _, err := c.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
	}
	r.awaitMetric("lars_reporter_reports_total", 20)
	r.awaitMetric("lars_reporter_results_total", 40)
}

func TestFrameCutAtEveryByte(t *testing.T) {
	r := start(t, Config{})
	c := r.dial()
	full := frame(t, nil, status(noon, 1, hostA, hostB))
	for cut := range full {
		for _, piece := range [][]byte{full[:cut], full[cut:]} {
			if _, err := c.Write(piece); err != nil {
				t.Fatal(err)
			}
		}
	}
	r.awaitMetric("lars_reporter_reports_total", len(full))
	r.awaitRow(rowA, 1)
}

func TestConnectionSurvivesWhatIsNoReport(t *testing.T) {
	r := start(t, Config{})
	c := r.dial()
	tests := []struct {
		name   string
		bytes  []byte
		metric string
		want   int
	}{
		{"empty body", []byte{3, 0, 0, 0, 0, 0, 0, 0}, "lars_reporter_reports_total", 1},
		{"garbage", append([]byte{3, 0, 0, 0, 4, 0, 0, 0}, 0xff, 0xff, 0xff, 0xff), `lars_reporter_reports_dropped_total{reason="malformed"}`, 1},
		{"unknown id", []byte{99, 0, 0, 0, 0, 0, 0, 0}, "lars_reporter_messages_unknown_total", 1},
		{"no such host", frame(t, nil, status(noon, 1, route.Host{}, route.Host{IP: 1})), `lars_reporter_rows_dropped_total{reason="bad_host"}`, 2},
		{"time ahead", frame(t, nil, status(noon*2, 1, hostB)), "lars_reporter_timestamps_replaced_total", 1},
	}
	for _, tt := range tests {
		if _, err := c.Write(tt.bytes); err != nil {
			t.Fatal(tt.name, err)
		}
		r.awaitMetric(tt.metric, tt.want)
	}
	send(t, c, status(noon, 5, hostA))
	r.awaitRow(rowA, 5)
	r.await("the row of the time ahead", func() bool {
		row, ok := r.sink.get(rowID{key, hostB, localhost})
		return ok && row.Time == noon
	})
	if got := r.sink.len(); got != 2 {
		t.Errorf("%d rows, want 2", got)
	}
}

func TestBadFrameLengthEndsTheConnection(t *testing.T) {
	r := start(t, Config{})
	c := r.dial()
	if _, err := c.Write([]byte{3, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}); err != nil {
		t.Fatal(err)
	}
	c.SetReadDeadline(time.Now().Add(deadline))
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("read: %v, want the end", err)
	}
}

func TestLargestReport(t *testing.T) {
	r := start(t, Config{})
	hosts := manyHosts(4000) // 64,022 bytes: more would not fit a frame
	send(t, r.dial(), status(noon, 1, hosts...))
	r.await("all rows", func() bool { return r.sink.len() == len(hosts) })
	if diff := cmp.Diff(slices.Repeat([]int{batchRows}, len(hosts)/batchRows), r.sink.batches); diff != "" {
		t.Errorf("rows of each statement (-want +got):\n%s", diff)
	}
}

func TestConnectionLimit(t *testing.T) {
	r := start(t, Config{Reactor: reactor.ServerConfig{Loops: 1, MaxConns: 1}})
	first := r.dial()
	r.awaitMetric("lars_reporter_connections", 1)
	second := r.dial()
	second.SetReadDeadline(time.Now().Add(deadline))
	if _, err := second.Read(make([]byte, 1)); err == nil {
		t.Error("the second connection was served")
	}
	r.awaitMetric(`lars_reporter_connections_refused_total{reason="limit"}`, 1)
	send(t, first, status(noon, 1, hostA))
	r.awaitRow(rowA, 1)
}

func TestServeOnce(t *testing.T) {
	r := start(t, Config{})
	r.await("readiness", func() bool { return r.Ready() == nil })
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if err := r.Ready(); err == nil {
		t.Error("ready after the end")
	}
	if err := r.Serve(context.Background()); err == nil {
		t.Error("Serve worked a second time")
	}
}

func TestPortInUse(t *testing.T) {
	r := start(t, Config{})
	s, err := New(Config{Sink: newSink(), Reactor: reactor.ServerConfig{Addr: r.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Serve(context.Background())
	if err == nil || !strings.Contains(err.Error(), r.Addr().String()) || !strings.Contains(err.Error(), "[reactor]") {
		t.Errorf("error %v, want one that names %v and the key", err, r.Addr())
	}
}

// After New and Listen without Serve nothing released the port: a program that
// failed to start its next part had to exit.
func TestFinding14ClosedWithoutServe(t *testing.T) {
	s, err := New(Config{Sink: newSink(), Reactor: reactor.ServerConfig{Addr: freePort}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	addr := s.Addr()
	s.Close()
	s.Close()
	again, err := net.Listen("tcp", addr.String())
	if err != nil {
		t.Fatalf("the port is still taken after Close: %v", err)
	}
	again.Close()
}

// Close ends Serve at once, although a peer keeps its connection open.
func TestFinding14ClosedWhileServing(t *testing.T) {
	r := start(t, Config{})
	c := r.dial()
	send(t, c, status(noon, 1, hostA))
	r.awaitRow(rowA, 1)
	r.Close()
	r.Close()
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
}
