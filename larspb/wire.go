package larspb

import (
	"errors"

	"google.golang.org/protobuf/encoding/protowire"

	"lars.internal/route"
)

// The messages of the hot path as plain values, coded by hand so that neither
// side allocates. A differential fuzz test holds them equal to the generated
// code. Parse reads into the zero value and leaves it undefined on an error;
// Append writes the fields in the order of their numbers and leaves zeros out.

// ErrMessage is returned for a body that is not a protobuf message.
var ErrMessage = errors.New("not a protobuf message")

// HostQuery is a GetHostRequest. AvoidIP and AvoidPort are written only if
// HasAvoid.
type HostQuery struct {
	Seq                uint32
	Modid, Cmdid       int32
	HasAvoid           bool
	AvoidIP, AvoidPort int32
	Level              uint32
}

// HostAnswer is a GetHostResponse. IP and Port are written only if HasHost.
type HostAnswer struct {
	Seq          uint32
	Modid, Cmdid int32
	Retcode      int32
	HasHost      bool
	IP, Port     int32
	Ticket       uint64
}

// CallReport is a ReportRequest. IP and Port are written only if HasHost.
type CallReport struct {
	Modid, Cmdid int32
	HasHost      bool
	IP, Port     int32
	Retcode      int32
	Ticket       uint64
	LatencyUS    uint32
	Kind         Kind
}

// RouteQuery is a GetRouteRequest.
type RouteQuery struct {
	Modid, Cmdid int32
	Seq          uint32
	Zone         string // of the agent; Parse leaves one out that is too long
	Level        uint32
}

// Parse reads a GetHostRequest. Anything that is no message is ErrMessage.
func (q *HostQuery) Parse(b []byte) error {
	f := fields{rest: b, bytes: 1 << 10}
	for f.next() {
		switch f.num {
		case 1:
			q.Seq = uint32(f.value)
		case 2:
			q.Modid = int32(f.value)
		case 3:
			q.Cmdid = int32(f.value)
		case 10:
			q.HasAvoid = true
			if err := parseHost(f.body, &q.AvoidIP, &q.AvoidPort); err != nil {
				return err
			}
		case 11:
			q.Level = uint32(f.value)
		}
	}
	return f.err
}

// Append writes q as a GetHostRequest.
func (q HostQuery) Append(b []byte) []byte {
	b = appendField(b, 1, uint64(q.Seq))
	b = appendInt32(b, 2, q.Modid)
	b = appendInt32(b, 3, q.Cmdid)
	if q.HasAvoid {
		b = appendHost(b, 10, q.AvoidIP, q.AvoidPort)
	}
	return appendField(b, 11, uint64(q.Level))
}

// Parse reads a GetHostResponse. Anything that is no message is ErrMessage.
func (a *HostAnswer) Parse(b []byte) error {
	f := fields{rest: b, bytes: 1 << 5}
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
		case 10:
			a.Ticket = f.value
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
	return appendField(b, 10, a.Ticket)
}

// Parse reads a ReportRequest. Anything that is no message is ErrMessage.
func (r *CallReport) Parse(b []byte) error {
	f := fields{rest: b, bytes: 1 << 3}
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
		case 10:
			r.Ticket = f.value
		case 11:
			r.LatencyUS = uint32(f.value)
		case 12:
			r.Kind = Kind(f.value)
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
	b = appendInt32(b, 4, r.Retcode)
	b = appendField(b, 10, r.Ticket)
	b = appendField(b, 11, uint64(r.LatencyUS))
	return appendInt32(b, 12, int32(r.Kind))
}

// Parse reads a GetRouteRequest. Anything that is no message is ErrMessage.
func (q *RouteQuery) Parse(b []byte) error {
	f := fields{rest: b, bytes: 1 << 11}
	for f.next() {
		switch f.num {
		case 1:
			q.Modid = int32(f.value)
		case 2:
			q.Cmdid = int32(f.value)
		case 10:
			q.Seq = uint32(f.value)
		case 11:
			q.Zone = ""
			if text := f.text(); len(text) <= route.MaxZone {
				q.Zone = string(text)
			}
		case 12:
			q.Level = uint32(f.value)
		}
	}
	return f.err
}

// Append writes q as a GetRouteRequest.
func (q RouteQuery) Append(b []byte) []byte {
	b = appendInt32(b, 1, q.Modid)
	b = appendInt32(b, 2, q.Cmdid)
	b = appendField(b, 10, uint64(q.Seq))
	b = appendText(b, 11, q.Zone)
	return appendField(b, 12, uint64(q.Level))
}

// AppendPull writes q as a GetRouteRequest to a dns service. It is never empty,
// because the C++ dns aborts on that: service 0/0 is written out.
func (q RouteQuery) AppendPull(b []byte) []byte {
	if q.Modid == 0 && q.Cmdid == 0 {
		b = append(appendTag(b, 1, protowire.VarintType), 0)
	}
	return q.Append(b)
}

// parseHost reads a HostInfo of which only the address counts.
func parseHost(b []byte, ip, port *int32) error {
	f := fields{rest: b, bytes: 1 << 11}
	for f.next() {
		switch f.num {
		case 1:
			*ip = int32(f.value)
		case 2:
			*port = int32(f.value)
		case 11:
			f.text()
		}
	}
	return f.err
}

func appendHost(b []byte, num protowire.Number, ip, port int32) []byte {
	b = appendTag(b, num, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(int32Size(ip)+int32Size(port)))
	return appendInt32(appendInt32(b, 1, ip), 2, port)
}
