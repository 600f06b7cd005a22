// Package handover lets a process take over the listening socket of the one that
// it replaces, so that no connection is refused in between. Agents of the C++
// stack try a lost connection exactly once, so a server that is stopped and then
// started loses all of them for good.
//
//	taken, err := handover.Take(path) // from the process that runs; nil: there is none
//	cfg.Listener = taken.File()       // nil without one
//	... // construct the service
//	unit := handover.New(handover.Config{Path: path, Taken: taken, Service: service, Ready: service.Ready, Log: log})
//	... // serve it beside the service
//
// A Unix socket carries the descriptor. The old process goes on until the new one
// has something to answer with and says so. Then the old one ends: its connections
// close after what was sent, and their peers find the new one, which has listened
// all along. If the new one ends before that, the old one goes on.
//
// Systemd holds a listening socket itself, and hands it to each process that it
// starts (sd_listen_fds(3)); Take looks for that first. Peers then wait in the
// kernel while no process runs.
//
// Only processes of the same user, and root, are served. Config is read once; the
// functions are safe for concurrent use.
package handover

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// answerTime bounds each exchange on the Unix socket.
	answerTime = 5 * time.Second

	// readyTime is how long a new process may take to get ready. The old one
	// serves meanwhile.
	readyTime = 2 * time.Minute

	// readyEvery is how often readiness is checked.
	readyEvery = 20 * time.Millisecond
)

// The bytes that the two processes send each other.
const (
	msgSocket = 's' // old to new, with the descriptor
	msgReady  = 'r' // new to old: end
)

// Taken is a listening socket that another process has opened.
type Taken struct {
	file *os.File
	conn *net.UnixConn // to the process that has it too; nil: it is systemd's
}

// Take returns the listening socket of systemd or of the process that offers its
// own at path, and nil if there is neither. An empty path is none.
func Take(path string) (*Taken, error) {
	passed, err := passedBySystemd(os.Getenv, os.Getpid())
	switch {
	case err != nil:
		return nil, err
	case passed:
		return &Taken{file: os.NewFile(firstFD, "listener of systemd")}, nil
	case path == "":
		return nil, nil
	}
	conn, err := net.DialTimeout("unix", path, answerTime)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, nil // none was ever offered, or the process that did has ended
	}
	if err != nil {
		return nil, failure(path, err)
	}
	t := &Taken{conn: conn.(*net.UnixConn)}
	if t.file, err = receive(t.conn); err != nil {
		conn.Close()
		return nil, failure(path, err)
	}
	return t, nil
}

func failure(path string, err error) error {
	return fmt.Errorf("handover: take the listening socket from the process at %s: %w; without a handover: [reactor] handover =", path, err)
}

// File returns the listening socket, nil without one.
func (t *Taken) File() *os.File {
	if t == nil {
		return nil
	}
	return t.file
}

// Running reports whether another process is still listening on the socket.
func (t *Taken) Running() bool { return t != nil && t.conn != nil }

// release closes the descriptor that was received. The service has a duplicate
// by then, and this one would keep the socket open after the service stops.
func (t *Taken) release() {
	if t != nil && t.file != nil {
		t.file.Close()
	}
}

// end tells the other process to end, if there is one.
func (t *Taken) end() error {
	if !t.Running() {
		return nil
	}
	defer t.conn.Close()
	if err := t.conn.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return err
	}
	_, err := t.conn.Write([]byte{msgReady})
	return err
}

func receive(conn *net.UnixConn) (*os.File, error) {
	if err := conn.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return nil, err
	}
	data, rights := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
	n, rightsLen, _, _, err := conn.ReadMsgUnix(data, rights)
	if err != nil {
		return nil, err
	}
	if n != 1 || data[0] != msgSocket {
		return nil, errors.New("it refused; is it of another user?")
	}
	messages, err := unix.ParseSocketControlMessage(rights[:rightsLen])
	if err != nil || len(messages) != 1 {
		return nil, errors.New("it sent no descriptor")
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return nil, errors.New("it sent no descriptor")
	}
	unix.CloseOnExec(fds[0])
	return os.NewFile(uintptr(fds[0]), "listener of the old process"), conn.SetDeadline(time.Time{})
}

// Service is the server whose socket is handed over.
type Service interface {
	// ListenerFile returns a duplicate of its listening socket.
	ListenerFile() (*os.File, error)

	// Addr returns the address that the socket is bound to.
	Addr() netip.AddrPort
}

// Config describes a Unit.
type Config struct {
	// Path is the Unix socket at which the listening socket is offered, in a
	// folder that others cannot write to. Empty: it is not offered.
	Path string

	// Taken is what Take returned.
	Taken *Taken

	// Addr is what the service would listen on without it. A socket that is
	// bound to another address is named in the log.
	Addr netip.AddrPort

	// Service is what the socket belongs to. Ready returns nil as soon as it
	// has something to answer with.
	Service Service
	Ready   func() error

	// Log gets a line for each handover.
	Log *slog.Logger
}

// Unit is the process.Unit that ends the old process, and then offers the
// listening socket to a new one.
type Unit struct {
	cfg Config // immutable
}

// New returns a Unit.
func New(cfg Config) *Unit { return &Unit{cfg} }

// Listen does nothing: the old process offers its socket until the new one is
// ready.
func (u *Unit) Listen() error { return nil }

// Serve ends the old process as soon as the service is ready, and then offers the
// socket. It returns when ctx is done, or when a new process is ready, so that
// this one ends.
func (u *Unit) Serve(ctx context.Context) error {
	u.cfg.Taken.release()
	if u.cfg.Taken != nil && u.cfg.Service.Addr() != u.cfg.Addr {
		u.cfg.Log.Warn("handover: the socket that was taken over is not bound to [reactor] ip, port; "+
			"to move to that address, start without a handover", "addr", u.cfg.Service.Addr(), "configured", u.cfg.Addr)
	}
	if err := u.replace(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	if u.cfg.Path == "" {
		<-ctx.Done()
		return nil
	}
	return u.offer(ctx)
}

// replace ends the old process once the service is ready.
func (u *Unit) replace(ctx context.Context) error {
	if !u.cfg.Taken.Running() {
		return nil
	}
	u.cfg.Log.Info("handover: the listening socket was taken over; the old process ends when this one is ready")
	tick := time.NewTicker(readyEvery)
	defer tick.Stop()
	late := time.After(readyTime)
	for u.cfg.Ready() != nil {
		select {
		case <-ctx.Done():
			return nil
		case <-late:
			return fmt.Errorf("handover: not ready within %v, so the old process goes on: %w", readyTime, u.cfg.Ready())
		case <-tick.C:
		}
	}
	if err := u.cfg.Taken.end(); err != nil {
		u.cfg.Log.Warn("handover: the old process could not be told to end; it may have ended by itself", "error", err)
	}
	return nil
}

// offer hands the socket to the processes that ask.
func (u *Unit) offer(ctx context.Context) error {
	l, err := listen(u.cfg.Path)
	if err != nil {
		// Nothing else depends on it.
		u.cfg.Log.Error("handover: the listening socket is not offered", "path", u.cfg.Path, "error", err)
		<-ctx.Done()
		return nil
	}
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	defer l.Close()
	for {
		conn, err := l.AcceptUnix()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("handover: accept at %s: %w", u.cfg.Path, err)
		}
		if u.handOver(ctx, conn) {
			u.cfg.Log.Info("handover: another process has taken over; this one ends")
			return nil
		}
	}
}

// listen binds the path, even if a process that has ended left a socket
// there.
func listen(path string) (*net.UnixListener, error) {
	fresh := fmt.Sprintf("%s.%d", path, os.Getpid())
	_ = os.Remove(fresh) // of a process with the same number, which has ended
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: fresh, Net: "unix"})
	if err != nil {
		return nil, err
	}
	// The next process moves its own to the path while this one still listens.
	l.SetUnlinkOnClose(false)
	err = os.Chmod(fresh, 0o600)
	if err == nil {
		err = os.Rename(fresh, path)
	}
	if err != nil {
		_ = os.Remove(fresh)
		l.Close()
		return nil, err
	}
	return l, nil
}

// handOver sends the socket to one process, and reports whether that process
// became ready.
func (u *Unit) handOver(ctx context.Context, conn *net.UnixConn) bool {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if err := u.send(conn); err != nil {
		u.cfg.Log.Warn("handover: the listening socket was not handed over", "error", err)
		return false
	}
	// A new process that ends before it is ready ends the connection.
	answer := make([]byte, 1)
	if err := conn.SetDeadline(time.Now().Add(readyTime + answerTime)); err != nil {
		return false
	}
	n, _ := conn.Read(answer)
	if n == 1 && answer[0] == msgReady {
		return true
	}
	if ctx.Err() == nil {
		u.cfg.Log.Warn("handover: the new process ended before it was ready; this one goes on")
	}
	return false
}

func (u *Unit) send(conn *net.UnixConn) error {
	if err := sameUser(conn); err != nil {
		return err
	}
	file, err := u.cfg.Service.ListenerFile()
	if err != nil {
		return err
	}
	defer file.Close()
	if err := conn.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return err
	}
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = raw.Control(func(fd uintptr) {
		_, _, sent = conn.WriteMsgUnix([]byte{msgSocket}, unix.UnixRights(int(fd)), nil)
	})
	return errors.Join(err, sent)
}

// sameUser refuses a process of another user, if that is not root.
func sameUser(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var peer *unix.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) {
		peer, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return err
	}
	if failed != nil {
		return os.NewSyscallError("getsockopt", failed)
	}
	if peer.Uid != 0 && int(peer.Uid) != os.Geteuid() {
		return fmt.Errorf("process %d belongs to user %d", peer.Pid, peer.Uid)
	}
	return nil
}
