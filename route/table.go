package route

import "slices"

// A Table is a hash trie of fixed depth: root, fanout nodes, fanout leaves
// each. A leaf holds its services sorted by key. At 200,000 services a leaf
// has about twelve, so an edit copies the root, one node and one short leaf.
const (
	fanoutBits = 7
	fanout     = 1 << fanoutBits
)

// Table maps services to their routes. Immutable after NewTable or With.
type Table struct {
	version  uint64
	services int
	hosts    int
	nodes    [fanout]*node
}

type node [fanout][]entry

// entry is one service. Invariant: the hosts of the route are sorted, without
// duplicates, and not none; its settings are sorted, without duplicates.
type entry struct {
	key   Key
	route Route
}

// NewTable returns a table of these services. The version is the caller's
// mark of what it loaded. Routes are copied, their hosts sorted by host and
// their settings by name, of duplicates the first stays; a service without hosts
// is left out.
func NewTable(version uint64, services map[Key]Route) *Table {
	var b Builder
	for key, r := range services {
		b.add(key, r)
	}
	return b.Table(version)
}

// With returns a table in which each service of changes has exactly the route
// given there, one without hosts meaning that the service is gone. t does not
// change.
func (t *Table) With(version uint64, changes map[Key]Route) *Table {
	next := *t
	next.version = version
	var owned [fanout]bool // nodes that next does not share with t
	for key, r := range changes {
		i, j := slot(key)
		switch {
		case next.nodes[i] == nil:
			next.nodes[i] = new(node)
		case !owned[i]:
			clone := *next.nodes[i]
			next.nodes[i] = &clone
		}
		owned[i] = true
		next.replace(&next.nodes[i][j], entry{key, r.normalize()})
	}
	return &next
}

// replace puts e into a copy of the leaf and keeps the totals right.
func (t *Table) replace(leaf *[]entry, e entry) {
	at, found := slices.BinarySearchFunc(*leaf, e.key, compareKey)
	if found {
		t.services--
		t.hosts -= len((*leaf)[at].route.Hosts)
	}
	after := at
	if found {
		after++
	}
	old := *leaf
	fresh := make([]entry, 0, len(old)+1)
	fresh = append(fresh, old[:at]...)
	if len(e.route.Hosts) > 0 {
		fresh = append(fresh, e)
		t.services++
		t.hosts += len(e.route.Hosts)
	}
	*leaf = append(fresh, old[after:]...)
}

// Version returns the mark that the table was made with.
func (t *Table) Version() uint64 { return t.version }

// Len returns the numbers of services and of hosts.
func (t *Table) Len() (services, hosts int) { return t.services, t.hosts }

// Route returns what a service has, nothing if it has no hosts. The caller must
// not change the slices.
func (t *Table) Route(key Key) Route {
	i, j := slot(key)
	n := t.nodes[i]
	if n == nil {
		return Route{}
	}
	at, found := slices.BinarySearchFunc(n[j], key, compareKey)
	if !found {
		return Route{}
	}
	return n[j][at].route
}

// All calls yield for each service until it returns false, in no particular
// order. It has the form of an iterator: for key, r := range t.All.
func (t *Table) All(yield func(Key, Route) bool) {
	for _, n := range t.nodes {
		if n == nil {
			continue
		}
		for _, leaf := range n {
			for _, e := range leaf {
				if !yield(e.key, e.route) {
					return
				}
			}
		}
	}
}

// Diff returns the services whose routes differ between two tables, in order.
// Parts that the tables share cost nothing.
func Diff(a, b *Table) []Key {
	var keys []Key
	for i := range a.nodes {
		if a.nodes[i] == b.nodes[i] {
			continue
		}
		for j := range fanout {
			keys = diffLeaf(keys, a.leaf(i, j), b.leaf(i, j))
		}
	}
	slices.SortFunc(keys, Key.Compare)
	return keys
}

func (t *Table) leaf(i, j int) []entry {
	if t.nodes[i] == nil {
		return nil
	}
	return t.nodes[i][j]
}

// diffLeaf merges two sorted leaves and appends the keys that differ.
func diffLeaf(keys []Key, a, b []entry) []Key {
	if len(a) == len(b) && len(a) > 0 && &a[0] == &b[0] {
		return keys // the tables share this leaf
	}
	for len(a) > 0 || len(b) > 0 {
		switch order := compareHeads(a, b); {
		case order < 0:
			keys, a = append(keys, a[0].key), a[1:]
		case order > 0:
			keys, b = append(keys, b[0].key), b[1:]
		default:
			if !a[0].route.Equal(b[0].route) {
				keys = append(keys, a[0].key)
			}
			a, b = a[1:], b[1:]
		}
	}
	return keys
}

// compareHeads orders two leaves by their first keys, an empty leaf last.
func compareHeads(a, b []entry) int {
	switch {
	case len(a) == 0:
		return 1
	case len(b) == 0:
		return -1
	}
	return a[0].key.Compare(b[0].key)
}

func compareKey(e entry, key Key) int { return e.key.Compare(key) }

func slot(key Key) (i, j int) {
	h := key.Hash()
	return int(h >> (64 - fanoutBits)), int(h >> (64 - 2*fanoutBits) & (fanout - 1))
}
