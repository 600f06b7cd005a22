package lb

import (
	"math/bits"

	"lars.internal/route"
)

// An index finds the node of a host. It is a hash table with linear probing,
// at most half full, of four bytes a slot: a Go map of a few hosts costs ten
// times as much, and an agent keeps one for each service. Nothing is ever
// deleted from it; after a removal it is built anew.
type index struct {
	slots []int32 // a node's index + 1, 0: free; the length is a power of two
	shift uint8   // 64 - log2(len(slots))
}

// find returns the node of the host, or none.
func (x *index) find(nodes []node, h route.Host) int32 {
	if len(x.slots) == 0 {
		return none
	}
	for at := x.home(h); ; at = x.after(at) {
		i := x.slots[at] - 1
		if i == none || nodes[i].host == h {
			return i
		}
	}
}

// insert notes that the host, which must not be in the index, is at node i.
// There must be room for it.
func (x *index) insert(h route.Host, i int32) {
	at := x.home(h)
	for x.slots[at] != 0 {
		at = x.after(at)
	}
	x.slots[at] = i + 1
}

// fits says whether the index stays at most half full with n hosts.
func (x *index) fits(n int) bool { return 2*n <= len(x.slots) }

// rebuild makes the index that of nodes, with room for n hosts.
func (x *index) rebuild(nodes []node, n int) {
	n = max(n, len(nodes), 1)
	width := bits.Len(uint(2*n - 1))
	x.slots = make([]int32, 1<<width)
	x.shift = uint8(64 - width)
	for i := range nodes {
		x.insert(nodes[i].host, int32(i))
	}
}

// home is the slot where the search for a host begins: the top bits of a
// multiplicative hash (Knuth, The Art of Computer Programming 3, 6.4), which
// spreads the neighbouring addresses of a rack.
func (x *index) home(h route.Host) int {
	id := uint64(h.IP)<<16 | uint64(h.Port)
	return int(id * 0x9e3779b97f4a7c15 >> x.shift)
}

func (x *index) after(at int) int { return (at + 1) & (len(x.slots) - 1) }
