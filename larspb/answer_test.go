package larspb

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"lars.internal/route"
)

// generated returns the answer as the generated code has it.
func (a RouteAnswer) generated() *GetRouteResponse {
	m := &GetRouteResponse{
		Modid: a.Key.Modid, Cmdid: a.Key.Cmdid, Seq: a.Seq, Truncated: a.Truncated,
		Version: a.Version, Stale: a.Stale, Removed: a.Removed, Level: a.Level,
	}
	for _, e := range a.Hosts {
		h := &HostInfo{Ip: int32(e.Host.IP), Port: int32(e.Host.Port)}
		if a.Level > 0 {
			h.Zone = e.Zone
			if e.Weight != route.DefaultWeight {
				h.Weight = &e.Weight
			}
		}
		m.Host = append(m.Host, h)
	}
	if a.Level > 0 {
		for _, s := range a.Settings {
			m.Settings = append(m.Settings, &Setting{Key: s.Name, Value: s.Value})
		}
	}
	return m
}

// checkAnswer compares Append with the generated code.
func checkAnswer(t rapid.TB, a RouteAnswer, limit int) {
	t.Helper()
	prefix := []byte("before")
	got := a.Append(prefix, limit)[len(prefix):]
	if len(got) > limit {
		t.Fatalf("%d bytes, over the limit of %d", len(got), limit)
	}
	var back RouteAnswer
	if err := back.Parse(got); err != nil {
		t.Fatal(err)
	}
	if back.Truncated != (a.Truncated || len(back.Hosts) < len(a.Hosts)) {
		t.Fatalf("%d of %d hosts, truncated %v", len(back.Hosts), len(a.Hosts), back.Truncated)
	}
	want := a
	want.Hosts, want.Truncated = a.Hosts[:len(back.Hosts)], back.Truncated
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(want.generated())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, body) {
		t.Fatalf("%x\nwant %x", got, body)
	}
	if left := limit - len(got); len(back.Hosts) < len(a.Hosts) && left >= messageSize(a.hostSize(&a.Hosts[len(back.Hosts)])) {
		t.Fatalf("%d bytes are left and a host is left out", left)
	}
}

func TestRouteAnswerEqualsGenerated(t *testing.T) {
	zone := rapid.SampledFrom([]string{"", "eu1", strings.Repeat("z", route.MaxZone)})
	host := rapid.Custom(func(t *rapid.T) route.Endpoint {
		return route.Endpoint{
			Host:   route.Host{IP: rapid.Uint32Min(1).Draw(t, "ip"), Port: rapid.Uint16Min(1).Draw(t, "port")},
			Weight: rapid.OneOf(rapid.Just(uint32(route.DefaultWeight)), rapid.Uint32Max(route.MaxWeight)).Draw(t, "weight"),
			Zone:   zone.Draw(t, "zone"),
		}
	})
	text := rapid.SampledFrom([]string{"", "policy", strings.Repeat("s", route.MaxSetting)})
	setting := rapid.Custom(func(t *rapid.T) route.Setting {
		return route.Setting{Name: text.Draw(t, "name"), Value: text.Draw(t, "value")}
	})
	rapid.Check(t, func(t *rapid.T) {
		a := RouteAnswer{
			Key:       route.Key{Modid: rapid.Int32().Draw(t, "modid"), Cmdid: rapid.Int32().Draw(t, "cmdid")},
			Hosts:     rapid.SliceOf(host).Draw(t, "hosts"),
			Seq:       rapid.Uint32().Draw(t, "seq"),
			Truncated: rapid.Bool().Draw(t, "truncated"),
			Version:   rapid.Uint64().Draw(t, "version"),
			Stale:     rapid.Bool().Draw(t, "stale"),
			Removed:   rapid.Bool().Draw(t, "removed"),
			Settings:  rapid.SliceOfN(setting, 0, route.MaxSettings).Draw(t, "settings"),
			Level:     rapid.OneOf(rapid.Just(uint32(0)), rapid.Uint32()).Draw(t, "level"),
		}
		least := a
		least.Hosts = nil
		checkAnswer(t, a, rapid.IntRange(max(80, len(least.Append(nil, MaxBody))+2), MaxBody).Draw(t, "limit"))
	})
}

func FuzzRouteAnswer(f *testing.F) {
	f.Add(int32(1), int32(2), uint32(3), uint64(0), uint32(0xC0A80171), uint16(7777), 5, 100, uint32(100), "", uint32(0))
	f.Add(int32(0), int32(0), uint32(0), uint64(7), uint32(1), uint16(1), 0, 40, uint32(0), "eu1", uint32(1))
	f.Add(int32(-1), int32(-1), uint32(1<<31), uint64(1<<63), uint32(1<<31), uint16(65535), 10_000, MaxDatagramBody, uint32(10_000), "eu1", uint32(1))
	f.Fuzz(func(t *testing.T, modid, cmdid int32, seq uint32, version uint64, ip uint32, port uint16, n, limit int, weight uint32, zone string, level uint32) {
		if len(zone) > route.MaxZone || !utf8.ValidString(zone) {
			t.Skip("no table has such a zone")
		}
		hosts := make([]route.Endpoint, max(0, min(n, 10_000)))
		for i := range hosts {
			h := route.Host{IP: max(1, ip+uint32(i*i)), Port: max(1, port-uint16(i))}
			hosts[i] = route.Endpoint{Host: h, Weight: (weight + uint32(i)) % (route.MaxWeight + 1), Zone: zone}
		}
		a := RouteAnswer{Key: route.Key{Modid: modid, Cmdid: cmdid}, Hosts: hosts, Seq: seq, Version: version, Level: level}
		checkAnswer(t, a, max(60, min(limit, MaxDatagramBody)))
	})
}

// manyHosts returns hosts of the longest or the shortest encoding.
func manyHosts(n int, long bool) []route.Endpoint {
	hosts := make([]route.Host, n)
	for i := range hosts {
		hosts[i] = route.Host{IP: 1, Port: uint16(i%127 + 1)}
		if long {
			hosts[i] = route.Host{IP: math.MaxUint32 - uint32(i), Port: 65535}
		}
	}
	return route.AppendEndpoints(nil, hosts)
}

func TestRouteAnswerIsCutAtOneFrame(t *testing.T) {
	longest := RouteAnswer{Key: route.Key{Modid: math.MinInt32, Cmdid: math.MinInt32}}
	newest := longest
	newest.Version, newest.Stale, newest.Removed, newest.Level = math.MaxUint64, true, true, math.MaxUint32
	for _, tt := range []struct {
		name   string
		answer RouteAnswer
		n      int
		long   bool
		cut    bool
	}{
		{"long ones that fit", longest, 3853, true, false},
		{"one long one too many", longest, 3854, true, true},
		{"long ones that fit, with a version", newest, 3851, true, false},
		{"one long one too many, with a version", newest, 3852, true, true},
		{"short ones that fit", longest, 10_000, false, false},
		{"short ones too many", longest, 12_000, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := tt.answer
			a.Hosts = manyHosts(tt.n, tt.long)
			checkAnswer(t, a, MaxBody)
			var back RouteAnswer
			if err := back.Parse(a.Append(nil, MaxBody)); err != nil || back.Truncated != tt.cut {
				t.Errorf("truncated %v, %v; want %v", back.Truncated, err, tt.cut)
			}
		})
	}
}

// The C++ dns aborts on a frame without a body, so service 0/0 is written out.
func TestPullsAreNeverEmpty(t *testing.T) {
	for _, key := range []route.Key{{}, {Modid: 1}, {Cmdid: 1}, {Modid: -1, Cmdid: -1}} {
		pull := RouteQuery{Modid: key.Modid, Cmdid: key.Cmdid}.AppendPull(nil)
		var q RouteQuery
		if err := q.Parse(pull); err != nil || len(pull) == 0 || q.Modid != key.Modid || q.Cmdid != key.Cmdid {
			t.Errorf("pull of %v: %x, %v", key, pull, err)
		}
		end := Unsubscription{Key: key}.Append(nil)
		var u Unsubscription
		if err := u.Parse(end); err != nil || len(end) == 0 || u.Key != key {
			t.Errorf("end of the subscription of %v: %x, %v", key, end, err)
		}
	}
}

// Hosts that nobody can call are counted and left out.
func TestRouteAnswerRefusesHosts(t *testing.T) {
	body, err := proto.Marshal(&GetRouteResponse{Host: []*HostInfo{{Ip: 1, Port: 1}, {Ip: 0, Port: 1}, {Ip: 1, Port: 65536}, {Ip: -1, Port: 65535}}})
	if err != nil {
		t.Fatal(err)
	}
	var a RouteAnswer
	if err := a.Parse(body); err != nil || a.Refused != 2 || len(a.Hosts) != 2 {
		t.Errorf("%+v, %v: want two hosts and two refused", a, err)
	}
}

// What is beyond a limit is counted and does not cost the rest of the answer. The
// weight of a host that has none is the default.
func TestRouteAnswerTrims(t *testing.T) {
	weight, drained, most := uint32(math.MaxUint32), uint32(0), uint32(route.MaxWeight)
	long := strings.Repeat("z", route.MaxSetting+1)
	m := &GetRouteResponse{Level: 1, Host: []*HostInfo{
		{Ip: 1, Port: 1, Weight: &weight, Zone: long[:route.MaxZone]},
		{Ip: 1, Port: 2, Weight: &most, Zone: long[:route.MaxZone+1]},
		{Ip: 1, Port: 3},
		{Ip: 1, Port: 4, Weight: &drained},
	}, Settings: []*Setting{{Key: long}, {Key: "a", Value: long}}}
	for range route.MaxSettings + 1 {
		m.Settings = append(m.Settings, &Setting{Key: "b"})
	}
	body, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var a RouteAnswer
	if err := a.Parse(body); err != nil || a.Trimmed != 5 || len(a.Settings) != route.MaxSettings {
		t.Errorf("%v, %d trimmed, %d settings; want 5 and %d", err, a.Trimmed, len(a.Settings), route.MaxSettings)
	}
	want := []route.Endpoint{
		{Host: route.Host{IP: 1, Port: 1}, Weight: route.MaxWeight, Zone: long[:route.MaxZone]},
		{Host: route.Host{IP: 1, Port: 2}, Weight: route.MaxWeight},
		{Host: route.Host{IP: 1, Port: 3}, Weight: route.DefaultWeight},
		{Host: route.Host{IP: 1, Port: 4}},
	}
	if !slices.Equal(a.Hosts, want) {
		t.Errorf("hosts %v, want %v", a.Hosts, want)
	}
}

func BenchmarkRouteAnswer(b *testing.B) {
	a := RouteAnswer{Key: route.Key{Modid: 1, Cmdid: 2}, Hosts: manyHosts(10, true), Version: 1_790_000_000, Level: Level}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = a.Append(buf[:0], MaxBody)
	}
}
