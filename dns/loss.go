package dns

import (
	"encoding/binary"
	"hash/fnv"
	"slices"

	"lars.internal/route"
)

// minLoss is how many hosts a load has to remove before it can be held back: a
// small installation may change all that it has.
const minLoss = 10

// loss is what a load removes without a change record.
type loss struct {
	removed  int // hosts that services have lost
	of       int // hosts in the table that is served
	emptied  int // services without any host left
	services int // services in the table that is served
}

// lossOf returns what the services of changed lose from one table to another.
func lossOf(from, to *route.Table, changed []route.Key) loss {
	var l loss
	l.services, l.of = from.Len()
	for _, key := range changed {
		before, after := from.Route(key).Hosts, to.Route(key).Hosts
		l.removed += len(minus(before, after))
		if len(before) > 0 && len(after) == 0 {
			l.emptied++
		}
	}
	return l
}

// tooMuch reports whether the loss is over a share, in percent.
func (l loss) tooMuch(percent int) bool {
	return l.removed >= minLoss && l.removed*100 > l.of*percent
}

// minus returns the hosts of a that are not in b; both are in order.
func minus(a, b []route.Endpoint) []route.Host {
	var rest []route.Host
	for _, e := range a {
		if _, found := find(b, e.Host); !found {
			rest = append(rest, e.Host)
		}
	}
	return rest
}

// find returns the place of a host among endpoints, which are in order.
func find(in []route.Endpoint, h route.Host) (at int, found bool) {
	return slices.BinarySearchFunc(in, h, func(e route.Endpoint, h route.Host) int { return e.Host.Compare(h) })
}

// digest sums up the hosts that services have in a table. The services are in
// order.
func digest(t *route.Table, keys []route.Key) uint64 {
	sum := fnv.New64a()
	var b []byte
	for _, key := range keys {
		hosts := t.Route(key).Hosts
		b = binary.BigEndian.AppendUint32(b[:0], uint32(key.Modid))
		b = binary.BigEndian.AppendUint32(b, uint32(key.Cmdid))
		b = binary.BigEndian.AppendUint32(b, uint32(len(hosts)))
		for _, e := range hosts {
			b = binary.BigEndian.AppendUint32(b, e.Host.IP)
			b = binary.BigEndian.AppendUint16(b, e.Host.Port)
		}
		sum.Write(b)
	}
	return sum.Sum64()
}
