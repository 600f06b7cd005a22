package classic

import (
	"fmt"
	"sync"
	"testing"

	"lars.internal/route"
)

// forEachShape runs f for services small and large, with none, one and half
// of their hosts ejected.
func forEachShape(b *testing.B, f func(b *testing.B, c *subject)) {
	for _, n := range []int{1, 5, 50, 500} {
		done := map[int]bool{}
		for _, ejected := range []int{0, 1, n / 2} {
			if done[ejected] {
				continue
			}
			done[ejected] = true
			b.Run(fmt.Sprintf("hosts=%d/ejected=%d", n, ejected), func(b *testing.B) {
				c := newClassic(n, ejected)
				b.ReportAllocs()
				f(b, c)
			})
		}
	}
}

func BenchmarkPick(b *testing.B) {
	forEachShape(b, func(b *testing.B, c *subject) {
		for b.Loop() {
			c.Pick(0)
		}
	})
}

// BenchmarkReport keeps every host in its state: those in rotation succeed,
// the ejected ones fail.
func BenchmarkReport(b *testing.B) {
	forEachShape(b, func(b *testing.B, c *subject) {
		states := c.Explain(nil)
		i := 0
		for b.Loop() {
			s := &states[i]
			c.Report(s.Host, !s.Overload, 0)
			if i++; i == len(states) {
				i = 0
			}
		}
	})
}

// BenchmarkDecision is a pick as an agent makes it: lock, pick, unlock.
func BenchmarkDecision(b *testing.B) {
	forEachShape(b, func(b *testing.B, c *subject) {
		var mu sync.Mutex
		for b.Loop() {
			mu.Lock()
			c.Pick(0)
			mu.Unlock()
		}
	})
}

func BenchmarkUpdate(b *testing.B) {
	forEachShape(b, func(b *testing.B, c *subject) {
		endpoints := route.AppendEndpoints(nil, hostsOf(len(c.nodes)))
		for b.Loop() {
			c.Balancer.Update(endpoints, 0)
		}
	})
}

func BenchmarkCollect(b *testing.B) {
	forEachShape(b, func(b *testing.B, c *subject) {
		var results []Result
		for b.Loop() {
			results = c.Collect(results[:0])
		}
	})
}
