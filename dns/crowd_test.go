package dns_test

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"lars.internal/larspb"
	"lars.internal/route"
)

// crowd is many connections to one service, read by one goroutine: far more
// than a goroutine each would be good for.
type crowd struct {
	t       *testing.T
	epoll   int
	members map[int32]*member // by descriptor
	buffer  []byte
	frames  int // that came so far
}

// member is one connection of a crowd.
type member struct {
	rest []byte // begin of a frame
	last []byte // body of the last frame
}

// newCrowd connects n peers that all ask for a service.
func newCrowd(t *testing.T, in *instance, n int, key route.Key) *crowd {
	t.Helper()
	c := &crowd{t: t, members: make(map[int32]*member), buffer: make([]byte, 64<<10)}
	var err error
	if c.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	ask, err := larspb.AppendFrame(nil, larspb.IDGetRouteRequest, &larspb.GetRouteRequest{Modid: key.Modid, Cmdid: key.Cmdid})
	if err != nil {
		t.Fatal(err)
	}
	to := &unix.SockaddrInet4{Addr: in.Addr().Addr().As4(), Port: int(in.Addr().Port())}
	for range n {
		if err := c.connect(to, ask); err != nil {
			t.Fatalf("connection %d of %d: %v", len(c.members)+1, n, err)
		}
	}
	return c
}

func (c *crowd) connect(to unix.Sockaddr, ask []byte) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	c.members[int32(fd)] = new(member)
	if err := unix.Connect(fd, to); err != nil {
		return err
	}
	if _, err := unix.Write(fd, ask); err != nil {
		return err
	}
	return unix.EpollCtl(c.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

// close ends all connections. It may be called twice.
func (c *crowd) close() {
	for fd := range c.members {
		unix.Close(int(fd))
	}
	if c.members != nil {
		unix.Close(c.epoll)
	}
	c.members = nil
}

// await reads until the last route that each has got is this one.
func (c *crowd) await(key route.Key, hosts ...route.Host) {
	c.t.Helper()
	want := c.body(key, hosts)
	missing := 0
	for _, m := range c.members {
		if !bytes.Equal(m.last, want) {
			missing++
		}
	}
	deadline := time.Now().Add(3 * patience)
	events := make([]unix.EpollEvent, 256)
	for missing > 0 {
		n, err := unix.EpollWait(c.epoll, events, int(max(0, time.Until(deadline)).Milliseconds()))
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			c.t.Fatalf("%d of %d have not got the route: %v", missing, len(c.members), err)
		}
		for _, e := range events[:n] {
			m := c.members[e.Fd]
			had := bytes.Equal(m.last, want)
			c.read(int(e.Fd), m)
			switch has := bytes.Equal(m.last, want); {
			case has && !had:
				missing--
			case had && !has:
				missing++
			}
		}
	}
}

func (c *crowd) body(key route.Key, hosts []route.Host) []byte {
	m := &larspb.GetRouteResponse{Modid: key.Modid, Cmdid: key.Cmdid}
	for _, h := range hosts {
		m.Host = append(m.Host, &larspb.HostInfo{Ip: int32(h.IP), Port: int32(h.Port)})
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		c.t.Fatal(err)
	}
	return b
}

// read takes what one connection has.
func (c *crowd) read(fd int, m *member) {
	n, err := unix.Read(fd, c.buffer)
	if err != nil || n == 0 {
		c.t.Fatalf("a connection of the crowd ended: %v", err)
	}
	in := append(m.rest, c.buffer[:n]...)
	for len(in) >= larspb.HeaderSize {
		end := larspb.HeaderSize + int(binary.LittleEndian.Uint32(in[4:]))
		if len(in) < end {
			break
		}
		m.last = append(m.last[:0], in[larspb.HeaderSize:end]...)
		in = in[end:]
		c.frames++
	}
	m.rest = append(m.rest[:0], in...)
}

// roomFor makes room for so many descriptors, or returns for how many there is.
func roomFor(t *testing.T, n uint64) uint64 {
	t.Helper()
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	if old.Cur >= n {
		return n
	}
	for _, want := range []unix.Rlimit{{Cur: n, Max: max(n, old.Max)}, {Cur: old.Max, Max: old.Max}} {
		if unix.Setrlimit(unix.RLIMIT_NOFILE, &want) == nil {
			t.Cleanup(func() { unix.Setrlimit(unix.RLIMIT_NOFILE, &old) })
			return min(n, want.Cur)
		}
	}
	return old.Cur
}
