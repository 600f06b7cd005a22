package keys

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lars.internal/agent"
	"lars.internal/dns"
	"lars.internal/internal/config"
	"lars.internal/lb/classic"
	"lars.internal/reporter"
)

// load returns a set that has read a file of the original.
func load[T any](t *testing.T, file string, declare func(*config.Set) T) (T, *config.Set) {
	t.Helper()
	set := config.NewSet("lars-test")
	cfg := declare(set)
	if err := set.Load(config.Sources{File: "testdata/original/" + file, Partial: true}); err != nil {
		t.Fatal(err)
	}
	return cfg, set
}

func TestOriginalDNSFile(t *testing.T) {
	cfg, _ := load(t, "lars_dns.conf", DNS)
	if r := cfg.Reactor; r.Addr.String() != "127.0.0.1:7778" || r.MaxConns != 1024 || r.Loops != 5 {
		t.Errorf("reactor: got %+v", r)
	}
	store, set := load(t, "lars_dns.conf", config.BindStore)
	if !store.MySQLSet() || store.Host != "127.0.0.1" || store.Port != 3306 || store.User != "root" ||
		string(store.Password) != "aceld" || store.Database != "lars_dns" {
		t.Errorf("mysql: got %+v", store)
	}
	if set.IsSet("store", "dsn") || !set.IsSet("mysql", "db_passwd") {
		t.Error("IsSet does not follow the file")
	}
}

// The original's reporter file misspells its section.
func TestOriginalReporterFile(t *testing.T) {
	cfg, set := load(t, "lars_reporter.conf", func(s *config.Set) *reporter.Config {
		cfg := Reporter(s)
		cfg.Threads = 0 // so that the default cannot pass for the file's value
		return cfg
	})
	if cfg.Threads != 3 || !set.IsSet("reporter", "db_thread_cnt") || cfg.Reactor.Addr.String() != "127.0.0.1:7779" {
		t.Errorf("db_thread_cnt: got %d; address %v", cfg.Threads, cfg.Reactor.Addr)
	}
}

func TestOriginalAgentFile(t *testing.T) {
	cfg, _ := load(t, "lars_lb_agent.conf", func(s *config.Set) *agent.Config {
		cfg := Agent(s)
		cfg.Balance, cfg.UpdateTimeout = classic.Config{}, 0
		return cfg
	})
	want := classic.Config{
		ProbeNum: 10, InitSuccCnt: 180, InitErrCnt: 5, ErrRate: 0.1, SuccRate: 0.5,
		ContinErrLimit: 15, ContinSuccLimit: 15, WindowErrRate: 0.7,
		IdleTimeout: 15 * time.Second, OverloadTimeout: 15 * time.Second,
	}
	if diff := cmp.Diff(want, cfg.Balance); diff != "" || cfg.UpdateTimeout != 15*time.Second {
		t.Error(diff, cfg.UpdateTimeout)
	}
}

// A file changes the address to listen on in two keys; either may be missing.
func TestAddressOfTwoKeys(t *testing.T) {
	for _, tt := range []struct {
		environ []string
		want    string
	}{
		{nil, "127.0.0.1:7778"},
		{[]string{"LARS_REACTOR_PORT=0"}, "127.0.0.1:0"},
		{[]string{"LARS_REACTOR_IP=10.0.0.1"}, "10.0.0.1:7778"},
		{[]string{"LARS_REACTOR_IP=10.0.0.1", "LARS_REACTOR_PORT=80"}, "10.0.0.1:80"},
	} {
		set := config.NewSet("lars-dns")
		cfg := DNS(set)
		if err := set.Load(config.Sources{Environ: tt.environ}); err != nil || cfg.Reactor.Addr.String() != tt.want {
			t.Errorf("%v: %v, %v; want %s", tt.environ, cfg.Reactor.Addr, err, tt.want)
		}
	}
}

// 1,100 silent connections of one address shut all agents out of a server with
// the keys as shipped.
func TestFinding47PlacesAreBoundedPerAddress(t *testing.T) {
	for environ, pool := range map[string]int{
		"": 1024, "LARS_REACTOR_MAXCONN=20": 20, "LARS_REACTOR_MAX_UNPROVEN=7": 7,
	} {
		set := config.NewSet("lars-reporter")
		c := &Reporter(set).Reactor
		if err := set.Load(config.Sources{Environ: strings.Fields(environ)}); err != nil {
			t.Fatal(err)
		}
		if c.MaxUnproven != pool || c.MaxPerAddr <= 0 || c.MaxPerAddr > 1024/2 || c.MaxUnprovenPerAddr <= 0 || c.Conn.FrameTimeout <= 0 {
			t.Errorf("%q: %d unproven, %d of them and %d in all per address, %v for a frame; want a pool of %d and limits",
				environ, c.MaxUnproven, c.MaxUnprovenPerAddr, c.MaxPerAddr, c.Conn.FrameTimeout, pool)
		}
	}
}

// The original divides by db_thread_cnt without a look at it.
func TestDefect14NoStoringThread(t *testing.T) {
	set := config.NewSet("lars-reporter")
	Reporter(set)
	err := set.Load(config.Sources{Environ: []string{"LARS_REPORTER_DB_THREAD_CNT=0"}})
	if err == nil || !strings.Contains(err.Error(), "1..64") {
		t.Errorf("error %v, want one that says 1..64", err)
	}
}

// A program that sets no field gets what a program with an empty file gets. The
// agent's port is the exception: an embedding program wants free ones.
func TestDefaultsEqualTheKeys(t *testing.T) {
	set := config.NewSet("lars-test")
	d := DNS(set)
	if err := set.Load(config.Sources{}); err != nil {
		t.Fatal(err)
	}
	if w := dns.DefaultConfig(); d.Reactor.Addr != w.Reactor.Addr || d.Reactor.MaxConns != w.Reactor.MaxConns || d.Reactor.Loops != w.Reactor.Loops ||
		d.PollInterval != w.PollInterval || d.QueryTimeout != w.QueryTimeout || d.ReloadInterval != w.ReloadInterval || d.Snapshot != w.Snapshot {
		t.Errorf("dns: the keys give %+v, the zero Config %+v", d, w)
	}
	r := Reporter(config.NewSet("lars-test"))
	if w := reporter.DefaultConfig(); r.Reactor.Addr != w.Reactor.Addr || r.Reactor.MaxConns != w.Reactor.MaxConns ||
		r.Reactor.Loops != w.Reactor.Loops || r.Threads != w.Threads || r.QueueSize != w.QueueSize {
		t.Errorf("reporter: the keys give %+v, the zero Config %+v", r, w)
	}
	a, w := Agent(config.NewSet("lars-test")), agent.DefaultConfig()
	if a.Port != 8888 || w.Port != 0 {
		t.Errorf("agent: port %d of the keys, %d of the zero Config", a.Port, w.Port)
	}
	a.Port, w.Log, w.Clock, w.DNS.Addrs, w.Reporter.Addrs = 0, nil, nil, nil, nil
	if !reflect.DeepEqual(w, *a) {
		t.Errorf("agent: the keys give %+v, the zero Config %+v", *a, w)
	}
}
