package route

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
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
//	services  in order of their keys
//	uint32    CRC-32C (RFC 3720) of all before it
//
// Fixed numbers are little-endian. A service is the difference of its modid to
// that of the one before (to math.MinInt32 for the first), its cmdid, its
// number of hosts, and its hosts in order; a host is the difference of its
// address to that of the one before (to 0), and its port. All of these are
// varints as in package encoding/binary, cmdid a signed one.
const (
	snapshotMagic  = "larstabl"
	snapshotFormat = 1
	snapshotHeader = len(snapshotMagic) + 4 + 8 + 8 + 8 + 8

	// maxSnapshotHosts bounds what a reader takes into memory: about 2 GiB.
	maxSnapshotHosts = 1 << 26
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// crcResidue is the CRC-32C of anything that its own CRC-32C follows,
// little-endian. The empty string's is zero.
var crcResidue = crc32.Checksum([]byte{0, 0, 0, 0}, castagnoli)

// ErrSnapshot is in the chain of each error about bytes that are not a whole
// snapshot of a format that this package knows.
var ErrSnapshot = errors.New("not a good snapshot of routes")

// WriteSnapshot writes t to w in a form that ReadSnapshot reads: about 5 bytes
// per host. loaded is when the table was known to be right, kept to the
// second. The only errors are those of w.
func WriteSnapshot(w io.Writer, t *Table, loaded time.Time) error {
	s := &snapshotWriter{w: bufio.NewWriter(w)}
	s.header(t, loaded)
	keys := make([]Key, 0, t.services)
	for key := range t.All {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, Key.Compare)
	last := int64(math.MinInt32)
	for _, key := range keys {
		s.service(uint64(int64(key.Modid)-last), key.Cmdid, HostsOf(t.Route(key).Hosts))
		last = int64(key.Modid)
	}
	s.buf = binary.LittleEndian.AppendUint32(s.buf[:0], s.crc)
	s.flush()
	return s.w.Flush()
}

// snapshotWriter sums up what it writes. Errors stay in w until its Flush.
type snapshotWriter struct {
	w   *bufio.Writer
	buf []byte
	crc uint32
}

func (s *snapshotWriter) flush() {
	s.crc = crc32.Update(s.crc, castagnoli, s.buf)
	s.w.Write(s.buf) // bufio keeps the error for Flush
}

func (s *snapshotWriter) header(t *Table, loaded time.Time) {
	le := binary.LittleEndian
	b := append(s.buf[:0], snapshotMagic...)
	b = le.AppendUint32(b, snapshotFormat)
	b = le.AppendUint64(b, t.version)
	b = le.AppendUint64(b, uint64(loaded.Unix()))
	b = le.AppendUint64(b, uint64(t.services))
	s.buf = le.AppendUint64(b, uint64(t.hosts))
	s.flush()
}

func (s *snapshotWriter) service(modidStep uint64, cmdid int32, hosts []Host) {
	b := binary.AppendUvarint(s.buf[:0], modidStep)
	b = binary.AppendVarint(b, int64(cmdid))
	b = binary.AppendUvarint(b, uint64(len(hosts)))
	last := uint32(0)
	for _, h := range hosts {
		b = binary.AppendUvarint(b, uint64(h.IP-last))
		b = binary.AppendUvarint(b, uint64(h.Port))
		last = h.IP
	}
	s.buf = b
	s.flush()
}

// ReadSnapshot reads what WriteSnapshot wrote, up to the end of r, and returns
// the table and when it was loaded. Whatever is cut, changed, too long or of
// another format is ErrSnapshot; other errors are those of r.
func ReadSnapshot(r io.Reader) (*Table, time.Time, error) {
	s := &snapshotReader{sum: sumReader{r: r}}
	s.r = bufio.NewReader(&s.sum)
	t, loaded, err := s.read()
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("route: read snapshot: %w", err)
	}
	return t, loaded, nil
}

// sumReader sums up what goes through it.
type sumReader struct {
	r      io.Reader
	crc    uint32
	failed error // of r, other than its end
}

func (s *sumReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.crc = crc32.Update(s.crc, castagnoli, p[:n])
	if err != io.EOF {
		s.failed = err
	}
	return n, err
}

type snapshotReader struct {
	sum sumReader
	r   *bufio.Reader // from sum

	version         uint64
	loaded          time.Time
	services, hosts uint64 // still to come
}

func (s *snapshotReader) read() (*Table, time.Time, error) {
	if err := s.header(); err != nil {
		return nil, time.Time{}, err
	}
	// The counts are not yet proven, so they reserve no memory.
	services := make(map[Key]Route)
	last := Key{math.MinInt32, math.MinInt32}
	for first := true; s.services > 0; s.services-- {
		key, hosts, err := s.service(last.Modid)
		if err != nil {
			return nil, time.Time{}, err
		}
		if !first && key.Compare(last) <= 0 {
			return nil, time.Time{}, bad("services are not in order")
		}
		services[key], last, first = Of(hosts...), key, false
	}
	if err := s.trailer(); err != nil {
		return nil, time.Time{}, err
	}
	return NewTable(s.version, services), s.loaded, nil
}

func (s *snapshotReader) header() error {
	var b [snapshotHeader]byte
	if _, err := io.ReadFull(s.r, b[:]); err != nil {
		return s.failure(err)
	}
	le, rest := binary.LittleEndian, b[len(snapshotMagic):]
	if string(b[:len(snapshotMagic)]) != snapshotMagic {
		return bad("it begins with something else")
	}
	if format := le.Uint32(rest); format != snapshotFormat {
		return bad(fmt.Sprintf("its format is %d, this program knows %d", format, snapshotFormat))
	}
	s.version = le.Uint64(rest[4:])
	s.loaded = time.Unix(int64(le.Uint64(rest[12:])), 0)
	s.services, s.hosts = le.Uint64(rest[20:]), le.Uint64(rest[28:])
	if s.hosts > maxSnapshotHosts || s.services > s.hosts {
		return bad(fmt.Sprintf("it claims %d services with %d hosts", s.services, s.hosts))
	}
	return nil
}

func (s *snapshotReader) service(modid int32) (Key, []Host, error) {
	step, err := s.uvarint(math.MaxUint32)
	if err != nil {
		return Key{}, nil, err
	}
	next := int64(modid) + int64(step)
	cmdid, err := binary.ReadVarint(s.r)
	if err != nil {
		return Key{}, nil, s.failure(err)
	}
	if next > math.MaxInt32 || cmdid != int64(int32(cmdid)) {
		return Key{}, nil, bad("a service is out of range")
	}
	count, err := s.uvarint(s.hosts)
	if err != nil {
		return Key{}, nil, err
	}
	hosts, err := s.hostsOf(count)
	return Key{int32(next), int32(cmdid)}, hosts, err
}

// hostsOf reads the hosts of one service.
func (s *snapshotReader) hostsOf(count uint64) ([]Host, error) {
	if count == 0 {
		return nil, bad("a service has no hosts")
	}
	s.hosts -= count
	var hosts []Host
	var last Host
	for ; count > 0; count-- {
		step, err := s.uvarint(uint64(math.MaxUint32 - last.IP))
		if err != nil {
			return nil, err
		}
		port, err := s.uvarint(math.MaxUint16)
		if err != nil {
			return nil, err
		}
		h := Host{last.IP + uint32(step), uint16(port)}
		if h.IP == 0 || h.Port == 0 || h.Compare(last) <= 0 {
			return nil, bad("a host makes no sense")
		}
		hosts, last = append(hosts, h), h
	}
	return slices.Clip(hosts), nil
}

func (s *snapshotReader) trailer() error {
	if s.hosts > 0 {
		return bad("hosts are missing")
	}
	if _, err := io.ReadFull(s.r, make([]byte, crc32.Size)); err != nil {
		return s.failure(err)
	}
	if _, err := s.r.ReadByte(); err == nil {
		return bad("something follows its end")
	} else if err != io.EOF {
		return err
	}
	if s.sum.crc != crcResidue {
		return bad("the checksum is wrong")
	}
	return nil
}

// uvarint reads a number of at most limit.
func (s *snapshotReader) uvarint(limit uint64) (uint64, error) {
	v, err := binary.ReadUvarint(s.r)
	if err != nil {
		return 0, s.failure(err)
	}
	if v > limit {
		return 0, bad("a number is out of range")
	}
	return v, nil
}

// failure says what an error of reading means: a fault of the reader, an end
// that comes too early, or a varint of more than 64 bits.
func (s *snapshotReader) failure(err error) error {
	switch {
	case s.sum.failed != nil:
		return s.sum.failed
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return bad("it is cut short")
	}
	return bad("a number is out of range")
}

func bad(why string) error { return fmt.Errorf("%w: %s", ErrSnapshot, why) }
