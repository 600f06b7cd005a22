package agent

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"net"
	"os"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"lars.internal/engine"
	"lars.internal/larspb"
	"lars.internal/lb/adaptive"
	"lars.internal/route"
)

// loadVectors returns the frames of C++ peers by their names.
func loadVectors(t *testing.T) map[string][]byte {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []struct {
		Name  string
		Frame string `json:"frame_hex"`
	}
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	frames := make(map[string][]byte)
	for _, v := range list {
		if frames[v.Name], err = hex.DecodeString(v.Frame); err != nil {
			t.Fatal(err)
		}
	}
	return frames
}

// frameOf returns a vector, which must be there.
func frameOf(t *testing.T, frames map[string][]byte, name string) []byte {
	t.Helper()
	if frames[name] == nil {
		t.Fatalf("no vector %q", name)
	}
	return frames[name]
}

// An agent between C++ peers, byte for byte: it pulls as a C++ agent does, takes
// the answer of a C++ dns, answers C++ programs and reports to a C++ reporter.
func TestBetweenCppPeers(t *testing.T) {
	for _, policy := range []string{"classic", "adaptive"} {
		t.Run(policy, func(t *testing.T) { testBetweenCppPeers(t, policy) })
	}
}

func testBetweenCppPeers(t *testing.T, policy string) {
	frames := loadVectors(t)
	vector := func(name string) []byte { return frameOf(t, frames, name) }
	pulls := make(chan []byte, 100) // more than the agent sends within the test
	dns := startPeer(t, func(conn net.Conn, id int32, body []byte) {
		var q larspb.RouteQuery
		if q.Parse(body) != nil || q.Modid != key12.Modid { // the question of a connection without services
			return
		}
		pulls <- append([]byte{byte(id), 0, 0, 0, byte(len(body)), 0, 0, 0}, body...)
		conn.Write(vector("GetRouteResponse 1/2 with two hosts"))
	})
	reporter := startReporter(t)
	a, _ := startAgent(t, func(c *Config) {
		c.DNS.Addrs = []string{dns.addr.String()}
		c.Reporter.Addrs = []string{reporter.addr.String()}
		c.Policy, c.Adaptive = policy, adaptive.DefaultConfig()
		c.Adaptive.Probe = false // the hosts are those of the capture
	})
	p := newProgram(t, a, 0)
	p.served(key12)
	if pull, want := <-pulls, levelled(vector("GetRouteRequest 1/2")); !bytes.Equal(pull, want) {
		t.Errorf("pull %x, want %x", pull, want)
	}

	// The captured answer names one of the two hosts, and each is picked soon.
	picked, want := []byte(nil), vector("GetHostResponse seq 0, 1/2, success")
	for tries := 0; tries < 100 && !bytes.Equal(picked, want); tries++ {
		picked = exchange(p, vector("GetHostRequest seq 0, 1/2"))
	}
	if !bytes.Equal(picked, want) {
		t.Errorf("answers like %x, one of 100 should be %x", picked, want)
	}
	route := exchange(p, vector("API_GetRouteRequest 1/2"))
	body := vector("GetRouteResponse 1/2 with two hosts")[larspb.HeaderSize:]
	if want := append([]byte{8, 0, 0, 0, byte(len(body)), 0, 0, 0}, body...); !bytes.Equal(route, want) {
		t.Errorf("route %x, want %x", route, want)
	}

	r := vector("ReportRequest 1/2 success")
	failure := append(slices.Clone(r), 0x20, 1) // the same with retcode 1
	failure[4] += 2
	p.write(failure)
	eventually(t, "the failure is reported", func() bool { return len(reporter.reports()) == 1 })
	compareReport(t, reporter.reports()[0], vector("ReportStatusRequest after one failure"))
}

// levelled returns a captured GetRouteRequest with the field that an agent of this
// project adds and a C++ dns skips: level (12) is 1.
func levelled(frame []byte) []byte {
	frame = append(slices.Clone(frame), 0x60, 1)
	frame[4] += 2
	return frame
}

// exchange sends a datagram and returns the answer.
func exchange(p *program, datagram []byte) []byte {
	p.t.Helper()
	p.write(datagram)
	n, err := p.conn.Read(p.buf)
	if err != nil {
		p.t.Fatal(err)
	}
	return slices.Clone(p.buf[:n])
}

// compareReport compares a report with that of a C++ agent, but for its time,
// the order of hosts, which is that of a C++ set, and what C++ peers skip: the
// totals, and the numbers for an acknowledgement, which must be there.
func compareReport(t *testing.T, got *larspb.ReportStatusRequest, frame []byte) {
	t.Helper()
	var want larspb.ReportStatusRequest
	if err := proto.Unmarshal(frame[larspb.HeaderSize:], &want); err != nil {
		t.Fatal(err)
	}
	if got.Run == 0 || got.Number == 0 || got.Level != larspb.Level {
		t.Errorf("run %d, number %d, level %d", got.Run, got.Number, got.Level)
	}
	got.Ts, got.Run, got.Number, got.Level = want.Ts, 0, 0, 0
	for _, r := range got.Results {
		r.TotalSucc, r.TotalErr = 0, 0
	}
	slices.SortFunc(got.Results, func(a, b *larspb.HostCallResult) int {
		return route.Host{IP: uint32(a.Ip)}.Compare(route.Host{IP: uint32(b.Ip)})
	})
	frameOfGot, err := larspb.AppendFrame(nil, larspb.IDReportStatusRequest, got)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(frameOfGot, frame) {
		t.Errorf("report %x, want %x", frameOfGot, frame)
	}
}

// FuzzMessages gives the handlers of the ports any body.
func FuzzMessages(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0x08, 1, 0x10, 2, 0x18, 3})
	f.Add([]byte{0x08, 1, 0x10, 2, 0x1a, 4, 0x08, 1, 0x10, 80, 0x20, 1})
	cfg := Config{MaxServices: 50}
	cfg.setDefaults()
	e := newEngine(&cfg)
	p := &ports{engine: e, clock: newFakeClock().read, changed: func() {}, asked: func() {}}
	p.pull = func(key route.Key) { e.Update(key, engine.Route{Hosts: route.Of(hostsN(2)...).Hosts}, 0) }
	f.Fuzz(func(t *testing.T, body []byte) {
		if b, ok := p.getHost(nil, body); ok {
			var a larspb.GetHostResponse
			if err := proto.Unmarshal(b, &a); err != nil {
				t.Fatal(err)
			}
		}
		if b, ok := p.getRoute(nil, body); ok {
			var a larspb.GetRouteResponse
			if err := proto.Unmarshal(b, &a); err != nil {
				t.Fatal(err)
			}
		}
		p.report(body)
		if err := e.Check(); err != nil {
			t.Fatal(err)
		}
	})
}
