package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"lars.internal/agent"
	"lars.internal/client"
	"lars.internal/cmd/internal/process"
	"lars.internal/larspb"
	"lars.internal/route"
)

// forgetfulAgent answers on one port, but for the picks that skip selects. It returns
// the first port of an agent whose service 1/1 has this port.
func forgetfulAgent(t *testing.T, skip func(pick int) bool) string {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	host := larspb.HostInfo{Ip: 127<<24 | 1, Port: 9}
	go func() { // ends when the socket is closed
		buf := make([]byte, 2048)
		for pick := 0; ; {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			var answer []byte
			switch body := buf[8:n]; int32(binary.LittleEndian.Uint32(buf)) {
			case larspb.IDAPIGetRouteRequest:
				var q larspb.GetRouteRequest
				proto.Unmarshal(body, &q)
				answer, _ = larspb.AppendFrame(nil, larspb.IDAPIGetRouteResponse, &larspb.GetRouteResponse{
					Modid: q.Modid, Cmdid: q.Cmdid, Seq: q.Seq, Host: []*larspb.HostInfo{&host}})
			case larspb.IDGetHostRequest:
				if pick++; skip(pick) {
					continue
				}
				var q larspb.GetHostRequest
				proto.Unmarshal(body, &q)
				answer, _ = larspb.AppendFrame(nil, larspb.IDGetHostResponse, &larspb.GetHostResponse{
					Seq: q.Seq, Modid: q.Modid, Cmdid: q.Cmdid, Host: &host})
			}
			conn.WriteToUDPAddrPort(answer, from)
		}
	}()
	return fmt.Sprintf("127.0.0.1:%d", conn.LocalAddr().(*net.UDPAddr).Port-2) // (1 + 1) mod 3
}

// TestFinding59LateAnswerIsCounted: one answer over 100 ms once ended the measurement
// with an error.
func TestFinding59LateAnswerIsCounted(t *testing.T) {
	addr := forgetfulAgent(t, func(pick int) bool { return 3 <= pick && pick <= 10 })
	cl, err := client.New(client.Config{Agent: addr, Timeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	r, err := measure(t.Context(), cl, []route.Key{{Modid: 1, Cmdid: 1}}, time.Second)
	if err != nil || r.Late == 0 || r.Pairs < 3 {
		t.Fatalf("got %+v, %v, want late answers and pairs after them", r, err)
	}
	var out strings.Builder
	(&settings{env: process.Env{Stdout: &out}}).printRates(rates{Threads: 1, Seconds: 1, Late: 2}, false)
	if !strings.Contains(out.String(), "2 picks had no answer within 100ms") {
		t.Errorf("got %q", out.String())
	}
}

// TestFinding40QPSRefusesServicesInUse: the command once wrote made-up successes into
// the services 1/1, 1/2 and so on of programs on the same machine.
func TestFinding40QPSRefusesServicesInUse(t *testing.T) {
	addr := forgetfulAgent(t, func(int) bool { return false })
	var asked atomic.Value // the age of the last question, or nil: the service is not known
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		age, known := asked.Load().(float64)
		if !known {
			w.WriteHeader(http.StatusNotFound)
			io.WriteString(w, `{"error": "no such service"}`)
			return
		}
		var detail agent.ServiceDetail
		detail.AskedSeconds = age
		json.NewEncoder(w).Encode(detail)
	}))
	defer srv.Close()
	pages := srv.Listener.Addr().String()
	run := func(args ...string) (string, error) {
		var out strings.Builder
		root := newRoot(process.Env{Stdout: &out, Stderr: io.Discard})
		root.SetArgs(append([]string{"qps", "1", "--duration", "10ms", "--agent", addr}, args...))
		err := root.ExecuteContext(t.Context())
		return out.String(), err
	}
	measures := func(why string, args ...string) {
		t.Helper()
		if out, err := run(args...); err != nil || !strings.Contains(out, "pairs") {
			t.Errorf("%s: got %q, %v, want a measurement", why, out, err)
		}
	}
	refuses := func(why, want string, args ...string) {
		t.Helper()
		if out, err := run(args...); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "--force") {
			t.Errorf("%s: got %q, %v, want an error with %q and --force", why, out, err, want)
		}
	}
	measures("a service that the agent does not know", "--pages", pages)
	asked.Store(-1.0)
	measures("a service that no program asked for", "--pages", pages)
	asked.Store(12.0)
	refuses("a service in use", "a program asked for 1/1 12s ago", "--pages", pages)
	measures("a service in use, forced", "--pages", pages, "--force")
	refuses("another agent without its pages", "--pages")
	srv.Close()
	refuses("pages that do not answer", "find out whether programs use 1/1", "--pages", pages)
}
