package reactor

import (
	"testing"

	"golang.org/x/sys/unix"
)

// BenchmarkDispatch is what a frame costs between the read and the write, in a
// batch of 64 that are echoed.
func BenchmarkDispatch(b *testing.B) {
	router := NewRouter[*Conn]()
	router.Handle(1, func(c *Conn, body []byte) { c.Reply(1, body) })
	k := newCrank(b, unix.SOCK_STREAM, &endpoint{router: router})
	defer k.close()
	const frames = 64
	var batch []byte
	for range frames {
		batch = appendFrame(batch, 1, make([]byte, 16))
	}
	c := k.conn
	c.inBatch = true
	b.ReportAllocs()
	for b.Loop() {
		rest, err := c.dispatch(batch, &turn{bytes: readBudget, messages: messageBudget})
		if len(rest) > 0 || err != nil {
			b.Fatal(len(rest), err)
		}
		c.writing, c.replied = c.writing[:0], 0
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/frames, "ns/frame")
}
