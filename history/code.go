package history

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

// MaxEncoded is the most bytes that Append writes.
const MaxEncoded = 256

// ErrSketch is returned for bytes that are no sketch.
var ErrSketch = errors.New("history: not a latency sketch")

// Append writes the sketch in at most MaxEncoded bytes: how often the resolution
// was halved, one byte, then the count of each bucket in their order, the least
// latency first, as a varint. A 0 and a varint n stand for n empty buckets. Empty
// ones at the end are left out, and of an empty sketch everything is. If that
// does not fit, the resolution is halved until it does; s itself stays as it is.
func (s *Sketch) Append(b []byte) []byte {
	if s.N() == 0 {
		return b
	}
	start := len(b)
	if b = s.write(b); len(b)-start <= MaxEncoded {
		return b
	}
	for c := *s; ; {
		c.coarsen(c.shift + 1)
		if b = c.write(b[:start]); len(b)-start <= MaxEncoded || c.shift == maxShift {
			return b
		}
	}
}

// write appends the encoding, however long it is.
func (s *Sketch) write(b []byte) []byte {
	b = append(b, s.shift)
	empty := uint64(0)
	for i := 0; i < buckets; i += 1 << s.shift {
		c := s.counts[i]
		if c == 0 {
			empty++
			continue
		}
		if empty > 0 {
			b = binary.AppendUvarint(append(b, 0), empty)
			empty = 0
		}
		b = binary.AppendUvarint(b, c)
	}
	return b
}

// ParseSketch reads what Append wrote. It returns nil for no bytes, an empty
// sketch, and ErrSketch for anything that is none.
func ParseSketch(b []byte) (*Sketch, error) {
	if len(b) == 0 {
		return nil, nil
	}
	if len(b) > MaxEncoded || b[0] > maxShift {
		return nil, ErrSketch
	}
	s := &Sketch{shift: b[0]}
	sum := uint64(0)
	i, end := 0, buckets>>s.shift
	for b = b[1:]; len(b) > 0; {
		c, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, ErrSketch
		}
		b = b[n:]
		if c == 0 {
			empty, n := binary.Uvarint(b)
			if n <= 0 || empty == 0 || empty >= uint64(end-i) {
				return nil, ErrSketch
			}
			b = b[n:]
			i += int(empty)
			continue
		}
		var carry uint64
		if sum, carry = bits.Add64(sum, c, 0); carry != 0 || i >= end {
			return nil, ErrSketch
		}
		s.counts[i<<s.shift] = c
		i++
	}
	if sum == 0 {
		return nil, ErrSketch
	}
	return s, nil
}
