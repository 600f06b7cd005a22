package call

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
	"testing"
	"time"

	"lars.internal/lb"
)

func dialError(err error) error {
	return &url.Error{Op: "Get", URL: "http://10.0.0.1:80", Err: &net.OpError{Op: "dial", Net: "tcp", Err: err}}
}

func readError(err error) error {
	return &net.OpError{Op: "read", Net: "tcp", Err: err}
}

func sys(errno syscall.Errno) error { return os.NewSyscallError("connect", errno) }

func TestClassify(t *testing.T) {
	errCall := errors.New("the host said no")
	tests := []struct {
		name             string
		err              error
		want             lb.Kind
		once, idempotent bool // may be repeated
	}{
		{"success", nil, lb.KindUnknown, false, false},
		{"refused", dialError(sys(refusedErrnos[0])), lb.KindRefused, true, true},
		{"refused within a read, as with UDP", readError(sys(refusedErrnos[0])), lb.KindRefused, true, true},
		{"no way to the host", dialError(sys(syscall.EHOSTUNREACH)), lb.KindRefused, true, true},
		{"reset before the connection was made", dialError(sys(syscall.ECONNRESET)), lb.KindRefused, true, true},
		{"reset while it waited for the answer", readError(sys(syscall.ECONNRESET)), lb.KindError, false, true},
		{"connection closed", io.ErrUnexpectedEOF, lb.KindError, false, true},
		{"an answer that is an error", errCall, lb.KindError, false, true},
		{"deadline of a context", fmt.Errorf("get: %w", context.DeadlineExceeded), lb.KindTimeout, false, true},
		{"deadline of a connection", readError(os.ErrDeadlineExceeded), lb.KindTimeout, false, true},
		{"time-out of the kernel while connecting", dialError(sys(syscall.ETIMEDOUT)), lb.KindTimeout, true, true},
		{"time-out of the kernel after connecting", readError(sys(syscall.ETIMEDOUT)), lb.KindTimeout, false, true},
		{"deadline while connecting", dialError(context.DeadlineExceeded), lb.KindTimeout, true, true},
		{"deadline while connecting, wrapped", dialError(fmt.Errorf("dial: %w", context.DeadlineExceeded)), lb.KindTimeout, true, true},
		{"cancelled", dialError(context.Canceled), lb.KindIgnored, false, false},
		{"no files left", dialError(sys(localErrnos[0])), lb.KindIgnored, false, false},
		{"no ports left", dialError(sys(localErrnos[1])), lb.KindIgnored, false, false},
		{"overloaded, by the program", WithKind(errCall, lb.KindOverloaded), lb.KindOverloaded, false, true},
		{"refused, by the program", WithKind(errCall, lb.KindRefused), lb.KindRefused, true, true},
		{"unknown, by the program", WithKind(errCall, lb.KindUnknown), lb.KindUnknown, false, false},
		{"ignored, by the program, wrapped", fmt.Errorf("get: %w", WithKind(errCall, lb.KindIgnored)), lb.KindIgnored, false, false},
		{"the program knows better", WithKind(context.DeadlineExceeded, lb.KindError), lb.KindError, false, true},
		{"of several errors the program's", errors.Join(io.EOF, WithKind(errCall, lb.KindTimeout)), lb.KindTimeout, false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Classify(tt.err); got != tt.want {
				t.Errorf("kind %v, want %v", got, tt.want)
			}
			if once, again := MayRepeat(tt.err, false), MayRepeat(tt.err, true); once != tt.once || again != tt.idempotent {
				t.Errorf("may be repeated: %v, if idempotent: %v; want %v, %v", once, again, tt.once, tt.idempotent)
			}
		})
	}
}

func TestWithKindKeepsTheError(t *testing.T) {
	err := WithKind(io.EOF, lb.KindOverloaded)
	if !errors.Is(err, io.EOF) || err.Error() != io.EOF.Error() {
		t.Errorf("%v does not stand for io.EOF", err)
	}
	if WithKind(nil, lb.KindOverloaded) != nil {
		t.Error("success has become an error")
	}
}

// What package net makes of a port where nobody listens, of a peer that closes
// and of one that is silent.
func TestClassifyRealSockets(t *testing.T) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := listener.Accept()
		if err != nil {
			t.Error(err)
		}
		accepted <- c
	}()
	conn, err := net.Dial("tcp4", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	peer := <-accepted
	listener.Close()

	conn.SetReadDeadline(aLongTimeAgo)
	_, err = conn.Read(make([]byte, 1))
	wantKind(t, "silent", err, lb.KindTimeout)

	conn.SetReadDeadline(noDeadline)
	peer.(*net.TCPConn).SetLinger(0) // close by a reset
	peer.Close()
	_, err = conn.Read(make([]byte, 1))
	wantKind(t, "reset", err, lb.KindError)

	_, err = net.Dial("tcp4", addr)
	wantKind(t, "refused", err, lb.KindRefused)
	_, err = http.Get("http://" + addr)
	wantKind(t, "refused over HTTP", err, lb.KindRefused)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = new(net.Dialer).DialContext(ctx, "tcp4", addr)
	wantKind(t, "cancelled", err, lb.KindIgnored)
}

var (
	aLongTimeAgo = time.Unix(1, 0)
	noDeadline   time.Time
)

func wantKind(t *testing.T, name string, err error, want lb.Kind) {
	t.Helper()
	if got := Classify(err); got != want {
		t.Errorf("%s: %v (%v), want %v", name, got, err, want)
	}
}
