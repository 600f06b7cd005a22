package route

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"time"
	"unicode/utf8"
)

// crcResidue is the CRC-32C of anything that its own CRC-32C follows,
// little-endian. The empty string's is zero.
var crcResidue = crc32.Checksum([]byte{0, 0, 0, 0}, castagnoli)

// ReadSnapshot reads what WriteSnapshot wrote, also that of format 1, up to the
// end of r, and returns the table and when it was loaded. Whatever is cut,
// changed, too long or of another format is ErrSnapshot; other errors are those
// of r.
func ReadSnapshot(r io.Reader) (*Table, time.Time, error) {
	s := &snapshotReader{sum: sumReader{r: r}, left: math.MaxUint64}
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
	sum  sumReader
	r    *bufio.Reader // from sum
	left uint64        // bytes of the section that are not read yet; outside of sections more than there are

	format   uint32
	version  uint64
	loaded   time.Time
	services uint64 // that the header claims; likewise hosts
	hosts    uint64

	// What was read, in the order of the hosts section. The counts of the header
	// are not proven, so they reserve no memory.
	list []snapshotService
	all  []Endpoint // the hosts of all services
}

// snapshotService is a service whose hosts end before a place in all.
type snapshotService struct {
	key      Key
	end      int
	settings []Setting
}

func (s *snapshotReader) read() (*Table, time.Time, error) {
	if err := s.header(); err != nil {
		return nil, time.Time{}, err
	}
	content := s.sections
	if s.format == 1 {
		content = s.readHosts
	}
	if err := content(); err != nil {
		return nil, time.Time{}, err
	}
	if err := s.trailer(); err != nil {
		return nil, time.Time{}, err
	}
	var b Builder
	begin := 0
	for _, of := range s.list {
		b.add(of.key, Route{Hosts: s.all[begin:of.end], Settings: of.settings})
		begin = of.end
	}
	return b.Table(s.version), s.loaded, nil
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
	if s.format = le.Uint32(rest); s.format < 1 || s.format > snapshotFormat {
		return bad(fmt.Sprintf("its format is %d, this program knows 1 to %d", s.format, snapshotFormat))
	}
	s.version = le.Uint64(rest[4:])
	s.loaded = time.Unix(int64(le.Uint64(rest[12:])), 0)
	s.services, s.hosts = le.Uint64(rest[20:]), le.Uint64(rest[28:])
	if s.hosts > maxSnapshotHosts || s.services > s.hosts {
		return bad(fmt.Sprintf("it claims %d services with %d hosts", s.services, s.hosts))
	}
	return nil
}

// sections reads the sections and the tag after the last.
func (s *snapshotReader) sections() error {
	known := uint64(endTag) // the last tag that was known
	for {
		tag, err := s.uvarint(math.MaxUint64)
		if err != nil || tag == endTag {
			return err
		}
		length, err := s.uvarint(math.MaxInt64)
		if err != nil {
			return err
		}
		s.left = length
		switch {
		case tag > settingsTag:
			err = s.skip()
		case tag <= known:
			err = bad("a section is there twice, or sections are not in order")
		default:
			known = tag
			err = s.section(tag)
		}
		if err != nil {
			return err
		}
		if s.left != 0 {
			return bad("a section is longer than what is in it")
		}
		s.left = math.MaxUint64
	}
}

func (s *snapshotReader) section(tag uint64) error {
	switch tag {
	case hostsTag:
		return s.readHosts()
	case detailsTag:
		return s.readDetails()
	}
	return s.readSettings()
}

func (s *snapshotReader) skip() error {
	n, err := io.CopyN(io.Discard, s.r, int64(s.left))
	s.left -= uint64(n)
	if err != nil {
		return s.failure(err)
	}
	return nil
}

// readHosts reads all services.
func (s *snapshotReader) readHosts() error {
	last := Key{math.MinInt32, math.MinInt32}
	for i := uint64(0); i < s.services; i++ {
		key, err := s.readService(last.Modid)
		if err != nil {
			return err
		}
		if i > 0 && key.Compare(last) <= 0 {
			return bad("services are not in order")
		}
		s.list = append(s.list, snapshotService{key: key, end: len(s.all)})
		last = key
	}
	return nil
}

func (s *snapshotReader) readService(modid int32) (Key, error) {
	step, err := s.uvarint(math.MaxUint32)
	if err != nil {
		return Key{}, err
	}
	next := int64(modid) + int64(step)
	cmdid, err := binary.ReadVarint(s)
	if err != nil {
		return Key{}, s.failure(err)
	}
	if next > math.MaxInt32 || cmdid != int64(int32(cmdid)) {
		return Key{}, bad("a service is out of range")
	}
	count, err := s.uvarint(s.hosts - uint64(len(s.all)))
	if err != nil {
		return Key{}, err
	}
	return Key{int32(next), int32(cmdid)}, s.readHostsOf(count)
}

// readHostsOf reads the hosts of one service.
func (s *snapshotReader) readHostsOf(count uint64) error {
	if count == 0 {
		return bad("a service has no hosts")
	}
	var last Host
	for ; count > 0; count-- {
		step, err := s.uvarint(uint64(math.MaxUint32 - last.IP))
		if err != nil {
			return err
		}
		port, err := s.uvarint(math.MaxUint16)
		if err != nil {
			return err
		}
		h := Host{last.IP + uint32(step), uint16(port)}
		if h.IP == 0 || h.Port == 0 || h.Compare(last) <= 0 {
			return bad("a host makes no sense")
		}
		s.all = append(s.all, Endpoint{Host: h, Weight: DefaultWeight})
		last = h
	}
	return nil
}

// readDetails reads weights and zones, to the end of the section.
func (s *snapshotReader) readDetails() error {
	zones, err := s.readZones()
	if err != nil {
		return err
	}
	for at := uint64(0); s.left > 0; at++ {
		skipped, err := s.uvarint(math.MaxUint32)
		if err != nil {
			return err
		}
		if at += skipped; at >= uint64(len(s.all)) {
			return bad("a weight is of no host")
		}
		weight, err := s.uvarint(MaxWeight)
		if err != nil {
			return err
		}
		zone, err := s.uvarint(uint64(len(zones) - 1))
		if err != nil {
			return err
		}
		s.all[at].Weight, s.all[at].Zone = uint32(weight), zones[zone]
	}
	return nil
}

// readZones reads the zones, by their numbers.
func (s *snapshotReader) readZones() ([]string, error) {
	count, err := s.uvarint(uint64(len(s.all)))
	if err != nil {
		return nil, err
	}
	zones := []string{""}
	for ; count > 0; count-- {
		zone, err := s.text(MaxZone)
		if err != nil {
			return nil, err
		}
		zones = append(zones, zone)
	}
	return zones, nil
}

// readSettings reads settings, to the end of the section.
func (s *snapshotReader) readSettings() error {
	for at := uint64(0); s.left > 0; at++ {
		skipped, err := s.uvarint(math.MaxUint32)
		if err != nil {
			return err
		}
		if at += skipped; at >= uint64(len(s.list)) {
			return bad("a setting is of no service")
		}
		count, err := s.uvarint(MaxSettings)
		if err != nil {
			return err
		}
		for ; count > 0; count-- {
			name, err := s.text(MaxSetting)
			if err != nil {
				return err
			}
			value, err := s.text(MaxSetting)
			if err != nil {
				return err
			}
			s.list[at].settings = append(s.list[at].settings, Setting{name, value})
		}
	}
	return nil
}

func (s *snapshotReader) trailer() error {
	if uint64(len(s.all)) < s.hosts {
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

// ReadByte reads a byte of the section.
func (s *snapshotReader) ReadByte() (byte, error) {
	if s.left == 0 {
		return 0, errSection
	}
	s.left--
	return s.r.ReadByte()
}

var errSection = bad("a section is shorter than what is in it")

// uvarint reads a number of at most limit.
func (s *snapshotReader) uvarint(limit uint64) (uint64, error) {
	v, err := binary.ReadUvarint(s)
	if err != nil {
		return 0, s.failure(err)
	}
	if v > limit {
		return 0, bad("a number is out of range")
	}
	return v, nil
}

// text reads a text of at most limit bytes.
func (s *snapshotReader) text(limit uint64) (string, error) {
	n, err := s.uvarint(limit)
	if err != nil {
		return "", err
	}
	if n > s.left {
		return "", errSection
	}
	s.left -= n
	b := make([]byte, n)
	if _, err := io.ReadFull(s.r, b); err != nil {
		return "", s.failure(err)
	}
	if !utf8.Valid(b) {
		return "", bad("a text is not UTF-8")
	}
	return string(b), nil
}

// failure says what an error of reading means: a fault of the reader, an end
// that comes too early, or a varint of more than 64 bits.
func (s *snapshotReader) failure(err error) error {
	switch {
	case s.sum.failed != nil:
		return s.sum.failed
	case err == errSection:
		return err
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return bad("it is cut short")
	}
	return bad("a number is out of range")
}

func bad(why string) error { return fmt.Errorf("%w: %s", ErrSnapshot, why) }
