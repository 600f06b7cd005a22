package debug_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"lars.internal/internal/debug"
)

// exhausted is the variable that makes the test binary a server without descriptors.
const exhausted = "LARS_TEST_EXHAUSTED"

func TestMain(m *testing.M) {
	if os.Getenv(exhausted) != "" {
		serveExhausted()
	}
	goleak.VerifyTestMain(m)
}

// serveExhausted serves the pages after it has used up all descriptors, until
// standard input ends. It prints the address.
func serveExhausted() {
	s := debug.New(&debug.Config{Addr: "127.0.0.1:0"})
	if err := s.Listen(); err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Serve(ctx) }() // ended by cancel, received below
	var taken []*os.File                 // held, so that the collector does not close them
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			break
		}
		taken = append(taken, f)
	}
	fmt.Println(s.Addr(), len(taken) > 0)
	io.Copy(io.Discard, os.Stdin)
	cancel()
	<-done
	os.Exit(0)
}

// TestFinding09PagesAnswerWithoutDescriptors: /healthz once did not answer when the
// descriptors were used up, so a server that only had too many peers was restarted.
func TestFinding09PagesAnswerWithoutDescriptors(t *testing.T) {
	cmd := exec.Command("sh", "-c", fmt.Sprintf("ulimit -n 60 && exec %q", os.Args[0]))
	cmd.Env = append(os.Environ(), exhausted+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer in.Close()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	addr, took, _ := strings.Cut(strings.TrimSpace(line), " ")
	if took != "true" {
		t.Fatal("the server has used up nothing")
	}
	for range 20 {
		if code, body := ask(t, "GET", "http://"+addr+"/healthz", ""); code != http.StatusOK {
			t.Errorf("without descriptors, /healthz answers %d %q", code, body)
		}
	}
}

// TestFinding15SilentConnectionsHoldNothing: 64 connections that asked for nothing once
// kept everybody else from the pages.
func TestFinding15SilentConnectionsHoldNothing(t *testing.T) {
	s := debug.New(&debug.Config{Addr: "127.0.0.1:0"})
	base := start(t, s)
	silent := make([]net.Conn, 100)
	for i := range silent {
		c, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if i%2 == 1 {
			io.WriteString(c, "GET /healthz HTTP/1.1\r\n") // and no more
		}
		silent[i] = c
	}
	asked := time.Now()
	if code, _ := ask(t, "GET", base+"/healthz", ""); code != http.StatusOK {
		t.Errorf("/healthz answers %d", code)
	}
	if took := time.Since(asked); took > time.Second {
		t.Errorf("/healthz waited %v for silent connections", took)
	}
	silent[99].SetReadDeadline(time.Now().Add(8 * time.Second))
	if _, err := io.ReadAll(silent[99]); err != nil {
		t.Errorf("half a header was not given up within 8 s: %v", err)
	}
}

// TestFinding39OneFamilyAndNoProfilesBeyondLoopback: 0.0.0.0 was also [::], and
// everybody who could reach it got profiles.
func TestFinding39OneFamilyAndNoProfilesBeyondLoopback(t *testing.T) {
	for _, c := range []struct {
		addr, profiles, local, other string
		code                         int
	}{
		{"0.0.0.0:0", "", "127.0.0.1", "::1", http.StatusForbidden},
		{"0.0.0.0:0", "auto", "127.0.0.1", "::1", http.StatusForbidden},
		{"0.0.0.0:0", "on", "127.0.0.1", "::1", http.StatusOK},
		{"[::]:0", "auto", "::1", "127.0.0.1", http.StatusForbidden},
		{"127.0.0.1:0", "auto", "127.0.0.1", "::1", http.StatusOK},
		{"127.0.0.1:0", "off", "127.0.0.1", "::1", http.StatusForbidden},
	} {
		t.Run(c.addr+" "+c.profiles, func(t *testing.T) {
			s := debug.New(&debug.Config{Addr: c.addr, Profiles: c.profiles})
			if err := s.Listen(); err != nil {
				t.Skipf("no such family here: %v", err)
			}
			start(t, s)
			port := fmt.Sprint(s.Addr().Port())
			if conn, err := net.Dial("tcp", net.JoinHostPort(c.other, port)); err == nil {
				conn.Close()
				t.Errorf("it answers at %s too", c.other)
			}
			base := "http://" + net.JoinHostPort(c.local, port)
			if code, _ := ask(t, "GET", base+"/debug/pprof/goroutine?debug=1", ""); code != c.code {
				t.Errorf("profiles: got %d, want %d", code, c.code)
			}
			if code, _ := ask(t, "GET", base+"/healthz", ""); code != http.StatusOK {
				t.Errorf("/healthz answers %d", code)
			}
		})
	}
}
