package reactor

import "encoding/binary"

const (
	// HeaderSize is the length in bytes of a frame's header: message id, then
	// length of the body, each a little-endian int32.
	HeaderSize = 8

	// DefaultMaxFrame is the default limit on a body in bytes.
	DefaultMaxFrame = 65535 - HeaderSize

	// maxDatagramBody is the longest body in bytes in a UDP datagram over IPv4.
	maxDatagramBody = 65507 - HeaderSize
)

// putHeader writes a frame's header into the first HeaderSize bytes of b.
func putHeader(b []byte, id int32, size int) {
	binary.LittleEndian.PutUint64(b, uint64(uint32(id))|uint64(size)<<32)
}

// appendFrame appends a whole frame to b.
func appendFrame(b []byte, id int32, body []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(uint32(id))|uint64(len(body))<<32)
	return append(b, body...)
}

// header reads a frame's header; b holds at least HeaderSize bytes. The size
// is as the peer sent it: it may be negative.
func header(b []byte) (id int32, size int) {
	h := binary.LittleEndian.Uint64(b)
	return int32(h), int(int32(h >> 32))
}
