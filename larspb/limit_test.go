package larspb

import (
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"lars.internal/route"
)

// A route of 10,000 hosts was stored without a word and reached the agents with
// 6,550: the rest did not fit the frame. The most that an edit may leave a
// service with now fits, every field at its largest, those of later levels
// included, and two more hosts would not.
func TestFinding22LargestRouteFitsOneFrame(t *testing.T) {
	if got := largestAnswer(route.MaxHosts); got > MaxBody {
		t.Errorf("%d hosts take %d bytes, a frame holds %d", route.MaxHosts, got, MaxBody)
	}
	if got := largestAnswer(route.MaxHosts + 2); got <= MaxBody {
		t.Errorf("%d hosts take %d bytes and would fit too", route.MaxHosts+2, got)
	}
}

// largestAnswer returns the size of an answer with this many hosts, in bytes.
func largestAnswer(hosts int) int {
	weight, long := uint32(math.MaxUint32), strings.Repeat("z", route.MaxSetting)
	m := &GetRouteResponse{
		Modid: -1, Cmdid: -1, Seq: math.MaxUint32, Truncated: true,
		Version: math.MaxUint64, Stale: true, Removed: true, Level: math.MaxUint32,
	}
	for range hosts {
		m.Host = append(m.Host, &HostInfo{Ip: -1, Port: 65535, Weight: &weight, Zone: long[:route.MaxZone]})
	}
	for range route.MaxSettings {
		m.Settings = append(m.Settings, &Setting{Key: long, Value: long})
	}
	return proto.Size(m)
}
