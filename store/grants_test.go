package store

import (
	"errors"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"lars.internal/internal/testdb"
	"lars.internal/route"
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

// documentedGrants returns the statements of docs/database.md by account, each as
// what stands between GRANT and TO, for this database.
func documentedGrants(t *testing.T, database string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("../docs/database.md")
	if err != nil {
		t.Fatal(err)
	}
	grants := make(map[string][]string)
	statement := regexp.MustCompile(`(?m)^GRANT (.* ON )lars_dns\.(\S+) TO '(\w+)'@'%';$`)
	for _, m := range statement.FindAllStringSubmatch(string(text), -1) {
		grants[m[3]] = append(grants[m[3]], m[1]+database+"."+m[2])
	}
	return grants
}

// With the rights that a program needs and no more, it warned at its start that
// the database is of no use, and went on to work.
func TestFinding30DocumentedGrantsAreEnough(t *testing.T) {
	s := testdb.MariaDB(t)
	owner := &env{T: t, dsn: s.DSN(), raw: s.DB(), clock: &clock{now: now}, bad: new(badRows)}
	admin := owner.migrated()
	k := key(1, 2)
	owner.edit(admin, add(k, host(1)))
	mark := owner.look(admin)
	owner.edit(admin, add(k, host(2)))
	grants := documentedGrants(t, s.Database())
	programs := []struct {
		account string
		use     Use
		does    func(e *env, db *DB) error
	}{
		{"lars_dns", ForRoutes, func(e *env, db *DB) error {
			e.load(db)
			_, err := db.Changed(e.Context(), mark, e.look(db))
			return errors.Join(err, second(db.Hosts(e.Context(), []route.Key{k})))
		}},
		{"lars_reporter", ForStatus, func(e *env, db *DB) error {
			_, err := db.UpsertStatus(e.Context(), []route.CallStatus{status(1, 1, 5, 1)})
			return errors.Join(err, second(db.ExpireStatus(e.Context(), time.Hour, 10)), db.PingStatus(e.Context()))
		}},
		{"lars_admin", ForAll, func(e *env, db *DB) error {
			db.keepAudit, db.keepChanges = retention{1, 1}, retention{1, 1}
			e.clock.set(now + 100)
			e.edit(db, set(k, host(3)))
			_, err := db.EditRoutes(e.Context(), route.Edit{Who: "me", ID: "again", IfVersion: new(e.version(db)), Changes: []route.Change{remove(k)}})
			e.edit(db, add(k, host(1)), alter(k, weight(5), host(1)), configure(k, "ramp", "5s"))
			e.edit(db, everywhere(route.Drain, host(1)))
			e.edit(db, undrain(k, host(1)), alter(k, weight(100), host(1)), route.Change{Action: route.Unconfigure, Key: k})
			err = errors.Join(err, second(db.Where(e.Context(), host(1))))
			_, failed := db.Status(e.Context(), nil, 0)
			return errors.Join(err, failed, second(db.AcceptRoutes(e.Context(), "me", "")), second(db.Routes(e.Context(), nil, nil, 0)))
		}},
		{"lars_owner", ForAll, func(e *env, db *DB) error {
			e.exec(`DROP INDEX route_host ON RouteData`)
			return db.Migrate(e.Context())
		}},
	}
	for _, p := range programs {
		name := p.account
		e := *owner
		e.dsn = account(t, s, name, grants[name]...)
		delete(grants, name)
		db := e.open()
		if err := db.CheckSchema(t.Context(), p.use); err != nil {
			t.Errorf("%s: check: %v", name, err)
		}
		if err := p.does(&e, db); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name := range grants {
		t.Errorf("the rights of %s are documented and not tried", name)
	}
}

// The rights that were enough before lars_schema was looked at still are.
func TestFinding30WithoutTheRightToReadTheRecord(t *testing.T) {
	s := testdb.MariaDB(t)
	e := &env{T: t, dsn: s.DSN(), raw: s.DB(), clock: &clock{now: now}, bad: new(badRows)}
	e.migrated()
	e.dsn = account(t, s, "older", "SELECT, INSERT, UPDATE ON "+s.Database()+".ServerCallStatus")
	if err := e.open().CheckSchema(t.Context(), ForStatus); err != nil {
		t.Error(err)
	}
}
