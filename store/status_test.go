package store

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lars.internal/internal/testdb"
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
				if _, err := db.UpsertStatus(e.Context(), batch); err != nil {
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
		if _, err := db.UpsertStatus(e.Context(), []route.CallStatus{sent}); err != nil {
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
		if _, err := db.UpsertStatus(e.Context(), append(batch, other)); err != nil {
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
		if _, err := db.UpsertStatus(e.Context(), nil); err != nil {
			e.Errorf("storing nothing: %v", err)
		}
	})
}

// A timestamp from a clock that was far ahead hid every later report of its row,
// and reports that were hidden counted as written.
func TestFinding51ATimestampFromTheFutureIsReplaced(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		now := time.Now().Unix()
		upsert := func(what string, ignored int, statuses ...route.CallStatus) {
			e.Helper()
			got, err := db.UpsertStatus(e.Context(), statuses)
			if err != nil {
				e.Fatal(err)
			}
			e.want(what+": ignored", got, ignored)
		}
		upsert("new", 0, status(1, 1, 4_000_000_000, 1), status(2, 1, now+500, 1), status(3, 1, now, 1))
		upsert("mixed", 1, status(1, 1, now, 2), status(2, 1, now, 2), status(3, 1, now+1, 2), status(4, 1, now, 2))
		upsert("the same again", 0, status(1, 1, now, 2), status(4, 1, now, 2))
		upsert("older", 2, status(1, 1, now-1, 3), status(4, 1, now-1, 3))
		k := key(1, -2)
		rows, err := db.Status(e.Context(), &k, 0)
		if err != nil {
			e.Fatal(err)
		}
		want := []route.CallStatus{status(1, 1, now, 2), status(2, 1, now+500, 1), status(3, 1, now+1, 2), status(4, 1, now, 2)}
		if diff := cmp.Diff(want, rows); diff != "" {
			e.Errorf("rows (-want +got):\n%s", diff)
		}
	})
}

// An error says whether a row is at fault or the database: one row that a
// constraint refused, or that another transaction held, stopped all others.
func TestFinding52ErrorsOfARow(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		if db.dialect == mysqlDialect {
			e.exec(`ALTER TABLE ServerCallStatus ADD CONSTRAINT small CHECK (succ_cnt < 100)`)
		} else {
			e.exec(`CREATE TRIGGER small BEFORE INSERT ON ServerCallStatus WHEN NEW.succ_cnt >= 100
				BEGIN SELECT RAISE(ABORT, 'too many'); END`)
		}
		_, err := db.UpsertStatus(e.Context(), []route.CallStatus{status(1, 1, 1, 1), status(2, 1, 1, 100)})
		e.wantError(err, route.ErrRowRefused)
		if _, err := db.UpsertStatus(e.Context(), []route.CallStatus{status(1, 1, 1, 1)}); err != nil {
			e.Errorf("a row that nobody refuses: %v", err)
		}
		e.exec(`DROP TABLE ServerCallStatus`)
		_, err = db.UpsertStatus(e.Context(), []route.CallStatus{status(1, 1, 1, 1)})
		if err == nil || errors.Is(err, route.ErrRowRefused) || errors.Is(err, route.ErrRowLocked) {
			e.Errorf("got error %v without a table, want one that is of no row", err)
		}
	})
}

func TestFinding52ALockedRowIsToldSoon(t *testing.T) {
	s := testdb.MariaDB(t)
	e := &env{T: t, dsn: s.DSN(), raw: s.DB(), clock: &clock{now: 1_700_000_000}, bad: new(badRows)}
	e.migrated()
	db, err := Open(e.dsn, Options{QueryTimeout: 4 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.UpsertStatus(t.Context(), []route.CallStatus{status(1, 1, 1, 1)}); err != nil {
		t.Fatal(err)
	}
	tx, err := e.raw.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := tx.Exec(`UPDATE ServerCallStatus SET succ_cnt = 5`); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	_, err = db.UpsertStatus(t.Context(), []route.CallStatus{status(1, 1, 2, 1), status(2, 1, 2, 1)})
	e.wantError(err, route.ErrRowLocked)
	if took := time.Since(begin); took >= 4*time.Second {
		t.Errorf("it took %v, as long as a host that hangs may take", took)
	}
}

// Rows of hosts and callers that are gone stayed for ever.
func TestFinding29OldStatusExpires(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		now := time.Now().Unix()
		const day = 24 * time.Hour
		expire := func(what string, keep time.Duration, limit, want int) {
			e.Helper()
			got, err := db.ExpireStatus(e.Context(), keep, limit)
			if err != nil {
				e.Fatal(err)
			}
			e.want(what, got, want)
		}
		expire("of an empty table", day, 10, 0)
		var rows []route.CallStatus
		for i := range uint32(25) {
			rows = append(rows, status(i+1, 1, now-3*86400-int64(i), i))
		}
		if _, err := db.UpsertStatus(e.Context(), rows); err != nil {
			e.Fatal(err)
		}
		// The newest report is three days old: all is quiet, nothing is gone.
		expire("of a quiet table", day, 10, 0)
		if _, err := db.UpsertStatus(e.Context(), []route.CallStatus{status(100, 1, now, 1)}); err != nil {
			e.Fatal(err)
		}
		expire("within the retention", 4*day, 10, 0)
		expire("first step", day, 10, 10)
		if n := e.number(`SELECT MAX(ip) FROM ServerCallStatus WHERE ts < ?`, now); n != int64(host(15).IP) {
			e.Errorf("the oldest host left is %x, want the oldest to go first", n)
		}
		expire("second step", day, 10, 10)
		expire("third step", day, 10, 5)
		expire("the end", day, 10, 0)
		// A row from a clock that runs years ahead makes nothing else old.
		if _, err := db.UpsertStatus(e.Context(), []route.CallStatus{status(101, 1, 4_000_000_000, 1)}); err != nil {
			e.Fatal(err)
		}
		expire("with a row of the future", day, 10, 0)
	})
}

func TestStatusTotal(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		k, other := key(1, -2), key(9, 9)
		check := func(filter *route.Key, rows int, newest int64) {
			e.Helper()
			gotRows, gotNewest, err := db.StatusTotal(e.Context(), filter)
			if err != nil {
				e.Fatal(err)
			}
			e.want("rows", gotRows, rows)
			e.want("newest", gotNewest, newest)
		}
		check(nil, 0, 0)
		late := status(1, 1, 77, 1)
		late.Key = other
		if _, err := db.UpsertStatus(e.Context(), []route.CallStatus{status(1, 1, 5, 1), status(2, 1, 6, 1), late}); err != nil {
			e.Fatal(err)
		}
		check(nil, 3, 77)
		check(&k, 2, 6)
		check(&other, 1, 77)
		if err := db.PingStatus(e.Context()); err != nil {
			e.Error(err)
		}
		e.exec(`DROP TABLE ServerCallStatus`)
		e.wantError(db.PingStatus(e.Context()), ErrNoSchema)
	})
}
