package client

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"lars.internal/larspb"
)

type vector struct {
	Name   string
	Msgid  int32
	Hex    string `json:"frame_hex"`
	Fields struct {
		Seq     uint32
		Modid   int32
		Cmdid   int32
		Retcode int32
		Host    json.RawMessage
	}
}

func (v vector) frame(t *testing.T) []byte {
	b, err := hex.DecodeString(v.Hex)
	if err != nil {
		t.Fatalf("%s: %v", v.Name, err)
	}
	return b
}

func readVectors(t *testing.T) []vector {
	data, err := os.ReadFile("../larspb/testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []vector
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	return vectors
}

// What the client sends is, byte for byte, what C++ programs send.
func TestRequestsEqualCapturedFrames(t *testing.T) {
	got := make(chan request, 1)
	agent := startAgent(t, func(r request) {
		got <- r
		switch r.id {
		case larspb.IDGetHostRequest:
			r.reply(r.answer(0, goodHost))
		case larspb.IDAPIGetRouteRequest:
			r.reply(r.routes(goodHost))
		}
	})
	c := agent.newClient(testTimeout)
	compared := 0
	for _, v := range readVectors(t) {
		want := v.frame(t)
		if !v.ask(t, c, &want) {
			continue
		}
		compared++
		if r := receive(t, got); string(r.frame) != string(want) {
			t.Errorf("%s: sent %x, want %x", v.Name, r.frame, want)
		}
	}
	if compared != 5 {
		t.Errorf("%d vectors are requests with a number, want 5", compared)
	}
}

// ask makes the client send the request of v; false if v is none. A route
// question has a number here, which C++ programs leave out: it is added to
// the wanted frame.
func (v vector) ask(t *testing.T, c *Client, want *[]byte) bool {
	var err error
	switch {
	case v.Msgid == larspb.IDGetHostRequest && v.Fields.Seq != 0:
		c.lastSeq.Store(v.Fields.Seq - 1)
		_, err = c.GetHost(testContext(t), v.Fields.Modid, v.Fields.Cmdid)
	case v.Msgid == larspb.IDAPIGetRouteRequest:
		c.lastSeq.Store(4)
		*want = withSeq(*want, 5)
		_, err = c.GetRoute(testContext(t), v.Fields.Modid, v.Fields.Cmdid)
	case v.Msgid == larspb.IDReportRequest:
		var callErr error
		if v.Fields.Retcode != 0 {
			callErr = errors.New("failed")
		}
		err = c.Report(v.Fields.Modid, v.Fields.Cmdid, v.host(t), callErr)
	default:
		return false
	}
	if err != nil {
		t.Fatalf("%s: %v", v.Name, err)
	}
	return true
}

func (v vector) host(t *testing.T) netip.AddrPort {
	var h struct {
		IP   netip.Addr
		Port uint16
	}
	if err := json.Unmarshal(v.Fields.Host, &h); err != nil {
		t.Fatalf("%s: %v", v.Name, err)
	}
	return netip.AddrPortFrom(h.IP, h.Port)
}

// withSeq adds the number, field 10, to a route question.
func withSeq(frame []byte, seq uint64) []byte {
	b := protowire.AppendVarint(protowire.AppendTag(frame, 10, protowire.VarintType), seq)
	larspb.PutHeader(b, larspb.IDAPIGetRouteRequest, len(b)-larspb.HeaderSize)
	return b
}

// A captured answer, with the number that was asked for, is understood.
func TestCapturedAnswersAreUnderstood(t *testing.T) {
	frames := map[int32][]byte{}
	for _, v := range readVectors(t) {
		frames[v.Msgid] = v.frame(t)
	}
	agent := startAgent(t, func(r request) {
		if r.id == larspb.IDAPIGetRouteRequest {
			r.reply(frames[larspb.IDAPIGetRouteResponse])
			return
		}
		// The captured number is 0, which is left out: put the asked one before.
		body := protowire.AppendVarint(protowire.AppendTag(make([]byte, larspb.HeaderSize), 1, protowire.VarintType), uint64(r.seq))
		body = append(body, frames[larspb.IDGetHostResponse][larspb.HeaderSize:]...)
		larspb.PutHeader(body, larspb.IDGetHostResponse, len(body)-larspb.HeaderSize)
		r.reply(body)
	})
	c := agent.newClient(testTimeout)
	wantHost(t, c, "192.168.1.113:7777")
	if addr, err := getFirst(c, testContext(t)); err != nil || addr.String() != "192.168.1.113:7777" {
		t.Errorf("route: %v, %v", addr, err)
	}
}
