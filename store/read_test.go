package store

import "testing"

// A driver may hand over an integer as text, or as one without sign.
func TestNumberScan(t *testing.T) {
	for _, tt := range []struct {
		src  any
		want number
		bad  bool
	}{
		{src: int64(-7), want: -7},
		{src: uint64(4_294_967_295), want: 4_294_967_295},
		{src: []byte("42"), want: 42},
		{src: "43", want: 43},
		{src: nil, bad: true},
		{src: "x", bad: true},
	} {
		n := number(1)
		err := n.Scan(tt.src)
		if (err != nil) != tt.bad || !tt.bad && n != tt.want {
			t.Errorf("Scan(%T %v) = %d, %v; want %d, an error: %v", tt.src, tt.src, n, err, tt.want, tt.bad)
		}
	}
}
