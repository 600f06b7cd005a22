// Package measure is what the benchmarks share: a server as a process of its
// own, what it costs, and how figures are written down.
//
//	p, err := measure.Start(program, "-flag", value)
//	defer p.Stop()
//	before, err := p.CPU()
//	... load ...
//	after, err := p.CPU()
//	perCall := float64((after - before).Microseconds()) / calls
//
// CPU time per operation is the steadiest figure on a machine that others use
// too; ratios hold only between runs that took turns. A Process belongs to one
// goroutine.
package measure

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Process is a running server.
type Process struct {
	cmd *exec.Cmd
	out *bufio.Reader
}

// Start starts a program; its standard error is the caller's.
func Start(env []string, program string, args ...string) (*Process, error) {
	p := &Process{cmd: exec.Command(program, args...)}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	return p, p.cmd.Start()
}

// Stop kills the process and waits for its end.
func (p *Process) Stop() {
	p.cmd.Process.Kill()
	p.cmd.Wait() // says that it was killed
}

// PID returns the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// CPU returns the processor time, user and system, that the process has used.
func (p *Process) CPU() (time.Duration, error) {
	// clock_getcpuclockid(3): the CPU clock of another process.
	clock := int32(^p.PID()<<3 | 2)
	var ts unix.Timespec
	if err := unix.ClockGettime(clock, &ts); err != nil {
		return 0, os.NewSyscallError("clock_gettime", err)
	}
	return time.Duration(ts.Nano()), nil
}

// OwnCPU returns the processor time that this process has used.
func OwnCPU() (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts); err != nil {
		return 0, os.NewSyscallError("clock_gettime", err)
	}
	return time.Duration(ts.Nano()), nil
}

// Mallocs asks a server that answers SIGUSR1 with a line that holds its number
// of allocations so far.
func (p *Process) Mallocs() (uint64, error) {
	if err := p.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		return 0, err
	}
	for {
		line, err := p.out.ReadString('\n')
		if err != nil {
			return 0, err
		}
		// Some servers log to standard output too.
		if n, err := strconv.ParseUint(line[:len(line)-1], 10, 64); err == nil {
			return n, nil
		}
	}
}

// straceTotal is the last line of strace -c: "100.00 1.2 3 4567 12 total".
var straceTotal = regexp.MustCompile(`(?m)^100\.00\s+\S+\s+\S+\s+(\d+)\s.*total$`)

// SyscallsDuring counts the system calls of the process while f runs, with
// strace; -1 if there is none. Counting slows the process down.
func (p *Process) SyscallsDuring(f func() error) (int64, error) {
	tool, err := exec.LookPath("strace")
	if err != nil {
		return -1, f()
	}
	report, err := os.CreateTemp("", "strace")
	if err != nil {
		return 0, err
	}
	defer os.Remove(report.Name())
	defer report.Close()
	cmd := exec.Command(tool, "-f", "-q", "-c", "-o", report.Name(), "-p", strconv.Itoa(p.PID()))
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	err = f()
	cmd.Process.Signal(os.Interrupt)
	cmd.Wait() // says that it was interrupted
	if err != nil {
		return 0, err
	}
	text, err := io.ReadAll(report)
	if err != nil {
		return 0, err
	}
	m := straceTotal.FindSubmatch(text)
	if m == nil {
		return -1, nil
	}
	return strconv.ParseInt(string(m[1]), 10, 64)
}

// FreePort returns an address of loopback whose TCP port is free. It is below
// the range from which the kernel takes ports by itself: one of that range may
// go to somebody else before the server binds it.
func FreePort() (netip.AddrPort, error) {
	const first, last = 10_000, 32_000
	var err error
	for range 100 {
		var l net.Listener
		l, err = net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", first+rand.IntN(last-first)))
		if err == nil {
			defer l.Close()
			return l.Addr().(*net.TCPAddr).AddrPort(), nil
		}
	}
	return netip.AddrPort{}, err
}

// ThreePorts finds three UDP ports in a row that are free on loopback, below the
// range that the kernel gives out.
func ThreePorts() (netip.AddrPort, error) {
	for range 100 {
		first := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(20000+rand.IntN(12000)))
		free := 0
		for i := range uint16(3) {
			c, err := net.ListenPacket("udp", netip.AddrPortFrom(first.Addr(), first.Port()+i).String())
			if err == nil {
				free++
				c.Close()
			}
		}
		if free == 3 {
			return first, nil
		}
	}
	return netip.AddrPort{}, fmt.Errorf("no three free UDP ports in a row")
}

// Await calls f every few milliseconds until it returns nil, for at most a
// minute.
func Await(ctx context.Context, what string, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}
