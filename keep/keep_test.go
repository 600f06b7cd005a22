package keep_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lars.internal/keep"
	"lars.internal/route"
)

var key = route.Key{Modid: 1, Cmdid: 2}

func tableOf(t *testing.T, version uint64, addr string) *route.Table {
	t.Helper()
	a := netip.MustParseAddrPort(addr)
	b := a.Addr().As4()
	h, err := route.NewHost(uint32(b[0])<<24|uint32(b[1])<<16|uint32(b[2])<<8|uint32(b[3]), int64(a.Port()))
	if err != nil {
		t.Fatal(err)
	}
	return route.NewTable(version, map[route.Key]route.Route{key: route.Of(h)})
}

// source is a table with the moment at which it was right, set by a test.
type source struct {
	mu    sync.Mutex // guards everything below
	table *route.Table
	asOf  time.Time
}

func (s *source) set(table *route.Table, asOf time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.table, s.asOf = table, asOf
}

func (s *source) get() (*route.Table, time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.table, s.asOf
}

// run runs k until the test or the function that it returns ends it.
func run(t *testing.T, k *keep.Keeper) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }() // ended by stop
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	late := time.After(10 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("not within 10s: %s", what)
		}
	}
}

func TestKeepsATableForTheNextStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "routes")
	var s source
	first := keep.New(keep.Config{Path: path, Source: s.get})
	if table, _ := first.Load(); table != nil || first.Age() != keep.Nothing {
		t.Errorf("without a file: table %v, age %v", table, first.Age())
	}
	stop := run(t, first)
	asOf := time.Now().Add(-time.Hour)
	s.set(tableOf(t, 7, "10.0.0.1:80"), asOf)
	first.Changed()
	eventually(t, "the file is written", func() bool { return first.Writes() == 1 })
	stop()
	second := keep.New(keep.Config{Path: path, Source: s.get})
	table, got := second.Load()
	if table == nil || table.Version() != 7 || len(table.Route(key).Hosts) != 1 {
		t.Fatalf("loaded %v", table)
	}
	if d := asOf.Sub(got); d < 0 || d > 2*time.Second {
		t.Errorf("right at %v, want %v to the second", got, asOf)
	}
	if age := second.Age(); age < time.Hour || age > time.Hour+time.Minute {
		t.Errorf("age %v, want an hour", age)
	}
}

// The agent stamped its file with the time of the write, also when no dns
// service had confirmed the routes for hours. dns wrote its file when the routes
// changed, so after days without an edit it began as if the store had been away
// for days.
func TestFinding21AgeIsSinceTheRoutesWereKnownToBeRight(t *testing.T) {
	path := filepath.Join(t.TempDir(), "routes")
	var s source
	k := keep.New(keep.Config{Path: path, Source: s.get, Pause: time.Millisecond})
	stop := run(t, k)
	s.set(tableOf(t, 7, "10.0.0.1:80"), time.Now().Add(-3*time.Hour))
	k.Changed()
	eventually(t, "the late write", func() bool { return k.Writes() == 1 })
	if age := k.Age(); age < 3*time.Hour {
		t.Errorf("written late: age %v, want 3h", age)
	}
	s.set(tableOf(t, 7, "10.0.0.1:80"), time.Now()) // confirmed, not changed
	stop()
	if _, asOf, err := keep.Read(path); err != nil || time.Since(asOf) > time.Minute {
		t.Errorf("confirmed until the end: right at %v, %v; want now", asOf, err)
	}
}

func TestFinding21ConfirmedTableIsRefreshed(t *testing.T) {
	var s source
	s.set(tableOf(t, 7, "10.0.0.1:80"), time.Now().Add(-time.Hour))
	k := keep.New(keep.Config{Path: filepath.Join(t.TempDir(), "routes"), Source: s.get,
		Pause: time.Millisecond, Refresh: 5 * time.Millisecond})
	run(t, k)
	eventually(t, "the first write", func() bool { return k.Writes() == 1 })
	s.set(tableOf(t, 7, "10.0.0.1:80"), time.Now())
	eventually(t, "the refresh", func() bool { return k.Writes() == 2 })
	if age := k.Age(); age > time.Minute {
		t.Errorf("age %v after the refresh", age)
	}
}

func TestNothingIsWrittenBeforeTheRoutesAreKnown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "routes")
	var s source
	k := keep.New(keep.Config{Path: path, Source: s.get, Pause: time.Millisecond})
	stop := run(t, k)
	k.Changed()
	s.set(tableOf(t, 7, "10.0.0.1:80"), time.Time{})
	k.Changed()
	stop()
	if _, err := os.Stat(path); !os.IsNotExist(err) || k.Writes() != 0 {
		t.Errorf("%d writes, file: %v", k.Writes(), err)
	}
}

// A file that could not be read was overwritten by the next write, so nobody
// could find out what had become of it.
func TestFinding55BadFileIsKept(t *testing.T) {
	var good bytes.Buffer
	if err := route.WriteSnapshot(&good, tableOf(t, 5, "10.0.0.1:80"), time.Now()); err != nil {
		t.Fatal(err)
	}
	flipped := slices.Clone(good.Bytes())
	flipped[len(flipped)-6] ^= 4
	for name, content := range map[string][]byte{
		"empty": {}, "cut": good.Bytes()[:good.Len()-1], "a bit flipped": flipped, "another file": []byte("[reactor]\nmaxConn = 1024\n"),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "routes")
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			var text bytes.Buffer
			k := keep.New(keep.Config{Path: path, Log: slog.New(slog.NewTextHandler(&text, nil))})
			if table, _ := k.Load(); table != nil || k.Age() != keep.Nothing {
				t.Errorf("table %v, age %v; want nothing", table, k.Age())
			}
			if got, err := os.ReadFile(path + keep.BadSuffix); err != nil || !bytes.Equal(got, content) {
				t.Errorf("kept %q, %v; want what was there", got, err)
			}
			if n := strings.Count(text.String(), "\n"); n != 1 || !strings.Contains(text.String(), path+keep.BadSuffix) {
				t.Errorf("want one line that names what was kept, got:\n%s", text.String())
			}
		})
	}
}

// A path that is no file is a mistake of the configuration; it is not moved.
func TestFolderAtThePathStays(t *testing.T) {
	path := t.TempDir()
	if table, _ := keep.New(keep.Config{Path: path}).Load(); table != nil {
		t.Errorf("table %v", table)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

// A disk that was full for a while leaves no server without its routes.
func TestWrittenOnceItCanBe(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "later")
	path := filepath.Join(folder, "routes")
	var s source
	s.set(tableOf(t, 7, "10.0.0.1:80"), time.Now())
	var text bytes.Buffer
	k := keep.New(keep.Config{Path: path, Source: s.get, Pause: time.Millisecond, Retry: time.Millisecond,
		Name: "dns: ", Log: slog.New(slog.NewTextHandler(&text, nil))})
	stop := run(t, k)
	k.Changed()
	eventually(t, "writes fail", func() bool { return k.Failures() > 2 })
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the routes are on disk", func() bool { return k.Writes() == 1 })
	stop()
	if n := strings.Count(text.String(), "\n"); n != 2 || !strings.Contains(text.String(), "dns: writing the snapshot of routes works again") {
		t.Errorf("want a line for the begin of the failures and one for the end, got:\n%s", text.String())
	}
}
