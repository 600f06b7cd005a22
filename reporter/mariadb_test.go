package reporter_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"lars.internal/internal/testdb"
	"lars.internal/reactor"
	"lars.internal/reporter"
	"lars.internal/store"
)

// onMariaDB runs a reporter until the test ends, on an account with these rights
// on ServerCallStatus. It returns the server, its address and what root may do.
func onMariaDB(t *testing.T, rights string) (*reporter.Server, string, *sql.DB) {
	t.Helper()
	s := testdb.StartMariaDB(t)
	root, err := store.Open(s.DSN(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := root.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	raw := s.DB()
	exec(t, raw, "CREATE USER reporter@'%' IDENTIFIED BY '"+testdb.Password+"'")
	exec(t, raw, "GRANT "+rights+" ON ServerCallStatus TO reporter@'%'")
	dsn := "mysql://" + url.UserPassword("reporter", testdb.Password).String() + "@" + s.Addr() + "/" + s.Database()
	db, err := store.Open(dsn, store.Options{QueryTimeout: 3 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	server, err := reporter.New(reporter.Config{
		Sink: db, Reactor: reactor.ServerConfig{Addr: netip.MustParseAddrPort("127.0.0.1:0")},
		RetryMin: 10 * time.Millisecond, RetryMax: 100 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx) }() // ended and awaited below
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
		db.Close()
	})
	return server, server.Addr().String(), raw
}

func exec(t *testing.T, db interface {
	Exec(string, ...any) (sql.Result, error)
}, query string) {
	t.Helper()
	if _, err := db.Exec(query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// await waits for something that gives no sign of its own.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func countRows(t *testing.T, db *sql.DB, where string) (n int) {
	t.Helper()
	if err := db.QueryRow("SELECT COUNT(*) FROM ServerCallStatus WHERE " + where).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// A connection that was once refused a right was used again for ever: a GRANT
// helped only after a restart. It is one on the database, which a server looks up
// when a connection is made; rights on a table it looks up each time.
func TestFinding53GrantWhileReporting(t *testing.T) {
	server, addr, raw := onMariaDB(t, "SELECT")
	await(t, "readiness", func() bool { return server.Ready() == nil })
	sendReport(t, addr, uint32(time.Now().Unix()))
	await(t, "the refusal", func() bool { err := server.Ready(); return err != nil && strings.Contains(err.Error(), "grant it") })
	exec(t, raw, "GRANT INSERT, UPDATE, DELETE ON * TO reporter@'%'")
	await(t, "the row", func() bool { return countRows(t, raw, "succ_cnt = 7") == 1 })
	await(t, "readiness", func() bool { return server.Ready() == nil })
}

// A row that somebody has locked keeps neither the others up nor itself, once it
// is free.
func TestFinding52RowLockedInMariaDB(t *testing.T) {
	_, addr, raw := onMariaDB(t, "SELECT, INSERT, UPDATE, DELETE")
	now := uint32(time.Now().Unix())
	sendReport(t, addr, now)
	await(t, "the row", func() bool { return countRows(t, raw, "succ_cnt = 7") == 1 })
	tx, err := raw.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	// By its whole key, so that the lock is on this row and on no gap beside it.
	exec(t, tx, "UPDATE ServerCallStatus SET succ_cnt = 1 WHERE modid = 1 AND cmdid = 2 AND ip = 0xc0a80171 AND port = 7777 AND caller = 0xc0a80102")
	sendReport(t, addr, now+1)
	sendReport(t, addr, now+2, 200, 201)
	await(t, "the rows that are free", func() bool { return countRows(t, raw, "ip >= 200 AND ip <= 201") == 2 })
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	await(t, "the row that was locked", func() bool { return countRows(t, raw, fmt.Sprintf("succ_cnt = 7 AND ts > %d", now)) == 3 })
}

// A row that breaks a constraint is left out; the others are stored.
func TestFinding52RowRefusedByMariaDB(t *testing.T) {
	server, addr, raw := onMariaDB(t, "SELECT, INSERT, UPDATE, DELETE")
	exec(t, raw, "ALTER TABLE ServerCallStatus ADD CONSTRAINT CHECK (ip <> 201)")
	sendReport(t, addr, uint32(time.Now().Unix()), 200, 201, 202)
	await(t, "the other rows", func() bool { return countRows(t, raw, "TRUE") == 3 })
	if err := server.Ready(); err != nil {
		t.Errorf("not ready for one row: %v", err)
	}
}
