package agent

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// wallClock is a clock of the day that a test sets.
type wallClock struct{ unix atomic.Int64 }

func (w *wallClock) read() time.Time      { return time.Unix(w.unix.Load(), 0) }
func (w *wallClock) jump(d time.Duration) { w.unix.Add(int64(d / time.Second)) }

// A clock that is set forward or back by an hour changes nothing: nobody is
// ejected or brought back, no route is pulled, the snapshot does not age, and
// the reports after it are newer than those before.
func TestWallClockJumps(t *testing.T) {
	wall := new(wallClock)
	wall.unix.Store(1_800_000_000)
	dns, reporter := startDNS(t), startReporter(t)
	dns.set(key12, hostsN(2)...)
	a, err := New(Config{
		DNS:            Peers{Addrs: []string{dns.addr.String()}},
		Reporter:       Peers{Addrs: []string{reporter.addr.String()}},
		Snapshot:       filepath.Join(t.TempDir(), "routes"),
		ReportInterval: 10 * time.Millisecond,
		UpdateTimeout:  30 * time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	a.reports.wall = wall.read
	s := &system{Agent: a, t: t, dns: dns, reporter: reporter, stop: serve(t, a)}
	p := s.program(0)
	p.served(key12)
	for range 15 {
		p.report(key12, hostN(1), false)
	}
	s.counted(key12, 0, 15)
	eventually(t, "the snapshot is written", func() bool { return a.keeper.Age() >= 0 })
	calls, pulls := uint64(0), dns.pulls(key12)
	for _, d := range []time.Duration{time.Hour, -2 * time.Hour, time.Hour} {
		wall.jump(d)
		for range 50 {
			if _, code := p.getHost(key12); code != succ {
				t.Fatalf("after a jump of %v: %v", d, code)
			}
		}
		calls++
		p.report(key12, hostN(0), true)
		s.counted(key12, calls, 15)
		if age := a.keeper.Age(); age < 0 || age > 30*time.Minute {
			t.Errorf("after a jump of %v the snapshot is %v old", d, age)
		}
	}
	if c := s.engine.Counters(); c.Ejected != 1 || c.Reinstated != 0 || dns.pulls(key12) != pulls {
		t.Errorf("%d pulls, %d of them before the jumps, totals %+v", dns.pulls(key12), pulls, c)
	}
	last := uint32(0)
	for i, m := range reporter.reports() {
		if m.Ts < last {
			t.Errorf("report %d is of %d, the one before of %d", i, m.Ts, last)
		}
		last = m.Ts
	}
}

// The time of the day is read in five places: as the start of a monotonic
// clock, for the times that reports carry, for those of the snapshot file and for
// those in sentences for people, on pages and in the log.
func TestWallClockIsReadForNobodyElse(t *testing.T) {
	want := map[string]int{"config.go": 1, "events.go": 1, "inspect.go": 1, "reportclient.go": 1, "snapshot.go": 1}
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]int)
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "Now" {
				got[name]++
			}
			return true
		})
	}
	if !maps.Equal(got, want) {
		t.Errorf("Now is used in %v, want %v", got, want)
	}
}
