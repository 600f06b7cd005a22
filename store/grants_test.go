package store

import (
	"net/url"
	"strings"
	"testing"

	"lars.internal/internal/testdb"
)

// account makes an account with these rights on the database of s, and returns
// the DSN with it. Each grant is what stands between GRANT and TO.
func account(t *testing.T, s *testdb.Server, name string, grants ...string) (dsn string) {
	t.Helper()
	db := s.DB()
	exec := func(query string) {
		t.Helper()
		if _, err := db.Exec(query); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	exec("CREATE USER " + name + "@'%' IDENTIFIED BY '" + testdb.Password + "'")
	t.Cleanup(func() { db.Exec("DROP USER " + name + "@'%'") })
	for _, grant := range grants {
		exec("GRANT " + grant + " TO " + name + "@'%'")
	}
	return "mysql://" + url.UserPassword(name, testdb.Password).String() + "@" + s.Addr() + "/" + s.Database()
}

// A server looks up what an account may do in a database when the connection is
// made. A connection that was refused a right was used again for ever, so that a
// GRANT helped only after a restart.
func TestFinding53GrantHelpsWhileRunning(t *testing.T) {
	s := testdb.MariaDB(t)
	e := &env{T: t, dsn: s.DSN(), raw: s.DB(), clock: &clock{now: 1_700_000_000}, bad: new(badRows)}
	e.migrated()
	dsn := account(t, s, "late", "SELECT ON "+s.Database()+".lars_schema")
	db, err := Open(dsn, Options{MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for range 2 {
		if _, err := db.Version(t.Context()); err == nil || !strings.Contains(err.Error(), "grant it") {
			t.Fatalf("without the right: got %v, want an error that says to grant it", err)
		}
	}
	e.exec("GRANT SELECT ON " + s.Database() + ".* TO late@'%'")
	if _, err := db.Version(t.Context()); err != nil {
		t.Errorf("after the GRANT: %v", err)
	}
}
