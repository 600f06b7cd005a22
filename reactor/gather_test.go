package reactor

import (
	"bytes"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

// The original answers each message by an event of its own: about 7 system
// calls per echo. Here the answers to all that one read brought share a write,
// which a socket that keeps the bounds of writes shows.
func TestDefect39AnswersOfABatchShareAWrite(t *testing.T) {
	k := newCrank(t, unix.SOCK_SEQPACKET, &endpoint{router: echoes()})
	defer k.close()
	for _, n := range []int{1, 100, messageBudget} {
		k.write(bytes.Repeat(frame(1, "hello"), n))
		if got, want := k.record(), bytes.Repeat(frame(2, "hello"), n); !bytes.Equal(got, want) {
			t.Errorf("the first write has %d bytes, want the %d of %d answers", len(got), len(want), n)
		}
		if more := k.record(); more != nil {
			t.Errorf("a second write has %d bytes", len(more))
		}
	}
}

// What is sent by one task, or by another goroutine before the loop gets to
// it, shares a write too.
func TestSendsOfATaskShareAWrite(t *testing.T) {
	k := newCrank(t, unix.SOCK_SEQPACKET, &endpoint{router: echoes()})
	defer k.close()
	for range 10 {
		k.conn.Send(3, []byte("pushed"))
	}
	k.turn(0)
	if got, want := k.record(), bytes.Repeat(frame(3, "pushed"), 10); !bytes.Equal(got, want) {
		t.Errorf("the first write has %d bytes, want %d", len(got), len(want))
	}
}

func TestSingleFrameWrites(t *testing.T) {
	k := newCrank(t, unix.SOCK_SEQPACKET, &endpoint{router: echoes(), cfg: ConnConfig{SingleFrameWrites: true}})
	defer k.close()
	var requests []byte
	for i := range 100 {
		requests = append(requests, frame(1, numbered(i))...)
	}
	k.write(append(requests, frame(1, "")...))
	for i := range 100 {
		if got, want := k.record(), frame(2, numbered(i)); !bytes.Equal(got, want) {
			t.Fatalf("write %d is %q, want %q", i, got, want)
		}
	}
	if got := k.record(); !bytes.Equal(got, frame(2, "")) {
		t.Errorf("the write of the empty body is %q", got)
	}
}

// A frame whose write was cut short goes on where it was cut, and only the
// rest of it is in the next write.
func TestSingleFrameWritesCutShort(t *testing.T) {
	for _, cut := range []int{1, HeaderSize - 1, HeaderSize, HeaderSize + 3} {
		t.Run(fmt.Sprint(cut), func(t *testing.T) {
			c := &Conn{end: &endpoint{cfg: ConnConfig{SingleFrameWrites: true}}, loop: NewLoop(nil)}
			c.writing = append(frame(1, "first"), frame(2, "second")...)
			if got := c.chunk(); !bytes.Equal(got, frame(1, "first")) {
				t.Fatalf("the first write is %q", got)
			}
			c.wrote(cut)
			if got := c.chunk(); !bytes.Equal(got, frame(1, "first")[cut:]) {
				t.Fatalf("the rest is %q", got)
			}
			c.wrote(HeaderSize + 5 - cut)
			if got := c.chunk(); !bytes.Equal(got, frame(2, "second")) {
				t.Fatalf("the second write is %q", got)
			}
		})
	}
}

func TestSingleFrameWritesToASlowReader(t *testing.T) {
	const n = 300
	s := serve(t, ServerConfig{Conn: ConnConfig{SingleFrameWrites: true, HighWater: 100 << 10}})
	p := dialSlowPeer(t, s.Addr())
	go p.Write(bytes.Repeat(frame(1, big), n)) // ends with the deadline of p
	for range n {
		p.want(2, big)
	}
}
