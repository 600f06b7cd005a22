package reactor

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// maxClientOutput is how many bytes a UDP client gathers at most before the
// loop sends them.
const maxClientOutput = 4 << 20

// UDPClient sends datagrams to one peer and takes its answers, both in
// batches, on a loop of its own. Datagrams of other senders do not reach it.
// All methods are safe from any goroutine.
type UDPClient struct {
	// Immutable after NewUDPClient.
	cfg  UDPConfig
	loop *Loop

	// Owned by the loop goroutine.
	socket *udpSocket
	batch  *datagrams // its slots point into sending
	spare  []byte     // the last output's memory, empty

	mu     sync.Mutex // guards everything below
	out    []byte     // frames that wait to be sent
	posted bool
	live   bool
}

// NewUDPClient returns a client of the peer at cfg.Addr that has no socket
// yet.
func NewUDPClient(cfg UDPConfig) (*UDPClient, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	return &UDPClient{cfg: cfg, loop: NewLoop(cfg.Log)}, nil
}

// Loop returns the loop that the client lives on.
func (c *UDPClient) Loop() *Loop { return c.loop }

// Run sends and receives until ctx is done, and returns when the loop has
// ended and the socket is closed. What was sent before Run goes out first. It
// may be called once.
func (c *UDPClient) Run(ctx context.Context) error {
	fd, err := connectUDP(c.cfg.Addr, c.cfg.ReceiveBuffer)
	if err != nil {
		c.loop.shut() // it never ran
		c.goLive()    // so that Send learns of it
		return fmt.Errorf("reactor: UDP client of %v: %w", c.cfg.Addr, err)
	}
	c.socket = &udpSocket{loop: c.loop, router: c.cfg.Router, fd: fd}
	c.batch = &datagrams{msgs: make([]mmsghdr, c.cfg.Batch), iovs: make([]unix.Iovec, c.cfg.Batch)}
	for i := range c.batch.msgs {
		c.batch.msgs[i].hdr.Iov = &c.batch.iovs[i]
		c.batch.msgs[i].hdr.SetIovlen(1)
	}
	if err := runUDP(ctx, c.socket, c.cfg.Batch, c.started); err != nil {
		return fmt.Errorf("reactor: UDP client of %v: %w", c.cfg.Addr, err)
	}
	return nil
}

func connectUDP(addr netip.AddrPort, buffer int) (int, error) {
	fd, err := openUDP(addr, buffer)
	if err != nil {
		return -1, err
	}
	if err := unix.Connect(fd, sockaddr(addr)); err != nil {
		closeFD(fd)
		return -1, os.NewSyscallError("connect", err)
	}
	return fd, nil
}

// started sends what gathered before there was a socket.
func (c *UDPClient) started() {
	c.goLive()
	c.run()
}

// goLive makes Send hand its output to the loop from now on.
func (c *UDPClient) goLive() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.live = true
}

// Send sends a message as one datagram, soon and together with others that
// wait. It fails with ErrTooLong, ErrOutputFull or ErrLoopClosed. A datagram
// that the kernel does not take is dropped and counted.
func (c *UDPClient) Send(id int32, body []byte) error {
	if len(body) > maxDatagramBody {
		return ErrTooLong
	}
	c.mu.Lock()
	if len(c.out)+HeaderSize+len(body) > maxClientOutput {
		c.mu.Unlock()
		return ErrOutputFull
	}
	if c.live && !c.posted {
		if err := c.loop.enqueue(c); err != nil {
			c.mu.Unlock()
			return err
		}
		c.posted = true
	}
	c.out = appendFrame(c.out, id, body)
	c.mu.Unlock()
	c.loop.wake()
	return nil
}

// run sends what has gathered. It is called on the loop.
func (c *UDPClient) run() {
	c.mu.Lock()
	out := c.out
	c.out, c.spare = c.spare, nil
	c.posted = false
	c.mu.Unlock()

	rest := out
	for len(rest) > 0 {
		n := 0
		for ; n < len(c.batch.msgs) && len(rest) > 0; n++ {
			_, size := header(rest)
			size += HeaderSize
			c.batch.iovs[n].Base = &rest[0]
			c.batch.iovs[n].SetLen(size)
			c.loop.stats.bytesOut.add(uint64(size))
			rest = rest[size:]
		}
		c.socket.sendAll(c.batch, n)
	}
	c.spare = out[:0]
}
