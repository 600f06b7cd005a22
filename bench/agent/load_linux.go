package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"time"
	"unsafe"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"

	"lars.internal/bench/measure"
	"lars.internal/larspb"
)

// answerTimeout is how long a call waits for its answer; then it is lost.
const answerTimeout = time.Second

// load is something that drives an agent. run may be called again; each call has
// its own result.
type load interface {
	run(d time.Duration) (result, error)
}

// goLoad drives an agent from this process.
type goLoad struct {
	loadCase
	programs []*program
}

// program is one client: a socket, connected to the port of its service.
type program struct {
	fd           int
	modid, cmdid int32
	seq          uint32
	in, out      []byte
	due          map[uint32]time.Duration // open loop: when each call was due
}

// result is what a run measured.
type result struct {
	pairs, lost    int
	cpu            time.Duration // of the load
	p50, p99, p999 float64       // of a call, in microseconds
}

// tally is what goes on in a run.
type tally struct {
	pairs, lost int
	latency     *hdrhistogram.Histogram
}

func newGoLoad(c loadCase, first netip.AddrPort) (*goLoad, error) {
	l := &goLoad{loadCase: c}
	for i := range c.Clients {
		p := &program{modid: int32(i + 1), cmdid: 1, in: make([]byte, 2048), out: make([]byte, 0, 256), due: make(map[uint32]time.Duration)}
		port := first.Port() + uint16((p.modid+p.cmdid)%3)
		if err := p.connect(netip.AddrPortFrom(first.Addr(), port)); err != nil {
			l.close()
			return nil, err
		}
		l.programs = append(l.programs, p)
	}
	return l, nil
}

func (l *goLoad) close() {
	for _, p := range l.programs {
		unix.Close(p.fd)
	}
}

// connect opens the socket. Reads give up after answerTimeout.
func (p *program) connect(addr netip.AddrPort) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	p.fd = fd
	timeout := unix.NsecToTimeval(answerTimeout.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	return os.NewSyscallError("connect", unix.Connect(fd, &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}))
}

// resolve waits until every service has a route.
func (l *goLoad) resolve() error {
	for _, p := range l.programs {
		err := measure.Await(context.Background(), fmt.Sprintf("route of %d/%d", p.modid, p.cmdid), func() error {
			answer, err := p.call()
			if err == nil {
				err = larspb.RetCode(answer.Retcode).Err()
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// run drives the load for d.
func (l *goLoad) run(d time.Duration) (result, error) {
	before, err := measure.OwnCPU()
	if err != nil {
		return result{}, err
	}
	drive := l.closedLoop
	if l.Rate > 0 {
		drive = l.openLoop
	}
	t, err := drive(d)
	if err != nil {
		return result{}, err
	}
	after, err := measure.OwnCPU()
	micros := func(percentile float64) float64 { return measure.Micros(t.latency, percentile) }
	return result{t.pairs, t.lost, after - before, micros(50), micros(99), micros(99.9)}, err
}

// closedLoop runs each program on a thread of its own, one call under way.
func (l *goLoad) closedLoop(d time.Duration) (tally, error) {
	tallies := make([]tally, len(l.programs))
	errs := make([]error, len(l.programs))
	var threads sync.WaitGroup // each ends after d
	for i, p := range l.programs {
		threads.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			tallies[i], errs[i] = p.closedLoop(d)
		})
	}
	threads.Wait()
	sum := tally{latency: measure.NewHistogram()}
	for _, r := range tallies {
		sum.pairs += r.pairs
		sum.lost += r.lost
		sum.latency.Merge(r.latency)
	}
	return sum, errors.Join(errs...)
}

func (p *program) closedLoop(d time.Duration) (tally, error) {
	r := tally{latency: measure.NewHistogram()}
	start := time.Now()
	for now := time.Duration(0); now < d; now = time.Since(start) {
		answer, err := p.call()
		if err == unix.EAGAIN {
			r.lost++
			continue
		}
		if err != nil {
			return r, err
		}
		r.latency.RecordValue(int64(time.Since(start) - now))
		if err := p.report(answer); err != nil {
			return r, err
		}
		r.pairs++
	}
	return r, nil
}

// call asks for a host and waits for the answer.
func (p *program) call() (larspb.HostAnswer, error) {
	if err := p.ask(); err != nil {
		return larspb.HostAnswer{}, err
	}
	for {
		answer, err := p.receive(0)
		if err != nil || answer.Seq == p.seq {
			return answer, err
		}
	}
}

func (p *program) ask() error {
	p.seq++
	body := larspb.HostQuery{Seq: p.seq, Modid: p.modid, Cmdid: p.cmdid}.Append(p.out[:larspb.HeaderSize])
	return p.send(larspb.IDGetHostRequest, body)
}

func (p *program) report(a larspb.HostAnswer) error {
	body := larspb.CallReport{Modid: p.modid, Cmdid: p.cmdid, HasHost: true, IP: a.IP, Port: a.Port}.Append(p.out[:larspb.HeaderSize])
	return p.send(larspb.IDReportRequest, body)
}

// send completes the header of a frame and sends it.
func (p *program) send(id int32, frame []byte) error {
	larspb.PutHeader(frame, id, len(frame)-larspb.HeaderSize)
	_, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(p.fd), uintptr(unsafe.Pointer(&frame[0])), uintptr(len(frame)))
	if errno != 0 && errno != unix.ECONNREFUSED { // the agent is not there yet
		return os.NewSyscallError("write", errno)
	}
	return nil
}

// receive takes one answer; flags as in recv(2). EAGAIN means that none came.
func (p *program) receive(flags int) (a larspb.HostAnswer, err error) {
	for {
		n, _, errno := unix.Syscall6(unix.SYS_RECVFROM, uintptr(p.fd), uintptr(unsafe.Pointer(&p.in[0])), uintptr(len(p.in)), uintptr(flags), 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return a, errno
		}
		if n < larspb.HeaderSize || int32(binary.LittleEndian.Uint32(p.in)) != larspb.IDGetHostResponse {
			return a, larspb.ErrFrame
		}
		return a, a.Parse(p.in[larspb.HeaderSize:n])
	}
}

// openLoop sends calls when they are due, in turn from all programs, and takes
// answers in between. It spins, so that no call is sent late because the
// generator slept.
func (l *goLoad) openLoop(d time.Duration) (tally, error) {
	r := tally{latency: measure.NewHistogram()}
	start := time.Now()
	step := time.Second / time.Duration(l.Rate)
	next, due, waiting := 0, time.Duration(0), 0
	for now := time.Duration(0); now < d || waiting > 0 && now < d+answerTimeout; now = time.Since(start) {
		for ; due <= now && due < d; due += step {
			p := l.programs[next]
			next = (next + 1) % len(l.programs)
			if err := p.ask(); err != nil {
				return r, err
			}
			p.due[p.seq] = due
		}
		waiting = 0
		for _, p := range l.programs {
			if err := p.collect(&r, start); err != nil {
				return r, err
			}
			waiting += len(p.due)
		}
	}
	for _, p := range l.programs {
		r.lost += len(p.due)
		clear(p.due)
	}
	return r, nil
}

// collect takes the answers that have come.
func (p *program) collect(r *tally, start time.Time) error {
	for len(p.due) > 0 {
		a, err := p.receive(unix.MSG_DONTWAIT)
		if err == unix.EAGAIN {
			return nil
		}
		if err != nil {
			return err
		}
		due, known := p.due[a.Seq]
		if !known {
			continue
		}
		delete(p.due, a.Seq)
		r.latency.RecordValue(int64(time.Since(start) - due))
		r.pairs++
		if err := p.report(a); err != nil {
			return err
		}
	}
	return nil
}
