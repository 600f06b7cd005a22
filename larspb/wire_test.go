package larspb

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"pgregory.net/rapid"

	"lars.internal/route"
)

// codec is a message that is coded by hand as well.
type codec struct {
	name string
	ids  []int32

	// hand parses body by hand, and returns what was read as the generated
	// message, and the bytes that Append makes of it.
	hand func(body []byte) (proto.Message, []byte, error)
}

var codecs = []codec{
	{"GetHostRequest", []int32{IDGetHostRequest}, func(body []byte) (proto.Message, []byte, error) {
		var q HostQuery
		err := q.Parse(body)
		m := &GetHostRequest{Seq: q.Seq, Modid: q.Modid, Cmdid: q.Cmdid, Level: q.Level}
		if q.HasAvoid {
			m.Avoid = &HostInfo{Ip: q.AvoidIP, Port: q.AvoidPort}
		}
		return m, q.Append(nil), err
	}},
	{"GetHostResponse", []int32{IDGetHostResponse}, func(body []byte) (proto.Message, []byte, error) {
		var a HostAnswer
		err := a.Parse(body)
		m := &GetHostResponse{Seq: a.Seq, Modid: a.Modid, Cmdid: a.Cmdid, Retcode: a.Retcode, Ticket: a.Ticket}
		if a.HasHost {
			m.Host = &HostInfo{Ip: a.IP, Port: a.Port}
		}
		return m, a.Append(nil), err
	}},
	{"ReportRequest", []int32{IDReportRequest}, func(body []byte) (proto.Message, []byte, error) {
		var r CallReport
		err := r.Parse(body)
		m := &ReportRequest{
			Modid: r.Modid, Cmdid: r.Cmdid, Retcode: r.Retcode,
			Ticket: r.Ticket, LatencyUs: r.LatencyUS, Kind: r.Kind,
		}
		if r.HasHost {
			m.Host = &HostInfo{Ip: r.IP, Port: r.Port}
		}
		return m, r.Append(nil), err
	}},
	{"GetRouteRequest", []int32{IDGetRouteRequest, IDAPIGetRouteRequest}, func(body []byte) (proto.Message, []byte, error) {
		var q RouteQuery
		err := q.Parse(body)
		return &GetRouteRequest{Modid: q.Modid, Cmdid: q.Cmdid, Seq: q.Seq, Zone: q.Zone, Level: q.Level}, q.Append(nil), err
	}},
	{"GetRouteResponse", []int32{IDGetRouteResponse, IDAPIGetRouteResponse}, func(body []byte) (proto.Message, []byte, error) {
		var a RouteAnswer
		err := a.Parse(body)
		return a.generated(), a.Append(nil, math.MaxInt32), err
	}},
	{"ReportStatusRequest", []int32{IDReportStatusRequest}, func(body []byte) (proto.Message, []byte, error) {
		var r StatusReport
		err := r.Parse(body)
		m := &ReportStatusRequest{
			Modid: r.Key.Modid, Cmdid: r.Key.Cmdid, Caller: r.Caller, Ts: r.Time,
			Run: r.Run, Number: r.Number, Level: r.Level, SpanMs: r.SpanMS,
		}
		for _, c := range r.Results {
			m.Results = append(m.Results, &HostCallResult{
				Ip: c.IP, Port: c.Port, Succ: c.Succ, Err: c.Err, Overload: c.Overload,
				TotalSucc: c.TotalSucc, TotalErr: c.TotalErr,
				Refused: c.Refused, Timeout: c.Timeout, LatencyUsSum: c.LatencySum, State: c.State, Reason: c.Reason,
				Latency: c.Latency, Ejections: c.Ejections, Reinstatements: c.Reinstatements, Since: c.Since,
			})
		}
		encoded, _ := r.Append(nil, math.MaxInt32)
		return m, encoded, err
	}},
	{"Ping", []int32{IDPing}, func(body []byte) (proto.Message, []byte, error) {
		var e Echo
		err := e.Parse(body)
		return &Ping{Number: e.Number}, e.Append(nil), err
	}},
	{"Pong", []int32{IDPong}, func(body []byte) (proto.Message, []byte, error) {
		var e Echo
		err := e.Parse(body)
		return &Pong{Number: e.Number}, e.Append(nil), err
	}},
	{"ReportAck", []int32{IDReportAck}, func(body []byte) (proto.Message, []byte, error) {
		var a Ack
		err := a.Parse(body)
		return &ReportAck{Run: a.Run, Number: a.Number}, a.Append(nil), err
	}},
	{"Unsubscribe", []int32{IDUnsubscribe}, func(body []byte) (proto.Message, []byte, error) {
		var u Unsubscription
		err := u.Parse(body)
		encoded := u.Append(nil)
		if u.Key == (route.Key{}) {
			encoded = nil // written out, which the generated code never does
		}
		return &Unsubscribe{Modid: u.Key.Modid, Cmdid: u.Key.Cmdid}, encoded, err
	}},
}

func codecOf(id int32) (codec, bool) {
	for _, c := range codecs {
		if slices.Contains(c.ids, id) {
			return c, true
		}
	}
	return codec{}, false
}

// differs says in what the hand codec and the generated code disagree on a
// body, empty if in nothing.
func (c codec) differs(body []byte) string {
	want := newMessage[c.ids[0]]()
	wantErr := proto.Unmarshal(body, want)
	got, encoded, err := c.hand(body)
	switch {
	case (err == nil) != (wantErr == nil):
		return "acceptance"
	case err != nil && !errors.Is(err, ErrMessage):
		return "the kind of error"
	case err != nil:
		return ""
	}
	forgetUnknown(want.ProtoReflect())
	keepWithinLimits(want)
	if !proto.Equal(got, want) {
		return "value"
	}
	canonical, err := proto.MarshalOptions{Deterministic: true}.Marshal(want)
	if err != nil || !bytes.Equal(encoded, canonical) {
		return "encoding"
	}
	return ""
}

// keepWithinLimits makes of a message what the hand codec makes of it: it leaves
// out what is beyond a limit, and without a level what belongs to one.
func keepWithinLimits(m proto.Message) {
	var hosts []*HostInfo // of which only the address counts
	switch m := m.(type) {
	case *GetHostRequest:
		hosts = append(hosts, m.Avoid)
	case *GetHostResponse:
		hosts = append(hosts, m.Host)
	case *ReportRequest:
		hosts = append(hosts, m.Host)
	case *GetRouteRequest:
		if len(m.Zone) > route.MaxZone {
			m.Zone = ""
		}
	case *ReportStatusRequest:
		for _, r := range m.Results {
			if len(r.Latency) > MaxLatency {
				r.Latency = nil
			}
		}
	case *GetRouteResponse:
		m.Host = slices.DeleteFunc(m.Host, func(h *HostInfo) bool {
			_, err := route.NewHost(uint32(h.Ip), int64(h.Port))
			return err != nil
		})
		m.Settings = slices.DeleteFunc(m.Settings, func(s *Setting) bool { return len(s.Key) > route.MaxSetting || len(s.Value) > route.MaxSetting })
		m.Settings = m.Settings[:min(len(m.Settings), route.MaxSettings)]
		if m.Level > 0 {
			keepAttributes(m.Host)
			return
		}
		m.Settings, hosts = nil, m.Host
	}
	for _, h := range hosts {
		if h != nil {
			h.Weight, h.Zone = nil, ""
		}
	}
}

func keepAttributes(hosts []*HostInfo) {
	for _, h := range hosts {
		switch {
		case h.Weight == nil:
		case *h.Weight == route.DefaultWeight:
			h.Weight = nil
		case *h.Weight > route.MaxWeight:
			*h.Weight = route.MaxWeight
		}
		if len(h.Zone) > route.MaxZone {
			h.Zone = ""
		}
	}
}

// forgetUnknown drops the fields that only the generated code keeps.
func forgetUnknown(m protoreflect.Message) {
	m.SetUnknown(nil)
	m.Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case field.Message() == nil:
		case field.IsList():
			for i := range v.List().Len() {
				forgetUnknown(v.List().Get(i).Message())
			}
		default:
			forgetUnknown(v.Message())
		}
		return true
	})
}

func checkAll(t rapid.TB, body []byte) {
	t.Helper()
	for _, c := range codecs {
		if what := c.differs(body); what != "" {
			t.Errorf("%s: hand and generated code differ in %s on %x", c.name, what, body)
		}
	}
}

// oddBodies are messages on the border of what is one.
func oddBodies() map[string][]byte {
	varint := func(num protowire.Number, v uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(nil, num, protowire.VarintType), v)
	}
	sub := func(num protowire.Number, body []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), body)
	}
	addr, long := slices.Clip(append(varint(1, 1), varint(2, 1)...)), bytes.Repeat([]byte("z"), 200)
	overlong := []byte{0x08, 0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80}
	return map[string][]byte{
		"empty":                      {},
		"truncated tag":              {0x80},
		"tag without value":          {0x08},
		"truncated varint":           {0x08, 0x80},
		"field number 0":             {0x00, 0x01},
		"largest field number":       varint(protowire.MaxValidNumber, 1),
		"field number too large":     protowire.AppendVarint(nil, (uint64(protowire.MaxValidNumber)+1)<<3),
		"field number of 32 bits":    append(protowire.AppendVarint(nil, math.MaxInt32<<3), 1),
		"tag of 64 bits":             append(protowire.AppendVarint(nil, math.MaxUint64), 1),
		"overlong tag":               {0x88, 0x00, 0x05},
		"overlong tag, larger":       {0x88, 0x80, 0x80, 0x00, 0x05},
		"overlong varint of 1":       append(overlong, 0x00),
		"varint of 64 bits":          append(overlong, 0x01),
		"varint of 65 bits":          append(overlong, 0x02),
		"varint of 11 bytes":         append(overlong, 0x80, 0x00),
		"int32 cut from 64 bits":     varint(2, 1<<40|7),
		"field twice":                append(varint(2, 1), varint(2, 2)...),
		"field twice, then zero":     append(varint(2, 1), varint(2, 0)...),
		"host empty":                 append(sub(3, nil), sub(5, nil)...),
		"host twice, merged":         slices.Concat(sub(3, varint(1, 1)), sub(3, varint(2, 2)), sub(5, varint(1, 1)), sub(5, varint(2, 2))),
		"host with zeros":            append(sub(3, varint(1, 0)), sub(5, varint(2, 0))...),
		"host truncated":             {0x1a, 0x05, 0x08, 0x01},
		"host broken within":         {0x1a, 0x01, 0x08},
		"host of 2^63 bytes":         append(protowire.AppendTag(nil, 3, protowire.BytesType), 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01),
		"host as a varint":           append(varint(3, 1), varint(5, 1)...),
		"avoid empty, then merged":   slices.Concat(sub(10, nil), sub(10, varint(1, 1)), sub(10, varint(2, 2))),
		"avoid broken within":        sub(10, []byte{0x08}),
		"avoid as a varint":          varint(10, 1),
		"kind of 64 bits":            varint(12, 1<<40|99),
		"latency of 64 bits":         varint(11, 1<<40|7),
		"host with weight and zone":  slices.Concat(sub(3, slices.Concat(addr, varint(10, 7), sub(11, []byte("eu1")))), varint(15, 1)),
		"host drained":               slices.Concat(sub(3, slices.Concat(addr, varint(10, 0))), varint(15, 1)),
		"host of weight 100":         slices.Concat(sub(3, slices.Concat(addr, varint(10, 100))), varint(15, 1)),
		"weight too large":           slices.Concat(sub(3, slices.Concat(addr, varint(10, 1<<32-1))), varint(15, 1)),
		"weight of 64 bits":          slices.Concat(sub(3, slices.Concat(addr, varint(10, 1<<40|7))), varint(15, 1)),
		"zone of 32 and 33 bytes":    slices.Concat(sub(3, append(addr, sub(11, long[:32])...)), sub(3, append(addr, sub(11, long[:33])...)), varint(15, 1)),
		"zone twice":                 slices.Concat(sub(3, slices.Concat(addr, sub(11, []byte("a")), sub(11, nil))), varint(15, 1)),
		"zone that is not UTF-8":     slices.Concat(sub(3, append(addr, sub(11, []byte{0xff})...)), sub(5, sub(11, []byte{0xff})), sub(10, sub(11, []byte{0xff})), varint(15, 1)),
		"zone as a varint":           slices.Concat(sub(3, append(addr, varint(11, 1)...)), varint(15, 1)),
		"zone of an agent":           append(sub(11, []byte("eu1")), varint(12, 1)...),
		"zone of an agent, too long": slices.Concat(sub(11, []byte("eu1")), sub(11, long[:33])),
		"attributes without a level": slices.Concat(sub(3, slices.Concat(addr, varint(10, 7), sub(11, []byte("eu1")))), sub(16, sub(1, []byte("a")))),
		"settings":                   slices.Concat(varint(15, 1), sub(16, append(sub(1, []byte("a")), sub(2, []byte("1"))...)), sub(16, nil)),
		"setting too long":           slices.Concat(varint(15, 1), sub(16, sub(1, long[:128])), sub(16, sub(1, long[:129])), sub(16, sub(2, long[:129]))),
		"33 settings":                append(varint(15, 1), bytes.Repeat(sub(16, sub(1, []byte("a"))), 33)...),
		"setting that is not UTF-8":  slices.Concat(varint(15, 1), sub(16, sub(2, []byte{0xff}))),
		"setting broken within":      sub(16, []byte{0x08}),
		"result of 256 bytes more":   slices.Concat(sub(4, slices.Concat(addr, sub(17, bytes.Repeat(long, 2)[:256]), varint(20, 7))), varint(13, 1500)),
		"result of 257 bytes more":   sub(4, slices.Concat(sub(17, []byte("a")), sub(17, bytes.Repeat(long, 2)[:257]), varint(18, 1))),
		"result's latency empty":     sub(4, slices.Concat(sub(17, []byte("a")), sub(17, nil), varint(19, 1<<40|7))),
		"result's latency a varint":  sub(4, slices.Concat(varint(17, 7), varint(16, 1<<40|7), varint(15, 1<<40|7))),
		"number as bytes":            append(sub(1, []byte("x")), sub(10, nil)...),
		"unknown of every wire type": {0x78, 0x01, 0x79, 1, 2, 3, 4, 5, 6, 7, 8, 0x7a, 0x01, 0x00, 0x7d, 1, 2, 3, 4},
		"unknown in the host":        sub(3, sub(7, []byte("x"))),
		"group":                      {0x7b, 0x08, 0x01, 0x7c},
		"group in a group":           {0x7b, 0x0b, 0x0c, 0x7c},
		"group without end":          {0x7b, 0x08, 0x01},
		"group with another's end":   {0x7b, 0x74},
		"end without a group":        {0x7c},
		"known field as a group":     {0x0b, 0x0c},
		"host as a group":            {0x1b, 0x1c, 0x2b, 0x2c},
		"wire type 6":                {0x0e, 0x01},
		"wire type 7":                {0x0f, 0x01},
		"groups 10,000 deep":         slices.Concat(bytes.Repeat([]byte{0x7b}, 10_000), bytes.Repeat([]byte{0x7c}, 10_000)),
		"groups 10,002 deep":         slices.Concat(bytes.Repeat([]byte{0x7b}, 10_002), bytes.Repeat([]byte{0x7c}, 10_002)),
	}
}

func TestWireOddBodies(t *testing.T) {
	for name, body := range oddBodies() {
		t.Run(name, func(t *testing.T) { checkAll(t, body) })
	}
}

// drawField draws the bytes of one field, most often a right one.
func drawField(t *rapid.T) []byte {
	numbers := []uint64{0, 1, 2, 3, 4, 5, 6, 10, 11, 12, 13, 14, 15, 16, 1<<29 - 1, 1 << 29, 1<<31 - 1, 1 << 31}
	num := rapid.OneOf(rapid.SampledFrom(numbers[1:13]), rapid.SampledFrom(numbers)).Draw(t, "number")
	typ := rapid.OneOf(rapid.SampledFrom([]uint64{0, 2}), rapid.Uint64Range(0, 7)).Draw(t, "type")
	b := protowire.AppendVarint(nil, num<<3|typ)
	switch protowire.Type(typ) {
	case protowire.VarintType:
		v := rapid.OneOf(rapid.Uint64Range(0, 200), rapid.Uint64()).Draw(t, "value")
		return protowire.AppendVarint(b, v)
	case protowire.BytesType:
		var body []byte
		for range rapid.IntRange(0, 2).Draw(t, "fields") {
			body = append(body, drawField(t)...)
		}
		return protowire.AppendBytes(b, body)
	}
	return append(b, rapid.SliceOfN(rapid.Byte(), 0, 9).Draw(t, "rest")...)
}

func TestWireEqualsGenerated(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var body []byte
		for range rapid.IntRange(0, 5).Draw(t, "fields") {
			body = append(body, drawField(t)...)
		}
		cut := rapid.OneOf(rapid.Just(len(body)), rapid.IntRange(0, len(body))).Draw(t, "cut")
		checkAll(t, body[:cut])
	})
}

func FuzzWire(f *testing.F) {
	for _, body := range oddBodies() {
		f.Add(body)
	}
	for _, v := range loadVectors(f) {
		f.Add(v.bytes(f)[HeaderSize:])
	}
	f.Fuzz(func(t *testing.T, body []byte) { checkAll(t, body) })
}

// Every value comes back from its own bytes, and Append only appends.
func TestWireRoundTrip(t *testing.T) {
	i32 := rapid.OneOf(rapid.Just(int32(0)), rapid.Int32())
	u32 := rapid.OneOf(rapid.Just(uint32(0)), rapid.Uint32())
	rapid.Check(t, func(t *rapid.T) {
		want := HostAnswer{
			Seq: u32.Draw(t, "seq"), Modid: i32.Draw(t, "modid"), Cmdid: i32.Draw(t, "cmdid"),
			Retcode: i32.Draw(t, "retcode"), HasHost: rapid.Bool().Draw(t, "has host"),
			Ticket: rapid.Uint64().Draw(t, "ticket"),
		}
		if want.HasHost {
			want.IP, want.Port = i32.Draw(t, "ip"), i32.Draw(t, "port")
		}
		roundTrip(t, want, HostAnswer.Append, (*HostAnswer).Parse)
		query := HostQuery{want.Seq, want.Modid, want.Cmdid, want.HasHost, want.IP, want.Port, u32.Draw(t, "level")}
		roundTrip(t, query, HostQuery.Append, (*HostQuery).Parse)
		zone := rapid.SampledFrom([]string{"", "eu1", "Köln"}).Draw(t, "zone")
		roundTrip(t, RouteQuery{want.Modid, want.Cmdid, want.Seq, zone, u32.Draw(t, "level")}, RouteQuery.Append, (*RouteQuery).Parse)
		report := CallReport{
			want.Modid, want.Cmdid, want.HasHost, want.IP, want.Port, want.Retcode,
			want.Ticket, u32.Draw(t, "latency"), Kind(i32.Draw(t, "kind")),
		}
		roundTrip(t, report, CallReport.Append, (*CallReport).Parse)
	})
}

func roundTrip[T comparable](t *rapid.T, want T, encode func(T, []byte) []byte, parse func(*T, []byte) error) {
	encoded := encode(want, []byte("before"))
	body, ok := bytes.CutPrefix(encoded, []byte("before"))
	if !ok {
		t.Fatalf("Append changed what was there: %q", encoded)
	}
	var got T
	if err := parse(&got, body); err != nil || got != want {
		t.Fatalf("got %+v, %v; want %+v", got, err, want)
	}
	checkAll(t, body)
}

func TestWireAllocations(t *testing.T) {
	buf := make([]byte, 0, 128)
	hosts, results := make([]route.Endpoint, 0, 20), make([]CallResult, 0, 20)
	answer := RouteAnswer{Key: route.Key{Modid: 1, Cmdid: 2}, Hosts: manyHosts(10, true), Version: 1 << 40, Level: Level}
	report := longestReport(10)
	buf = slices.Grow(buf, 1000)
	broken := []byte{0x08}
	tests := map[string]func(){
		"GetHostRequest":  func() { var m HostQuery; buf = benchQuery.Append(buf[:0]); _ = m.Parse(buf) },
		"GetHostResponse": func() { var m HostAnswer; buf = benchAnswer.Append(buf[:0]); _ = m.Parse(buf) },
		"ReportRequest":   func() { var m CallReport; buf = benchReport.Append(buf[:0]); _ = m.Parse(buf) },
		"GetHostRequest of level 1": func() {
			var m HostQuery
			buf = HostQuery{Seq: 1, HasAvoid: true, AvoidIP: -1, AvoidPort: 1, Level: Level}.Append(buf[:0])
			_ = m.Parse(buf)
		},
		"GetHostResponse with ticket": func() {
			var m HostAnswer
			buf = HostAnswer{Seq: 1, HasHost: true, IP: -1, Port: 1, Ticket: 1 << 63}.Append(buf[:0])
			_ = m.Parse(buf)
		},
		"ReportRequest with ticket": func() {
			var m CallReport
			buf = CallReport{HasHost: true, IP: -1, Port: 1, Ticket: 1 << 63, LatencyUS: 1 << 31, Kind: -1}.Append(buf[:0])
			_ = m.Parse(buf)
		},
		"GetRouteRequest": func() { var m RouteQuery; buf = benchRoute.Append(buf[:0]); _ = m.Parse(buf) },
		"GetRouteResponse": func() {
			m := RouteAnswer{Hosts: hosts[:0]}
			buf = answer.Append(buf[:0], MaxBody)
			_ = m.Parse(buf)
		},
		"ReportStatusRequest": func() {
			m := StatusReport{Results: results[:0]}
			buf, _ = report.Append(buf[:0], MaxBody)
			_ = m.Parse(buf)
		},
		"Ping":        func() { var m Echo; buf = Echo{1 << 40}.Append(buf[:0]); _ = m.Parse(buf) },
		"ReportAck":   func() { var m Ack; buf = Ack{1 << 63, 7}.Append(buf[:0]); _ = m.Parse(buf) },
		"Unsubscribe": func() { var m Unsubscription; buf = Unsubscription{}.Append(buf[:0]); _ = m.Parse(buf) },
		"broken body": func() { var m CallReport; _ = m.Parse(broken) },
	}
	for name, f := range tests {
		if allocs := testing.AllocsPerRun(1000, f); allocs != 0 {
			t.Errorf("%s: %v allocations, want 0", name, allocs)
		}
	}
}
