package route

import (
	"bytes"
	"log/slog"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseKey(t *testing.T) {
	tests := []struct {
		text string
		want Key
		err  string // a part of it; empty: none
	}{
		{"1/2", Key{1, 2}, ""},
		{"-5/0", Key{-5, 0}, ""},
		{"2147483647/-2147483648", Key{math.MaxInt32, math.MinInt32}, ""},
		{"", Key{}, "want modid/cmdid"},
		{"12", Key{}, "want modid/cmdid"},
		{"/2", Key{}, `modid ""`},
		{"1/", Key{}, `cmdid ""`},
		{"1/2/3", Key{}, `cmdid "2/3"`},
		{" 1/2", Key{}, `modid " 1"`},
		{"x/2", Key{}, `modid "x"`},
		{"2147483648/1", Key{}, `modid "2147483648" is not an integer of 32 bits`},
		{"1/-2147483649", Key{}, `cmdid "-2147483649" is not an integer of 32 bits`},
	}
	for _, tt := range tests {
		got, err := ParseKey(tt.text)
		if got != tt.want || (err == nil) != (tt.err == "") {
			t.Errorf("ParseKey(%q) = %v, %v; want %v, error %q", tt.text, got, err, tt.want, tt.err)
		}
		if err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("ParseKey(%q): %v; want %q in it", tt.text, err, tt.err)
		}
	}
}

func drawKey(t *rapid.T) Key {
	n := rapid.OneOf(rapid.Int32Range(-2, 2), rapid.Int32())
	return Key{n.Draw(t, "modid"), n.Draw(t, "cmdid")}
}

func TestKeyProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawKey(t), drawKey(t)
		if back, err := ParseKey(a.String()); err != nil || back != a {
			t.Errorf("ParseKey(%q) = %v, %v", a.String(), back, err)
		}
		if (a.Compare(b) == 0) != (a == b) || a.Compare(b) != -b.Compare(a) {
			t.Errorf("%v against %v: %d and %d", a, b, a.Compare(b), b.Compare(a))
		}
		if (a.Hash() == b.Hash()) != (a == b) {
			t.Errorf("%v and %v: hashes %x and %x; the mixer is one to one", a, b, a.Hash(), b.Hash())
		}
	})
}

func TestKeyOrder(t *testing.T) {
	ordered := []Key{{-1, 5}, {0, -1}, {0, 0}, {1, -9}, {1, 2}, {2, 1}}
	for i, a := range ordered {
		for j, b := range ordered {
			if got := a.Compare(b); (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("%v.Compare(%v) = %d", a, b, got)
			}
		}
	}
}

// Equal on every machine and in every version: shards may be built on it.
func TestKeyHashIsFixed(t *testing.T) {
	tests := map[Key]uint64{
		{0, 0}:   0x0,
		{1, 2}:   0xf2c6924e7dfed23e,
		{-1, -1}: 0xb4d055fcf2cbbd7b,
	}
	for k, want := range tests {
		if got := k.Hash(); got != want {
			t.Errorf("%v.Hash() = %#x, want %#x", k, got, want)
		}
	}
}

// In a log of JSON a service was {"Modid":1,"Cmdid":2}, and a host an object too.
func TestFinding37LogValues(t *testing.T) {
	var b bytes.Buffer
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "service", Key{1, 2}, "host", Host{0x0a000001, 80})
	for _, want := range []string{`"service":"1/2"`, `"host":"10.0.0.1:80"`} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%s has no %s", b.String(), want)
		}
	}
}
