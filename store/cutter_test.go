package store

import (
	"bytes"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"lars.internal/internal/testdb"
)

// cutter stands between a client and a MySQL server and breaks the connection on
// which the next COMMIT comes.
type cutter struct {
	// Immutable.
	t      *testing.T
	server *testdb.Server
	listen net.Listener
	pass   bool   // the COMMIT reaches the server, and only its answer is lost
	after  func() // called when the connection has ended at the server, before the client sees it

	cuts atomic.Int64 // how many more COMMITs break
	down atomic.Bool  // no new connection is served

	mu    sync.Mutex // guards conns
	conns []net.Conn
}

func newCutter(t *testing.T, server *testdb.Server, pass bool, after func()) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{t: t, server: server, listen: l, pass: pass, after: after}
	var done sync.WaitGroup
	done.Go(func() { c.accept(&done) })
	t.Cleanup(func() {
		l.Close()
		c.mu.Lock()
		for _, conn := range c.conns {
			conn.Close()
		}
		c.mu.Unlock()
		done.Wait()
	})
	return c
}

func (c *cutter) dsn() string {
	return "mysql://" + url.UserPassword(testdb.User, testdb.Password).String() + "@" +
		c.listen.Addr().String() + "/" + c.server.Database()
}

func (c *cutter) accept(done *sync.WaitGroup) {
	for {
		client, err := c.listen.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", c.server.Addr())
		if err != nil || c.down.Load() {
			client.Close()
			if server != nil {
				server.Close()
			}
			continue
		}
		c.mu.Lock()
		c.conns = append(c.conns, client, server)
		c.mu.Unlock()
		var cut atomic.Bool
		done.Go(func() { c.answers(client, server, &cut) })
		done.Go(func() { c.questions(client, server, &cut) })
	}
}

// questions copies what the client says up to the COMMIT.
func (c *cutter) questions(client, server net.Conn, cut *atomic.Bool) {
	defer server.Close()
	buf := make([]byte, 1<<16)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		if bytes.HasSuffix(buf[:n], []byte("\x03COMMIT")) && c.cuts.Add(-1) >= 0 {
			cut.Store(true)
			if !c.pass {
				return
			}
		}
		if _, err := server.Write(buf[:n]); err != nil {
			return
		}
	}
}

// answers copies what the server says, but for what follows the COMMIT.
func (c *cutter) answers(client, server net.Conn, cut *atomic.Bool) {
	defer client.Close()
	buf := make([]byte, 1<<16)
	for {
		n, err := server.Read(buf)
		if cut.Load() && (n > 0 || err == io.EOF || err != nil) {
			server.Close()
			if c.after != nil {
				c.after()
			}
			return
		}
		if err != nil {
			return
		}
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
	}
}
