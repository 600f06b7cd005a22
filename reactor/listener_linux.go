package reactor

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// listener returns a listening socket: a new one, or a duplicate of the one
// that the server is to take over.
func (s *Server) listener() (int, error) {
	if f := s.cfg.Listener; f != nil {
		fd, err := takeListener(f)
		if err != nil {
			return -1, fmt.Errorf("reactor: take over listening socket %s: %w", f.Name(), err)
		}
		return fd, nil
	}
	fd, err := listenTCP(s.cfg.Addr)
	if err != nil {
		return -1, fmt.Errorf("reactor: listen on TCP %v: %w", s.cfg.Addr, err)
	}
	return fd, nil
}

// ListenerFile returns a duplicate of the listening socket, to be handed to
// another process or to ServerConfig.Listener of another server. Both then
// accept from one queue, so that no connection is refused when this server
// stops. It fails before Listen and after the end of accepting. The caller
// closes the file.
func (s *Server) ListenerFile() (*os.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.listening {
		return nil, errors.New("reactor: hand over the listening socket: the server does not listen yet; call Listen before")
	}
	return s.acceptor.file()
}

// takeListener returns a duplicate of a socket that listens on TCP.
func takeListener(f *os.File) (fd int, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd = -1
	// Not f.Fd(): it may put the socket into blocking mode.
	if failed := raw.Control(func(own uintptr) { fd, err = duplicate(int(own)) }); failed != nil {
		return -1, failed
	}
	if err != nil {
		return -1, err
	}
	if err := checkListener(fd); err != nil {
		closeFD(fd)
		return -1, err
	}
	return fd, nil
}

// checkListener makes sure that fd is what an acceptor works with.
func checkListener(fd int) error {
	for option, want := range map[int]int{unix.SO_TYPE: unix.SOCK_STREAM, unix.SO_ACCEPTCONN: 1} {
		got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, option)
		if err != nil {
			return os.NewSyscallError("getsockopt", err)
		}
		if got != want {
			return errors.New("not a listening TCP socket")
		}
	}
	if !localAddr(fd).IsValid() {
		return errors.New("not an IPv4 or IPv6 socket")
	}
	return os.NewSyscallError("fcntl", unix.SetNonblock(fd, true))
}

// duplicate returns a further descriptor of the same socket.
func duplicate(fd int) (int, error) {
	fd, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	return fd, os.NewSyscallError("fcntl", err)
}

func listenTCP(addr netip.AddrPort) (fd int, err error) {
	fd, err = unix.Socket(family(addr), unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	defer func() {
		if err != nil {
			closeFD(fd)
		}
	}()
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return -1, os.NewSyscallError("setsockopt", err)
	}
	if err := unix.Bind(fd, sockaddr(addr)); err != nil {
		return -1, os.NewSyscallError("bind", err)
	}
	if err := unix.Listen(fd, 4096); err != nil { // the kernel lowers it to somaxconn
		return -1, os.NewSyscallError("listen", err)
	}
	return fd, nil
}
