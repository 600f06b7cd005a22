package dns

import (
	"math"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"lars.internal/larspb"
	"lars.internal/route"
)

func message(key route.Key, hosts []route.Host) *larspb.GetRouteResponse {
	m := &larspb.GetRouteResponse{Modid: key.Modid, Cmdid: key.Cmdid}
	for _, h := range hosts {
		m.Host = append(m.Host, &larspb.HostInfo{Ip: int32(h.IP), Port: int32(h.Port)})
	}
	return m
}

func TestAppendRouteEqualsGeneratedCode(t *testing.T) {
	host := rapid.Custom(func(t *rapid.T) route.Host {
		return route.Host{IP: rapid.Uint32Min(1).Draw(t, "ip"), Port: rapid.Uint16Min(1).Draw(t, "port")}
	})
	rapid.Check(t, func(t *rapid.T) {
		key := route.Key{Modid: rapid.Int32().Draw(t, "modid"), Cmdid: rapid.Int32().Draw(t, "cmdid")}
		hosts := rapid.SliceOf(host).Draw(t, "hosts")
		want, err := proto.MarshalOptions{Deterministic: true}.Marshal(message(key, hosts))
		if err != nil {
			t.Fatal(err)
		}
		if got := appendRoute(nil, key, hosts); string(got) != string(want) {
			t.Fatalf("encoded as %x, the generated code gives %x", got, want)
		}
	})
}

// manyHosts returns hosts of the longest or the shortest encoding.
func manyHosts(n int, long bool) []route.Host {
	hosts := make([]route.Host, n)
	for i := range hosts {
		hosts[i] = route.Host{IP: 1, Port: uint16(i%127 + 1)}
		if long {
			hosts[i] = route.Host{IP: math.MaxUint32 - uint32(i), Port: 65535}
		}
	}
	return hosts
}

func TestAppendRouteCutsAtOneFrame(t *testing.T) {
	key := route.Key{Modid: math.MinInt32, Cmdid: math.MinInt32}
	for _, tt := range []struct {
		name string
		n    int
		long bool
		cut  bool
	}{
		{"long ones that fit", 3853, true, false},
		{"one long one too many", 3854, true, true},
		{"short ones that fit", 10_000, false, false},
		{"short ones too many", 12_000, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			hosts := manyHosts(tt.n, tt.long)
			body := appendRoute(nil, key, hosts)
			var m larspb.GetRouteResponse
			if err := proto.Unmarshal(body, &m); err != nil {
				t.Fatal(err)
			}
			if len(body) > larspb.MaxBody {
				t.Errorf("body of %d bytes, the limit is %d", len(body), larspb.MaxBody)
			}
			if m.Truncated != tt.cut || len(m.Host) < tt.n != tt.cut {
				t.Errorf("%d of %d hosts, truncated %v; want cut %v", len(m.Host), tt.n, m.Truncated, tt.cut)
			}
			if tt.cut && len(body) < larspb.MaxBody-maxHostSize-maxKeySize-cutSize {
				t.Errorf("body of %d bytes has room for more hosts", len(body))
			}
		})
	}
}

func TestAppendRouteAllocatesNothing(t *testing.T) {
	key, hosts := route.Key{Modid: 1, Cmdid: 2}, manyHosts(100, true)
	buf := appendRoute(nil, key, hosts)
	if n := testing.AllocsPerRun(100, func() { buf = appendRoute(buf[:0], key, hosts) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func BenchmarkAppendRoute(b *testing.B) {
	key, hosts := route.Key{Modid: 1, Cmdid: 2}, manyHosts(10, true)
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = appendRoute(buf[:0], key, hosts)
	}
}
