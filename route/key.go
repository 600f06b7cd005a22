package route

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"
)

// Key names a service: a line of business and one function of it.
type Key struct {
	Modid, Cmdid int32
}

// String returns the key as people write it: "1/2".
func (k Key) String() string { return fmt.Sprintf("%d/%d", k.Modid, k.Cmdid) }

// LogValue returns the key for a log, as people write it.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// Compare orders keys by Modid, then Cmdid: -1, 0 or +1.
func (k Key) Compare(o Key) int {
	switch {
	case k == o:
		return 0
	case k.Modid < o.Modid || k.Modid == o.Modid && k.Cmdid < o.Cmdid:
		return -1
	}
	return 1
}

// Hash spreads keys over 64 bits; equal keys have equal hashes on every
// machine. The mixer is the finalizer of SplitMix64 (Steele, Lea, Flood:
// Fast Splittable Pseudorandom Number Generators, 2014).
func (k Key) Hash() uint64 {
	x := uint64(uint32(k.Modid))<<32 | uint64(uint32(k.Cmdid))
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// ParseKey reads a key as people write it: "1/2".
func ParseKey(s string) (Key, error) {
	mod, cmd, ok := strings.Cut(s, "/")
	if !ok {
		return Key{}, fmt.Errorf("service %q: want modid/cmdid, for example 1/2", s)
	}
	m, err := strconv.ParseInt(mod, 10, 32)
	if err != nil {
		return Key{}, fmt.Errorf("service %q: modid %q is not an integer of 32 bits", s, mod)
	}
	c, err := strconv.ParseInt(cmd, 10, 32)
	if err != nil {
		return Key{}, fmt.Errorf("service %q: cmdid %q is not an integer of 32 bits", s, cmd)
	}
	return Key{int32(m), int32(c)}, nil
}
