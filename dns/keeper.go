package dns

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"lars.internal/internal/atomicfile"
	"lars.internal/route"
)

const (
	// keepInterval is the least time between two writes of the snapshot.
	keepInterval = time.Second

	// maxKeepBackoff bounds the time to the next try after a failed write.
	maxKeepBackoff = time.Minute
)

// keeper keeps the table in a file.
type keeper struct {
	// Immutable after newKeeper.
	path   string
	source func() (*route.Table, time.Time) // what to keep, and when it was right
	log    *slog.Logger
	marked chan struct{} // capacity 1: a mark that finds it full is in it already

	writes, errors atomic.Uint64
	savedAsOf      atomic.Int64 // Unix seconds of what the file holds; 0: nothing

	// Owned by run.
	outage outage
}

func newKeeper(path string, log *slog.Logger, source func() (*route.Table, time.Time)) *keeper {
	return &keeper{
		path: path, source: source, log: log,
		marked: make(chan struct{}, 1),
		outage: outage{log: log, what: "dns: writing the snapshot"},
	}
}

// mark says that there is something new to keep. It never blocks.
func (k *keeper) mark() {
	select {
	case k.marked <- struct{}{}:
	default:
	}
}

// restore reads the file. Without a good one it returns nil.
func (k *keeper) restore() (*route.Table, time.Time) {
	table, loaded, err := readSnapshot(k.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, time.Time{}
	}
	if err != nil {
		k.log.Warn("dns: snapshot ignored", "file", k.path, "error", err)
		return nil, time.Time{}
	}
	k.savedAsOf.Store(loaded.Unix())
	services, hosts := table.Len()
	k.log.Info("dns: answering from a snapshot until the store answers", "file", k.path,
		"age", time.Since(loaded).Round(time.Second), "version", table.Version(), "services", services, "hosts", hosts)
	return table, loaded
}

func readSnapshot(path string) (*route.Table, time.Time, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer f.Close() // it was only read
	return route.ReadSnapshot(f)
}

// run writes what is marked until ctx is done, and the last mark then.
func (k *keeper) run(ctx context.Context) {
	wait := keepInterval
	for {
		select {
		case <-ctx.Done():
			k.finish()
			return
		case <-k.marked:
		}
		if k.save() {
			wait = keepInterval
		} else {
			k.mark()
			wait = min(2*wait, maxKeepBackoff)
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// finish writes what is still marked.
func (k *keeper) finish() {
	select {
	case <-k.marked:
		k.save()
	default:
	}
}

// save writes the file and tells whether that went well.
func (k *keeper) save() bool {
	table, asOf := k.source()
	err := atomicfile.Write(k.path, func(w io.Writer) error { return route.WriteSnapshot(w, table, asOf) })
	if err != nil {
		k.errors.Add(1)
		k.outage.begin(err)
		return false
	}
	k.outage.end()
	k.writes.Add(1)
	k.savedAsOf.Store(asOf.Unix())
	return true
}
