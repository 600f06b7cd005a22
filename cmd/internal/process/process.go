// Package process is the life of a program of Lars as a process of the operating
// system: its signals, its descriptors, the order of its start and end, its exit code.
//
//	func main() { process.Server("lars-dns", run) }
//
//	func run(ctx context.Context, env process.Env) error {
//		log, err := env.Load(set, logging)
//		... // construct, wire
//		return env.Serve(ctx, log, pages, service)
//	}
//
// The functions are called from the main goroutine, each of them once. How long a
// unit drains is decided by the unit.
package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"lars.internal/internal/config"
)

// Env is what a process was started with.
type Env struct {
	Args           []string // after the program's name
	Environ        []string // as os.Environ returns it
	Stdout, Stderr io.Writer

	hangups <-chan os.Signal // gets each SIGHUP of a server; nil: not a server
}

// Main runs a command. It calls run with a context that ends at the first SIGTERM,
// SIGINT or SIGHUP, prints its error in one line on standard error, after the
// program's name, and exits: 0 for none, 1, or 2 when the command line was wrong. A
// second signal kills the process at once, and so does SIGPIPE.
func Main(program string, run func(context.Context, Env) error) {
	ends := []os.Signal{syscall.SIGTERM, syscall.SIGINT}
	if !signal.Ignored(syscall.SIGHUP) { // as nohup does
		ends = append(ends, syscall.SIGHUP)
	}
	start(program, run, Env{Stderr: os.Stderr}, ends)
}

// Server is Main for a server that is a process of its own. Such a process outlives
// its terminal and the reader of its output: SIGHUP and SIGPIPE do not end it. A line
// of the log that cannot be written is counted and dropped.
func Server(program string, run func(context.Context, Env) error) {
	IgnoreBrokenPipes()
	hangups := make(chan os.Signal, 1) // never closed; a second signal adds nothing
	signal.Notify(hangups, syscall.SIGHUP)
	env := Env{Stderr: &lossyWriter{w: os.Stderr}, hangups: hangups}
	start(program, run, env, []os.Signal{syscall.SIGTERM, syscall.SIGINT})
}

func start(program string, run func(context.Context, Env) error, env Env, ends []os.Signal) {
	ctx, stop := signal.NotifyContext(context.Background(), ends...)
	context.AfterFunc(ctx, stop) // the next signal finds no handler, so it kills
	env.Args, env.Environ, env.Stdout = os.Args[1:], os.Environ(), os.Stdout
	err := run(ctx, env)
	config.Fail(os.Stderr, program, interrupted(ctx, err))
	os.Exit(config.ExitCode(err))
}

// interrupted explains "context canceled" after a signal.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return fmt.Errorf("interrupted: %w", err)
	}
	return err
}

// Unit is a part of a process that serves until its context is done.
type Unit interface {
	Listen() error                   // binds; the error names the address
	Serve(ctx context.Context) error // returns when all of it has ended
}

// looper is a unit that runs event loops.
type looper interface{ Loops() int }

// maxReserve bounds what reserve adds: the garbage collector marks on a quarter of
// GOMAXPROCS, whatever the machine has.
const maxReserve = 8

// reserve raises GOMAXPROCS by one for each event loop, unless the environment
// sets it. To the Go scheduler a loop that waits in the kernel has a processor
// until that is taken away from it, 20 us to 10 ms later. With no more of them
// than loops, a loop whose sockets are ready waits for one that has nothing to
// do. From then on the runtime does not follow a CPU quota that changes.
func reserve(units []Unit) {
	if os.Getenv("GOMAXPROCS") != "" {
		return
	}
	loops := 0
	for _, u := range units {
		if l, ok := u.(looper); ok {
			loops += l.Loops()
		}
	}
	if loops > 0 {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + min(loops, maxReserve))
	}
}

// Run binds all units, then serves them until ctx is done or one of them ends.
// They are stopped one after the other, the last one first, and each has ended
// before the next one is stopped. It returns the first error of a unit. An error of
// Listen leaves what was bound before it to the end of the process.
func Run(ctx context.Context, units ...Unit) error {
	for _, u := range units {
		if err := u.Listen(); err != nil {
			return err
		}
	}
	reserve(units)
	ended := make(chan struct{}, len(units)) // a place for each, so that no sender waits
	tasks := make([]*task, len(units))
	for i, u := range units {
		tasks[i] = startTask(u, ended)
	}
	select {
	case <-ctx.Done():
	case <-ended:
	}
	return stopAll(tasks)
}

// task is a unit that serves on a goroutine of its own. stop ends it and waits.
type task struct {
	cancel context.CancelFunc
	done   chan error // gets the result of Serve, once
}

func startTask(u Unit, ended chan<- struct{}) *task {
	// Not a child of Run's context: that would stop all units at once.
	ctx, cancel := context.WithCancel(context.Background())
	t := &task{cancel, make(chan error, 1)}
	go func() {
		t.done <- u.Serve(ctx)
		ended <- struct{}{}
	}()
	return t
}

func (t *task) stop() error {
	t.cancel()
	return <-t.done
}

func stopAll(tasks []*task) error {
	var first error
	for i := len(tasks) - 1; i >= 0; i-- {
		if err := tasks[i].stop(); err != nil && first == nil {
			first = err
		}
	}
	return first
}
