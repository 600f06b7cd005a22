package larspb

import (
	"math"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
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
	m := &GetRouteResponse{
		Modid: -1, Cmdid: -1, Seq: math.MaxUint32, Truncated: true,
		Version: math.MaxUint64, Stale: true, Removed: true, Level: math.MaxUint32,
	}
	host, err := proto.Marshal(&HostInfo{Ip: -1, Port: 65535})
	if err != nil {
		panic(err) // a message without strings can be encoded
	}
	host = protowire.AppendTag(host, 10, protowire.VarintType) // weight
	host = protowire.AppendVarint(host, math.MaxUint32)
	host = protowire.AppendTag(host, 11, protowire.BytesType) // zone
	host = protowire.AppendBytes(host, make([]byte, 32))

	var setting []byte
	for field := range protowire.Number(2) { // key, then value
		setting = protowire.AppendTag(setting, field+1, protowire.BytesType)
		setting = protowire.AppendBytes(setting, make([]byte, 128))
	}
	return proto.Size(m) + hosts*len(protowire.AppendBytes([]byte{0}, host)) +
		32*len(protowire.AppendBytes([]byte{0, 0}, setting))
}
