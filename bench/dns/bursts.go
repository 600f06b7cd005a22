package main

import (
	"context"
	"time"
)

const (
	burstEdits       = 1000 // of one service, within burstTime
	burstTime        = time.Second
	burstSubscribers = 10
)

// burstRun is what subscribers got of a burst of edits.
type burstRun struct {
	Edits       int     `json:"edits"`
	EditSeconds float64 `json:"edit_seconds"`
	Subscribers int     `json:"subscribers"`
	Pushes      float64 `json:"pushes_per_subscriber"`
	LastMillis  float64 `json:"last_state_everywhere_ms"` // since the last COMMIT returned
}

func (s *stage) bursts(ctx context.Context, bursts int) ([]burstRun, error) {
	d, db, stop, err := s.start(ctx, pushHosts, hostsPerService)
	if err != nil {
		return nil, err
	}
	defer stop()
	a, err := newAudience(ctx, d.addr, burstSubscribers, 1)
	if err != nil {
		return nil, err
	}
	defer a.stop()
	var runs []burstRun
	for range bursts {
		r, err := burst(ctx, db, a)
		if err != nil {
			return nil, err
		}
		runs = append(runs, r)
		progress("bursts: %d edits in %.2f s came as %.1f pushes, the last state after %.0f ms", r.Edits, r.EditSeconds, r.Pushes, r.LastMillis)
	}
	return runs, nil
}

// burst makes edits when they are due, and expects the last one everywhere.
func burst(ctx context.Context, db *database, a *audience) (burstRun, error) {
	r := burstRun{Edits: burstEdits, Subscribers: a.subscribers}
	a.expect(db.mark + burstEdits)
	frames := a.frames.Load()
	began := time.Now()
	var last commit
	for i := range burstEdits {
		if early := time.Until(began.Add(burstTime / burstEdits * time.Duration(i))); early > 0 {
			if err := pause(ctx, early); err != nil {
				return r, err
			}
		}
		var err error
		if last, err = db.edit(ctx, 1); err != nil {
			return r, err
		}
	}
	r.EditSeconds = last.done.Sub(began).Seconds()
	if err := a.await(ctx); err != nil {
		return r, err
	}
	for _, at := range a.arrivals() {
		r.LastMillis = max(r.LastMillis, float64(at.Sub(last.done).Microseconds())/1e3)
	}
	r.Pushes = float64(a.frames.Load()-frames) / float64(a.subscribers)
	return r, nil
}
