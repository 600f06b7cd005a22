package dns

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"lars.internal/route"
)

// slowStore yields a row each interval.
type slowStore struct {
	Store
	rows     int
	interval time.Duration
}

func (s slowStore) Load(ctx context.Context, into route.Sink) (route.Mark, error) {
	for i := range s.rows {
		select {
		case <-time.After(s.interval):
		case <-ctx.Done():
			return route.Mark{}, ctx.Err()
		}
		into.Host(route.Key{Modid: 1, Cmdid: int32(i)}, route.Endpoint{Host: route.Host{IP: 1, Port: 1}})
		into.Row()
	}
	return route.Mark{Version: 7}, nil
}

func TestReadAllWaitsWhileRowsCome(t *testing.T) {
	const grace = 5 * time.Second
	for _, tt := range []struct {
		name     string
		interval time.Duration
		want     error
	}{
		{"a minute of steady rows", grace / 100, nil},
		{"hardly any rows", grace / 2, context.DeadlineExceeded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := slowStore{rows: 1200, interval: tt.interval}
				table, mark, err := readAll(t.Context(), store, grace)
				if !errors.Is(err, tt.want) {
					t.Fatalf("error %v, want %v", err, tt.want)
				}
				if err != nil {
					return
				}
				if services, _ := table.Len(); services != store.rows || mark.Version != 7 || table.Version() != 7 {
					t.Errorf("%d services of version %d, want %d of 7", services, mark.Version, store.rows)
				}
			})
		})
	}
}
