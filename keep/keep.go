// Package keep keeps a table of routes in a file, for the next start.
//
//	k := keep.New(keep.Config{Path: path, Source: source, Log: log})
//	table, asOf := k.Load()  // what the last run left; nil: nothing
//	go k.Run(ctx)            // writes until ctx is done, and once more then
//	k.Changed()              // whenever the table is another one
//
// A table is as old as the last moment at which it was known to be right. The
// source gives that moment with the table, the file holds it, and Age counts
// from it. A table that did not change and is still right is written again from
// time to time and at the end, so that the file does not look older than it is.
//
// A write replaces the file in one step (package atomicfile), and a checksum
// finds what the disk changed. A file that cannot be used is put aside, named
// as it with ".bad" at its end, and a line says so.
//
// Changed, Age and the counters are safe for concurrent use. Load comes before
// Run, which runs once at a time.
package keep

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"lars.internal/internal/atomicfile"
	"lars.internal/internal/backoff"
	"lars.internal/internal/outage"
	"lars.internal/route"
)

// BadSuffix ends the name of a file that could not be used.
const BadSuffix = ".bad"

// Nothing is the age of a file that holds no table.
const Nothing = -time.Second

// Config describes a Keeper.
type Config struct {
	// Path of the file. Empty: there is none, and nothing is done.
	Path string

	// Source returns what to keep, and the last moment at which it was known
	// to be right. A nil table, or a moment that is not known, is not written.
	// A moment with a monotonic reading makes Age proof against a clock that is
	// set.
	Source func() (table *route.Table, asOf time.Time)

	// Pause is the least time between two writes. Default 2 s. Shorter: less is
	// lost by a crash. Longer: fewer writes while edits come in bursts.
	Pause time.Duration

	// Refresh is how often a table that did not change is written again if it
	// is still right. Default 10 min: what a crash adds to the age at most.
	Refresh time.Duration

	// Retry bounds the pause after a write that failed; it doubles up to this.
	// Default 1 min.
	Retry time.Duration

	// Name begins each log line, as in "dns: ". Default: nothing.
	Name string

	// Log gets a line for each load and failure. Default: discarded.
	Log *slog.Logger

	// Now is the wall clock. Default time.Now.
	Now func() time.Time
}

// Keeper keeps one table in one file.
type Keeper struct {
	cfg     Config        // immutable after New
	wake    chan struct{} // capacity 1; full: a write is due already; never closed
	failing *outage.User  // owned by Run

	asOf             atomic.Pointer[time.Time] // of what the file holds; nil: it holds nothing
	writes, failures atomic.Uint64
}

// New returns a Keeper that has not looked at its file yet.
func New(cfg Config) *Keeper {
	cfg.Pause = cmp.Or(cfg.Pause, 2*time.Second)
	cfg.Refresh = cmp.Or(cfg.Refresh, 10*time.Minute)
	cfg.Retry = cmp.Or(cfg.Retry, time.Minute)
	cfg.Log = cmp.Or(cfg.Log, slog.New(slog.DiscardHandler))
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	k := &Keeper{cfg: cfg, wake: make(chan struct{}, 1)}
	k.failing = outage.New(cfg.Log, cfg.Name+"writing the snapshot of routes").User()
	return k
}

// Changed says that the table is no longer the one in the file. It never
// blocks.
func (k *Keeper) Changed() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// Age returns how long ago the table in the file was known to be right, at
// least 0; Nothing if there is none.
func (k *Keeper) Age() time.Duration {
	asOf := k.asOf.Load()
	if asOf == nil {
		return Nothing
	}
	return max(k.cfg.Now().Sub(*asOf), 0)
}

// Writes returns how many times the file was written.
func (k *Keeper) Writes() uint64 { return k.writes.Load() }

// Failures returns how many writes failed.
func (k *Keeper) Failures() uint64 { return k.failures.Load() }

// Load reads the file. Without a good one it returns nil.
func (k *Keeper) Load() (*route.Table, time.Time) {
	if k.cfg.Path == "" {
		return nil, time.Time{}
	}
	atomicfile.Sweep(k.cfg.Path)
	table, asOf, err := Read(k.cfg.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, time.Time{}
	case err != nil:
		k.putAside(err)
		return nil, time.Time{}
	}
	now := k.cfg.Now()
	asOf = now.Add(-max(now.Sub(asOf), 0)) // the clock may have been set back; from here on it is monotonic
	k.asOf.Store(&asOf)
	services, hosts := table.Len()
	k.cfg.Log.Info(k.cfg.Name+"snapshot of routes loaded", "file", k.cfg.Path, "version", table.Version(),
		"services", services, "hosts", hosts, "age", k.Age().Round(time.Second).String())
	return table, asOf
}

// putAside keeps a bad file, so that an operator can look at it: the next write
// would replace it. What is no file at all stays where it is.
func (k *Keeper) putAside(reason error) {
	kept, name := "", k.cfg.Path+BadSuffix
	if info, err := os.Lstat(k.cfg.Path); err == nil && info.Mode().IsRegular() && os.Rename(k.cfg.Path, name) == nil {
		kept = name
	}
	k.cfg.Log.Warn(k.cfg.Name+"snapshot of routes ignored", "file", k.cfg.Path, "kept_as", kept, "reason", reason)
}

// Read reads a file that a Keeper wrote.
func Read(path string) (*route.Table, time.Time, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer f.Close() // it was only read
	return route.ReadSnapshot(f)
}

// Run writes the file after changes until ctx is done, and then once more if
// there is something newer. A write that fails is tried again, so it returns
// nil.
func (k *Keeper) Run(ctx context.Context) error {
	if k.cfg.Path == "" {
		return nil
	}
	refresh := time.NewTicker(k.cfg.Refresh)
	defer refresh.Stop()
	pauses := backoff.Policy{Min: k.cfg.Pause, Max: max(k.cfg.Retry, k.cfg.Pause)}
	failures := 0
	for {
		select {
		case <-ctx.Done():
			k.finish()
			return nil
		case <-k.wake:
		case <-refresh.C:
			if !k.newer() {
				continue
			}
		}
		wait := k.cfg.Pause
		if !k.write() {
			k.Changed()
			wait = pauses.After(failures)
			failures++
		} else {
			failures = 0
		}
		pause(ctx, wait)
	}
}

// pause waits, or not any longer than ctx.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// newer reports whether the table is known to be right since what the file
// holds.
func (k *Keeper) newer() bool {
	table, asOf := k.cfg.Source()
	held := k.asOf.Load()
	return table != nil && !asOf.IsZero() && (held == nil || asOf.Sub(*held) >= time.Second)
}

// finish writes what is still to be written.
func (k *Keeper) finish() {
	select {
	case <-k.wake:
		k.write()
	default:
		if k.newer() {
			k.write()
		}
	}
}

// write writes the file and reports whether that went well.
func (k *Keeper) write() bool {
	table, asOf := k.cfg.Source()
	if table == nil || asOf.IsZero() {
		return true // Changed comes again once there is something
	}
	err := atomicfile.Write(k.cfg.Path, func(w io.Writer) error { return route.WriteSnapshot(w, table, asOf) })
	if err != nil {
		k.failures.Add(1)
		k.failing.Failed(fmt.Errorf("keep: %w", err))
		return false
	}
	k.failing.Worked()
	k.writes.Add(1)
	k.asOf.Store(&asOf)
	return true
}
