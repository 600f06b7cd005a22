package larspb

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

func TestParseFrame(t *testing.T) {
	tests := []struct {
		name, datagram string // hex
		id             int32
		body           string
		err            error
	}{
		{"empty body", "01000000 00000000", 1, "", nil},
		{"body", "04000000 02000000 0801", 4, "0801", nil},
		{"negative id", "ffffffff 00000000", -1, "", nil},
		{"nothing", "", 0, "", ErrFrame},
		{"short header", "01000000 000000", 0, "", ErrFrame},
		{"body too short", "01000000 02000000 08", 0, "", ErrFrame},
		{"a byte too many", "01000000 02000000 080100", 0, "", ErrFrame},
		{"negative length", "01000000 ffffffff", 0, "", ErrFrame},
		{"length that wraps to the right one", "01000000 00000080", 0, "", ErrFrame},
		{"two frames", "01000000 00000000 01000000 00000000", 0, "", ErrFrame},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			datagram, err := hex.DecodeString(strings.ReplaceAll(tt.datagram, " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			id, body, err := ParseFrame(datagram)
			if id != tt.id || hex.EncodeToString(body) != tt.body || !errors.Is(err, tt.err) {
				t.Errorf("got %d, %x, %v; want %d, %s, %v", id, body, err, tt.id, tt.body, tt.err)
			}
		})
	}
}

func TestAppendFrameLimit(t *testing.T) {
	// A host in a list costs two bytes more than its own.
	hosts := func(n int) *GetRouteResponse {
		m := &GetRouteResponse{}
		for range n {
			m.Host = append(m.Host, &HostInfo{Ip: 1})
		}
		return m
	}
	const perHost = 4
	fits := MaxBody / perHost
	frame, err := AppendFrame(nil, IDGetRouteResponse, hosts(fits))
	if err != nil || len(frame) != HeaderSize+fits*perHost {
		t.Fatalf("%d hosts: %d bytes, %v", fits, len(frame), err)
	}
	if _, body, err := ParseFrame(frame); err != nil || len(body) != fits*perHost {
		t.Errorf("ParseFrame: %d bytes, %v", len(body), err)
	}
	before := []byte("before")
	frame, err = AppendFrame(before, IDGetRouteResponse, hosts(fits+1))
	if err == nil || !strings.Contains(err.Error(), "limit of 65527") || !bytes.Equal(frame, before) {
		t.Errorf("%d hosts: %d bytes, %v; want the limit named and nothing appended", fits+1, len(frame), err)
	}
}

// Defect 2: a frame with an empty body aborts the original's dns service. An
// empty body is the message whose fields are all zero.
func TestDefect2EmptyBody(t *testing.T) {
	for id, fresh := range newMessage {
		frame, err := AppendFrame(nil, id, fresh())
		if err != nil || len(frame) != HeaderSize {
			t.Errorf("message %d: %x, %v; want a header alone", id, frame, err)
		}
	}
	for _, c := range codecs {
		if what := c.differs(nil); what != "" {
			t.Errorf("%s: hand and generated code differ in %s", c.name, what)
		}
	}
}

func FuzzParseFrame(f *testing.F) {
	for _, v := range loadVectors(f) {
		f.Add(v.bytes(f))
	}
	f.Add([]byte{1, 0, 0, 0, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, datagram []byte) {
		id, body, err := ParseFrame(datagram)
		if err != nil {
			return
		}
		again := make([]byte, HeaderSize, len(datagram))
		PutHeader(again, id, len(body))
		if again = append(again, body...); !bytes.Equal(again, datagram) {
			t.Errorf("%x reads as id %d, body %x", datagram, id, body)
		}
	})
}
