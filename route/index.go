package route

import "math/bits"

// An Index finds the place of a host in a list of distinct hosts. It is a hash
// table with linear probing, at most half full, of four bytes a slot: a Go map
// of a few hosts costs ten times as much, and an agent keeps an index for each
// service. Nothing is ever deleted from it: after a removal it is rebuilt. The
// zero Index is one of an empty list. Not safe for concurrent use.
type Index struct {
	slots []int32 // a host's place + 1, 0: free; the length is a power of two
	shift uint8   // 64 - log2(len(slots))
}

// Find returns the place of the host in the list that the index was built for,
// -1 if it is not there.
func (x *Index) Find(hosts []Host, h Host) int {
	if len(x.slots) == 0 {
		return -1
	}
	for at := x.home(h); ; at = x.after(at) {
		i := int(x.slots[at]) - 1
		if i < 0 || hosts[i] == h {
			return i
		}
	}
}

// Appended notes that the last host of the list, which must not be in the
// index, was appended to it.
func (x *Index) Appended(hosts []Host) {
	if !x.Fits(len(hosts)) {
		x.Rebuild(hosts, len(hosts))
		return
	}
	x.insert(hosts[len(hosts)-1], len(hosts)-1)
}

// Fits reports whether the index has room for n hosts.
func (x *Index) Fits(n int) bool { return 2*n <= len(x.slots) }

// Rebuild makes x the index of hosts, with room for n of them.
func (x *Index) Rebuild(hosts []Host, n int) {
	n = max(n, len(hosts), 1)
	width := bits.Len(uint(2*n - 1))
	x.slots = make([]int32, 1<<width)
	x.shift = uint8(64 - width)
	for i, h := range hosts {
		x.insert(h, i)
	}
}

func (x *Index) insert(h Host, i int) {
	at := x.home(h)
	for x.slots[at] != 0 {
		at = x.after(at)
	}
	x.slots[at] = int32(i + 1)
}

// home is the slot where the search for a host begins: the top bits of a
// multiplicative hash (Knuth, The Art of Computer Programming 3, 6.4), which
// spreads the neighbouring addresses of a rack.
func (x *Index) home(h Host) int {
	id := uint64(h.IP)<<16 | uint64(h.Port)
	return int(id * 0x9e3779b97f4a7c15 >> x.shift)
}

func (x *Index) after(at int) int { return (at + 1) & (len(x.slots) - 1) }
