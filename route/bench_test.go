package route

import (
	"fmt"
	"testing"
)

func BenchmarkHosts(b *testing.B) {
	table := NewTable(1, services(200_000, 5))
	b.ReportAllocs()
	for b.Loop() {
		table.Route(Key{1000, 50})
	}
}

// BenchmarkWith edits services of a large table: the cost is to follow their
// number.
func BenchmarkWith(b *testing.B) {
	table := NewTable(1, services(200_000, 5))
	for _, n := range []int{1, 10, 1000} {
		changes := services(n, 4)
		b.Run(fmt.Sprintf("changed=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				table.With(2, changes)
			}
		})
	}
}

func BenchmarkDiff(b *testing.B) {
	table := NewTable(1, services(200_000, 5))
	for _, n := range []int{1, 10, 1000} {
		after := table.With(2, services(n, 4))
		b.Run(fmt.Sprintf("changed=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if len(Diff(table, after)) != n {
					b.Fatal("wrong")
				}
			}
		})
	}
}

func BenchmarkNewTable(b *testing.B) {
	m := services(200_000, 5)
	b.ReportAllocs()
	for b.Loop() {
		NewTable(1, m)
	}
}
