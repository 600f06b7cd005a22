package larspb

import "google.golang.org/protobuf/encoding/protowire"

// noMessage is the number of no field.
const noMessage = protowire.Number(0)

// fields walks over a message, one field at a time. It is a struct with a
// loop around it because a callback would cost one more call for each field.
type fields struct {
	rest    []byte
	message protowire.Number // the only field that is bytes; all others are varints

	num   protowire.Number // 0: skip the field, as the generated code does
	value uint64           // of a varint
	body  []byte           // of the field numbered message
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
	if typ := protowire.Type(tag & 7); typ != protowire.VarintType || f.num == f.message {
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

// other reads the field num, which is not one of the varints: the message, or
// one to be skipped.
func (f *fields) other(typ protowire.Type) bool {
	var n int
	if typ == protowire.BytesType && f.num == f.message {
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

// appendInt32 sign-extends v to 64 bits, as proto3 encodes an int32.
func appendInt32(b []byte, num protowire.Number, v int32) []byte {
	return appendField(b, num, uint64(int64(v)))
}

func appendBool(b []byte, num protowire.Number, v bool) []byte {
	return appendField(b, num, protowire.EncodeBool(v))
}

// fieldSize returns the encoded length of a field that appendField writes.
func fieldSize(v uint64) int {
	if v == 0 {
		return 0
	}
	return 1 + protowire.SizeVarint(v)
}

// int32Size returns the encoded length of a field that appendInt32 writes.
func int32Size(v int32) int { return fieldSize(uint64(int64(v))) }

func boolSize(v bool) int { return fieldSize(protowire.EncodeBool(v)) }

// messageSize returns the length of a message of n bytes with its tag and length.
func messageSize(n int) int { return 1 + protowire.SizeVarint(uint64(n)) + n }
