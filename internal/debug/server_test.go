package debug_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lars.internal/internal/config"
	"lars.internal/internal/debug"
	"lars.internal/internal/metrics"
)

// deadline is how long a test waits for an event that has to come.
const deadline = 20 * time.Second

// start serves s until the test ends and returns the base of its URLs.
func start(t *testing.T, s *debug.Server) string {
	t.Helper()
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }() // ended and awaited by the cleanup
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Serve: %v", err)
			}
		case <-time.After(deadline):
			t.Error("Serve goes on after its context is done")
		}
	})
	return "http://" + s.Addr().String()
}

// ask sends one request on a connection of its own.
func ask(t *testing.T, method, url, host string) (code int, body string) {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: deadline}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestPages(t *testing.T) {
	set := metrics.NewSet("lars_test_")
	set.CounterFunc("lookups_total", "Requests for a route.", func() uint64 { return 42 })
	s := debug.New(&debug.Config{Addr: "127.0.0.1:0", Metrics: []prometheus.Collector{set}})
	s.JSON("/debug/hosts/{service}", func(r *http.Request) (any, error) {
		switch r.PathValue("service") {
		case "none":
			return nil, debug.Status(http.StatusNotFound, errors.New("no such service"))
		case "broken":
			return nil, errors.New("the shard is gone")
		case "channel":
			return make(chan int), nil
		}
		return []string{"10.0.0.1:80"}, nil
	})
	base := start(t, s)
	for _, c := range []struct {
		name, method, path, host string
		code                     int
		contains                 string
	}{
		{"alive", "GET", "/healthz", "", 200, "alive"},
		{"ready without a check", "GET", "/readyz", "", 200, "ready"},
		{"metrics of the service", "GET", "/metrics", "", 200, "lars_test_lookups_total 42\n"},
		{"metrics of the runtime", "GET", "/metrics", "", 200, "go_goroutines "},
		{"metrics of the process", "GET", "/metrics", "", 200, "process_resident_memory_bytes "},
		{"descriptors", "GET", "/metrics", "", 200, "process_open_fds "},
		{"profiles", "GET", "/debug/pprof/", "", 200, "goroutine"},
		{"one profile", "GET", "/debug/pprof/goroutine?debug=1", "", 200, "goroutine profile:"},
		{"no command line", "GET", "/debug/pprof/cmdline", "", 404, "Unknown profile"},
		{"list of pages", "GET", "/", "", 200, "/debug/hosts/{service}\n"},
		{"unknown page", "GET", "/nothing", "", 404, ""},
		{"json", "GET", "/debug/hosts/1", "", 200, `"10.0.0.1:80"`},
		{"json that does not exist", "GET", "/debug/hosts/none", "", 404, `"error": "no such service"`},
		{"json that fails", "GET", "/debug/hosts/broken", "", 500, `"error": "the shard is gone"`},
		{"json that cannot be", "GET", "/debug/hosts/channel", "", 500, "encode the answer"},
		{"post", "POST", "/metrics", "", 405, "read only"},
		{"delete of a page", "DELETE", "/debug/hosts/1", "", 405, "read only"},
		{"head", "HEAD", "/healthz", "", 200, ""},
		{"host localhost", "GET", "/healthz", "localhost:1", 200, "alive"},
		{"foreign host", "GET", "/metrics", "evil.example:80", 403, "localhost"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, body := ask(t, c.method, base+c.path, c.host)
			if code != c.code || !strings.Contains(body, c.contains) {
				t.Errorf("got %d %q, want %d with %q", code, body, c.code, c.contains)
			}
		})
	}
}

func TestJSONIsValid(t *testing.T) {
	s := debug.New(&debug.Config{Addr: "127.0.0.1:0"})
	s.JSON("/debug/x", func(*http.Request) (any, error) { return map[string]int{"picks": 3}, nil })
	_, body := ask(t, "GET", start(t, s)+"/debug/x", "")
	var got map[string]int
	if err := json.Unmarshal([]byte(body), &got); err != nil || got["picks"] != 3 {
		t.Errorf("got %q (%v)", body, err)
	}
}

func TestReadyTellsWhyNot(t *testing.T) {
	var mu sync.Mutex
	reason := errors.New("routes are 40s old")
	s := debug.New(&debug.Config{Addr: "127.0.0.1:0", Ready: func() error {
		mu.Lock()
		defer mu.Unlock()
		return reason
	}})
	base := start(t, s)
	if code, body := ask(t, "GET", base+"/readyz", ""); code != 503 || body != "not ready: routes are 40s old\n" {
		t.Errorf("not ready: got %d %q", code, body)
	}
	if code, _ := ask(t, "GET", base+"/healthz", ""); code != 200 {
		t.Errorf("not ready, but alive: got %d", code)
	}
	mu.Lock()
	reason = nil
	mu.Unlock()
	if code, body := ask(t, "GET", base+"/readyz", ""); code != 200 || body != "ready\n" {
		t.Errorf("ready: got %d %q", code, body)
	}
}

// What serves old data is ready, and /readyz says how old they are.
func TestFinding20RemarkBesideReady(t *testing.T) {
	s := debug.New(&debug.Config{Addr: "127.0.0.1:0", Remark: func() string { return "stale: 40s old" }})
	if code, body := ask(t, "GET", start(t, s)+"/readyz", ""); code != 200 || body != "ready\nstale: 40s old\n" {
		t.Errorf("got %d %q", code, body)
	}
}

// A process that replaces another gets the port when that one has ended.
func TestFinding58PortIsAwaited(t *testing.T) {
	before, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close()
	addr := before.Addr().String()
	s := debug.New(&debug.Config{Addr: addr, Explicit: true, AwaitPort: true})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	go func() { done <- s.Serve(ctx) }()
	before.Close()
	deadline := time.Now().Add(20 * time.Second)
	for {
		resp, err := http.Get("http://" + addr + "/healthz")
		if err == nil {
			resp.Body.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestOffOnlyWaits(t *testing.T) {
	for _, addr := range []string{"", "off"} {
		s := debug.New(&debug.Config{Addr: addr})
		start(t, s)
		if s.Addr().IsValid() {
			t.Errorf("addr %q: listens on %v", addr, s.Addr())
		}
	}
}

// occupied returns an address that is in use until the test ends.
func occupied(t *testing.T) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln.Addr().String()
}

func TestPortInUse(t *testing.T) {
	addr := occupied(t)
	for _, c := range []struct {
		name    string
		environ []string
		ok      bool
	}{
		{"default", nil, true},
		{"chosen", []string{"LARS_DEBUG_ADDR=" + addr}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			set := config.NewSet("lars-test")
			cfg := debug.Bind(set, addr)
			if err := set.Load(config.Sources{Environ: c.environ}); err != nil {
				t.Fatal(err)
			}
			var log strings.Builder
			cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
			s := debug.New(cfg)
			err := s.Listen()
			if c.ok {
				if err != nil || !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), addr) {
					t.Errorf("got %v and the log %q, want a warning that names %s", err, log.String(), addr)
				}
				start(t, s)
				return
			}
			want := `debug: listen on "` + addr + `": bind: address already in use; set [debug] addr (LARS_DEBUG_ADDR) to a free HOST:PORT or to off`
			if err == nil || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
}

func TestBadAddress(t *testing.T) {
	for _, addr := range []string{"7780", "127.0.0.1:70000", "127.0.0.1"} {
		err := debug.New(&debug.Config{Addr: addr}).Serve(context.Background())
		if err == nil || !strings.Contains(err.Error(), `"`+addr+`"`) || !strings.Contains(err.Error(), "[debug] addr") {
			t.Errorf("addr %q: got %v, want an error that names address and key", addr, err)
		}
	}
}

func TestEndsARequestInProgress(t *testing.T) {
	entered, ended := make(chan struct{}), make(chan struct{})
	s := debug.New(&debug.Config{Addr: "127.0.0.1:0"})
	s.JSON("/debug/slow", func(r *http.Request) (any, error) {
		close(entered)
		<-r.Context().Done()
		close(ended)
		return "late", nil
	})
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }() // ended by cancel, received below
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET /debug/slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
	wait(t, entered, "the request to arrive")
	cancel()
	wait(t, ended, "the request to be told to end")
	c.SetReadDeadline(time.Now().Add(deadline))
	if line, err := bufio.NewReader(c).ReadString('\n'); !strings.Contains(line, "200") {
		t.Errorf("the request in progress got %q (%v), want its answer", line, err)
	}
	select {
	case err := <-served:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(deadline):
		t.Error("Serve goes on")
	}
}

func wait(t *testing.T, event <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-event:
	case <-time.After(deadline):
		t.Fatalf("waited in vain for %s", what)
	}
}

func TestServeFreesThePort(t *testing.T) {
	s := debug.New(&debug.Config{Addr: "127.0.0.1:0"})
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Serve(ctx); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", s.Addr().String())
	if err != nil {
		t.Fatalf("after Serve: %v", err)
	}
	ln.Close()
}
