package dns_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lars.internal/dns"
	"lars.internal/route"
)

func keepAt(path string) func(*dns.Config) {
	return func(c *dns.Config) { c.Snapshot = path }
}

// kept returns what the snapshot says of a service.
func kept(t *testing.T, path string, key route.Key) []route.Host {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	table, loaded, err := route.ReadSnapshot(f)
	if err != nil {
		t.Fatal(err)
	}
	if age := time.Since(loaded); age < 0 || age > time.Minute {
		t.Errorf("the snapshot says that it is %v old", age)
	}
	return route.HostsOf(table.Route(key).Hosts)
}

func TestStartFromSnapshotWithoutStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "routes")
	store := newFakeStore()
	store.edit(services{k12: {h1}, k13: {h3}})
	first := startLoaded(t, store, keepAt(path))
	eventually(t, "the snapshot is there", func() bool { return kept(t, path, k12) != nil })
	store.edit(services{k12: {h2}})
	first.awaitMetric(t, "lars_dns_version", "102")
	first.stop() // writes what has changed

	store.setFault(errStore, "Look", "Load")
	in := start(t, store, keepAt(path))
	p := dial(t, in)
	p.ask(k12, k13)
	p.expect(k12, h2)
	p.expect(k13, h3)
	if n := in.log.count("answering from a snapshot"); n != 1 {
		t.Errorf("%d lines say that the routes are old, want 1", n)
	}
	eventually(t, "Stale names the age and the reason", func() bool {
		s := in.Stale()
		return strings.Contains(s, "known to be right") && strings.Contains(s, errStore.Error())
	})

	store.edit(services{k12: {h1, h2}})
	store.setFault(nil, "Look", "Load")
	p.expect(k12, h1, h2) // alone: k13 is as it was
	p.expectSilence()
	in.awaitLoaded(t)
}

// A snapshot whose routes had been confirmed until the end said that it was days
// old: it kept the moment of its load.
func TestFinding21SnapshotIsAsOldAsItsConfirmation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "routes")
	var old bytes.Buffer
	store := newFakeStore()
	store.edit(services{k12: {h1}})
	if err := route.WriteSnapshot(&old, route.NewTable(101, services{k12: {h1}}.routes()), time.Now().Add(-240*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, old.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	startLoaded(t, store, keepAt(path)).stop() // nothing differs
	if got := kept(t, path, k12); len(got) != 1 {
		t.Errorf("the snapshot holds %v", got)
	}
}

func TestBadSnapshotIsIgnored(t *testing.T) {
	var good bytes.Buffer
	if err := route.WriteSnapshot(&good, route.NewTable(5, services{k12: {h3}}.routes()), time.Now()); err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(good.Bytes())
	flipped[len(flipped)-6] ^= 4
	for _, tt := range []struct {
		name    string
		content []byte
	}{
		{"empty", nil},
		{"cut", good.Bytes()[:good.Len()-1]},
		{"a bit flipped", flipped},
		{"another file", []byte("[reactor]\nmaxConn = 1024\n; and more of the like, far over the header's length\n")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "routes")
			if err := os.WriteFile(path, tt.content, 0o600); err != nil {
				t.Fatal(err)
			}
			store := newFakeStore()
			store.edit(services{k12: {h1}})
			store.setFault(errStore, "Load")
			in := start(t, store, keepAt(path))
			p := dial(t, in)
			p.ask(k12)
			in.awaitMetric(t, "lars_dns_lookups_held_total", "1")
			if n := in.log.count("snapshot of routes ignored"); n != 1 {
				t.Errorf("%d lines about the bad snapshot, want 1", n)
			}
			store.setFault(nil, "Load")
			p.expect(k12, h1)
			p.conn.Close()
			in.stop()
			if got := kept(t, path, k12); len(got) != 1 || got[0] != h1 {
				t.Errorf("the snapshot was not replaced: %v", got)
			}
		})
	}
}

func TestSnapshotFolderMissing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "later")
	path := filepath.Join(dir, "routes")
	store := newFakeStore()
	store.edit(services{k12: {h1}})
	in := startLoaded(t, store, keepAt(path))
	p := dial(t, in)
	p.ask(k12)
	p.expect(k12, h1)
	eventually(t, "the failure is in the log", func() bool { return in.log.count("writing the snapshot of routes failed") == 1 })
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the snapshot is there", func() bool { return kept(t, path, k12) != nil })
	eventually(t, "the log says so", func() bool { return in.log.count("writing the snapshot of routes works again") == 1 })
}
