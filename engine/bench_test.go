package engine

import (
	"testing"
	"time"

	"lars.internal/lb"
	"lars.internal/route"
)

// benchEngine returns an engine of so many services of 10 hosts each.
func benchEngine(services int) *Engine {
	e := testEngine(0)
	for i := range services {
		e.Restore(route.Key{Modid: 1, Cmdid: int32(i)}, route.Of(hostsN(10)...), 0, 0)
	}
	return e
}

func BenchmarkPickAndObserve(b *testing.B) {
	e := benchEngine(100)
	key := route.Key{Modid: 1, Cmdid: 7}
	b.ReportAllocs()
	for b.Loop() {
		h, _, _, _ := e.Pick(key, route.Host{}, time.Second)
		e.Observe(key, h, lb.Outcome{OK: 1}, time.Second)
	}
}

func BenchmarkHealth(b *testing.B) {
	e := benchEngine(10_000)
	for b.Loop() {
		e.Health()
	}
}

func BenchmarkTick(b *testing.B) {
	e := benchEngine(10_000)
	for b.Loop() {
		e.Tick(time.Hour)
	}
}
