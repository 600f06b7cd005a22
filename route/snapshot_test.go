package route

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var snapshotTime = time.Unix(1_700_000_000, 0)

func snapshotOf(t testing.TB, table *Table) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := WriteSnapshot(&b, table, snapshotTime); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func contents(t *Table) map[Key]Route {
	m := make(map[Key]Route)
	for key, r := range t.All {
		m[key] = r
	}
	return m
}

func checkRoundTrip(t interface{ Fatalf(string, ...any) }, table *Table, encoded []byte) {
	got, loaded, err := ReadSnapshot(bytes.NewReader(encoded))
	if err != nil {
		t.Fatalf("ReadSnapshot: %v", err)
	}
	if diff := cmp.Diff(contents(table), contents(got)); diff != "" {
		t.Fatalf("services (-want +got):\n%s", diff)
	}
	if got.Version() != table.Version() || !loaded.Equal(snapshotTime) {
		t.Fatalf("version %d, loaded %v; want %d, %v", got.Version(), loaded, table.Version(), snapshotTime)
	}
}

func smallTable() *Table {
	return NewTable(7, map[Key]Route{
		{1, 2}:                         Of(Host{1, 80}, Host{1, 81}, Host{math.MaxUint32, 65535}),
		{1, 3}:                         Of(Host{0xC0A80171, 7777}),
		{math.MinInt32, math.MinInt32}: Of(Host{5, 5}),
		{math.MinInt32, 0}:             Of(Host{5, 6}),
		{math.MaxInt32, math.MaxInt32}: Of(Host{5, 7}),
		{-1, -1}:                       Of(Host{5, 8}),
	})
}

// detailedTable is smallTable with weights, zones and settings.
func detailedTable() *Table {
	longest := strings.Repeat("z", MaxZone)
	settings := []Setting{{"evidence", "40"}, {"policy", "adaptive"}, {strings.Repeat("s", MaxSetting), ""}}
	return smallTable().With(7, map[Key]Route{
		{1, 2}: {
			Hosts:    []Endpoint{{Host{1, 80}, 50, "eu1"}, {Host{1, 81}, DefaultWeight, ""}, {Host{math.MaxUint32, 65535}, MaxWeight, "Köln"}},
			Settings: settings,
		},
		{math.MinInt32, 0}:             {Hosts: []Endpoint{{Host{5, 6}, 0, ""}}, Settings: settings[:1]},
		{math.MaxInt32, math.MaxInt32}: {Hosts: []Endpoint{{Host{5, 7}, DefaultWeight, longest}}},
		{-1, -1}:                       {Hosts: []Endpoint{{Host{5, 8}, 1, "eu1"}}},
	})
}

func TestSnapshotRoundTrip(t *testing.T) {
	for _, table := range []*Table{NewTable(math.MaxUint64, nil), smallTable(), detailedTable()} {
		checkRoundTrip(t, table, snapshotOf(t, table))
	}
}

// What a program of format 1 wrote for smallTable.
const format1 = "6c6172737461626c01000000070000000000000000f1536500000000060000000000000008000000000000" +
	"0000ffffffff0f0105050000010506ffffffff070101050802040301500051feffffff0fffff03000601f182a0850ce13cfeffffff07feffffff0f010507b8334d08"

func TestSnapshotOfFormat1(t *testing.T) {
	old, err := hex.DecodeString(format1)
	if err != nil {
		t.Fatal(err)
	}
	checkRoundTrip(t, smallTable(), old)
	for n := range old {
		if _, _, err := ReadSnapshot(bytes.NewReader(old[:n])); !errors.Is(err, ErrSnapshot) {
			t.Errorf("%d of %d bytes: error %v, want ErrSnapshot", n, len(old), err)
		}
	}
}

// A section that a later program adds is skipped, wherever it stands, so that it
// needs no other format.
func TestSnapshotSkipsUnknownSections(t *testing.T) {
	good := snapshotOf(t, detailedTable())
	unknown := append([]byte{99, 200, 1}, bytes.Repeat([]byte("name"), 50)...) // of 200 bytes
	body := good[snapshotHeader : len(good)-4]
	end := len(body) - 1
	for _, at := range []int{0, end} {
		b := slices.Concat(good[:snapshotHeader], body[:at], unknown, body[at:])
		checkRoundTrip(t, detailedTable(), binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli)))
	}
}

func TestSnapshotRoundTripRandom(t *testing.T) {
	key := rapid.Custom(func(t *rapid.T) Key { return Key{rapid.Int32().Draw(t, "modid"), rapid.Int32().Draw(t, "cmdid")} })
	zone := rapid.OneOf(rapid.Just(""), rapid.StringN(0, 8, MaxZone))
	host := rapid.Custom(func(t *rapid.T) Endpoint {
		h := Host{rapid.Uint32Min(1).Draw(t, "ip"), rapid.Uint16Min(1).Draw(t, "port")}
		return Endpoint{h, rapid.OneOf(rapid.Just(uint32(DefaultWeight)), rapid.Uint32Max(MaxWeight)).Draw(t, "weight"), zone.Draw(t, "zone")}
	})
	text := rapid.StringN(0, 20, MaxSetting)
	setting := rapid.Custom(func(t *rapid.T) Setting { return Setting{text.Draw(t, "name"), text.Draw(t, "value")} })
	service := rapid.Custom(func(t *rapid.T) Route {
		return Route{rapid.SliceOfN(host, 1, 9).Draw(t, "hosts"), rapid.SliceOfN(setting, 0, 4).Draw(t, "settings")}
	})
	rapid.Check(t, func(rt *rapid.T) {
		services := rapid.MapOf(key, service).Draw(rt, "services")
		table := NewTable(rapid.Uint64().Draw(rt, "version"), services)
		checkRoundTrip(rt, table, snapshotOf(t, table))
	})
}

func TestSnapshotCutAnywhere(t *testing.T) {
	good := snapshotOf(t, detailedTable())
	for n := range good {
		if _, _, err := ReadSnapshot(bytes.NewReader(good[:n])); !errors.Is(err, ErrSnapshot) {
			t.Errorf("%d of %d bytes: error %v, want ErrSnapshot", n, len(good), err)
		}
	}
}

func TestSnapshotEachBitFlipped(t *testing.T) {
	good := snapshotOf(t, detailedTable())
	for i := range good {
		for bit := range 8 {
			broken := bytes.Clone(good)
			broken[i] ^= 1 << bit
			if _, _, err := ReadSnapshot(bytes.NewReader(broken)); !errors.Is(err, ErrSnapshot) {
				t.Errorf("bit %d of byte %d flipped: error %v, want ErrSnapshot", bit, i, err)
			}
		}
	}
}

// forged returns a snapshot of format 1 with a right checksum and whatever
// content.
func forged(services, hosts uint64, body ...byte) []byte {
	return forgedAs(1, services, hosts, body...)
}

func forgedAs(format byte, services, hosts uint64, body ...byte) []byte {
	b := append([]byte(snapshotMagic), format, 0, 0, 0)
	b = append(b, make([]byte, 16)...)
	b = binary.LittleEndian.AppendUint64(b, services)
	b = binary.LittleEndian.AppendUint64(b, hosts)
	b = append(b, body...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// sections returns one service of one host in a hosts section, other sections,
// and the end.
func sections(others ...[]byte) []byte {
	return append(append(section(hostsTag, 0, 0, 1, 1, 1), slices.Concat(others...)...), endTag)
}

func section(tag byte, content ...byte) []byte {
	return append([]byte{tag, byte(len(content))}, content...)
}

func TestSnapshotRejects(t *testing.T) {
	second := func(others ...[]byte) []byte { return forgedAs(2, 1, 1, sections(others...)...) }
	good := snapshotOf(t, smallTable())
	format := bytes.Clone(good)
	format[len(snapshotMagic)] = 9
	long := bytes.Repeat([]byte{0xff}, 11)
	tests := []struct {
		name string
		in   []byte
		want string
	}{
		{"another file", []byte(strings.Repeat("x", 100)), "begins with something else"},
		{"another format", format, "its format is 9"},
		{"more after it", append(bytes.Clone(good), 0), "follows its end"},
		{"too many hosts", forged(1, maxSnapshotHosts+1), "it claims"},
		{"more services than hosts", forged(2, 1), "it claims"},
		{"no hosts in a service", forged(1, 1, 0, 0, 0), "no hosts"},
		{"hosts missing", forged(1, 2, 0, 0, 1, 1, 1), "hosts are missing"},
		{"more hosts than claimed", forged(1, 1, 0, 0, 2, 1, 1, 1, 1), "out of range"},
		{"services out of order", forged(2, 2, 0, 2, 1, 1, 1, 0, 0, 1, 1, 1), "not in order"},
		{"a service twice", forged(2, 2, 0, 2, 1, 1, 1, 0, 2, 1, 1, 1), "not in order"},
		{"a host twice", forged(1, 2, 0, 0, 2, 1, 1, 0, 1), "host makes no sense"},
		{"port 0", forged(1, 1, 0, 0, 1, 1, 0), "host makes no sense"},
		{"address 0", forged(1, 1, 0, 0, 1, 0, 1), "host makes no sense"},
		{"endless number", forged(1, 1, long...), "out of range"},
		{"endless cmdid", forged(1, 1, append([]byte{0}, long...)...), "out of range"},
		{"cmdid of 33 bits", forged(1, 1, 0, 0xff, 0xff, 0xff, 0xff, 0x7f, 1, 1, 1), "out of range"},
		{"format 0", forgedAs(0, 0, 0), "its format is 0"},
		{"no section", forgedAs(2, 1, 1, endTag), "hosts are missing"},
		{"no end", forgedAs(2, 0, 0), "cut short"},
		{"hosts out of order in a section", forgedAs(2, 1, 2, append(section(hostsTag, 0, 0, 2, 1, 1, 0, 1), endTag)...), "host makes no sense"},
		{"section too long", forgedAs(2, 1, 1, append(section(hostsTag, 0, 0, 1, 1, 1, 0), endTag)...), "longer than"},
		{"section too short", forgedAs(2, 1, 1, append([]byte{hostsTag, 4}, 0, 0, 1, 1, 1, endTag)...), "shorter than"},
		{"section longer than the file", forgedAs(2, 1, 1, hostsTag, 100, 0, 0, 1, 1, 1), "longer than"},
		{"unknown section longer than the file", second([]byte{99, 100}), "cut short"},
		{"section of 2^64 bytes", second(append([]byte{99}, binary.AppendUvarint(nil, math.MaxUint64)...)), "out of range"},
		{"hosts twice", second(section(hostsTag, 0, 1, 1, 1, 1)), "twice"},
		{"settings before weights", second(section(settingsTag, 0, 0), section(detailsTag, 0)), "not in order"},
		{"weights before hosts", forgedAs(2, 1, 1, append(section(detailsTag, 0, 0, 1, 0), sections()...)...), "of no host"},
		{"weight of a host beyond the last", second(section(detailsTag, 0, 1, 1, 0)), "of no host"},
		{"second weight of a host beyond the last", second(section(detailsTag, 0, 0, 1, 0, 0, 1, 0)), "of no host"},
		{"weight too large", second(section(detailsTag, 0, 0, 0x91, 0x4e, 0)), "out of range"},
		{"a zone that is not there", second(section(detailsTag, 0, 0, 1, 1)), "out of range"},
		{"more zones than hosts", second(section(detailsTag, 2, 0, 0, 0, 1, 1)), "out of range"},
		{"zone too long", second(section(detailsTag, append([]byte{1, 33}, make([]byte, 33)...)...)), "out of range"},
		{"zone longer than its section", second(section(detailsTag, 1, 5, 'e')), "shorter than"},
		{"zone that is not UTF-8", second(section(detailsTag, 1, 1, 0xff)), "UTF-8"},
		{"setting of a service beyond the last", second(section(settingsTag, 1, 0)), "of no service"},
		{"too many settings", second(section(settingsTag, append([]byte{0, 33}, make([]byte, 66)...)...)), "out of range"},
		{"settings cut short", second(section(settingsTag, 0, 1, 1, 'a')), "shorter than"},
		{"wrong checksum", append(good[:len(good)-1:len(good)-1], good[len(good)-1]^1), "checksum"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := ReadSnapshot(bytes.NewReader(tt.in))
			if !errors.Is(err, ErrSnapshot) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want ErrSnapshot with %q", err, tt.want)
			}
		})
	}
}

func TestSnapshotErrorsOfOthers(t *testing.T) {
	broken := errors.New("disk on fire")
	good := snapshotOf(t, smallTable())
	for _, n := range []int{0, 10, 50, len(good)} {
		in := io.MultiReader(bytes.NewReader(good[:n]), iotest.ErrReader(broken))
		if _, _, err := ReadSnapshot(in); !errors.Is(err, broken) || errors.Is(err, ErrSnapshot) {
			t.Errorf("reader that fails after %d bytes: %v, want its error alone", n, err)
		}
	}
	r, w := io.Pipe()
	r.CloseWithError(broken)
	if err := WriteSnapshot(w, smallTable(), snapshotTime); !errors.Is(err, broken) {
		t.Errorf("writer that fails: %v, want its error", err)
	}
}

func FuzzReadSnapshot(f *testing.F) {
	f.Add(snapshotOf(f, smallTable()))
	f.Add(snapshotOf(f, detailedTable()))
	f.Add(snapshotOf(f, NewTable(1, nil)))
	f.Add(forgedAs(2, 1, 1, sections([]byte{99, 2, 0, 0}, section(settingsTag, 0, 1, 1, 'a', 0))...))
	f.Add(forged(2, 2, 0, 2, 1, 1, 1, 0, 2, 1, 1, 1))
	f.Fuzz(func(t *testing.T, in []byte) {
		// Without this the checksum would hide the rest from the fuzzer.
		if len(in) > 4 {
			body := in[:len(in)-4]
			in = binary.LittleEndian.AppendUint32(bytes.Clone(body), crc32.Checksum(body, castagnoli))
		}
		table, loaded, err := ReadSnapshot(bytes.NewReader(in))
		if err != nil {
			return
		}
		var out bytes.Buffer
		if err := WriteSnapshot(&out, table, loaded); err != nil {
			t.Fatal(err)
		}
		again, _, err := ReadSnapshot(&out)
		if err != nil {
			t.Fatalf("what was read and written cannot be read: %v", err)
		}
		if diff := Diff(table, again); len(diff) > 0 {
			t.Fatalf("services changed on the way: %v", diff)
		}
	})
}
