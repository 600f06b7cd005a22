package route

import (
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// model is a table as a plain map.
type model map[Key]Route

// with is what Table.With says, on a copy of the map.
func (m model) with(changes map[Key]Route) model {
	next := maps.Clone(m)
	for key, r := range changes {
		var set Route
		for _, e := range r.Hosts {
			if !slices.ContainsFunc(set.Hosts, func(o Endpoint) bool { return o.Host == e.Host }) {
				set.Hosts = append(set.Hosts, e)
			}
		}
		for _, s := range r.Settings {
			if !slices.ContainsFunc(set.Settings, func(o Setting) bool { return o.Name == s.Name }) {
				set.Settings = append(set.Settings, s)
			}
		}
		slices.SortFunc(set.Hosts, func(a, b Endpoint) int { return a.Host.Compare(b.Host) })
		slices.SortFunc(set.Settings, func(a, b Setting) int { return strings.Compare(a.Name, b.Name) })
		delete(next, key)
		if len(set.Hosts) > 0 {
			next[key] = set
		}
	}
	return next
}

func (m model) diff(o model) []Key {
	var keys []Key
	for key := range m.union(o) {
		if !cmp.Equal(m[key], o[key]) {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, Key.Compare)
	return keys
}

func (m model) union(o model) model {
	all := maps.Clone(m)
	maps.Copy(all, o)
	return all
}

// checkEqual compares all that a table says with the map.
func checkEqual(t rapid.TB, table *Table, want model) {
	t.Helper()
	got := model{}
	for key, r := range table.All {
		if _, twice := got[key]; twice {
			t.Fatalf("All yields %v twice", key)
		}
		got[key] = r
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("All (-model +table):\n%s", diff)
	}
	hosts := 0
	for key := range want {
		hosts += len(want[key].Hosts)
		if !table.Route(key).Equal(want[key]) {
			t.Fatalf("Route(%v) = %v, want %v", key, table.Route(key), want[key])
		}
	}
	if s, h := table.Len(); s != len(want) || h != hosts {
		t.Fatalf("Len = %d, %d; want %d, %d", s, h, len(want), hosts)
	}
}

// drawChanges draws edits of few services, so that they meet again, and of
// some that share a leaf.
func drawChanges(t *rapid.T) map[Key]Route {
	key := rapid.SampledFrom(slices.Concat(
		[]Key{{0, 0}, {1, 2}, {1, 3}, {-1, -1}, {7, 3}, {300, 70000}}, sameLeaf(4)))
	host := rapid.Custom(func(t *rapid.T) Endpoint {
		h := Host{rapid.Uint32Range(1, 4).Draw(t, "ip"), rapid.Uint16Range(1, 2).Draw(t, "port")}
		return Endpoint{h, rapid.Uint32Range(0, 2).Draw(t, "weight"), rapid.SampledFrom([]string{"", "a"}).Draw(t, "zone")}
	})
	setting := rapid.Custom(func(t *rapid.T) Setting {
		return Setting{rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name"), rapid.SampledFrom([]string{"", "1"}).Draw(t, "value")}
	})
	changed := rapid.Custom(func(t *rapid.T) Route {
		return Route{rapid.SliceOfN(host, 0, 6).Draw(t, "hosts"), rapid.SliceOfN(setting, 0, 3).Draw(t, "settings")}
	})
	return rapid.MapOfN(key, changed, 0, 5).Draw(t, "changes")
}

// sameLeaf returns n services that the table keeps in one leaf.
func sameLeaf(n int) []Key {
	var keys []Key
	i, j := slot(Key{1, 2})
	for c := int32(3); len(keys) < n; c++ {
		if x, y := slot(Key{1, c}); x == i && y == j {
			keys = append(keys, Key{1, c})
		}
	}
	return keys
}

func TestTableEqualsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		changes := drawChanges(t)
		tables, models := []*Table{NewTable(0, changes)}, []model{model{}.with(changes)}
		for v := range uint64(rapid.IntRange(0, 12).Draw(t, "edits")) {
			changes := drawChanges(t)
			tables = append(tables, tables[v].With(v+1, changes))
			models = append(models, models[v].with(changes))
		}
		// Only now, so that a table that a later edit wrote to is found.
		for v, table := range tables {
			checkEqual(t, table, models[v])
			if table.Version() != uint64(v) {
				t.Fatalf("Version = %d, want %d", table.Version(), v)
			}
		}
		for i, a := range tables {
			for j, b := range tables {
				if diff := cmp.Diff(models[i].diff(models[j]), Diff(a, b)); diff != "" {
					t.Fatalf("Diff of %d and %d (-model +table):\n%s", i, j, diff)
				}
			}
		}
	})
}

// hostsOf returns n hosts of service number i.
func hostsOf(i, n int) []Host {
	hosts := make([]Host, n)
	for j := range hosts {
		hosts[j] = Host{0x0a000000 + uint32(i), uint16(1 + j)}
	}
	return hosts
}

// services returns count services with perService hosts each.
func services(count, perService int) map[Key]Route {
	m := make(map[Key]Route, count)
	for i := range count {
		m[Key{int32(1 + i/100), int32(i % 100)}] = Of(hostsOf(1+i, perService)...)
	}
	return m
}

func TestTableCopiesRoutes(t *testing.T) {
	given := func() Route {
		return Route{
			Hosts:    []Endpoint{{Host{2, 1}, 7, "eu"}, {Host{1, 1}, 0, ""}, {Host{2, 1}, 8, "us"}},
			Settings: []Setting{{"b", "1"}, {"a", "2"}, {"b", "3"}},
		}
	}
	r := given()
	table := NewTable(1, map[Key]Route{{1, 2}: r})
	if diff := cmp.Diff(given(), r); diff != "" {
		t.Errorf("NewTable changed its argument:\n%s", diff)
	}
	r.Hosts[0], r.Settings[0] = Endpoint{}, Setting{}
	want := Route{
		Hosts:    []Endpoint{{Host{1, 1}, 0, ""}, {Host{2, 1}, 7, "eu"}},
		Settings: []Setting{{"a", "2"}, {"b", "1"}},
	}
	if diff := cmp.Diff(want, table.Route(Key{1, 2})); diff != "" {
		t.Errorf("after the caller changed its slices (-want +got):\n%s", diff)
	}
}

func TestTableZero(t *testing.T) {
	var zero Table
	checkEqual(t, &zero, model{})
	table := zero.With(3, map[Key]Route{{1, 2}: {}, {1, 3}: {Settings: []Setting{{"a", "1"}}}})
	checkEqual(t, table, model{})
	if got := table.Route(Key{1, 3}); got.Hosts != nil || got.Settings != nil {
		t.Errorf("Route = %v, want nothing", got)
	}
	if got := Diff(&zero, table); got != nil {
		t.Errorf("Diff of two empty tables = %v", got)
	}
}

func TestTableAllStops(t *testing.T) {
	table, seen := NewTable(1, services(50, 1)), 0
	for range table.All {
		if seen++; seen == 10 {
			break
		}
	}
	if seen != 10 {
		t.Errorf("%d services seen, want 10", seen)
	}
}

// An edit shares every node but those of the services that it names.
func TestTableShares(t *testing.T) {
	before := NewTable(1, services(2000, 2))
	key := Key{3, 4}
	after := before.With(2, map[Key]Route{key: Of(hostsOf(1, 3)...)})
	changed, _ := slot(key)
	for i := range before.nodes {
		if same := before.nodes[i] == after.nodes[i]; same != (i != changed) {
			t.Errorf("node %d: shared %v, the edit is in node %d", i, same, changed)
		}
	}
	other := Key{5, 6}
	if &before.Route(other).Hosts[0] != &after.Route(other).Hosts[0] {
		t.Errorf("the hosts of %v were copied", other)
	}
	if got := Diff(before, after); !slices.Equal(got, []Key{key}) {
		t.Errorf("Diff = %v, want %v", got, key)
	}
}

// An edit that names many services of one node copies the node once.
func TestTableCopiesANodeOnce(t *testing.T) {
	before := NewTable(1, services(20_000, 1))
	changes := make(map[Key]Route)
	for key := range before.All {
		if i, _ := slot(key); i == 5 {
			changes[key] = Of(hostsOf(1, 2)...)
		}
	}
	// Two allocations for each service, one node, one table, and no more.
	limit := float64(3*len(changes) + 2)
	if allocs := testing.AllocsPerRun(10, func() { before.With(2, changes) }); allocs > limit {
		t.Errorf("%v allocations for %d services of one node, want at most %v", allocs, len(changes), limit)
	}
}

func TestTableReadsDoNotAllocate(t *testing.T) {
	table := NewTable(1, services(1000, 5))
	key, hosts := Key{3, 4}, 0
	allocs := testing.AllocsPerRun(100, func() {
		hosts += len(table.Route(key).Hosts) + len(table.Route(Key{-1, -1}).Hosts)
		for _, r := range table.All {
			hosts += len(r.Hosts)
		}
	})
	if allocs != 0 || hosts == 0 {
		t.Errorf("%v allocations, %d hosts seen", allocs, hosts)
	}
}

// heap returns the bytes that live objects take.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// A million hosts in 200,000 services take at most 34 bytes a host and 72 a
// service.
func TestTableMemory(t *testing.T) {
	const count, perService = 200_000, 5
	before := heap()
	table := NewTable(1, services(count, perService))
	used := int64(heap()) - int64(before)
	const limit = count*72 + count*perService*34
	t.Logf("%d MB, the limit is %d MB", used>>20, limit>>20)
	if used > limit {
		t.Errorf("%d services of %d hosts take %d bytes, want at most %d", count, perService, used, limit)
	}
	if s, h := table.Len(); s != count || h != count*perService {
		t.Errorf("Len = %d, %d", s, h)
	}
}
