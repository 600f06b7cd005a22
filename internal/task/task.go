// Package task runs a part of a server in a goroutine that its starter stops
// and awaits.
//
//	saving := task.Start(context.WithoutCancel(ctx), keeper.Run, nil)
//	...
//	err := saving.Stop()
//
// The order in which a server stops its tasks is then the order of these lines.
// All methods are safe for concurrent use.
package task

import "context"

// Task is a function that runs in a goroutine of its own.
type Task struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when the function has returned
	err    error         // what it returned; set before done is closed
}

// Start calls run in a goroutine that ends by Stop, with ctx, or by itself. If
// run returns an error, failed is called unless it is nil.
func Start(ctx context.Context, run func(context.Context) error, failed func()) *Task {
	ctx, cancel := context.WithCancel(ctx)
	t := &Task{cancel: cancel, done: make(chan struct{})}
	go func() { // stopped and awaited by Stop
		defer close(t.done)
		t.err = run(ctx)
		if t.err != nil && failed != nil {
			failed()
		}
	}()
	return t
}

// Stop ends the context of the function, waits until it has returned, and
// returns its error.
func (t *Task) Stop() error {
	t.cancel()
	return t.Wait()
}

// Wait waits until the function has returned by itself, and returns its error.
func (t *Task) Wait() error {
	<-t.done
	t.cancel()
	return t.err
}
