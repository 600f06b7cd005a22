package route

import (
	"bufio"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math"
	"slices"
	"time"
)

// A snapshot is a table as a stream of bytes:
//
//	8 bytes   snapshotMagic
//	uint32    snapshotFormat
//	uint64    version of the table
//	int64     when it was loaded, Unix seconds
//	uint64    services
//	uint64    hosts
//	sections  each a tag, the length of its content, and the content
//	0         the tag after the last section
//	uint32    CRC-32C (RFC 3720) of all before it
//
// Fixed numbers are little-endian; tags, lengths and all numbers in sections are
// varints as in package encoding/binary, and a text is its length and its bytes.
// A reader skips sections whose tag it does not know. Those that it knows come
// once and in the order of their tags. Content:
//
//	hosts     services in order of their keys
//	details   zones, then hosts with another weight than the default or a zone
//	settings  services that have any
//
// A service is the difference of its modid to that of the one before (to
// math.MinInt32 for the first), its cmdid (signed), its number of hosts, and its
// hosts in order; a host is the difference of its address to that of the one
// before (to 0), and its port.
//
// Zones are their number and so many texts. A detail is how many hosts are
// between this one and that of the one before, in the order of the hosts section,
// its weight, and the number of its zone, from 1, or 0 for none. A service with
// settings is how many services are between this one and the one before, their
// number, and the name and the value of each.
//
// In format 1 the content of the hosts section stood in the place of the
// sections.
const (
	snapshotMagic  = "larstabl"
	snapshotFormat = 2
	snapshotHeader = len(snapshotMagic) + 4 + 8 + 8 + 8 + 8

	// maxSnapshotHosts bounds what a reader takes into memory: about 2 GiB.
	maxSnapshotHosts = 1 << 26
)

// The tags of sections.
const (
	endTag = iota
	hostsTag
	detailsTag
	settingsTag
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrSnapshot is in the chain of each error about bytes that are not a whole
// snapshot of a format that this package knows.
var ErrSnapshot = errors.New("not a good snapshot of routes")

// WriteSnapshot writes t to w in a form that ReadSnapshot reads: about 5 bytes
// per host, and 4 more for one with a weight or a zone. It has the longest
// section in memory. loaded is when the table was known to be right, kept to the
// second. The only errors are those of w.
func WriteSnapshot(w io.Writer, t *Table, loaded time.Time) error {
	s := &snapshotWriter{w: bufio.NewWriter(w), table: t, keys: make([]Key, 0, t.services)}
	for key := range t.All {
		s.keys = append(s.keys, key)
	}
	slices.SortFunc(s.keys, Key.Compare)
	s.header(loaded)
	s.section(hostsTag, s.hosts())
	s.section(detailsTag, s.details())
	s.section(settingsTag, s.settings())
	s.sum([]byte{endTag})
	s.sum(binary.LittleEndian.AppendUint32(nil, s.crc))
	return s.w.Flush()
}

// snapshotWriter sums up what it writes. Errors stay in w until its Flush.
type snapshotWriter struct {
	w     *bufio.Writer
	table *Table
	keys  []Key // of the table, in order
	crc   uint32
}

func (s *snapshotWriter) sum(b []byte) {
	s.crc = crc32.Update(s.crc, castagnoli, b)
	s.w.Write(b) // bufio keeps the error for Flush
}

func (s *snapshotWriter) header(loaded time.Time) {
	le := binary.LittleEndian
	b := le.AppendUint32([]byte(snapshotMagic), snapshotFormat)
	b = le.AppendUint64(b, s.table.version)
	b = le.AppendUint64(b, uint64(loaded.Unix()))
	b = le.AppendUint64(b, uint64(s.table.services))
	s.sum(le.AppendUint64(b, uint64(s.table.hosts)))
}

// section writes a section, if there is anything in it.
func (s *snapshotWriter) section(tag uint64, content []byte) {
	if len(content) == 0 {
		return
	}
	s.sum(binary.AppendUvarint(binary.AppendUvarint(nil, tag), uint64(len(content))))
	s.sum(content)
}

func (s *snapshotWriter) hosts() []byte {
	var b []byte
	modid := int64(math.MinInt32)
	for _, key := range s.keys {
		hosts := s.table.Route(key).Hosts
		b = binary.AppendUvarint(b, uint64(int64(key.Modid)-modid))
		b = binary.AppendVarint(b, int64(key.Cmdid))
		b = binary.AppendUvarint(b, uint64(len(hosts)))
		ip := uint32(0)
		for _, e := range hosts {
			b = binary.AppendUvarint(b, uint64(e.Host.IP-ip))
			b = binary.AppendUvarint(b, uint64(e.Host.Port))
			ip = e.Host.IP
		}
		modid = int64(key.Modid)
	}
	return b
}

func (s *snapshotWriter) details() []byte {
	var list, zones []byte
	numbers := map[string]uint64{"": 0}
	skipped := uint64(0)
	for _, key := range s.keys {
		for _, e := range s.table.Route(key).Hosts {
			if e.Weight == DefaultWeight && e.Zone == "" {
				skipped++
				continue
			}
			number, ok := numbers[e.Zone]
			if !ok {
				number = uint64(len(numbers))
				numbers[e.Zone] = number
				zones = appendText(zones, e.Zone)
			}
			list = binary.AppendUvarint(list, skipped)
			list = binary.AppendUvarint(list, uint64(e.Weight))
			list = binary.AppendUvarint(list, number)
			skipped = 0
		}
	}
	if len(list) == 0 {
		return nil
	}
	return slices.Concat(binary.AppendUvarint(nil, uint64(len(numbers)-1)), zones, list)
}

func (s *snapshotWriter) settings() []byte {
	var b []byte
	skipped := uint64(0)
	for _, key := range s.keys {
		settings := s.table.Route(key).Settings
		if len(settings) == 0 {
			skipped++
			continue
		}
		b = binary.AppendUvarint(b, skipped)
		b = binary.AppendUvarint(b, uint64(len(settings)))
		for _, set := range settings {
			b = appendText(appendText(b, set.Name), set.Value)
		}
		skipped = 0
	}
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}
