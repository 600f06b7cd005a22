package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lars.internal/internal/config"
)

const original = "testdata/original/"

func TestOriginalDNSFile(t *testing.T) {
	set, reactor, store := dnsSet()
	if err := set.Load(config.Sources{File: original + "lars_dns.conf"}); err != nil {
		t.Fatal(err)
	}
	if got := reactor.AddrPort().String(); got != "127.0.0.1:7778" || reactor.MaxConn != 1024 || reactor.Threads != 5 {
		t.Errorf("reactor: got %+v", reactor)
	}
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
	set, _, threads := reporterSet()
	*threads = 0 // so that the default cannot pass for the file's value
	if err := set.Load(config.Sources{File: original + "lars_reporter.conf"}); err != nil {
		t.Fatal(err)
	}
	if *threads != 3 || !set.IsSet("reporter", "db_thread_cnt") {
		t.Errorf("db_thread_cnt: got %d", *threads)
	}
}

func TestOriginalAgentFile(t *testing.T) {
	set, got := agentSet()
	*got = balancer{}
	if err := set.Load(config.Sources{File: original + "lars_lb_agent.conf"}); err != nil {
		t.Fatal(err)
	}
	want := balancer{10, 180, 5, 15, 15, 0.1, 0.5, 0.7, 15 * time.Second, 15 * time.Second, 15 * time.Second}
	if diff := cmp.Diff(want, *got); diff != "" {
		t.Error(diff)
	}
}

func TestCheckShippedFindsDifferences(t *testing.T) {
	set := config.NewSet("lars-test")
	set.Int(new(int), "a", "one", 1, config.Between(0, 9), "doc")
	set.Int(new(int), "a", "two", 2, config.Between(0, 9), "doc")
	set.Int(new(int), "a", "three", 3, config.Between(0, 9), "doc")
	path := write(t, "[a]\n; says why\none = 7\ntwo = 2\n; odd\nfour = 4\n")
	want := strings.ReplaceAll(strings.Join([]string{
		`FILE:3: [a] one: got "7", want the default "1"`,
		`FILE:4: [a] two: no comment above it`,
		`FILE:6: [a] four: lars-test does not take it`,
		`FILE: [a] three is missing`,
	}, "\n"), "FILE", path)
	if err := set.CheckShipped(path); err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.conf")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
