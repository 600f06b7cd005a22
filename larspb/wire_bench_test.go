package larspb

import "testing"

// The hosts of the benchmarks have ten-byte addresses, as most have.
var (
	benchQuery  = HostQuery{Seq: 70_000, Modid: 300, Cmdid: 70_000}
	benchAnswer = HostAnswer{Seq: 70_000, Modid: 300, Cmdid: 70_000, HasHost: true, IP: -1062731407, Port: 7777}
	benchReport = CallReport{Modid: 300, Cmdid: 70_000, HasHost: true, IP: -1062731407, Port: 7777, Retcode: 1}
	benchRoute  = RouteQuery{Modid: 300, Cmdid: 70_000, Seq: 70_000}
)

func benchParse(b *testing.B, encoded []byte, parse func([]byte) error) {
	b.ReportAllocs()
	for b.Loop() {
		if err := parse(encoded); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	b.Run("GetHostRequest", func(b *testing.B) {
		benchParse(b, benchQuery.Append(nil), func(p []byte) error { var m HostQuery; return m.Parse(p) })
	})
	b.Run("GetHostResponse", func(b *testing.B) {
		benchParse(b, benchAnswer.Append(nil), func(p []byte) error { var m HostAnswer; return m.Parse(p) })
	})
	b.Run("ReportRequest", func(b *testing.B) {
		benchParse(b, benchReport.Append(nil), func(p []byte) error { var m CallReport; return m.Parse(p) })
	})
	b.Run("GetRouteRequest", func(b *testing.B) {
		benchParse(b, benchRoute.Append(nil), func(p []byte) error { var m RouteQuery; return m.Parse(p) })
	})
}

func BenchmarkAppend(b *testing.B) {
	buf := make([]byte, 0, 128)
	b.Run("GetHostRequest", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			buf = benchQuery.Append(buf[:0])
		}
	})
	b.Run("GetHostResponse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			buf = benchAnswer.Append(buf[:0])
		}
	})
	b.Run("ReportRequest", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			buf = benchReport.Append(buf[:0])
		}
	})
}
