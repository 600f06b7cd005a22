package reporter

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"lars.internal/larspb"
	"lars.internal/route"
)

// parsed returns a message as decode takes it.
func parsed(t *testing.T, m *larspb.ReportStatusRequest) *larspb.StatusReport {
	t.Helper()
	body, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var r larspb.StatusReport
	if err := r.Parse(body); err != nil {
		t.Fatal(err)
	}
	return &r
}

func TestDecodeTimestamp(t *testing.T) {
	tests := []struct {
		name    string
		ts      uint32
		want    int64
		restamp bool
	}{
		{"none", 0, noon, false},
		{"now", noon, noon, false},
		{"long ago", 1, 1, false},
		{"a little ahead", noon + 300, noon + 300, false},
		{"too far ahead", noon + 301, noon, true},
		{"the end of time", math.MaxUint32, noon, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := decode(parsed(t, status(tt.ts, 1, hostA)), noon)
			if d.rows[0].Time != tt.want || d.restamp != tt.restamp {
				t.Errorf("time %d, restamp %v; want %d, %v", d.rows[0].Time, d.restamp, tt.want, tt.restamp)
			}
		})
	}
}

func TestDecodeResults(t *testing.T) {
	caller := uint32(0xc0a80102)
	m := &larspb.ReportStatusRequest{
		Modid: -1, Cmdid: math.MaxInt32, Caller: int32(caller), Ts: 7,
		Results: []*larspb.HostCallResult{
			{Ip: 1, Port: 1, Succ: math.MaxUint32, Err: 3, Overload: true},
			{Ip: 0, Port: 80},
			{Ip: 1, Port: 0},
			{Ip: 1, Port: 65536},
			{Ip: 1, Port: -1},
			{Ip: -1, Port: 65535, TotalSucc: 9, TotalErr: 9},
		},
	}
	k := route.Key{Modid: -1, Cmdid: math.MaxInt32}
	want := []route.CallStatus{
		{Key: k, Host: route.Host{IP: 1, Port: 1}, Caller: caller, Succ: math.MaxUint32, Err: 3, Time: 7, Overload: true},
		{Key: k, Host: route.Host{IP: math.MaxUint32, Port: 65535}, Caller: caller, Time: 7},
	}
	d := decode(parsed(t, m), noon)
	if diff := cmp.Diff(want, d.rows); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if d.refused != 4 {
		t.Errorf("%d results refused, want 4", d.refused)
	}
}

func TestDecodeEmpty(t *testing.T) {
	if d := decode(new(larspb.StatusReport), noon); len(d.rows) != 0 || d.refused != 0 || d.restamp {
		t.Errorf("got %+v, want nothing", d)
	}
}

func TestThreadForSpreads(t *testing.T) {
	for _, n := range []int{1, 2, 3, 7, 64} {
		byService, byCaller := make([]int, n), make([]int, n)
		const each = 1000
		for i := range each * n {
			byService[threadFor(route.Key{Modid: 1, Cmdid: int32(i)}, localhost, n)]++
			byCaller[threadFor(key, 0x0a000000+uint32(i), n)]++
		}
		for i := range n {
			if byService[i] < each/2 || byService[i] > each*2 || byCaller[i] < each/2 || byCaller[i] > each*2 {
				t.Errorf("thread %d of %d has %d services and %d callers, want about %d", i, n, byService[i], byCaller[i], each)
			}
		}
	}
}
