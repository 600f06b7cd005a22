package dns

import (
	"runtime"
	"testing"

	"lars.internal/route"
)

// Peers that subscribed to made-up names left the memory of their largest number
// behind when they were gone.
func TestSubscriptionsGiveTheirMemoryBack(t *testing.T) {
	const many, few = 200_000, 100
	cfg := DefaultConfig()
	cfg.MaxSubscriptions = many
	cfg.MaxAllSubscriptions = many * rowlessShare
	s := newShard(nil, &Server{cfg: cfg, room: newRoom(&cfg)})
	s.routes.table.Store(route.NewTable(1, nil))
	sub := &subscriber{at: make(map[route.Key]int)}
	before := heap()
	for i := range int32(many) {
		if !s.subscribe(sub, route.Key{Modid: i}) {
			t.Fatal("no room for a subscription")
		}
	}
	full := heap() - before
	for i := int32(few); i < many; i++ {
		key := route.Key{Modid: i}
		s.leave(key, sub.at[key])
		delete(sub.at, key)
	}
	sub.at = remade(sub.at)
	if left := heap() - before; left > full/10 {
		t.Errorf("%d bytes of %d are left for %d services of %d", left, full, few, many)
	}
	if len(s.audiences) != few || len(s.rowless) != few {
		t.Errorf("%d audiences, %d of them without hosts, want %d", len(s.audiences), len(s.rowless), few)
	}
	runtime.KeepAlive(s)
}

// heap returns the bytes in use.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
