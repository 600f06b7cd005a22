package dns

import (
	"google.golang.org/protobuf/encoding/protowire"

	"lars.internal/larspb"
	"lars.internal/route"
)

const (
	// maxHostSize is the longest encoding of a host in a GetRouteResponse, in
	// bytes: tag, length, an address of ten bytes and a port of three with a
	// tag each.
	maxHostSize = 2 + 11 + 4

	// maxKeySize is the same for the two ids, ten bytes and a tag each.
	maxKeySize = 2 * 11

	// cutSize is the length of the mark that hosts are missing.
	cutSize = 2
)

// appendRoute appends the body of a GetRouteResponse to b, with as many hosts
// as one frame holds and a mark if that is not all.
func appendRoute(b []byte, key route.Key, hosts []route.Host) []byte {
	fit := fitting(hosts)
	b = appendInt32(b, 1, key.Modid)
	b = appendInt32(b, 2, key.Cmdid)
	for _, h := range hosts[:fit] {
		b = protowire.AppendTag(b, 3, protowire.BytesType)
		b = append(b, byte(hostSize(h)-2))
		b = appendInt32(b, 1, int32(h.IP))
		b = appendInt32(b, 2, int32(h.Port))
	}
	if fit < len(hosts) {
		b = protowire.AppendTag(b, 11, protowire.VarintType)
		b = append(b, 1)
	}
	return b
}

// fitting returns how many of the hosts one frame holds.
func fitting(hosts []route.Host) int {
	const room = larspb.MaxBody - maxKeySize - cutSize
	if len(hosts) <= room/maxHostSize {
		return len(hosts)
	}
	size := 0
	for i, h := range hosts {
		if size += hostSize(h); size > room {
			return i
		}
	}
	return len(hosts)
}

// hostSize returns the length of a host in a GetRouteResponse, in bytes.
func hostSize(h route.Host) int {
	return 2 + 1 + protowire.SizeVarint(uint64(int64(int32(h.IP)))) + 1 + protowire.SizeVarint(uint64(h.Port))
}

// appendInt32 appends a field that proto3 leaves out when it is zero, with
// the sign extended to 64 bits.
func appendInt32(b []byte, num protowire.Number, v int32) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), uint64(int64(v)))
}
