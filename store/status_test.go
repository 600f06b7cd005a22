package store

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lars.internal/route"
)

func status(host_ uint32, caller uint32, ts int64, succ uint32) route.CallStatus {
	return route.CallStatus{Key: key(1, -2), Host: host(host_), Caller: caller, Succ: succ, Err: 1, Time: ts}
}

// The original has no check of ts: an older report overwrites a newer.
func TestNewestStatusWins(t *testing.T) {
	tests := []struct {
		name    string
		batches [][]route.CallStatus
		want    uint32 // succ of the row in the end
	}{
		{"newer replaces", [][]route.CallStatus{{status(1, 1, 10, 1)}, {status(1, 1, 11, 2)}}, 2},
		{"older does not", [][]route.CallStatus{{status(1, 1, 11, 2)}, {status(1, 1, 10, 1)}}, 2},
		{"equal replaces", [][]route.CallStatus{{status(1, 1, 10, 1)}, {status(1, 1, 10, 2)}}, 2},
		{"newest of one batch", [][]route.CallStatus{{status(1, 1, 11, 2), status(1, 1, 10, 1)}}, 2},
		{"last of equals in a batch", [][]route.CallStatus{{status(1, 1, 10, 1), status(1, 1, 10, 2)}}, 2},
	}
	eachDialect(t, func(e *env) {
		db := e.migrated()
		for _, tt := range tests {
			e.exec(`DELETE FROM ServerCallStatus`)
			for _, batch := range tt.batches {
				if err := db.UpsertStatus(e.Context(), batch); err != nil {
					e.Fatal(err)
				}
			}
			got, err := db.Status(e.Context(), nil, 0)
			if err != nil || len(got) != 1 {
				e.Fatalf("%s: %v, %v", tt.name, got, err)
			}
			e.want(tt.name, got[0].Succ, tt.want)
		}
	})
}

func TestStatusKeepsEveryField(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		want := route.CallStatus{
			Key: key(-7, math.MaxInt32), Host: route.Host{IP: math.MaxUint32, Port: 65535},
			Caller: math.MaxUint32 - 1, Succ: 3, Err: math.MaxInt32, Time: 1_700_000_000, Overload: true,
		}
		sent := want
		sent.Err = math.MaxUint32 // does not fit its column
		if err := db.UpsertStatus(e.Context(), []route.CallStatus{sent}); err != nil {
			e.Fatal(err)
		}
		got, err := db.Status(e.Context(), &want.Key, 1)
		if err != nil {
			e.Fatal(err)
		}
		if diff := cmp.Diff([]route.CallStatus{want}, got); diff != "" {
			e.Errorf("status (-want +got):\n%s", diff)
		}
		e.want("overload column", e.number(`SELECT COUNT(*) FROM ServerCallStatus WHERE overload = '1'`), int64(1))
	})
}

func TestStatusOrderAndLimit(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		var batch []route.CallStatus
		const hosts = 1200 // more than one statement takes
		for i := range uint32(hosts) {
			batch = append(batch, status(hosts-i, 1, int64(i), i))
		}
		other := status(1, 1, hosts+5, 7)
		other.Key = key(5, 5)
		if err := db.UpsertStatus(e.Context(), append(batch, other)); err != nil {
			e.Fatal(err)
		}
		all, err := db.Status(e.Context(), nil, 0)
		if err != nil {
			e.Fatal(err)
		}
		e.want("rows", len(all), hosts+1)
		newest, err := db.Status(e.Context(), nil, 2)
		if err != nil {
			e.Fatal(err)
		}
		if diff := cmp.Diff([]route.CallStatus{other, batch[hosts-1]}, newest); diff != "" {
			e.Errorf("newest (-want +got):\n%s", diff)
		}
		k := key(1, -2)
		byHost, err := db.Status(e.Context(), &k, 2)
		if err != nil {
			e.Fatal(err)
		}
		if diff := cmp.Diff([]route.CallStatus{batch[hosts-1], batch[hosts-2]}, byHost); diff != "" {
			e.Errorf("by host (-want +got):\n%s", diff)
		}
		if err := db.UpsertStatus(e.Context(), nil); err != nil {
			e.Errorf("storing nothing: %v", err)
		}
	})
}
