package reporter

import (
	"context"
	"time"

	"lars.internal/internal/outage"
)

const (
	// expireRows is how many rows one call of the sink removes at most, and
	// expirePause the time between two, so that no other statement waits long for the locks.
	expireRows  = 500
	expirePause = 100 * time.Millisecond

	// expireEvery is the time between two looks for rows that are too old.
	expireEvery = time.Hour
)

// expire removes rows that no report has renewed for Config.Retention, until ctx
// is done. What fails is tried again at the next look; storing does not depend
// on it.
func (s *Server) expire(ctx context.Context) error {
	user := outage.Told(s.cfg.Log, "reporter: old call statistics cannot be removed",
		"reporter: old call statistics are removed again").User()
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-next.C:
			next.Reset(s.expireOnce(ctx, user))
		}
	}
}

// expireOnce removes a few rows and returns how long to wait before the next.
func (s *Server) expireOnce(ctx context.Context, user *outage.User) time.Duration {
	stepCtx, cancel := context.WithTimeout(ctx, s.cfg.QueryTimeout)
	defer cancel()
	removed, err := s.cfg.Sink.ExpireStatus(stepCtx, s.cfg.Retention, expireRows)
	s.count.expired.Add(float64(removed))
	switch {
	case ctx.Err() != nil:
	case err != nil:
		user.Failed(err)
	default:
		user.Worked()
		if removed == expireRows {
			return expirePause
		}
	}
	return expireEvery
}
