package e2e_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"lars.internal/larspb"
	"lars.internal/route"
)

// cppAgent plays an agent of the C++ stack over a plain socket: it asks for 1/1
// when it connects, and tries a lost connection exactly once.
type cppAgent struct {
	addr   string
	routes chan []route.Host // each route that came; nobody takes them: dropped
	gone   chan error        // gets the error of the one try that failed
	stop   chan struct{}
	ended  chan struct{}
}

func startCppAgent(t *testing.T, addr string) *cppAgent {
	t.Helper()
	a := &cppAgent{addr: addr, routes: make(chan []route.Host, 100), gone: make(chan error, 1), stop: make(chan struct{}), ended: make(chan struct{})}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	go a.run(conn)
	t.Cleanup(func() {
		close(a.stop)
		<-a.ended
	})
	return a
}

func (a *cppAgent) run(conn net.Conn) {
	defer close(a.ended)
	for {
		a.read(conn)
		select {
		case <-a.stop:
			return
		default:
		}
		var err error
		if conn, err = net.Dial("tcp", a.addr); err != nil {
			a.gone <- err
			return
		}
	}
}

// read asks, and takes what comes until the connection ends or the test does.
func (a *cppAgent) read(conn net.Conn) {
	over := make(chan struct{})
	defer close(over)
	go func() {
		select {
		case <-a.stop:
		case <-over:
		}
		conn.Close()
	}()
	ask, err := larspb.AppendFrame(nil, larspb.IDGetRouteRequest, &larspb.GetRouteRequest{Modid: 1, Cmdid: 1})
	if err == nil {
		_, err = conn.Write(ask)
	}
	for err == nil {
		var hosts []route.Host
		if hosts, err = readRoute(conn); err == nil {
			select {
			case a.routes <- hosts:
			default:
			}
		}
	}
}

func readRoute(r io.Reader) ([]route.Host, error) {
	var header [larspb.HeaderSize]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return nil, err
	}
	body := make([]byte, binary.LittleEndian.Uint32(header[4:]))
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, err
	}
	var m larspb.GetRouteResponse
	if err := proto.Unmarshal(body, &m); err != nil {
		return nil, err
	}
	var hosts []route.Host
	for _, h := range m.Host {
		hosts = append(hosts, route.Host{IP: uint32(h.Ip), Port: uint16(h.Port)})
	}
	return hosts, nil
}

// has waits until a route with so many hosts has come.
func (a *cppAgent) has(t *testing.T, hosts int) {
	t.Helper()
	late := time.After(deadline)
	for {
		select {
		case got := <-a.routes:
			if len(got) == hosts {
				return
			}
		case err := <-a.gone:
			t.Fatalf("the agent is lost for good: its one try to connect ended with %v", err)
		case <-late:
			t.Fatalf("no route with %d hosts came", hosts)
		}
	}
}

// All restarts of dns orphaned the agents of the C++ stack, which try a lost
// connection exactly once. A new lars-dns takes over the listening socket, so that
// the one try succeeds, several times in a row.
func TestFinding58NewDNSTakesOver(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, build(t), "sqlite:"+filepath.Join(dir, "lars.db"))
	offered := filepath.Join(dir, "dns.sock")
	pages := freePorts(t, "tcp", 1)
	launchDNS := func() *program {
		return launch(t, w.bin, "lars-dns", w.environ(), "-reactor.port", fmt.Sprint(w.dnsPort), "-reactor.handover", offered,
			"-debug.addr", fmt.Sprintf("127.0.0.1:%d", pages))
	}
	running := launchDNS()
	eventually(t, "the first dns offers its socket", func() bool { return offers(offered) })
	agents := make([]*cppAgent, 20)
	for i := range agents {
		agents[i] = startCppAgent(t, fmt.Sprintf("127.0.0.1:%d", w.dnsPort))
		agents[i].has(t, 2)
	}
	for round := range 3 {
		next := launchDNS()
		if err := running.wait(); err != nil {
			t.Fatalf("the old dns ended with %v:\n%s", err, running.output())
		}
		running = next
		w.lars("route", "add", "1/1", fmt.Sprintf("10.9.0.%d:80", round+1))
		for _, a := range agents {
			a.has(t, 3+round) // pushed by the new one
		}
		eventually(t, "the new dns offers its socket and has the pages", func() bool {
			return offers(offered) && isReady(pages)
		})
	}
}

// offers reports whether a process listens at a Unix socket.
func offers(path string) bool {
	conn, err := net.Dial("unix", path)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// isReady reports whether a server says at its pages that it is.
func isReady(port int) bool {
	resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/readyz", port))
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// A new process that cannot serve leaves the old one alone.
func TestFinding58NewDNSThatFailsHarmsNobody(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, build(t), "sqlite:"+filepath.Join(dir, "lars.db"))
	offered := filepath.Join(dir, "dns.sock")
	args := []string{"-reactor.port", fmt.Sprint(w.dnsPort), "-reactor.handover", offered, "-debug.addr", "off"}
	launch(t, w.bin, "lars-dns", w.environ(), args...)
	eventually(t, "dns offers its socket", func() bool { return offers(offered) })
	agent := startCppAgent(t, fmt.Sprintf("127.0.0.1:%d", w.dnsPort))
	agent.has(t, 2)

	// Its database is empty, and it has no snapshot.
	hung := launch(t, w.bin, "lars-dns", append(cleanEnviron(), "LARS_STORE_DSN=mysql://nobody@127.0.0.1:1/none"), args...)
	eventually(t, "the new process has the socket", func() bool { return strings.Contains(hung.output(), "taken over") })
	hung.kill()
	w.lars("route", "add", "1/1", "10.9.0.1:80")
	agent.has(t, 3)
}

// Systemd holds the socket: agents wait in the kernel while no process runs.
func TestFinding58SocketOfSystemd(t *testing.T) {
	w := newWorld(t, build(t), "sqlite:"+filepath.Join(t.TempDir(), "lars.db"))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	socket, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	first := w.launchAsSystemd(socket)
	agent := startCppAgent(t, l.Addr().String())
	agent.has(t, 2)
	first.stop(syscall.SIGTERM)
	w.lars("route", "add", "1/1", "10.9.0.1:80")
	w.launchAsSystemd(socket)
	agent.has(t, 3)
}

// launchAsSystemd starts lars-dns with a socket, the way systemd does: the
// variables name the process that they are for.
func (w *world) launchAsSystemd(socket *os.File) *program {
	w.t.Helper()
	script := filepath.Join(w.t.TempDir(), "start")
	text := fmt.Sprintf("#!/bin/sh\nexport LISTEN_PID=$$ LISTEN_FDS=1\nexec %s/lars-dns -debug.addr off\n", w.bin)
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		w.t.Fatal(err)
	}
	return launchWith(w.t, filepath.Dir(script), filepath.Base(script), w.environ(), []*os.File{socket})
}
