package larspb

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"os"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// vector is a frame that a C++ peer sent or accepted, or one of level 1.
type vector struct {
	Name   string
	Msgid  int32
	Fields map[string]any
	Frame  string `json:"frame_hex"`
}

// newMessage holds the type of the body of each message id that has a codec or
// a vector.
var newMessage = map[int32]func() proto.Message{
	IDGetRouteRequest:     func() proto.Message { return new(GetRouteRequest) },
	IDGetRouteResponse:    func() proto.Message { return new(GetRouteResponse) },
	IDReportStatusRequest: func() proto.Message { return new(ReportStatusRequest) },
	IDGetHostRequest:      func() proto.Message { return new(GetHostRequest) },
	IDGetHostResponse:     func() proto.Message { return new(GetHostResponse) },
	IDReportRequest:       func() proto.Message { return new(ReportRequest) },
	IDAPIGetRouteRequest:  func() proto.Message { return new(GetRouteRequest) },
	IDAPIGetRouteResponse: func() proto.Message { return new(GetRouteResponse) },
	IDUnsubscribe:         func() proto.Message { return new(Unsubscribe) },
	IDReportAck:           func() proto.Message { return new(ReportAck) },
	IDPing:                func() proto.Message { return new(Ping) },
	IDPong:                func() proto.Message { return new(Pong) },
}

func loadVectors(t testing.TB) []vector {
	t.Helper()
	var all []vector
	for _, file := range []string{"testdata/vectors.json", "testdata/level1.json"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var vectors []vector
		if err := json.Unmarshal(text, &vectors); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if len(vectors) == 0 {
			t.Fatalf("%s: no vectors", file)
		}
		all = append(all, vectors...)
	}
	return all
}

func (v vector) bytes(t testing.TB) []byte {
	t.Helper()
	frame, err := hex.DecodeString(v.Frame)
	if err != nil {
		t.Fatal(err)
	}
	return frame
}

// message builds the message that the vector's fields describe.
func (v vector) message(t testing.TB) proto.Message {
	t.Helper()
	numberAddresses(t, v.Fields)
	text, err := json.Marshal(v.Fields)
	if err != nil {
		t.Fatal(err)
	}
	m := newMessage[v.Msgid]()
	if err := protojson.Unmarshal(text, m); err != nil {
		t.Fatal(err)
	}
	return m
}

// numberAddresses replaces dotted addresses by the integers of the messages.
func numberAddresses(t testing.TB, v any) {
	t.Helper()
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			numberAddresses(t, e)
		}
	case map[string]any:
		for key, e := range v {
			text, ok := e.(string)
			if !ok {
				numberAddresses(t, e)
			}
			if !ok || key != "ip" && key != "caller" {
				continue
			}
			a, err := netip.ParseAddr(text)
			if err != nil {
				t.Fatalf("%s: %v", key, err)
			}
			v[key] = IPOf(a)
		}
	}
}

func TestVectors(t *testing.T) {
	for _, v := range loadVectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			frame, want := v.bytes(t), v.message(t)
			id, body, err := ParseFrame(frame)
			if err != nil || id != v.Msgid {
				t.Fatalf("ParseFrame: id %d, %v; want %d", id, err, v.Msgid)
			}
			got := newMessage[id]()
			if err := proto.Unmarshal(body, got); err != nil || !proto.Equal(got, want) {
				t.Errorf("decoded %v, %v\nwant    %v", got, err, want)
			}
			encoded, err := AppendFrame([]byte("before"), id, want)
			if err != nil || !bytes.Equal(encoded, append([]byte("before"), frame...)) {
				t.Errorf("encoded %x, %v\nwant    %x", encoded, err, frame)
			}
		})
	}
}

func TestVectorsByHand(t *testing.T) {
	for _, v := range loadVectors(t) {
		c, ok := codecOf(v.Msgid)
		if !ok {
			continue
		}
		t.Run(v.Name, func(t *testing.T) {
			body, want := v.bytes(t)[HeaderSize:], v.message(t)
			got, encoded, err := c.hand(body)
			if err != nil || !proto.Equal(got, want) {
				t.Errorf("decoded %v, %v\nwant    %v", got, err, want)
			}
			if !bytes.Equal(encoded, body) {
				t.Errorf("encoded %x\nwant    %x", encoded, body)
			}
		})
	}
}
