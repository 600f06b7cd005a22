package classic

// none is the index that means no node.
const none = int32(-1)

// A ring is a queue of nodes, linked in a circle by their indexes: next of
// the tail is the head. Therefore moving the head to the end is one
// assignment, and a node leaves from the middle without a search.
//
// Invariant: head is none, or links lead from it around the whole queue and
// back, in both directions.
type ring struct {
	head int32
}

// rotate moves the head to the end. The ring must not be empty.
func (r *ring) rotate(nodes []node) { r.head = nodes[r.head].next }

// push puts node i at the end.
func (r *ring) push(nodes []node, i int32) {
	n := &nodes[i]
	if r.head == none {
		n.prev, n.next = i, i
		r.head = i
		return
	}
	n.next, n.prev = r.head, nodes[r.head].prev
	nodes[n.prev].next = i
	nodes[n.next].prev = i
}

// remove takes node i out.
func (r *ring) remove(nodes []node, i int32) {
	n := &nodes[i]
	if n.next == i {
		r.head = none
		return
	}
	nodes[n.prev].next = n.next
	nodes[n.next].prev = n.prev
	if r.head == i {
		r.head = n.next
	}
}

// move copies the node at from over the one at to, which is in no ring, and
// leads the links of its neighbours to the new place.
func (r *ring) move(nodes []node, from, to int32) {
	nodes[to] = nodes[from]
	n := &nodes[to]
	if n.next == from {
		n.prev, n.next = to, to
	}
	nodes[n.prev].next = to
	nodes[n.next].prev = to
	if r.head == from {
		r.head = to
	}
}
