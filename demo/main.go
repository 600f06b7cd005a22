// Demo runs all of Lars: it starts the three servers on an embedded database in a
// temporary folder and six small backends, of which one fails half of its calls and
// one is dead, drives calls through client and agent, edits the route on the way,
// and prints what became of it all.
//
//	make demo
//	bin/lars-demo -bin bin -calls 20000 -rate 1000
//
// It ends with 0 if everything came out as it has to, with 1 and the reason if not.
// Whether it ends by itself or by a signal, it leaves neither processes nor files.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"lars.internal/client"
)

// The service of the demo.
const (
	modid   = 1
	cmdid   = 1
	service = "1/1"
)

// options are the flags.
type options struct {
	bin     string // folder of the servers
	calls   int    // in total
	rate    int    // calls a second
	workers int
}

func main() {
	// The servers are told to die with the thread that started them; the main
	// thread is the one that lives as long as the process.
	runtime.LockOSThread()
	var o options
	flag.StringVar(&o.bin, "bin", "bin", "folder that holds lars-dns, lars-reporter, lars-agent and lars")
	flag.IntVar(&o.calls, "calls", 20_000, "number of calls")
	flag.IntVar(&o.rate, "rate", 1_000, "calls a second")
	flag.IntVar(&o.workers, "workers", 8, "calls at a time")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := demo(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// demo runs it all and takes it all down again.
func demo(ctx context.Context, o options) (err error) {
	// The backends start first and stop last, so that they hold their ports while
	// the servers choose theirs, and no connection to them is open at their end.
	farm, err := newFarm()
	if err != nil {
		return err
	}
	defer farm.close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	sys, err := newSystem(o.bin, cancel)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sys.stop(err)) }()

	fmt.Printf("starting lars-dns, lars-reporter and lars-agent on an SQLite file in %s\n", sys.dir)
	if err := sys.start(ctx, farm.first()); err != nil {
		return interrupted(ctx, err)
	}
	c, err := client.New(client.Config{Agent: sys.agent, Timeout: time.Second})
	if err != nil {
		return err
	}
	defer c.Close()
	if err := waitForRoute(ctx, c); err != nil {
		return interrupted(ctx, err)
	}
	r, err := show(ctx, o, sys, farm, c)
	if err != nil {
		return interrupted(ctx, err)
	}
	r.print(os.Stdout)
	return r.verdict()
}

// show drives the calls, edits the route on the way and gathers the results.
func show(ctx context.Context, o options, sys *system, farm *farm, c *client.Client) (*results, error) {
	fmt.Printf("calling service %s: %s calls, %s a second; backends: 3 healthy, 1 fails half, 1 dead\n",
		service, thousands(o.calls), thousands(o.rate))
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	l := newLoad(c, farm, o)
	w := newWatch(sys, farm, l, os.Stdout)
	watched := make(chan struct{})
	go func() { // ends with the load, awaited below
		defer close(watched)
		w.run(ctx)
	}()
	edits := make(chan []edit, 1)
	go func() { // ends with the load or ctx, awaited below
		e, err := editOnTheWay(ctx, sys, farm, c, l)
		if err != nil {
			cancel(err)
		}
		edits <- e
	}()
	l.run(ctx)
	r := &results{load: l, farm: farm, edits: <-edits}
	<-watched
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	r.agent = w.hosts
	var err error
	r.table, err = sys.reportTable(ctx, farm.first(), l.end.Add(-time.Second))
	return r, err
}

// waitForRoute returns when the agent has the route of the service.
func waitForRoute(ctx context.Context, c *client.Client) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	for {
		err := c.Register(ctx, modid, cmdid)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("the agent did not learn the route: %w", err)
		}
		pause(ctx, 50*time.Millisecond)
	}
}

var errInterrupted = errors.New("interrupted; everything is taken down")

// interrupted replaces the consequences of a signal, or of a server that ended, by
// their cause.
func interrupted(ctx context.Context, err error) error {
	var ended *endedError
	switch {
	case errors.As(context.Cause(ctx), &ended):
		return ended
	case ctx.Err() != nil:
		return errInterrupted
	}
	return err
}

// pause waits for d, shorter if ctx is done.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
