package route

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math"
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

func TestSnapshotRoundTrip(t *testing.T) {
	for _, table := range []*Table{NewTable(math.MaxUint64, nil), smallTable()} {
		checkRoundTrip(t, table, snapshotOf(t, table))
	}
}

func TestSnapshotRoundTripRandom(t *testing.T) {
	key := rapid.Custom(func(t *rapid.T) Key { return Key{rapid.Int32().Draw(t, "modid"), rapid.Int32().Draw(t, "cmdid")} })
	host := rapid.Custom(func(t *rapid.T) Host {
		return Host{rapid.Uint32Min(1).Draw(t, "ip"), rapid.Uint16Min(1).Draw(t, "port")}
	})
	rapid.Check(t, func(rt *rapid.T) {
		services := make(map[Key]Route)
		for key, hosts := range rapid.MapOf(key, rapid.SliceOfN(host, 1, 9)).Draw(rt, "services") {
			services[key] = Of(hosts...)
		}
		table := NewTable(rapid.Uint64().Draw(rt, "version"), services)
		checkRoundTrip(rt, table, snapshotOf(t, table))
	})
}

func TestSnapshotCutAnywhere(t *testing.T) {
	good := snapshotOf(t, smallTable())
	for n := range good {
		if _, _, err := ReadSnapshot(bytes.NewReader(good[:n])); !errors.Is(err, ErrSnapshot) {
			t.Errorf("%d of %d bytes: error %v, want ErrSnapshot", n, len(good), err)
		}
	}
}

func TestSnapshotEachBitFlipped(t *testing.T) {
	good := snapshotOf(t, smallTable())
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

// forged returns a snapshot with a right checksum and whatever content.
func forged(services, hosts uint64, body ...byte) []byte {
	b := append([]byte(snapshotMagic), snapshotFormat, 0, 0, 0)
	b = append(b, make([]byte, 16)...)
	b = binary.LittleEndian.AppendUint64(b, services)
	b = binary.LittleEndian.AppendUint64(b, hosts)
	b = append(b, body...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func TestSnapshotRejects(t *testing.T) {
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
	f.Add(snapshotOf(f, NewTable(1, nil)))
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
