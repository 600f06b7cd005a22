package reactor

import (
	"bytes"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// got is a frame that reached a handler.
type got struct {
	ID   int32
	Body string
}

// collect returns a router that adds every frame to *frames.
func collect(frames *[]got) *Router[*Conn] {
	r := NewRouter[*Conn]()
	r.HandleOther(func(_ *Conn, id int32, body []byte) { *frames = append(*frames, got{id, string(body)}) })
	return r
}

// dumbFrames is the frame format in its plainest form: it takes whole frames
// off the front until there is none, or a length that cannot be.
func dumbFrames(b []byte, maxFrame int) (frames []got, valid bool) {
	for len(b) >= 8 {
		id := int32(b[0]) | int32(b[1])<<8 | int32(b[2])<<16 | int32(b[3])<<24
		size := int32(b[4]) | int32(b[5])<<8 | int32(b[6])<<16 | int32(b[7])<<24
		if size < 0 || int(size) > maxFrame {
			return frames, false
		}
		if len(b) < 8+int(size) {
			break
		}
		frames = append(frames, got{id, string(b[8 : 8+size])})
		b = b[8+size:]
	}
	return frames, true
}

// mixedStream is a stream of frames that meets the edges of the parser: empty
// bodies, negative ids, and a body beyond the smallest buffer.
func mixedStream() []byte {
	return slices.Concat(
		frame(1, ""), frame(-1, "x"), frame(7, ""), frame(math.MaxInt32, "hello, world"),
		frame(2, strings.Repeat("long", 1100)), frame(math.MinInt32, ""), frame(3, "end"),
	)
}

// The original's TCP client takes whatever a read brought for whole frames,
// and its server keeps partial ones in a buffer that it moves wrongly.
func TestDefect06StreamCutAtEveryByte(t *testing.T) {
	stream := mixedStream()
	want, _ := dumbFrames(stream, DefaultMaxFrame)
	for cut := range len(stream) + 1 {
		var frames []got
		k := newCrank(t, unix.SOCK_STREAM, &endpoint{router: collect(&frames)})
		k.write(stream[:cut])
		k.write(stream[cut:])
		k.close()
		if diff := cmp.Diff(want, frames); diff != "" {
			t.Fatalf("cut at byte %d (-want +got):\n%s", cut, diff)
		}
	}
}

func TestStreamByteByByte(t *testing.T) {
	stream := mixedStream()
	want, _ := dumbFrames(stream, DefaultMaxFrame)
	var frames []got
	k := newCrank(t, unix.SOCK_STREAM, &endpoint{router: collect(&frames)})
	defer k.close()
	for i := range stream {
		k.write(stream[i : i+1])
	}
	if diff := cmp.Diff(want, frames); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// cutStream is short, for the tests that wait for each piece to arrive.
func cutStream() []byte {
	return slices.Concat(frame(1, "first"), frame(1, ""), frame(1, "third one"))
}

func TestServerTakesStreamCutAnywhere(t *testing.T) {
	s := serve(t, ServerConfig{})
	stream := cutStream()
	for cut := range len(stream) + 1 {
		p := dialPeer(t, s.Addr())
		before := s.Loops()[0].Stats().BytesIn
		p.write(stream[:cut])
		eventually(t, "the first piece is read", func() bool {
			return s.Loops()[0].Stats().BytesIn == before+uint64(cut)
		})
		p.write(stream[cut:])
		p.want(2, "first")
		p.want(2, "")
		p.want(2, "third one")
		p.Close()
	}
}

func TestClientTakesStreamCutAnywhere(t *testing.T) {
	addr, accept := listenPeer(t)
	c, _ := connect(t, ClientConfig{Addrs: []netip.AddrPort{addr}, Router: echoes()})
	p := accept()
	stream := cutStream()
	for cut := range len(stream) + 1 {
		before := c.Loop().Stats().BytesIn
		p.write(stream[:cut])
		eventually(t, "the first piece is read", func() bool {
			return c.Loop().Stats().BytesIn == before+uint64(cut)
		})
		p.write(stream[cut:])
		p.want(2, "first")
		p.want(2, "")
		p.want(2, "third one")
	}
}

// In the original, any peer that sends one 8-byte frame with msglen 0 aborts
// the process by an assertion.
func TestDefect02EmptyBodyIsAMessage(t *testing.T) {
	s := serve(t, ServerConfig{})
	p := dialPeer(t, s.Addr())
	for range 3 {
		p.send(1, "")
		p.want(2, "")
	}
	p.write(bytes.Repeat(frame(1, ""), 2000))
	for range 2000 {
		p.want(2, "")
	}
}

func TestFramesLargerThanTheReadBuffer(t *testing.T) {
	limits := ConnConfig{MaxFrame: 3 << 20, HardCap: 16 << 20}
	s := serve(t, ServerConfig{Conn: limits})
	p := dialPeer(t, s.Addr())
	sizes := []int{
		readBufferSize - HeaderSize - 1, readBufferSize - HeaderSize, readBufferSize - HeaderSize + 1,
		readBufferSize, readBudget, 300_000, 1 << 20, 3 << 20,
	}
	for _, size := range sizes {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			body := strings.Repeat("0123456789abcdef", size/16+1)[:size]
			sent := make(chan error, 1)
			go func() { // ends with the deadline of p
				_, err := p.Write(slices.Concat(frame(1, "before"), frame(1, body), frame(1, "after")))
				sent <- err
			}()
			p.want(2, "before")
			p.want(2, body)
			p.want(2, "after")
			if err := <-sent; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFrameLengthOutOfRangeEndsTheConnection(t *testing.T) {
	const limit = 100
	for _, size := range []int32{-1, math.MinInt32, limit + 1, math.MaxInt32} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			onClose, closed := closes(1)
			s := serve(t, ServerConfig{OnClose: onClose, Conn: ConnConfig{MaxFrame: limit}})
			p := dialPeer(t, s.Addr())
			longest := strings.Repeat("x", limit)
			p.write(slices.Concat(frame(1, longest), badHeader(size), frame(1, "never seen")))
			p.want(2, longest)
			p.wantEOF()
			p.Close()
			if reason := await(t, closed, "close hook"); reason != ErrFrame {
				t.Errorf("closed for %v, want %v", reason, ErrFrame)
			}
		})
	}
}

func TestSendChecksTheLimit(t *testing.T) {
	s := serve(t, ServerConfig{Conn: ConnConfig{MaxFrame: 10}, OnStart: func(c *Conn) {
		if err := c.Send(1, make([]byte, 11)); err != ErrTooLong {
			t.Errorf("Send of 11 bytes: %v, want %v", err, ErrTooLong)
		}
		if err := c.Send(1, make([]byte, 10)); err != nil {
			t.Errorf("Send of 10 bytes: %v", err)
		}
	}})
	dialPeer(t, s.Addr()).want(1, string(make([]byte, 10)))
}

// FuzzFrames gives arbitrary bytes in arbitrary pieces to a connection and
// wants the frames, and the verdict, of a parser without any cleverness.
func FuzzFrames(f *testing.F) {
	const limit = 300
	f.Add(mixedStream(), []byte{1, 2, 3, 5, 8, 13})
	f.Add(bytes.Repeat(frame(1, ""), 2*messageBudget), []byte{0})
	f.Add(slices.Concat(frame(1, "a"), badHeader(-1), frame(1, "b")), []byte{4, 9})
	f.Add(slices.Concat(frame(1, "a"), badHeader(limit+1)), []byte{17})
	f.Add(frame(9, strings.Repeat("x", limit)), []byte{8, 255})
	f.Fuzz(func(t *testing.T, stream, cuts []byte) {
		if len(stream) > 64<<10 {
			t.Skip("does not fit into the socket at once")
		}
		var frames []got
		k := newCrank(t, unix.SOCK_STREAM, &endpoint{router: collect(&frames), cfg: ConnConfig{MaxFrame: limit}})
		defer k.close()
		rest := stream
		for _, cut := range cuts {
			n := min(int(cut), len(rest))
			k.write(rest[:n])
			rest = rest[n:]
		}
		k.write(rest)

		want, valid := dumbFrames(stream, limit)
		if diff := cmp.Diff(want, frames); diff != "" {
			t.Errorf("frames (-want +got):\n%s", diff)
		}
		if open := k.conn.state == stateOpen; open != valid {
			t.Errorf("connection is open: %v, want %v", open, valid)
		}
		if !valid && k.conn.reason != ErrFrame {
			t.Errorf("reason %v, want %v", k.conn.reason, ErrFrame)
		}
	})
}

// After a frame that was split, reads went to the small buffer that held its
// beginning, until a frame happened to end with a read: 16,500 system calls
// instead of 520 for 64 MiB.
func TestFinding11SplitFrameDoesNotMakeReadsSmall(t *testing.T) {
	var frames []got
	k := newCrank(t, unix.SOCK_STREAM, &endpoint{router: collect(&frames)})
	defer k.close()
	const n = 60
	stream := bytes.Repeat(frame(1, big[:1000]), n)
	k.write(stream[:500])
	if _, err := unix.Write(k.peer, stream[500:len(stream)-500]); err != nil {
		t.Fatal(err)
	}
	k.conn.readable = true
	want := len(stream) - 1000
	if got, err := k.conn.readOnce(&turn{bytes: readBudget, messages: messageBudget}); got != want || err != nil {
		t.Errorf("one read took %d bytes, %v; want all %d", got, err, want)
	}
	k.write(stream[len(stream)-500:])
	if len(frames) != n {
		t.Errorf("%d frames, want %d", len(frames), n)
	}
}

// A frame that was split and whose handler pauses, or ends, the connection: what
// came after it waits, or is dropped.
func TestSplitFrameThatStopsTheReader(t *testing.T) {
	for name, want := range map[string]int{"pause": 5, "close": 1} {
		t.Run(name, func(t *testing.T) {
			handled := 0
			r := NewRouter[*Conn]()
			r.Handle(1, func(c *Conn, _ []byte) {
				if handled++; handled == 1 && name == "pause" {
					c.PauseReading()
				} else if handled == 1 {
					c.Close()
				}
			})
			k := newCrank(t, unix.SOCK_STREAM, &endpoint{router: r})
			defer k.close()
			stream := bytes.Repeat(frame(1, big[:3000]), 5)
			k.write(stream[:10])
			k.write(stream[10 : len(stream)-7])
			if handled != 1 {
				t.Fatalf("%d frames handled, want 1", handled)
			}
			k.conn.ResumeReading()
			k.write(stream[len(stream)-7:])
			if handled != want {
				t.Errorf("%d frames handled in the end, want %d", handled, want)
			}
		})
	}
}
