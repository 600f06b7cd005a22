package larspb

import (
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// fields walks over a message, one field at a time. It is a struct with a
// loop around it because a callback would cost one more call for each field.
type fields struct {
	rest  []byte
	bytes uint32 // the fields that are bytes, field n as 1 << n; all others are varints

	num   protowire.Number // 0: skip the field, as the generated code does
	value uint64           // of a varint
	body  []byte           // of a field that is bytes
	err   error            // why next returned false; nil at the end
}

// next reads a field and reports whether there was one; err tells a broken
// message from its end.
func (f *fields) next() bool {
	if len(f.rest) == 0 {
		return false
	}
	tag, n := uint64(f.rest[0]), 1
	if tag >= 0x80 {
		tag, n = protowire.ConsumeVarint(f.rest)
	}
	if n < 0 || tag>>3 < uint64(protowire.MinValidNumber) || tag>>3 > uint64(protowire.MaxValidNumber) {
		return f.fail()
	}
	f.rest = f.rest[n:]
	f.num = protowire.Number(tag >> 3)
	if typ := protowire.Type(tag & 7); typ != protowire.VarintType || f.isBytes() {
		return f.other(typ)
	}
	if len(f.rest) > 0 && f.rest[0] < 0x80 {
		f.value, n = uint64(f.rest[0]), 1
	} else if f.value, n = protowire.ConsumeVarint(f.rest); n < 0 {
		return f.fail()
	}
	f.rest = f.rest[n:]
	return true
}

// isBytes reports whether the field num is one of those that are bytes.
func (f *fields) isBytes() bool { return f.bytes>>uint(f.num)&1 != 0 }

// other reads the field num, which is not one of the varints: one that is bytes,
// or one to be skipped.
func (f *fields) other(typ protowire.Type) bool {
	var n int
	if typ == protowire.BytesType && f.isBytes() {
		f.body, n = protowire.ConsumeBytes(f.rest)
	} else {
		n = protowire.ConsumeFieldValue(f.num, typ, f.rest)
		f.num = 0
	}
	if n < 0 {
		return f.fail()
	}
	f.rest = f.rest[n:]
	return true
}

func (f *fields) fail() bool {
	f.err = ErrMessage
	return false
}

// text returns the body as the generated code takes a string: one that is not
// UTF-8 makes the message broken.
func (f *fields) text() []byte {
	if !utf8.Valid(f.body) {
		f.fail()
	}
	return f.body
}

// appendTag writes the tag of a field whose number is below 16.
func appendTag(b []byte, num protowire.Number, typ protowire.Type) []byte {
	return append(b, byte(num)<<3|byte(typ))
}

func appendField(b []byte, num protowire.Number, v uint64) []byte {
	switch {
	case v == 0:
		return b
	case v < 0x80:
		return append(b, byte(num)<<3|byte(protowire.VarintType), byte(v))
	}
	return protowire.AppendVarint(appendTag(b, num, protowire.VarintType), v)
}

// appendHigh is appendField for a number of 16 to 2,047, whose tag takes two
// bytes.
func appendHigh(b []byte, num protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), v)
}

// appendInt32 sign-extends v to 64 bits, as proto3 encodes an int32.
func appendInt32(b []byte, num protowire.Number, v int32) []byte {
	return appendField(b, num, uint64(int64(v)))
}

func appendBool(b []byte, num protowire.Number, v bool) []byte {
	return appendField(b, num, protowire.EncodeBool(v))
}

// appendText writes a field whose number is below 16; an empty one is left out.
func appendText(b []byte, num protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return protowire.AppendString(appendTag(b, num, protowire.BytesType), s)
}

// textSize returns the encoded length of a field that appendText writes.
func textSize(s string) int {
	if s == "" {
		return 0
	}
	return messageSize(len(s))
}

// fieldSize returns the encoded length of a field that appendField writes.
func fieldSize(v uint64) int {
	if v == 0 {
		return 0
	}
	return 1 + protowire.SizeVarint(v)
}

// highSize returns the encoded length of a field that appendHigh writes.
func highSize(v uint64) int {
	if v == 0 {
		return 0
	}
	return 1 + fieldSize(v)
}

// int32Size returns the encoded length of a field that appendInt32 writes.
func int32Size(v int32) int { return fieldSize(uint64(int64(v))) }

func boolSize(v bool) int { return fieldSize(protowire.EncodeBool(v)) }

// messageSize returns the length of a message of n bytes with its tag and length.
func messageSize(n int) int { return 1 + protowire.SizeVarint(uint64(n)) + n }
