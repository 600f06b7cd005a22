package route

import (
	"runtime"
	"testing"

	"pgregory.net/rapid"
)

// What comes one by one, services mixed, makes the same table as the routes.
func TestBuilderEqualsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b Builder
		// Twice, so that nothing of the first table is in the second.
		for version := range uint64(2) {
			routes := make(Routes)
			into := b.Sink()
			for range rapid.IntRange(0, 10).Draw(t, "parts") {
				for key, r := range drawChanges(t) {
					for _, e := range r.Hosts {
						routes.AddHost(key, e)
						into.Host(key, e)
					}
					for _, s := range r.Settings {
						routes.AddSetting(key, s)
						into.Setting(key, s)
					}
				}
			}
			table := b.Table(version)
			checkEqual(t, table, model{}.with(routes))
			if table.Version() != version {
				t.Fatalf("Version = %d, want %d", table.Version(), version)
			}
		}
	})
}

// The zone of the model tests is one of two. Here each host has its own detail.
func TestBuilderTellsDetailsApart(t *testing.T) {
	var b Builder
	want := model{}
	for i := range 1000 {
		key := Key{int32(i % 7), 1}
		e := Endpoint{Host{1, uint16(1 + i)}, uint32(i), string(rune('a' + i%26))}
		b.AddHost(key, e)
		want[key] = Route{Hosts: append(want[key].Hosts, e)}
	}
	checkEqual(t, b.Table(1), want)
}

// A million hosts that come in the worst order, and their table, cost at most
// 120 bytes a host, what becomes garbage on the way included.
func TestBuilderGarbage(t *testing.T) {
	const count, perService = 200_000, 5
	var b Builder
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for j := range perService {
		for i := range count {
			b.AddHost(Key{int32(i / 100), int32(i % 100)}, Endpoint{Host{1, uint16(1 + j)}, DefaultWeight, ""})
		}
	}
	table := b.Table(1)
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / (count * perService); each > 120 {
		t.Errorf("%d bytes a host, want at most 120", each)
	} else {
		t.Logf("%d bytes a host", each)
	}
	runtime.KeepAlive(table)
}
