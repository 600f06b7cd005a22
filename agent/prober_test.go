package agent

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lars.internal/lb"
	"lars.internal/reactor"
	"lars.internal/route"
)

// backend is a host that a test starts, stops and hangs.
type backend struct {
	t    *testing.T
	addr netip.AddrPort

	mu sync.Mutex // guards everything below
	ln net.Listener
	fd []int // connections that fill the backlog
}

func startBackend(t *testing.T) *backend {
	t.Helper()
	b := &backend{t: t, addr: netip.MustParseAddrPort("127.0.0.1:0")}
	b.start()
	t.Cleanup(b.stop)
	return b
}

func startBackends(t *testing.T, n int) (backends []*backend, hosts []route.Host) {
	t.Helper()
	for range n {
		b := startBackend(t)
		backends, hosts = append(backends, b), append(hosts, b.host())
	}
	return backends, hosts
}

// start listens, the second time on the address of the first.
func (b *backend) start() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	var err error
	eventually(b.t, "the backend listens", func() bool {
		b.ln, err = net.Listen("tcp4", b.addr.String())
		return err == nil
	})
	b.addr = b.ln.Addr().(*net.TCPAddr).AddrPort()
}

func (b *backend) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ln != nil {
		b.ln.Close()
		b.ln = nil
	}
	for _, fd := range b.fd {
		unix.Close(fd)
	}
	b.fd = nil
}

// goDark makes the host answer nothing any more: its backlog is full, so the
// kernel drops what would make a further connection.
func (b *backend) goDark() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	raw, err := b.ln.(*net.TCPListener).SyscallConn()
	if err != nil {
		b.t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { err = unix.Listen(int(fd), 0) })
	if err != nil {
		b.t.Fatal(err)
	}
	for b.connects() {
	}
}

// connects reports whether one more connection, which stays open, is answered. On
// loopback that is at once or never.
func (b *backend) connects() bool {
	b.t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		b.t.Fatal(err)
	}
	b.fd = append(b.fd, fd)
	err = unix.Connect(fd, &unix.SockaddrInet4{Port: int(b.addr.Port()), Addr: b.addr.Addr().As4()})
	if err != nil && err != unix.EINPROGRESS {
		b.t.Fatal(err)
	}
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, 50)
	if err != nil && err != unix.EINTR {
		b.t.Fatal(err)
	}
	return n > 0
}

func (b *backend) host() route.Host {
	h, err := route.HostOf(b.addr)
	if err != nil {
		b.t.Fatal(err)
	}
	return h
}

// setClock is the clock of the machine, put forward by a test.
type setClock struct {
	start time.Time
	ahead atomic.Int64
}

func newSetClock() *setClock { return &setClock{start: time.Now().Add(-time.Hour)} }

func (c *setClock) read() time.Duration     { return time.Since(c.start) + time.Duration(c.ahead.Load()) }
func (c *setClock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

// watched is an agent with policy adaptive and a service of backends that have
// answered their first probe.
type watched struct {
	*system
	*program
	clock    *setClock
	backends []*backend
	hosts    []route.Host
}

func startWatched(t *testing.T, n int) *watched { return startWatchedWith(t, n, "") }

// startWatchedWith starts an agent with a snapshot, if snapshot is not empty.
func startWatchedWith(t *testing.T, n int, snapshot string) *watched {
	t.Helper()
	w := &watched{clock: newSetClock()}
	w.backends, w.hosts = startBackends(t, n)
	w.system = startSystem(t, func(c *Config) {
		c.Policy, c.Clock, c.Snapshot = "adaptive", w.clock.read, snapshot
	})
	w.dns.set(key12, w.hosts...)
	w.program = w.system.program(0)
	w.report(key12, w.served(key12), true) // else it stalls when the clock is put forward
	eventually(t, "the call is reported", func() bool { return w.engine.Counters().Reports == 1 })
	w.firstProbes(uint64(n))
	return w
}

// firstProbes waits until so many probes were answered; they are spread over 10 s.
func (w *watched) firstProbes(n uint64) {
	w.system.t.Helper()
	w.clock.advance(11 * time.Second)
	eventually(w.system.t, "the first probes are answered", func() bool { return w.prober.answers[lb.ProbeOK].Load() >= n })
}

// call calls the service once: it fails if it is given a host that is down.
func (w *watched) call(down *backend) (failed bool) {
	w.system.t.Helper()
	h, code := w.getHost(key12)
	if code != succ {
		w.system.t.Fatalf("answer %v", code)
	}
	failed = h == down.host()
	w.report(key12, h, !failed)
	return failed
}

// failOnce calls until a call has failed.
func (w *watched) failOnce(down *backend) {
	w.system.t.Helper()
	eventually(w.system.t, "a call fails", func() bool { return w.call(down) })
}

// callUntilEjected calls until one host is ejected, and returns how many calls
// failed.
func (w *watched) callUntilEjected(down *backend) (failed int) {
	w.system.t.Helper()
	eventually(w.system.t, "the host is ejected", func() bool {
		if w.call(down) {
			failed++
		}
		return w.engine.Health().Ejected == 1
	})
	return failed
}

func (w *watched) eventuallyEjected(n int) {
	w.system.t.Helper()
	eventually(w.system.t, fmt.Sprintf("%d hosts are ejected", n), func() bool { return w.engine.Health().Ejected == n })
}

// TestOneFailedCallForADeadHost: the host is asked at once, refuses, and gets no
// call any more until it has healed.
func TestOneFailedCallForADeadHost(t *testing.T) {
	w := startWatched(t, 3)
	best := time.Hour
	for range 3 {
		w.clock.advance(2 * time.Minute) // no ejection soon after a return
		w.eventuallyEjected(0)
		w.backends[1].stop()
		failed := w.callUntilEjected(w.backends[1])
		for range 500 {
			if w.call(w.backends[1]) {
				failed++
			}
		}
		if failed > 1 {
			t.Errorf("%d calls failed", failed)
		}
		w.backends[1].start()
		healed := w.clock.read()
		w.eventuallyEjected(0)
		best = min(best, w.clock.read()-healed)
	}
	if best > 1500*time.Millisecond { // of three: one may hit a moment in which the machine is busy
		t.Errorf("a host that healed is back after %v", best)
	}
}

// TestRestartedAgentKnowsItsHosts: from its snapshot it picks at once, and it makes
// the first probes anew.
func TestRestartedAgentKnowsItsHosts(t *testing.T) {
	w := startWatchedWith(t, 3, filepath.Join(t.TempDir(), "snapshot"))
	w.backends[0].stop()
	w.callUntilEjected(w.backends[0])
	w.backends[0].start()
	w.system.stop()
	w.dns.setMute(true)
	w.system.Agent, w.system.stop = startAgent(t, func(c *Config) {
		c.Policy, c.Clock, c.Snapshot = "adaptive", w.clock.read, w.cfg.Snapshot
		c.DNS.Addrs, c.Reporter.Addrs = []string{w.dns.addr.String()}, []string{w.reporter.addr.String()}
	})
	w.program = w.system.program(0)
	h, code := w.getHost(key12)
	if code != succ || w.engine.Health().Ejected != 0 {
		t.Errorf("answer %v, %d hosts ejected from the start", code, w.engine.Health().Ejected)
	}
	w.report(key12, h, true)
	eventually(t, "the call is reported", func() bool { return w.engine.Counters().Reports == 1 })
	w.firstProbes(3)
	w.backends[1].stop()
	if failed := w.callUntilEjected(w.backends[1]); failed > 1 {
		t.Errorf("%d calls failed", failed)
	}
}

// TestDarkHostOfProgramsThatNeverReport: what calls do not come back from is
// suspected, and answers no probe.
func TestDarkHostOfProgramsThatNeverReport(t *testing.T) {
	w := startWatched(t, 3)
	w.backends[2].goDark()
	eventually(t, "the dark host is ejected, no other", func() bool {
		w.getHost(key12)
		return w.hostState(key12, w.hosts[2]).Ejected && w.engine.Health().Ejected == 1
	})
	for range 500 {
		if h, _ := w.getHost(key12); h == w.hosts[2] {
			t.Fatal("a dark host is picked after the ejection")
		}
	}
}

func TestClassicMakesNoProbes(t *testing.T) {
	backends, hosts := startBackends(t, 2)
	s := startSystem(t, func(c *Config) { c.Policy = "classic" })
	s.dns.set(key12, hosts...)
	p := s.program(0)
	p.served(key12)
	backends[0].stop()
	for range 15 {
		p.report(key12, hosts[0], false)
	}
	eventually(t, "the host is ejected", func() bool { return s.engine.Health().Ejected == 1 })
	for i := range s.prober.answers {
		if n := s.prober.answers[i].Load(); n != 0 {
			t.Errorf("%d connects answered %v", n, lb.Answer(i))
		}
	}
}

// TestThousandAddresses: all of them are connected to, 200 at a time.
func TestThousandAddresses(t *testing.T) {
	ln, err := net.Listen("tcp4", "0.0.0.0:0") // all of 127/8
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var hosts []route.Host
	for i := range 1000 {
		hosts = append(hosts, route.Host{IP: 127<<24 + 1 + uint32(i), Port: uint16(ln.Addr().(*net.TCPAddr).Port)})
	}
	clock := newSetClock()
	s := startSystem(t, func(c *Config) { c.Policy, c.Clock = "adaptive", clock.read })
	s.dns.set(key12, hosts...)
	s.program(0).served(key12)
	clock.advance(11 * time.Second)
	most := 0
	eventually(t, "all have answered", func() bool {
		done := make(chan struct{})
		s.prober.loop.Post(func() { most = max(most, s.prober.table.flying); close(done) })
		<-done
		return s.prober.answers[lb.ProbeOK].Load()+s.prober.answers[lb.ProbeSilent].Load() >= 1000 && s.prober.waiting.Load() == 0
	})
	if s.prober.dropped.Load() != 0 || most > maxConnects {
		t.Errorf("%d are dropped, up to %d at a time", s.prober.dropped.Load(), most)
	}
}

// TestWithoutDescriptorsNobodyIsEjected: a probe that could not be made says
// nothing, and is made when there are descriptors again.
func TestWithoutDescriptorsNobodyIsEjected(t *testing.T) {
	w := startWatched(t, 3)
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	restore := sync.OnceFunc(func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			t.Error(err)
		}
	})
	defer restore()
	w.backends[0].stop()
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 0, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	w.failOnce(w.backends[0])
	eventually(t, "a probe fails on this side", func() bool { return w.prober.answers[lb.ProbeNone].Load() > 0 })
	if n := w.engine.Health().Ejected; n != 0 {
		t.Errorf("%d hosts are ejected", n)
	}
	restore()
	w.clock.advance(2 * time.Second)
	w.callUntilEjected(w.backends[0])
}

// TestEndDuringConnects: an agent that ends gives up what is under way.
func TestEndDuringConnects(t *testing.T) {
	before := descriptors(t)
	w := startWatched(t, 2)
	w.backends[0].goDark()
	w.report(key12, w.hosts[0], false)
	eventually(t, "a connect is under way", func() bool { return w.prober.waiting.Load() > 0 })
	w.system.stop()
	w.program.conn.Close()
	w.dns.stop()
	w.reporter.stop()
	for _, b := range w.backends {
		b.stop()
	}
	eventually(t, "all descriptors are closed", func() bool { return descriptors(t) <= before })
}

// descriptors returns how many descriptors the process has.
func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("no list of descriptors: %v", err)
	}
	return len(list)
}

func TestAnswerOf(t *testing.T) {
	call := func(errno unix.Errno) error { return os.NewSyscallError("connect", errno) }
	for _, c := range []struct {
		want lb.Answer
		errs []error
	}{
		{lb.ProbeOK, []error{nil}},
		{lb.ProbeRefused, []error{call(unix.ECONNREFUSED), call(unix.ECONNRESET), reactor.ErrSelfConnect}},
		{lb.ProbeSilent, []error{reactor.ErrConnectTimeout, call(unix.EHOSTUNREACH), call(unix.ENETUNREACH), call(unix.EINVAL), call(unix.EACCES)}},
		{lb.ProbeNone, []error{call(unix.EMFILE), call(unix.ENFILE), call(unix.EADDRNOTAVAIL), call(unix.ENOBUFS), errors.New("what nobody knows")}},
	} {
		for _, err := range c.errs {
			if got := answerOf(err); got != c.want {
				t.Errorf("%v: %v, want %v", err, got, c.want)
			}
		}
	}
}

// TestUnreachableHostIsSilent: the answer counts when its time is over, so three
// within a moment do not eject a host.
func TestUnreachableHostIsSilent(t *testing.T) {
	clock := newSetClock()
	broadcast := route.Host{IP: 1<<32 - 1, Port: 9} // a connect fails at once
	s := startSystem(t, func(c *Config) { c.Policy, c.Clock = "adaptive", clock.read })
	s.dns.set(key12, broadcast)
	p := s.program(0)
	p.served(key12)
	began := clock.read()
	p.report(key12, broadcast, false)
	eventually(t, "a probe is silent", func() bool { return s.prober.answers[lb.ProbeSilent].Load() > 0 })
	if took := clock.read() - began; took < 140*time.Millisecond {
		t.Errorf("the answer comes after %v", took)
	}
	if h := s.hostState(key12, broadcast); h.Ejected {
		t.Error("a host that has never answered is ejected")
	}
}
