package larspb

import (
	"math"
	"slices"
	"testing"

	"lars.internal/route"
)

// longestReport returns a report of n hosts whose every field is as long as it
// can be.
func longestReport(n int) StatusReport {
	results := slices.Repeat([]CallResult{{
		IP: -1, Port: -1, Succ: math.MaxUint32, Err: math.MaxUint32, Overload: true,
		TotalSucc: math.MaxUint64, TotalErr: math.MaxUint64,
	}}, n)
	return StatusReport{
		Key: route.Key{Modid: -1, Cmdid: -1}, Caller: -1, Results: results, Time: math.MaxUint32,
		Run: math.MaxUint64, Number: math.MaxUint64, Level: math.MaxUint32,
	}
}

// A service with more hosts than one message holds is reported in several, and
// none of its hosts is left out or reported twice.
func TestStatusReportIsCutIntoFrames(t *testing.T) {
	for _, n := range []int{0, 1, 1000, 1085, 1086, 5000} {
		r := longestReport(n)
		for i := range r.Results {
			r.Results[i].Port = -int32(i) - 1
		}
		var got []CallResult
		want := r.Results
		for first := true; first || len(r.Results) > 0; first = false {
			body, left := r.Append(nil, MaxBody)
			if len(body) > MaxBody {
				t.Fatalf("%d hosts: a message of %d bytes", n, len(body))
			}
			if len(left) > 0 && MaxBody-len(body) >= 62 {
				t.Errorf("%d hosts: %d bytes are left and a result is left out", n, MaxBody-len(body))
			}
			var part StatusReport
			if err := part.Parse(body); err != nil {
				t.Fatal(err)
			}
			got = append(got, part.Results...)
			r.Results = left
		}
		if !slices.Equal(got, want) {
			t.Errorf("%d hosts: %d arrived", n, len(got))
		}
	}
}

func BenchmarkStatusReport(b *testing.B) {
	r := longestReport(10)
	buf, _ := r.Append(nil, MaxBody)
	b.Run("Append", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			buf, _ = r.Append(buf[:0], MaxBody)
		}
	})
	b.Run("Parse", func(b *testing.B) {
		b.ReportAllocs()
		var results []CallResult
		for b.Loop() {
			m := StatusReport{Results: results[:0]}
			if err := m.Parse(buf); err != nil {
				b.Fatal(err)
			}
			results = m.Results
		}
	})
}
