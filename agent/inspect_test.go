package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"lars.internal/internal/debug"
	"lars.internal/internal/metrics/metricstest"
	"lars.internal/route"
)

// page asks a debug server and decodes the answer into v.
func page(t *testing.T, srv *debug.Server, path string, v any) int {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + srv.Addr().String() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return resp.StatusCode
}

// startDebug serves the agent's pages until the test ends.
func startDebug(t *testing.T, a *Agent) *debug.Server {
	t.Helper()
	srv := debug.New(&debug.Config{Addr: "127.0.0.1:0", Explicit: true})
	a.Mount(srv.Handle)
	if err := srv.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx) }() // ended by the cleanup, which waits
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return srv
}

func TestPages(t *testing.T) {
	s := startSystem(t, nil)
	p := s.program(0)
	for i := range 25 {
		key := route.Key{Modid: 1, Cmdid: int32(i)}
		s.dns.set(key, hostsN(2)...)
		p.served(key)
	}
	for range 15 {
		p.report(key12, hostN(0), false)
	}
	p.report(key12, hostN(1), true)
	p.getHost(route.Key{Modid: -1})
	eventually(t, "all is counted", func() bool { return s.engine.Counters().Reports == 16 })
	srv := startDebug(t, s.Agent)

	var all []string
	path := "/agent/services?limit=10"
	for after := ""; ; {
		var got ServicePage
		if code := page(t, srv, path+after, &got); code != 200 || got.Total != 26 || len(got.Services) > 10 {
			t.Fatalf("page %q: code %d, %d services of %d", after, code, len(got.Services), got.Total)
		}
		for _, info := range got.Services {
			all = append(all, info.Service)
		}
		if got.Next == "" {
			break
		}
		after = "&after=" + got.Next
	}
	if len(all) != 26 || all[0] != "-1/0" || all[1] != "1/0" || all[25] != "1/24" {
		t.Errorf("services %v", all)
	}

	var d ServiceDetail
	if code := page(t, srv, "/agent/hosts?service=1/2", &d); code != 200 {
		t.Fatalf("code %d", code)
	}
	if d.Service != "1/2" || d.State != "NEW" || d.Hosts != 2 || d.Idle != 1 || d.Overload != 1 || d.Ejected != 1 || d.AgeSeconds < 0 || d.AskedSeconds < 0 {
		t.Errorf("service %+v", d.ServiceInfo)
	}
	if len(d.List) != 2 || d.List[0].Host != hostN(1).String() || d.List[0].State != "idle" || d.List[0].TotalSucc != 1 ||
		d.List[1].State != "overload" || d.List[1].TotalErr != 15 || d.List[1].Ejected != 1 {
		t.Errorf("hosts %+v", d.List)
	}
}

func TestPagesRefuse(t *testing.T) {
	s := startSystem(t, nil)
	srv := startDebug(t, s.Agent)
	for path, want := range map[string]int{
		"/agent/services?limit=0":           400,
		"/agent/services?limit=x":           400,
		"/agent/services?after=1":           400,
		"/agent/hosts":                      400,
		"/agent/hosts?service=1":            400,
		"/agent/hosts?service=1/2":          404,
		"/agent/hosts?service=1/2&shadow=1": 404,
		"/agent/services?limit=10000":       200,
	} {
		var body map[string]any
		if code := page(t, srv, path, &body); code != want {
			t.Errorf("%s: code %d, want %d (%v)", path, code, want, body)
		}
	}
}

func TestMetrics(t *testing.T) {
	s := startSystem(t, nil)
	s.dns.set(key12, hostN(0))
	p := s.program(0)
	p.served(key12)
	for range 15 {
		p.report(key12, hostN(0), false)
	}
	p.getHost(key12)
	p.getRoute(key12, 0)
	eventually(t, "the report is sent", func() bool { return s.reports.sent.Load() > 0 })
	values := make(map[string]string)
	for line := range strings.Lines(metricstest.Text(t, s.Metrics())) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		values[strings.TrimPrefix(name, "lars_agent_")] = value
	}
	for name, want := range map[string]string{
		"picks_total":                    fmt.Sprint(s.engine.Counters().Picks),
		`answers_total{code="overload"}`: "1",
		"routes_answered_total":          "1",
		"reports_total":                  "15",
		"ejections_total":                "1",
		"services":                       "1",
		"pulls_total":                    "1",
		"route_answers_total":            "1",
		"dns_connected":                  "1",
		"reporter_connected":             "1",
		"pull_queue":                     "0",
		"bad_datagrams_total":            "0",
		"snapshot_age_seconds":           "-1",
		"evicted_services_total":         "0",
		"unlogged_events_total":          "0",
		"route_pushes_total":             "0",
		`answers_total{code="noexist"}`:  fmt.Sprint(s.engine.Counters().NoHosts),
		`answers_total{code="success"}`:  fmt.Sprint(s.engine.Counters().Picks),
		"reports_unknown_total":          "0",
		"reinstatements_total":           "0",
		"lost_results_total":             "0",
		"pulls_dropped_total":            "0",
		"route_ignored_total":            "0",
		"route_bad_hosts_total":          "0",
		"route_broken_total":             "0",
		"report_failures_total":          "0",
		"snapshot_failures_total":        "0",
	} {
		if values[name] != want {
			t.Errorf("%s is %q, want %s", name, values[name], want)
		}
	}
}
