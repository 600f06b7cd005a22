package larspb

import (
	"errors"

	"google.golang.org/protobuf/encoding/protowire"
)

// The messages of the hot path as plain values, coded by hand so that neither
// side allocates. A differential fuzz test holds them equal to the generated
// code. Parse reads into the zero value and leaves it undefined on an error;
// Append writes the fields in the order of their numbers, zeros left out.

// ErrMessage is returned for a body that is not a protobuf message.
var ErrMessage = errors.New("not a protobuf message")

// HostQuery is a GetHostRequest.
type HostQuery struct {
	Seq          uint32
	Modid, Cmdid int32
}

// HostAnswer is a GetHostResponse. IP and Port are written only if HasHost.
type HostAnswer struct {
	Seq          uint32
	Modid, Cmdid int32
	Retcode      int32
	HasHost      bool
	IP, Port     int32
}

// CallReport is a ReportRequest.
type CallReport struct {
	Modid, Cmdid int32
	HasHost      bool
	IP, Port     int32
	Retcode      int32
}

// RouteQuery is a GetRouteRequest.
type RouteQuery struct {
	Modid, Cmdid int32
	Seq          uint32
}

// Parse reads a GetHostRequest. Anything that is no message is ErrMessage.
func (q *HostQuery) Parse(b []byte) error {
	f := fields{rest: b, message: noMessage}
	for f.next() {
		switch f.num {
		case 1:
			q.Seq = uint32(f.value)
		case 2:
			q.Modid = int32(f.value)
		case 3:
			q.Cmdid = int32(f.value)
		}
	}
	return f.err
}

// Append writes q as a GetHostRequest.
func (q HostQuery) Append(b []byte) []byte {
	b = appendField(b, 1, uint64(q.Seq))
	b = appendInt32(b, 2, q.Modid)
	return appendInt32(b, 3, q.Cmdid)
}

// Parse reads a GetHostResponse. Anything that is no message is ErrMessage.
func (a *HostAnswer) Parse(b []byte) error {
	f := fields{rest: b, message: 5}
	for f.next() {
		switch f.num {
		case 1:
			a.Seq = uint32(f.value)
		case 2:
			a.Modid = int32(f.value)
		case 3:
			a.Cmdid = int32(f.value)
		case 4:
			a.Retcode = int32(f.value)
		case 5:
			a.HasHost = true
			if err := parseHost(f.body, &a.IP, &a.Port); err != nil {
				return err
			}
		}
	}
	return f.err
}

// Append writes a as a GetHostResponse.
func (a HostAnswer) Append(b []byte) []byte {
	b = appendField(b, 1, uint64(a.Seq))
	b = appendInt32(b, 2, a.Modid)
	b = appendInt32(b, 3, a.Cmdid)
	b = appendInt32(b, 4, a.Retcode)
	if a.HasHost {
		b = appendHost(b, 5, a.IP, a.Port)
	}
	return b
}

// Parse reads a ReportRequest. Anything that is no message is ErrMessage.
func (r *CallReport) Parse(b []byte) error {
	f := fields{rest: b, message: 3}
	for f.next() {
		switch f.num {
		case 1:
			r.Modid = int32(f.value)
		case 2:
			r.Cmdid = int32(f.value)
		case 3:
			r.HasHost = true
			if err := parseHost(f.body, &r.IP, &r.Port); err != nil {
				return err
			}
		case 4:
			r.Retcode = int32(f.value)
		}
	}
	return f.err
}

// Append writes r as a ReportRequest.
func (r CallReport) Append(b []byte) []byte {
	b = appendInt32(b, 1, r.Modid)
	b = appendInt32(b, 2, r.Cmdid)
	if r.HasHost {
		b = appendHost(b, 3, r.IP, r.Port)
	}
	return appendInt32(b, 4, r.Retcode)
}

// Parse reads a GetRouteRequest. Anything that is no message is ErrMessage.
func (q *RouteQuery) Parse(b []byte) error {
	f := fields{rest: b, message: noMessage}
	for f.next() {
		switch f.num {
		case 1:
			q.Modid = int32(f.value)
		case 2:
			q.Cmdid = int32(f.value)
		case 10:
			q.Seq = uint32(f.value)
		}
	}
	return f.err
}

// Append writes q as a GetRouteRequest.
func (q RouteQuery) Append(b []byte) []byte {
	b = appendInt32(b, 1, q.Modid)
	b = appendInt32(b, 2, q.Cmdid)
	return appendField(b, 10, uint64(q.Seq))
}

func parseHost(b []byte, ip, port *int32) error {
	f := fields{rest: b, message: noMessage}
	for f.next() {
		switch f.num {
		case 1:
			*ip = int32(f.value)
		case 2:
			*port = int32(f.value)
		}
	}
	return f.err
}

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

// next reads a field and says whether there was one; err tells a broken
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

func appendHost(b []byte, num protowire.Number, ip, port int32) []byte {
	size := fieldSize(ip) + fieldSize(port)
	b = append(appendTag(b, num, protowire.BytesType), byte(size)) // at most 22
	return appendInt32(appendInt32(b, 1, ip), 2, port)
}

// fieldSize is the encoded length of an int32 field whose number is below 16.
func fieldSize(v int32) int {
	if v == 0 {
		return 0
	}
	return 1 + protowire.SizeVarint(uint64(int64(v)))
}
