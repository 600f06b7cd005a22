package agent

import (
	"google.golang.org/protobuf/encoding/protowire"

	"lars.internal/larspb"
	"lars.internal/route"
)

// The fields of GetRouteResponse and HostInfo that an agent writes.
const (
	fieldModid     protowire.Number = 1
	fieldCmdid     protowire.Number = 2
	fieldHost      protowire.Number = 3
	fieldSeq       protowire.Number = 10
	fieldTruncated protowire.Number = 11
	fieldIP        protowire.Number = 1
	fieldPort      protowire.Number = 2
)

// maxTail is the most bytes that seq and truncated take behind the hosts.
const maxTail = 1 + 5 + 2

// appendRoute writes a GetRouteResponse of at most limit bytes: as many hosts
// as fit, and the mark that there are more, which it also has if cut says that
// hosts were left out before. A host has neither address nor port zero, so both
// are always written.
func appendRoute(b []byte, q larspb.RouteQuery, hosts []route.Host, cut bool, limit int) []byte {
	end := len(b) + limit - maxTail
	b = appendVarint(b, fieldModid, uint64(int64(q.Modid)))
	b = appendVarint(b, fieldCmdid, uint64(int64(q.Cmdid)))
	for _, h := range hosts {
		ip := uint64(int64(int32(h.IP)))
		size := 2 + protowire.SizeVarint(ip) + protowire.SizeVarint(uint64(h.Port))
		if len(b)+2+size > end {
			cut = true
			break
		}
		b = append(protowire.AppendTag(b, fieldHost, protowire.BytesType), byte(size)) // at most 15
		b = protowire.AppendVarint(protowire.AppendTag(b, fieldIP, protowire.VarintType), ip)
		b = protowire.AppendVarint(protowire.AppendTag(b, fieldPort, protowire.VarintType), uint64(h.Port))
	}
	b = appendVarint(b, fieldSeq, uint64(q.Seq))
	return appendVarint(b, fieldTruncated, protowire.EncodeBool(cut))
}

// appendVarint writes a field, or nothing if it is zero, as proto3 has it.
func appendVarint(b []byte, num protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), v)
}

// appendPull writes a GetRouteRequest to a dns service. It is never empty: the
// C++ dns aborts on that, so service 0/0 is written out.
func appendPull(b []byte, key route.Key) []byte {
	if key == (route.Key{}) {
		b = protowire.AppendTag(b, fieldModid, protowire.VarintType)
		return protowire.AppendVarint(b, 0)
	}
	return larspb.RouteQuery{Modid: key.Modid, Cmdid: key.Cmdid}.Append(b)
}
