package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"lars.internal/bench/measure"
)

// The paths of a backend.
const (
	callPath   = "/"
	errorsPath = "/errors?share="
	slowPath   = "/slow?factor="
)

// serveBackend is the main of a backend process: an HTTP server whose calls take
// an exponential time of the mean serviceTime each, however many there are. It
// ends when its standard input does, so that none outlives the benchmark.
func serveBackend(addr string) error {
	var errorShare, factor atomic.Value
	errorShare.Store(0.0)
	factor.Store(1.0)
	mux := http.NewServeMux()
	mux.HandleFunc(callPath, func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(time.Duration(rand.ExpFloat64() * factor.Load().(float64) * float64(serviceTime)))
		if rand.Float64() < errorShare.Load().(float64) {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("/errors", setter(&errorShare, "share"))
	mux.HandleFunc("/slow", setter(&factor, "factor"))
	go func() { // ends with the process
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	return http.ListenAndServe(addr, mux)
}

func setter(v *atomic.Value, name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		f, err := strconv.ParseFloat(r.FormValue(name), 64)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		v.Store(f)
	}
}

// backend is a process that serves calls. Owned by one goroutine at a time.
type backend struct {
	// Immutable after newBackend.
	addr  netip.AddrPort
	space *namespace // nil: that of the benchmark

	cmd   *exec.Cmd
	alive io.WriteCloser // its standard input
}

// start starts the process and waits until it answers.
func (b *backend) start(ctx context.Context) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	args := append(b.space.prefix(), program, backendWord, b.addr.String())
	b.cmd = exec.Command(args[0], args[1:]...)
	b.cmd.Stderr = os.Stderr
	if b.alive, err = b.cmd.StdinPipe(); err != nil {
		return err
	}
	if err := b.cmd.Start(); err != nil {
		return fmt.Errorf("start a backend: %w", err)
	}
	return measure.Await(ctx, fmt.Sprintf("backend %v answers", b.addr), func() error { return b.get(ctx, errorsPath+"0") })
}

// kill ends the process at once and waits for its end.
func (b *backend) kill() {
	b.cmd.Process.Kill()
	b.cmd.Wait() // says that it was killed
	b.alive.Close()
}

func (b *backend) signal(s syscall.Signal) error { return b.cmd.Process.Signal(s) }

// get asks for a path on a connection of its own.
func (b *backend) get(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+b.addr.String()+path, nil)
	if err != nil {
		return err
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}
