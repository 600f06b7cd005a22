package dns

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// state is what a server knows of its routes. Safe for concurrent use.
type state struct {
	routes *routes // immutable

	mu       sync.Mutex // guards everything below
	loaded   bool       // a load has gone well in this run
	fresh    bool       // the table was that of the store in this run
	asOf     time.Time  // when the table was known to be what the store holds
	lookErr  error      // why the last look failed; nil: it went well
	loadErr  error      // the same for the last full load
	held     *heldBack  // nil: nothing is held back
	holdings uint64     // loads that were held back, each counted once
}

// heldBack is a load that is not served, because it removes too much.
type heldBack struct {
	loss
	digest uint64    // of what it would change
	since  time.Time // when it was first seen
}

// restored notes that the table is that of a snapshot.
func (s *state) restored(asOf time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asOf = asOf
	s.markLocked()
}

// looked notes how a look at the store ended. After a good one the table is up
// to date, if it ever was.
func (s *state) looked(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lookErr = err
	if err == nil && s.fresh && s.held == nil {
		s.asOf = time.Now()
	}
	s.markLocked()
}

// read notes how a full load ended, before anything is made of it.
func (s *state) read(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loadErr = err
	s.loaded = s.loaded || err == nil
	s.markLocked()
}

// took notes that the table is what the store holds.
func (s *state) took() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fresh, s.asOf, s.held = true, time.Now(), nil
	s.markLocked()
}

// hold notes that a load is held back.
func (s *state) hold(h *heldBack) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held == nil {
		s.holdings++
	}
	s.held = h
	s.markLocked()
}

// markLocked sets what answers say.
func (s *state) markLocked() {
	s.routes.stale.Store(!s.fresh || s.lookErr != nil || s.loadErr != nil || s.held != nil)
}

func (s *state) isFresh() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fresh
}

func (s *state) holding() (held *heldBack, total uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held, s.holdings
}

// knownAt returns when the table was known to be what the store holds.
func (s *state) knownAt() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asOf
}

// storeUp reports whether the last look and the last load went well.
func (s *state) storeUp() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.loaded && s.lookErr == nil && s.loadErr == nil
}

// causeLocked returns what is wrong with the store.
func (s *state) causeLocked() error {
	switch {
	case s.lookErr != nil:
		return s.lookErr
	case s.loadErr != nil:
		return s.loadErr
	}
	return errors.New("the first load is under way")
}

// ready returns nil if there are routes to answer with and nothing is held back.
func (s *state) ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.routes.table.Load() == nil {
		return fmt.Errorf("dns: no routes yet, requests wait: %w", s.causeLocked())
	}
	if h := s.held; h != nil {
		return fmt.Errorf("dns: a load that removes %d of %d hosts without change records is held back for %v, and the routes before it are served; "+
			"to take it: lars route accept", h.removed, h.of, time.Since(h.since).Round(time.Second))
	}
	return nil
}

// remark says that the routes are stale, since when, and why; "" if they are
// not.
func (s *state) remark() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	table := s.routes.table.Load()
	if table == nil || !s.routes.stale.Load() {
		return ""
	}
	cause := s.causeLocked()
	if s.held != nil {
		cause = errors.New("a load is held back")
	}
	return fmt.Sprintf("stale: routes of version %d, known to be right %v ago: %v",
		table.Version(), time.Since(s.asOf).Round(time.Second), cause)
}
