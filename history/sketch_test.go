package history

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var compareSketches = cmp.AllowUnexported(Sketch{})

// latencies draws microseconds from all octaves.
func latencies(t *rapid.T, name string) []uint64 {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) uint64 {
		return rapid.Uint64Range(0, maxLatency).Draw(t, "us") >> rapid.IntRange(0, 31).Draw(t, "octaves")
	}), 0, 40).Draw(t, name)
}

func sketchOf(us ...uint64) *Sketch {
	s := new(Sketch)
	for _, u := range us {
		s.Count(time.Duration(u) * time.Microsecond)
	}
	return s
}

// wideSketch draws counts that may need ten bytes each, of all latencies.
func wideSketch(t *rapid.T, name string) *Sketch {
	s := new(Sketch)
	for range rapid.IntRange(0, 2*buckets).Draw(t, name) {
		s.counts[rapid.IntRange(0, buckets-1).Draw(t, "bucket")] = uint64(1) << rapid.IntRange(0, 55).Draw(t, "bits")
	}
	return s
}

// The buckets are without a gap, and the narrowest that the error bound allows.
func TestBucketsMeet(t *testing.T) {
	for i := range buckets {
		lo, next := lowest(i), lowest(i+1)
		if indexOf(lo) != i || indexOf(next-1) != i || indexOf(next) != i+1 {
			t.Errorf("bucket %d is %d to %d, and these are in %d and %d", i, lo, next-1, indexOf(lo), indexOf(next-1))
		}
		if width := next - lo; width > 1 && 8*width > lo {
			t.Errorf("bucket %d from %d us is %d us wide", i, lo, width)
		}
	}
	if indexOf(maxLatency) != buckets-1 {
		t.Errorf("the longest latency is in bucket %d of %d", indexOf(maxLatency), buckets)
	}
}

func TestCountClamps(t *testing.T) {
	s := new(Sketch)
	s.Count(-time.Second)
	s.Count(999 * time.Nanosecond)
	s.Count(math.MaxInt64)
	if s.counts[0] != 2 || s.counts[buckets-1] != 1 || s.N() != 3 {
		t.Errorf("first %d, last %d, of %d", s.counts[0], s.counts[buckets-1], s.N())
	}
}

// A quantile is off by at most 1/16, and by twice that for each halving.
func TestQuantileError(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		us := latencies(t, "latencies")
		q := rapid.Float64Range(0, 1).Draw(t, "q")
		shift := rapid.Uint8Range(0, 3).Draw(t, "shift")
		s := sketchOf(us...)
		s.coarsen(shift)
		if len(us) == 0 {
			if got := s.Quantile(q); got != 0 {
				t.Fatalf("%v of no latency", got)
			}
			return
		}
		slices.Sort(us)
		want := float64(us[max(int(math.Ceil(q*float64(len(us))))-1, 0)])
		bound := want / 16
		if shift > 0 {
			bound = max(want*float64(uint(1)<<shift)/16, 4)
		}
		if got := float64(s.Quantile(q).Microseconds()); math.Abs(got-want) > bound {
			t.Fatalf("quantile %v is %v us, want %v within %v", q, got, want, bound)
		}
	})
}

func TestSketchesAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := latencies(t, "a"), latencies(t, "b")
		x, y := sketchOf(a...), sketchOf(b...)
		x.coarsen(rapid.Uint8Range(0, maxShift).Draw(t, "shift a"))
		y.coarsen(rapid.Uint8Range(0, maxShift).Draw(t, "shift b"))
		ab, ba := x.clone(), y.clone()
		ab.Add(y)
		ba.Add(x)
		if diff := cmp.Diff(ab, ba, compareSketches); diff != "" {
			t.Fatalf("a+b and b+a differ:\n%s", diff)
		}
		want := sketchOf(append(slices.Clone(a), b...)...)
		want.coarsen(ab.shift)
		if diff := cmp.Diff(want, ab, compareSketches); diff != "" {
			t.Fatalf("a+b (-want +got):\n%s", diff)
		}
		if !ab.follows(x) || !ab.follows(y) {
			t.Fatal("the sum does not follow its parts")
		}
		ab.Sub(y)
		x.coarsen(ab.shift)
		if diff := cmp.Diff(x, ab, compareSketches); diff != "" {
			t.Fatalf("a+b-b (-want +got):\n%s", diff)
		}
	})
}

// A sketch that was read at another resolution than the one before goes on, or
// does not.
func TestFollowsAtAnyResolution(t *testing.T) {
	for shift := range uint8(maxShift + 1) {
		fine, coarse, less := sketchOf(20, 23, 5000), sketchOf(20, 23, 5000), sketchOf(23, 5000)
		coarse.coarsen(shift)
		if !fine.follows(coarse) || !coarse.follows(fine) {
			t.Errorf("halved %d times, a sketch does not follow itself", shift)
		}
		if less.follows(coarse) || !coarse.follows(less) {
			t.Errorf("halved %d times, a sketch follows a later one", shift)
		}
	}
	if !new(Sketch).follows(nil) || (*Sketch)(nil).follows(sketchOf(1)) {
		t.Error("what nothing follows is wrong")
	}
}

// Whatever is counted fits, no count is lost, and what is read is what was
// written.
func TestEncodingFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := wideSketch(t, "buckets")
		before := *s
		b := s.Append([]byte("x"))[1:]
		if len(b) > MaxEncoded || *s != before {
			t.Fatalf("%d bytes; changed: %v", len(b), *s != before)
		}
		got, err := ParseSketch(b)
		if err != nil {
			t.Fatal(err)
		}
		if got.N() != s.N() {
			t.Fatalf("%d latencies, want %d", got.N(), s.N())
		}
		if s.N() > 0 {
			s.coarsen(got.shift)
			if diff := cmp.Diff(s, got, compareSketches); diff != "" {
				t.Fatalf("read (-want +got):\n%s", diff)
			}
		}
		if again := got.Append(nil); !bytes.Equal(again, b) {
			t.Fatalf("written again: %x, want %x", again, b)
		}
	})
}

// Even counts that never occur fit, and common ones at full resolution.
func TestResolutionOfTheEncoding(t *testing.T) {
	full := func(n uint64, from, to int) *Sketch {
		s := new(Sketch)
		for i := from; i < to; i++ {
			s.counts[i] = n
		}
		return s
	}
	for name, c := range map[string]struct {
		s     *Sketch
		shift byte
	}{
		"two thousand each, from 1 us to 64 ms": {full(2000, 0, 104), 0},
		"a million each, from 100 us to 3 s":    {full(1e6, 45, 164), 1},
		"a million each, in all":                {full(1e6, 0, buckets), 2},
		"as many as ever":                       {full(math.MaxUint64/buckets, 0, buckets), 4},
	} {
		t.Run(name, func(t *testing.T) {
			b := c.s.Append(nil)
			if len(b) > MaxEncoded || b[0] != c.shift {
				t.Errorf("%d bytes, halved %d times, want %d", len(b), b[0], c.shift)
			}
			if s, err := ParseSketch(b); err != nil || s.N() != c.s.N() {
				t.Errorf("%d latencies, want %d: %v", s.N(), c.s.N(), err)
			}
		})
	}
}

func TestParseSketchRefuses(t *testing.T) {
	for name, b := range map[string][]byte{
		"only the head":       {0},
		"resolution":          {5, 1},
		"half a varint":       {0, 0x80},
		"half a gap":          {0, 0},
		"gap of none":         {0, 0, 0, 1},
		"gap to the end":      {0, 0, 0xf0, 0x01},
		"gap after the last":  {0, 1, 0, 0xef, 0x01},
		"gap at the end only": {0, 0, 1},
		"bucket too many":     {4, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1},
		"sum above 64 bits":   {0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 2},
		"too long":            make([]byte, MaxEncoded+1),
	} {
		if s, err := ParseSketch(b); !errors.Is(err, ErrSketch) || s != nil {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
}

func FuzzParseSketch(f *testing.F) {
	f.Add([]byte{})
	f.Add(sketchOf(1, 15, 16, 1000, maxLatency).Append(nil))
	f.Add([]byte{4, 1, 0, 13, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseSketch(b)
		if err != nil {
			return
		}
		c := s.Append(nil)
		again, err := ParseSketch(c)
		if err != nil || len(c) > len(b) {
			t.Fatalf("%x becomes %x: %v", b, c, err)
		}
		if diff := cmp.Diff(s, again, compareSketches); diff != "" {
			t.Fatal(diff)
		}
		for _, q := range []float64{0, 0.5, 1, math.NaN()} {
			s.Quantile(q)
		}
	})
}

func TestCountDoesNotAllocate(t *testing.T) {
	s := new(Sketch)
	buf := make([]byte, 0, MaxEncoded)
	if n := testing.AllocsPerRun(100, func() {
		s.Count(3 * time.Millisecond)
		buf = s.Append(buf[:0])
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkSketch(b *testing.B) {
	s := new(Sketch)
	for i := range 40 {
		s.counts[60+i] = 1000
	}
	buf := s.Append(nil)
	b.Run("Count", func(b *testing.B) {
		b.ReportAllocs()
		s, d := new(Sketch), time.Duration(0)
		for b.Loop() {
			d += 1003 * time.Nanosecond
			s.Count(d & (1<<30 - 1))
		}
	})
	b.Run("Append", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			buf = s.Append(buf[:0])
		}
	})
	b.Run("Parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := ParseSketch(buf); err != nil {
				b.Fatal(err)
			}
		}
	})
}
