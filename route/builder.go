package route

import "slices"

// Builder makes a Table of hosts and settings that come one by one, in any order.
// A map of routes that grow host by host costs several times as much: a load of
// a million hosts spends most of its time there and with the garbage. The zero
// Builder is empty. Not safe for concurrent use.
type Builder struct {
	leaves   [fanout]*[fanout][]row
	details  []detail          // distinct, without the default
	numbers  map[detail]uint32 // their places in details, from 1
	settings map[Key][]Setting
}

// row is a host of a service. It holds no pointer that the garbage collector
// would have to follow.
type row struct {
	key    Key
	host   Host
	detail uint32 // its number, 0: the default
}

// detail is what many hosts have in common.
type detail struct {
	weight uint32
	zone   string
}

// Sink returns one that adds to the builder.
func (b *Builder) Sink() Sink { return Sink{Host: b.AddHost, Setting: b.AddSetting} }

// AddHost adds a host to a service. If it was added before, that stays.
func (b *Builder) AddHost(key Key, e Endpoint) {
	i, j := slot(key)
	if b.leaves[i] == nil {
		b.leaves[i] = new([fanout][]row)
	}
	leaf := &b.leaves[i][j]
	*leaf = append(*leaf, row{key, e.Host, b.number(detail{e.Weight, e.Zone})})
}

// AddSetting adds a setting to a service. If one of its name was added before,
// that stays.
func (b *Builder) AddSetting(key Key, s Setting) {
	if b.settings == nil {
		b.settings = make(map[Key][]Setting)
	}
	b.settings[key] = append(b.settings[key], s)
}

func (b *Builder) add(key Key, r Route) {
	for _, e := range r.Hosts {
		b.AddHost(key, e)
	}
	for _, s := range r.Settings {
		b.AddSetting(key, s)
	}
}

func (b *Builder) number(d detail) uint32 {
	if d.weight == DefaultWeight && d.zone == "" {
		return 0
	}
	n, ok := b.numbers[d]
	if !ok {
		if b.numbers == nil {
			b.numbers = make(map[detail]uint32)
		}
		b.details = append(b.details, d)
		n = uint32(len(b.details))
		b.numbers[d] = n
	}
	return n
}

// Table returns the table of what was added and empties the builder. The version
// is the caller's mark of what it loaded. A service without hosts is left out.
func (b *Builder) Table(version uint64) *Table {
	t := &Table{version: version}
	for i, leaves := range b.leaves {
		if leaves == nil {
			continue
		}
		t.nodes[i] = new(node)
		for j, rows := range leaves {
			leaf := b.leaf(rows)
			t.nodes[i][j] = leaf
			t.services += len(leaf)
			for _, e := range leaf {
				t.hosts += len(e.route.Hosts)
			}
		}
		b.leaves[i] = nil // what is left holds less memory
	}
	*b = Builder{}
	return t
}

// leaf returns the services of rows, which it sorts.
func (b *Builder) leaf(rows []row) []entry {
	slices.SortStableFunc(rows, row.compare)
	rows = slices.CompactFunc(rows, func(x, y row) bool { return x.compare(y) == 0 })
	services := 0
	for range servicesOf(rows) {
		services++
	}
	leaf := make([]entry, 0, services)
	for key, hosts := range servicesOf(rows) {
		leaf = append(leaf, entry{key, Route{b.endpoints(hosts), sortSettings(b.settings[key])}})
	}
	return leaf
}

func (r row) compare(o row) int {
	if r.key != o.key {
		return r.key.Compare(o.key)
	}
	return r.host.Compare(o.host)
}

// servicesOf iterates over the services of sorted rows.
func servicesOf(rows []row) func(func(Key, []row) bool) {
	return func(yield func(Key, []row) bool) {
		for begin, end := 0, 0; begin < len(rows); begin = end {
			key := rows[begin].key
			for end < len(rows) && rows[end].key == key {
				end++
			}
			if !yield(key, rows[begin:end]) {
				return
			}
		}
	}
}

func (b *Builder) endpoints(rows []row) []Endpoint {
	list := make([]Endpoint, len(rows))
	for i, r := range rows {
		list[i] = Endpoint{Host: r.host, Weight: DefaultWeight}
		if r.detail > 0 {
			d := b.details[r.detail-1]
			list[i].Weight, list[i].Zone = d.weight, d.zone
		}
	}
	return list
}
