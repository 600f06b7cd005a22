package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"lars.internal/agent"
	"lars.internal/cmd/internal/process"
	"lars.internal/route"
)

// fakePages shows one service as both balancers see it.
func fakePages(t *testing.T) string {
	t.Helper()
	adaptive := agent.ServiceDetail{
		ServiceInfo: agent.ServiceInfo{Service: "1/2", Route: "fresh", State: "NEW", AgeSeconds: 1, Policy: "adaptive", Shadow: "classic", Settings: map[string]string{"ramp": "9s", "evidence": "20"}},
		List: []agent.HostInfo{
			{Host: "10.0.0.1:80", State: "idle", Status: "ramp", SinceSeconds: 4.2, LatencyMS: 20.123, Share: 0.25, InFlight: 3, Succ: 19, Err: 1, Weight: 100, Zone: "eu1", Why: "up, on the ramp 42 %."},
			{Host: "10.0.0.2:80", State: "overload", Status: "out", Reason: "DEAD", SinceSeconds: 3, LatencyMS: 1043.2, Share: 1e-9, Ejected: 2, Reinstated: 1, Weight: 50, Why: "out since 12:00:01 (3 s), DEAD: 1 call refused, connect refused 0.4 ms later."},
		},
	}
	classic := agent.ServiceDetail{
		ServiceInfo: agent.ServiceInfo{Service: "1/2", Route: "fresh", State: "NEW", AgeSeconds: -1, Policy: "classic"},
		List:        []agent.HostInfo{{Host: "10.0.0.1:80", State: "idle", SinceSeconds: 5, Succ: 1, VirtualSucc: 180, ContinSucc: 1, Why: "idle since 12:00:00 (5 s)."}},
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/agent/hosts" && r.FormValue("service") == "1/9": // of the release before
			io.WriteString(w, `{"service":"1/9","state":"NEW","age_seconds":1,"list":[{"host":"10.0.0.1:80","state":"idle"}]}`)
		case r.URL.Path != "/agent/hosts" || r.FormValue("service") != "1/2":
			w.WriteHeader(http.StatusNotFound)
			json.NewEncoder(w).Encode(map[string]string{"error": "agent: service " + r.FormValue("service") + ": no program has asked for it here"})
		case r.FormValue("shadow") != "":
			json.NewEncoder(w).Encode(classic)
		default:
			json.NewEncoder(w).Encode(adaptive)
		}
	}))
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

// runLars returns what a command prints, with blanks at the ends of lines cut off.
func runLars(t *testing.T, args ...string) (out string, err error) {
	t.Helper()
	var stdout bytes.Buffer
	root := newRoot(process.Env{Stdout: &stdout, Stderr: &bytes.Buffer{}})
	root.SetArgs(args)
	err = root.ExecuteContext(t.Context())
	for line := range strings.Lines(stdout.String()) {
		out += strings.TrimRight(line, " \n") + "\n"
	}
	return out, err
}

// The hosts of a service are shown in the words of the policy that judges them.
func TestHostsInWords(t *testing.T) {
	addr := fakePages(t)
	for _, tt := range []struct{ args, want string }{
		{"agent hosts 1/2", `HOST         STATE     SINCE  LATENCY  SHARE      UNDER WAY  FAILED   EJECTED  BROUGHT BACK  WEIGHT  ZONE
10.0.0.1:80  ramp      4.2s   20.1 ms  25 %       3          1 of 20  0        0             100     eu1
10.0.0.2:80  out DEAD  3s     1.04 s   < 0.001 %  0          0 of 0   2        1             50      -
route of 1/2: fresh, confirmed 1s ago, NEW
policy: adaptive (evidence=20 ramp=9s), classic looks on
`},
		{"agent hosts 1/2 --shadow", `HOST         STATE  SINCE  SUCCESSES  FAILURES  VIRTUAL  IN A ROW   EJECTED  BROUGHT BACK
10.0.0.1:80  idle   5s     1          0         180/0    1 success  0        0
route of 1/2: fresh, never confirmed, NEW
policy: classic
`},
		{"agent hosts 1/9", `HOST         STATE  SINCE  SUCCESSES  FAILURES  VIRTUAL  IN A ROW     EJECTED  BROUGHT BACK
10.0.0.1:80  idle   0s     0          0         0/0      0 successes  0        0
route of 1/9: -, confirmed 1s ago, NEW
policy: classic
`},
		{"why 1/2", `HOST         WHY
10.0.0.1:80  up, on the ramp 42 %.
10.0.0.2:80  out since 12:00:01 (3 s), DEAD: 1 call refused, connect refused 0.4 ms later.
`},
		{"why 1 2 10.0.0.1:80", "up, on the ramp 42 %.\n"},
		{"why 1/2 10.0.0.1:80 --shadow", "idle since 12:00:00 (5 s).\n"},
	} {
		got, err := runLars(t, append(strings.Fields(tt.args), "--pages", addr)...)
		if err != nil || got != tt.want {
			t.Errorf("lars %s: %v\ngot\n%s\nwant\n%s", tt.args, err, got, tt.want)
		}
	}
	var host agent.HostInfo
	got, err := runLars(t, "why", "1/2", "10.0.0.2:80", "--json", "--pages", addr)
	if err != nil || json.Unmarshal([]byte(got), &host) != nil || host.Reason != "DEAD" {
		t.Errorf("%v, %s", err, got)
	}
	var hosts []agent.HostInfo
	got, err = runLars(t, "why", "1/2", "--json", "--pages", addr)
	if err != nil || json.Unmarshal([]byte(got), &hosts) != nil || len(hosts) != 2 {
		t.Errorf("%v, %s", err, got)
	}
}

// An edit of a host in very many services says little of those that stay as they are.
func TestEditOfManyServices(t *testing.T) {
	r := route.EditResult{Changed: true, Version: 7}
	for i := range int32(5000) {
		r.After = append(r.After, route.Service{Key: route.Key{Modid: 1, Cmdid: i}})
	}
	r.Services = []route.ServiceChange{{Key: route.Key{Modid: 1, Cmdid: 4000}, Undrained: []route.Host{{IP: 0x0a000001, Port: 80}}}}
	var out bytes.Buffer
	(&settings{env: process.Env{Stdout: &out}}).printEdit(r)
	if got := out.String(); strings.Count(got, "\n") != 13 || !strings.HasSuffix(got, "1/4000: undrained 10.0.0.1:80\n4989 more services: nothing to change\nversion 7\n") {
		t.Errorf("%s", got)
	}
}

func TestWhyNot(t *testing.T) {
	addr := fakePages(t)
	for args, want := range map[string]string{
		"why 1/9":             "the agent is of a release that gives no reasons; lars agent hosts 1/9 shows what it knows",
		"why 1/9 10.0.0.1:80": "the agent is of a release that gives no reasons",
		"why 1/3":             "service 1/3: no program has asked for it here",
		"why 1/2 10.0.0.9:80": "host 10.0.0.9:80 is not in the route that the agent has of 1/2 (fresh); lars agent hosts 1/2 lists its hosts",
	} {
		if _, err := runLars(t, append(strings.Fields(args), "--pages", addr)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("lars %s: %v, want %s", args, err, want)
		}
	}
}
