package agent

import (
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
	"lars.internal/route"
)

const (
	// snapshotPause is the least time between two writes of the snapshot. It
	// gathers the answers of a start and bursts of edits.
	snapshotPause = 2 * time.Second

	// snapshotRefresh is the age at which a snapshot is written again although
	// nothing changed, so that its age tells how long no dns service was there.
	snapshotRefresh = 10 * time.Minute

	// snapshotRetry is how long after a write that failed the next one comes,
	// whether something changed or not.
	snapshotRetry = 30 * time.Second
)

// snapshot keeps the routes in a file, for the next start.
type snapshot struct {
	// Immutable after newSnapshot.
	path   string // empty: there is none
	routes *routes
	clock  func() time.Duration
	wall   func() time.Time
	fresh  func() bool   // routes are confirmed at the moment
	retry  time.Duration // after a write that failed
	log    *slog.Logger
	wake   chan struct{} // capacity 1; full: a write is due already; never closed

	// Owned by run.
	failing bool // the last write failed and was told

	written atomic.Int64  // when the routes on disk were known to be right, by clock; longAgo: none there
	failed  atomic.Uint64 // writes
}

func newSnapshot(cfg *Config, routes *routes) *snapshot {
	s := &snapshot{
		path:   cfg.Snapshot,
		routes: routes,
		clock:  cfg.Clock,
		wall:   time.Now,
		log:    cfg.Log,
		wake:   make(chan struct{}, 1),
		retry:  snapshotRetry,
	}
	s.written.Store(int64(longAgo))
	return s
}

// changed tells that the routes are no longer those on disk. It may be called
// from any goroutine.
func (s *snapshot) changed() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// age returns how long ago the routes on disk were known to be right; negative
// if there are none.
func (s *snapshot) age() time.Duration {
	at := time.Duration(s.written.Load())
	if at == longAgo {
		return -time.Second
	}
	return s.clock() - at
}

// load fills the map from the file. Without a file it does nothing; with one
// that cannot be used it says so and does nothing.
func (s *snapshot) load() {
	if s.path == "" {
		return
	}
	table, loaded, err := readSnapshot(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return
	case err != nil:
		s.log.Warn("snapshot of routes ignored", "file", s.path, "reason", err)
		return
	}
	age := max(s.wall().Sub(loaded), 0) // the clock may have been set back since
	s.written.Store(int64(s.clock() - age))
	services, hosts := s.restore(table)
	s.log.Info("snapshot of routes loaded", "file", s.path, "services", services, "hosts", hosts, "age", age.Round(time.Second))
}

func readSnapshot(path string) (*route.Table, time.Time, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer f.Close() // nothing is written through it
	return route.ReadSnapshot(f)
}

// restore puts the services of the table into the map, as many as it may hold.
// They are as old as the table, so the first request for one pulls it.
func (s *snapshot) restore(table *route.Table) (services, hosts int) {
	now := s.clock()
	updated := now - max(s.age(), s.routes.updateTimeout+1)
	for key, list := range table.All {
		if s.routes.full() {
			break
		}
		s.routes.restore(key, list, updated, now)
		services++
		hosts += len(list)
	}
	return services, hosts
}

// run writes the file after changes, until ctx is done, and then once more if
// there is something new. A write that fails is tried again, so it returns nil.
func (s *snapshot) run(ctx context.Context) error {
	if s.path == "" {
		return nil
	}
	refresh := time.NewTicker(snapshotRefresh)
	defer refresh.Stop()
	retry := time.NewTicker(s.retry)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			s.writeLast()
			return nil
		case <-s.wake:
			s.write()
		case <-refresh.C:
			if s.fresh() {
				s.write()
			}
			continue
		case <-retry.C:
			if s.failing {
				s.write()
			}
			continue
		}
		pause(ctx, snapshotPause)
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

func (s *snapshot) writeLast() {
	select {
	case <-s.wake:
		s.write()
	default:
		if s.failing || s.fresh() {
			s.write()
		}
	}
}

// write writes the file. It tells about the first failure of a row only.
func (s *snapshot) write() {
	now, at := s.wall(), s.clock()
	table := route.NewTable(uint64(now.Unix()), s.routes.table())
	err := atomicfile.Write(s.path, func(w io.Writer) error {
		return route.WriteSnapshot(w, table, now)
	})
	if err == nil {
		s.failing = false
		s.written.Store(int64(at))
		return
	}
	s.failed.Add(1)
	if !s.failing {
		s.failing = true
		s.log.Warn("snapshot of routes not written", "reason", fmt.Errorf("agent: %w", err))
	}
}
