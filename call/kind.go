package call

import (
	"context"
	"errors"
	"net"
	"slices"
	"syscall"

	"lars.internal/lb"
)

// WithKind returns err with the word of the program on how the call failed,
// which Classify takes as it is. Errors.Is and errors.As still find err; nil
// stays nil.
//
//	if code := resp.StatusCode; code == 429 || code == 503 {
//		return call.WithKind(fmt.Errorf("status %d", code), lb.KindOverloaded)
//	}
func WithKind(err error, kind lb.Kind) error {
	if err == nil {
		return nil
	}
	return &kinded{err, kind}
}

type kinded struct {
	error
	kind lb.Kind
}

// kinder is an error that says itself how the call failed.
type kinder interface {
	error
	CallKind() lb.Kind
}

func (k *kinded) Unwrap() error     { return k.error }
func (k *kinded) CallKind() lb.Kind { return k.kind }

// Classify returns how a call that ended with err failed; nil is
// lb.KindUnknown, as a call that succeeded has no kind.
//
//   - An error with a method CallKind, anywhere in its chain: what that says.
//   - context.Canceled: lb.KindIgnored. The program gave up; the host was not
//     given its time.
//   - A fault of this machine, such as no free file or port: lb.KindIgnored.
//   - context.DeadlineExceeded, and what has a method Timeout that returns true:
//     lb.KindTimeout.
//   - A connection that was refused or not made at all: lb.KindRefused.
//   - Everything else: lb.KindError.
func Classify(err error) lb.Kind {
	if err == nil {
		return lb.KindUnknown
	}
	if own, ok := errors.AsType[kinder](err); ok {
		return own.CallKind()
	}
	switch {
	case errors.Is(err, context.Canceled) || isAny(err, localErrnos):
		return lb.KindIgnored
	case isTimeout(err):
		return lb.KindTimeout
	case isAny(err, refusedErrnos) || isDial(err):
		return lb.KindRefused
	}
	return lb.KindError
}

// MayRepeat reports whether a call that ended with err may be made again on
// another host: always if the host got nothing of it, and after a failure of
// the host if making it twice does no harm. A call that was ignored, and one
// whose failure is unknown, is not repeated.
func MayRepeat(err error, idempotent bool) bool {
	switch Classify(err) {
	case lb.KindRefused:
		return true
	case lb.KindTimeout:
		return idempotent || isDial(err)
	case lb.KindError, lb.KindOverloaded:
		return idempotent
	}
	return false
}

// timeouter is the part of net.Error that is not deprecated.
type timeouter interface {
	error
	Timeout() bool
}

func isTimeout(err error) bool {
	t, ok := errors.AsType[timeouter](err)
	return ok && t.Timeout() || errors.Is(err, context.DeadlineExceeded)
}

// isDial reports whether the system could not make the connection: the host got
// nothing of the call.
func isDial(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

func isAny(err error, set []syscall.Errno) bool {
	errno, ok := errors.AsType[syscall.Errno](err)
	return ok && slices.Contains(set, errno)
}
