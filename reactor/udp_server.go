package reactor

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// UDPConfig describes a UDP server. Addr and Router must be set.
type UDPConfig struct {
	// Addr is what to listen on; port 0 takes a free one.
	Addr netip.AddrPort

	// Router gets the messages, one frame a datagram.
	Router *Router[*Packet]

	// Batch is how many datagrams a system call takes at most, 1 to 1,024.
	// More saves system calls under load and costs 128 KiB of address space
	// each. Default 64.
	Batch int

	// ReceiveBuffer is the kernel's buffer in bytes. A larger one bridges
	// longer pauses of the process; datagrams beyond it are lost. The kernel
	// may lower it to net.core.rmem_max. Default 4 MiB.
	ReceiveBuffer int

	// Log gets panics of handlers. Default: discarded.
	Log *slog.Logger
}

func (c *UDPConfig) setDefaults() error {
	if c.Router == nil {
		return fmt.Errorf("reactor: UDP %v: no Router", c.Addr)
	}
	if !c.Addr.IsValid() {
		return fmt.Errorf("reactor: UDP: no address")
	}
	c.Batch = cmp.Or(c.Batch, defaultBatch)
	c.ReceiveBuffer = cmp.Or(c.ReceiveBuffer, defaultSocketBuffer)
	if c.Batch < 1 || c.Batch > 1024 {
		return fmt.Errorf("reactor: UDP %v: Batch %d: want 1..1024 datagrams", c.Addr, c.Batch)
	}
	return nil
}

// UDPServer answers datagrams that hold one frame each, on a loop of its own.
// It takes and answers them in batches. A datagram that is not exactly one
// frame is dropped and counted, and so is an answer that the kernel does not
// take. All methods are safe from any goroutine.
type UDPServer struct {
	// Immutable after NewUDPServer.
	cfg  UDPConfig
	loop *Loop

	mu     sync.Mutex // guards everything below
	socket *udpSocket // nil until bound; the loop's from Serve on
	addr   netip.AddrPort
	served bool // or closed instead
}

// NewUDPServer returns a server that is not bound yet.
func NewUDPServer(cfg UDPConfig) (*UDPServer, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	return &UDPServer{cfg: cfg, loop: NewLoop(cfg.Log)}, nil
}

// Loop returns the loop that the server lives on.
func (s *UDPServer) Loop() *Loop { return s.loop }

// Addr returns the address that Listen bound.
func (s *UDPServer) Addr() netip.AddrPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr
}

// Overflow returns how many datagrams the kernel has dropped because they came
// faster than the server took them and the receive buffer was full. It does not
// wait for the loop.
func (s *UDPServer) Overflow() uint64 {
	s.mu.Lock()
	socket := s.socket
	s.mu.Unlock()
	if socket == nil {
		return 0
	}
	return socket.overflow()
}

// Listen binds the address. Serve does it too, if it has not been done.
func (s *UDPServer) Listen() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.socket != nil {
		return nil
	}
	asked := false
	fd, err := openUDP(s.cfg.Addr, s.cfg.ReceiveBuffer)
	if err == nil {
		asked, err = askForPktinfo(fd, s.cfg.Addr)
	}
	if err == nil {
		err = os.NewSyscallError("bind", unix.Bind(fd, sockaddr(s.cfg.Addr)))
	}
	if err != nil {
		closeFD(fd)
		return fmt.Errorf("reactor: listen on UDP %v: %w", s.cfg.Addr, err)
	}
	s.socket = &udpSocket{loop: s.loop, router: s.cfg.Router, fd: fd, asked: asked}
	s.addr = localAddr(fd)
	return nil
}

// Serve answers datagrams until ctx is done, and returns when the loop has
// ended and the socket is closed. It may be called once.
func (s *UDPServer) Serve(ctx context.Context) error {
	if err := s.Listen(); err != nil {
		return err
	}
	s.mu.Lock()
	socket, served := s.socket, s.served
	s.served = true
	s.mu.Unlock()
	if served {
		return fmt.Errorf("reactor: UDP server %v: Serve or Close was called before", s.Addr())
	}
	if err := runUDP(ctx, socket, s.cfg.Batch, func() {}); err != nil {
		return fmt.Errorf("reactor: UDP server %v: %w", s.Addr(), err)
	}
	return nil
}

// runUDP runs the socket's loop until ctx is done. started runs on the loop
// when the socket is live.
func runUDP(ctx context.Context, socket *udpSocket, batch int, started func()) error {
	var failed error // written on the loop, read after it has ended
	socket.loop.Post(func() {
		if failed = socket.start(batch); failed != nil {
			socket.loop.Stop()
			return
		}
		started()
	})
	err := socket.loop.Run(ctx)
	socket.close()
	if err != nil {
		return err
	}
	return failed
}

// Close releases the address of a server that was bound and never served.
func (s *UDPServer) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.socket != nil && !s.served {
		s.served = true
		s.socket.close()
	}
}
