package reactor

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// childEnv, when set, makes the test binary serveShortOfDescriptors.
const childEnv = "REACTOR_TEST_SHORT_OF_DESCRIPTORS"

// spareDescriptors is how many descriptors that process has left.
const spareDescriptors = 6

// serveShortOfDescriptors is the process of its own in which an echo server
// runs out of descriptors. It writes its address, then a line per peer that it
// turns away, and at the end of its input its number of wake-ups.
func serveShortOfDescriptors() int {
	s, err := NewServer(ServerConfig{
		Addr: loopback, Router: echoes(), Loops: 1,
		OnRefuse: func(_ netip.AddrPort, reason error) { fmt.Println("refused:", reason) },
	})
	if err != nil || s.Listen() != nil {
		return 1
	}
	done := goServe(s, context.Background())
	running := make(chan struct{})
	s.Loops()[0].Post(func() { close(running) })
	<-running

	lowest, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 1
	}
	unix.Close(lowest)
	limit := uint64(lowest + spareDescriptors)
	if unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: limit, Max: limit}) != nil {
		return 1
	}
	fmt.Println(s.Addr())
	io.Copy(io.Discard, os.Stdin)
	fmt.Println("wake-ups:", s.Loops()[0].Stats().Wakeups)
	s.Close()
	if <-done != nil {
		return 1
	}
	return 0
}

// In the original, running out of descriptors spins in accept at full load.
// Here the peers that cannot be served see an end, those that are in go on,
// and the server takes new ones when there is room again.
func TestDefect11OutOfDescriptors(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), childEnv+"=1")
	stdin, _ := cmd.StdinPipe()
	stdout, _ := cmd.StdoutPipe()
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	if !lines.Scan() {
		t.Fatal("the server did not start")
	}
	addr := netip.MustParseAddrPort(lines.Text())

	in, turnedAway := fillDescriptors(t, addr)
	if len(in) == 0 || len(in) > spareDescriptors || turnedAway == 0 {
		t.Errorf("%d peers in and %d turned away with %d descriptors left", len(in), turnedAway, spareDescriptors)
	}
	echoAll(t, in)
	in[0].Close()
	in = in[1:]
	eventually(t, "a new peer gets in when there is room", func() bool {
		p := dialPeer(t, addr)
		if tryEcho(p) {
			in = append(in, p)
			return true
		}
		return false
	})
	echoAll(t, in)

	stdin.Close()
	checkShedding(t, lines, turnedAway)
	if err := cmd.Wait(); err != nil {
		t.Errorf("the server ended with %v", err)
	}
}

// fillDescriptors connects until some peers are turned away.
func fillDescriptors(t *testing.T, addr netip.AddrPort) (in []*peer, turnedAway int) {
	t.Helper()
	var all []*peer
	for range 4 * spareDescriptors {
		all = append(all, dialPeer(t, addr))
	}
	for _, p := range all {
		if tryEcho(p) {
			in = append(in, p)
		} else {
			turnedAway++
		}
	}
	return in, turnedAway
}

// tryEcho reports whether the peer is served. Silence fails the test: it would
// run into the peer's deadline.
func tryEcho(p *peer) bool {
	p.t.Helper()
	p.Write(frame(1, "hello"))
	_, _, err := p.next()
	if os.IsTimeout(err) {
		p.t.Fatal("neither an answer nor an end")
	}
	return err == nil
}

func echoAll(t *testing.T, peers []*peer) {
	t.Helper()
	for _, p := range peers {
		if !tryEcho(p) {
			t.Error("a peer that was in was cut off")
		}
	}
}

func checkShedding(t *testing.T, lines *bufio.Scanner, turnedAway int) {
	t.Helper()
	refused, wakeups := 0, -1
	for lines.Scan() {
		switch {
		case strings.HasPrefix(lines.Text(), "refused: "+ErrNoDescriptors.Error()):
			refused++
		case strings.HasPrefix(lines.Text(), "wake-ups: "):
			fmt.Sscanf(lines.Text(), "wake-ups: %d", &wakeups)
		default:
			t.Errorf("the server wrote %q", lines.Text())
		}
	}
	if refused < turnedAway {
		t.Errorf("the hook was told of %d peers, %d were turned away", refused, turnedAway)
	}
	if wakeups < 0 || wakeups > 1000 {
		t.Errorf("%d wake-ups: the listener spins", wakeups)
	}
}
