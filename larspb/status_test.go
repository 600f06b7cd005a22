package larspb

import (
	"bytes"
	"math"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lars.internal/route"
)

// longestReport returns a report of n hosts whose every field is as long as it
// can be.
func longestReport(n int) StatusReport {
	results := slices.Repeat([]CallResult{{
		IP: -1, Port: -1, Succ: math.MaxUint32, Err: math.MaxUint32, Overload: true,
		TotalSucc: math.MaxUint64, TotalErr: math.MaxUint64,
		Refused: math.MaxUint32, Timeout: math.MaxUint32, LatencySum: math.MaxUint64,
		State: math.MaxUint32, Reason: math.MaxUint32, Latency: bytes.Repeat([]byte{0xff}, MaxLatency),
		Ejections: math.MaxUint32, Reinstatements: math.MaxUint32, Since: math.MaxUint32,
	}}, n)
	return StatusReport{
		Key: route.Key{Modid: -1, Cmdid: -1}, Caller: -1, Results: results, Time: math.MaxUint32,
		Run: math.MaxUint64, Number: math.MaxUint64, Level: math.MaxUint32, SpanMS: math.MaxUint32,
	}
}

// A service with more hosts than one message holds is reported in several, and
// none of its hosts is left out or reported twice.
func TestStatusReportIsCutIntoFrames(t *testing.T) {
	longest := longestReport(1)
	size := messageSize(longest.Results[0].size())
	room := (MaxBody - longest.tailSize() - 3*int32Size(-1)) / size // in one frame
	for _, n := range []int{0, 1, room, room + 1, 1000, 5000} {
		r := longestReport(n)
		for i := range r.Results {
			r.Results[i].Port = -int32(i) - 1
		}
		var got []CallResult
		want := r.Results
		for first := true; first || len(r.Results) > 0; first = false {
			body, left := r.Append(nil, MaxBody)
			if want := longest.tailSize() + 3*int32Size(-1); n == 0 && len(body) != want {
				t.Errorf("%d bytes around the results, want %d", len(body), want)
			}
			if n <= room && len(left) > 0 {
				t.Errorf("%d results are left over of %d that fit", len(left), n)
			}
			if len(body) > MaxBody {
				t.Fatalf("%d hosts: a message of %d bytes", n, len(body))
			}
			if len(left) > 0 && MaxBody-len(body) >= size {
				t.Errorf("%d hosts: %d bytes are left and a result is left out", n, MaxBody-len(body))
			}
			var part StatusReport
			if err := part.Parse(body); err != nil {
				t.Fatal(err)
			}
			got = append(got, part.Results...)
			r.Results = left
		}
		same := func(a, b CallResult) bool { return reflect.DeepEqual(a, b) }
		if !slices.EqualFunc(got, want, same) {
			t.Errorf("%d hosts: %d arrived", n, len(got))
		}
	}
}

// A reporter of before skips what is new, and one of C++ gets the bytes that it
// has always got: a report without it is what it was.
func TestStatusReportWithoutTheRest(t *testing.T) {
	r := longestReport(1)
	c := &r.Results[0]
	*c = CallResult{IP: c.IP, Port: c.Port, Succ: c.Succ, Err: c.Err, Overload: true, TotalSucc: c.TotalSucc, TotalErr: c.TotalErr}
	r.SpanMS = 0
	body, _ := r.Append(nil, MaxBody)
	const sizeOfBefore = 2*11 + 11 + 2 + 58 + 6 + 11 + 11 + 6
	if len(body) != sizeOfBefore {
		t.Errorf("%d bytes, want %d", len(body), sizeOfBefore)
	}
}

// A histogram that is too long is left out, and the rest of the result taken.
func TestStatusReportLeavesOutALongHistogram(t *testing.T) {
	r := longestReport(1)
	r.Results[0].Latency = make([]byte, MaxLatency+1)
	body, _ := r.Append(nil, MaxBody)
	var got StatusReport
	if err := got.Parse(body); err != nil {
		t.Fatal(err)
	}
	r.Results[0].Latency = nil
	if diff := cmp.Diff(r.Results, got.Results); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
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
