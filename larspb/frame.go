package larspb

import (
	"encoding/binary"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"
)

const (
	// HeaderSize is the length in bytes of a frame's header: message id and
	// body length, each a little-endian int32.
	HeaderSize = 8

	// MaxBody is the longest body in bytes that a peer accepts.
	MaxBody = 65535 - HeaderSize

	// MaxDatagramBody is the longest body in bytes that fits one UDP datagram
	// over IPv4.
	MaxDatagramBody = 65507 - HeaderSize
)

// ErrFrame is returned for bytes that are not exactly one frame.
var ErrFrame = errors.New("not exactly one frame")

// AppendFrame appends message m under id to dst as one frame. It fails if the
// body is longer than MaxBody.
func AppendFrame(dst []byte, id int32, m proto.Message) ([]byte, error) {
	start := len(dst)
	dst = append(dst, make([]byte, HeaderSize)...)
	dst, err := proto.MarshalOptions{}.MarshalAppend(dst, m)
	if err != nil {
		return dst[:start], fmt.Errorf("larspb: encode message %d: %w", id, err)
	}
	size := len(dst) - start - HeaderSize
	if size > MaxBody {
		return dst[:start], fmt.Errorf("larspb: message %d of %d bytes is over the limit of %d", id, size, MaxBody)
	}
	PutHeader(dst[start:], id, size)
	return dst, nil
}

// PutHeader writes the header of a frame into the first HeaderSize bytes of
// dst; size is the length of the body in bytes.
func PutHeader(dst []byte, id int32, size int) {
	binary.LittleEndian.PutUint32(dst, uint32(id))
	binary.LittleEndian.PutUint32(dst[4:], uint32(size))
}

// ParseFrame splits a datagram that holds exactly one frame. The body shares
// the datagram's memory. Anything else is ErrFrame.
func ParseFrame(datagram []byte) (id int32, body []byte, err error) {
	if len(datagram) < HeaderSize {
		return 0, nil, ErrFrame
	}
	size := int32(binary.LittleEndian.Uint32(datagram[4:]))
	if int64(size) != int64(len(datagram)-HeaderSize) {
		return 0, nil, ErrFrame
	}
	return int32(binary.LittleEndian.Uint32(datagram)), datagram[HeaderSize:], nil
}
