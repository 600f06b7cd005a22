package dns_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"lars.internal/dns"
	"lars.internal/internal/metrics/metricstest"
	"lars.internal/route"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what has to happen.
const patience = 20 * time.Second

var (
	errStore = errors.New("the store is broken")
	errGone  = fmt.Errorf("fake: %w", route.ErrHistoryGone)
)

// fakeStore is a Store in memory, with the faults of real ones.
type fakeStore struct {
	mu       sync.Mutex // guards everything below
	version  uint64
	services services
	details  route.Routes // of services with more than hosts of the default weight
	changes  map[uint64][]route.Key
	accepted map[uint64]uint64 // versions under which an operator has accepted the routes, and their hosts
	fail     map[string]error  // by method
	hang     bool              // calls wait for the end of their context
	calls    map[string]int
	asked    int // services that Hosts was asked for

	loadGate chan struct{} // Load waits for a value after it has read, if not nil
}

func newFakeStore() *fakeStore {
	return &fakeStore{
		version:  100,
		services: make(services),
		details:  make(route.Routes),
		changes:  make(map[uint64][]route.Key),
		accepted: make(map[uint64]uint64),
		fail:     make(map[string]error),
		calls:    make(map[string]int),
	}
}

// call counts a call and runs read at the same moment, and then fails as the
// test wants.
func (f *fakeStore) call(ctx context.Context, method string, read func()) error {
	f.mu.Lock()
	f.calls[method]++
	hang, err := f.hang, f.fail[method]
	if !hang && err == nil {
		read()
	}
	f.mu.Unlock()
	if hang {
		<-ctx.Done()
		return ctx.Err()
	}
	return err
}

func (f *fakeStore) Look(ctx context.Context) (mark route.Mark, err error) {
	err = f.call(ctx, "Look", func() { mark = route.Mark{Version: f.version} })
	return mark, err
}

func (f *fakeStore) Load(ctx context.Context, into route.Sink) (mark route.Mark, err error) {
	all := make(route.Routes)
	var gate chan struct{}
	err = f.call(ctx, "Load", func() {
		mark.Version, gate = f.version, f.loadGate
		for key := range f.services {
			all[key] = f.routeLocked(key)
		}
	})
	if err != nil {
		return mark, err
	}
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return mark, ctx.Err()
		}
	}
	for key, r := range all {
		for _, e := range r.Hosts {
			into.Host(key, e)
			into.Row()
		}
		for _, s := range r.Settings {
			into.Setting(key, s)
			into.Row()
		}
	}
	return mark, nil
}

func (f *fakeStore) Changed(ctx context.Context, after, upTo route.Mark) (changes route.Changes, err error) {
	gone := upTo.Version < after.Version
	err = f.call(ctx, "Changed", func() {
		for v := after.Version + 1; v <= upTo.Version; v++ {
			keys, ok := f.changes[v]
			gone = gone || !ok
			changes.Keys = append(changes.Keys, keys...)
			if hosts, ok := f.accepted[v]; ok {
				changes.Accepted = route.Acceptance{Version: v, Hosts: hosts}
			}
		}
		slices.SortFunc(changes.Keys, route.Key.Compare)
		changes.Keys = slices.Compact(changes.Keys)
	})
	if err == nil && gone {
		err = errGone
	}
	return changes, err
}

// RoutesOf leaves out services without hosts, as a store may.
func (f *fakeStore) RoutesOf(ctx context.Context, keys []route.Key) (map[route.Key]route.Route, error) {
	found := make(route.Routes)
	err := f.call(ctx, "RoutesOf", func() {
		f.asked += len(keys)
		for _, key := range keys {
			if _, ok := f.services[key]; ok {
				found[key] = f.routeLocked(key)
			}
		}
	})
	return found, err
}

// services is a set of edits: each service gets exactly these hosts.
type services map[route.Key][]route.Host

// routes returns the routes of the services.
func (s services) routes() route.Routes {
	routes := make(route.Routes, len(s))
	for key, hosts := range s {
		routes[key] = route.Of(hosts...)
	}
	return routes
}

// edit changes services under the next version, as the admin does.
func (f *fakeStore) edit(s services) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.recordLocked(slices.Collect(maps.Keys(s)))
	f.put(s)
}

func (f *fakeStore) recordLocked(keys []route.Key) {
	f.version++
	f.changes[f.version] = keys
}

// accept records that an operator accepts the routes as they are.
func (f *fakeStore) accept() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.version++
	f.changes[f.version] = nil
	f.accepted[f.version] = 0
	for _, hosts := range f.services {
		f.accepted[f.version] += uint64(len(hosts))
	}
}

// scribble changes services without a word about it.
func (f *fakeStore) scribble(s services) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.put(s)
}

func (f *fakeStore) put(s services) {
	for key, hosts := range s {
		f.services[key] = hosts
		delete(f.details, key)
		if len(hosts) == 0 {
			delete(f.services, key)
		}
	}
}

// detail makes routes, which all have hosts, those of their services.
func (f *fakeStore) detail(routes route.Routes) {
	for key, r := range routes {
		f.services[key] = route.HostsOf(r.Hosts)
		f.details[key] = r
	}
}

func (f *fakeStore) routeLocked(key route.Key) route.Route {
	if r, ok := f.details[key]; ok {
		return r
	}
	return route.Of(f.services[key]...)
}

// do runs something with the fields of the store.
func (f *fakeStore) do(g func(*fakeStore)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	g(f)
}

func (f *fakeStore) setFault(err error, methods ...string) {
	f.do(func(f *fakeStore) {
		for _, m := range methods {
			f.fail[m] = err
		}
	})
}

// count returns how often a method was called.
func (f *fakeStore) count(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[method]
}

// awaitCount returns when a method was called so often.
func (f *fakeStore) awaitCount(t *testing.T, method string, n int) {
	t.Helper()
	eventually(t, method+" is called", func() bool { return f.count(method) >= n })
}

// await returns when a method was called n times from now on.
func (f *fakeStore) await(t *testing.T, method string, n int) {
	t.Helper()
	f.awaitCount(t, method, f.count(method)+n)
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited %v in vain until %s", patience, what)
		}
	}
}

// journal collects log lines.
type journal struct {
	mu    sync.Mutex // guards lines
	lines bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lines.Write(p)
}

func (j *journal) count(text string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.lines.String(), text)
}

// text returns all lines.
func (j *journal) text() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lines.String()
}

func (j *journal) log() *slog.Logger { return slog.New(slog.NewTextHandler(j, nil)) }

// instance is a running service.
type instance struct {
	*dns.Server
	log  *journal
	stop func() // ends Serve and waits for it; may be called twice
}

// start runs a service on a free port. change may be nil.
func start(t *testing.T, store dns.Store, change func(*dns.Config)) *instance {
	t.Helper()
	in := &instance{log: new(journal)}
	cfg := dns.Config{
		Reactor: loopback(0), Store: store, Log: in.log.log(),
		PollInterval: 2 * time.Millisecond, ReloadInterval: time.Hour,
	}
	if change != nil {
		change(&cfg)
	}
	var err error
	if in.Server, err = dns.New(cfg); err != nil {
		t.Fatal(err)
	}
	if err := in.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- in.Serve(ctx) }()
	in.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(in.stop)
	return in
}

// startLoaded is start, and waits for the first load.
func startLoaded(t *testing.T, store dns.Store, change func(*dns.Config)) *instance {
	t.Helper()
	in := start(t, store, change)
	in.awaitLoaded(t)
	return in
}

// awaitLoaded returns when the routes are those of the store.
func (in *instance) awaitLoaded(t *testing.T) {
	t.Helper()
	eventually(t, "the routes are loaded", func() bool { return in.Ready() == nil && in.Stale() == "" })
}

// metric returns the value of a metric.
func (in *instance) metric(t *testing.T, name string) string {
	t.Helper()
	text := metricstest.Text(t, in.Metrics())
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("no metric %s in:\n%s", name, text)
	return ""
}

func (in *instance) awaitMetric(t *testing.T, name, want string) {
	t.Helper()
	eventually(t, name+" is "+want, func() bool { return in.metric(t, name) == want })
}
