package store

import (
	"bytes"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"lars.internal/internal/testdb"
	"lars.internal/route"
)

// quick are options that give up soon, so that tests of outages are short.
var quick = Options{DialTimeout: 500 * time.Millisecond, QueryTimeout: time.Second}

func TestClassifyMySQL(t *testing.T) {
	number := func(n uint16) error { return fmt.Errorf("wrapped: %w", &mysql.MySQLError{Number: n, Message: "x"}) }
	tests := []struct {
		name string
		err  error
		want fault
	}{
		{"syntax error", number(1064), fatal},
		{"wrong password", number(1045), fatal},
		{"duplicate", number(1062), fatal},
		{"deadlock", number(1213), conflict},
		{"lock wait timeout", number(1205), conflict},
		{"record changed", number(1020), conflict},
		{"Galera node outside of the cluster", number(1047), lost},
		{"Galera node that leaves the cluster", number(1180), lost},
		{"read-only", number(1290), lost},
		{"read-only transaction", number(1792), lost},
		{"too many connections", number(1040), lost},
		{"shutdown", number(1053), lost},
		{"no table", number(1146), noSchema},
		{"no database", number(1049), noSchema},
		{"bad connection", driver.ErrBadConn, lost},
		{"invalid connection", mysql.ErrInvalidConn, lost},
		{"end of stream", io.ErrUnexpectedEOF, lost},
		{"refused", &net.OpError{Op: "dial", Err: errors.New("connection refused")}, lost},
		{"hung", context.DeadlineExceeded, lost},
		{"given up by the caller", context.Canceled, fatal},
		{"all hosts, one refused", hostErrors{number(1045), &net.OpError{Op: "dial", Err: errors.New("refused")}}, fatal},
	}
	for _, tt := range tests {
		if got := classifyMySQL(tt.err); got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, got, tt.want)
		}
	}
}

// pair is two servers that know nothing of each other, with a database of
// the same name, as the nodes of a cluster have. Each holds one service, by
// which they are told apart.
type pair struct {
	*env
	a, b *testdb.Server
}

func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{a: testdb.StartMariaDB(t), b: testdb.StartMariaDB(t)}
	for i, s := range []*testdb.Server{p.a, p.b} {
		p.env = &env{T: t, dsn: p.dsn(testdb.User, s.Addr()), clock: &clock{now: 1_700_000_000}, bad: new(badRows)}
		db := p.migrated()
		p.edit(db, add(key(int32(i), 0), host(1)))
		for _, query := range []string{
			"CREATE USER plain@'%' IDENTIFIED BY '" + testdb.Password + "'",
			"GRANT ALL ON cluster.* TO plain@'%'", // without the right to write when read-only
		} {
			if _, err := s.DB().Exec(query); err != nil {
				t.Fatal(err)
			}
		}
	}
	return p
}

// in returns the pair for a part of the test.
func (p *pair) in(t *testing.T) *pair {
	e := *p.env
	e.T = t
	return &pair{env: &e, a: p.a, b: p.b}
}

func (p *pair) dsn(user, hosts string) string {
	return "mysql://" + url.UserPassword(user, testdb.Password).String() + "@" + hosts + "/cluster"
}

// openBoth opens the database on the pair, first server first.
func (p *pair) openBoth(log *logText) *DB {
	p.Helper()
	options := quick
	options.Logger = slog.New(slog.NewTextHandler(log, nil))
	for range 20 {
		db, err := Open(p.dsn("plain", p.a.Addr()+","+p.b.Addr()), options)
		if err != nil {
			p.Fatal(err)
		}
		p.Cleanup(func() { db.Close() })
		if p.load(db).Route(key(0, 0)).Hosts != nil {
			return db
		}
		log.reset() // the first was too slow for these options, on a busy machine
	}
	p.Fatal("the first server is never the one in use")
	return nil
}

// wantOn checks which server answers.
func (p *pair) wantOn(db *DB, server int32) {
	p.Helper()
	if p.load(db).Route(key(server, 0)).Hosts == nil {
		p.Fatalf("the routes are not those of server %d", server)
	}
}

func TestFailover(t *testing.T) {
	p := newPair(t)
	readOnly := func(value string) func() {
		return func() {
			if _, err := p.a.DB().Exec("SET GLOBAL read_only = " + value); err != nil {
				t.Fatal(err)
			}
		}
	}
	tests := []struct {
		name      string
		break_    func()
		heal      func()
		readsMove bool // a read alone moves to the other host
	}{
		{"killed", p.a.Kill, p.a.Start, true},
		{"stopped", p.a.Stop, p.a.Start, true},
		{"hanging", p.a.Freeze, p.a.Thaw, true},
		{"read-only", readOnly("1"), readOnly("0"), false},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, log := p.in(t), new(logText)
			db := p.openBoth(log)
			tt.break_()
			defer tt.heal()
			p.version(db)
			if tt.readsMove {
				p.wantOn(db, 1)
			} else {
				p.wantOn(db, 0)
			}
			// The first edit moves everything, reads and idle connections too.
			p.edit(db, add(key(5, 5), host(uint32(i+1))))
			p.wantOn(db, 1)
			if _, err := db.UpsertStatus(t.Context(), []route.CallStatus{status(1, 1, 1, 1)}); err != nil {
				t.Error(err)
			}
			if got := log.String(); strings.Count(got, "database host changed") != 1 || strings.Contains(got, testdb.Password) {
				t.Errorf("want one line without the password, got:\n%s", got)
			}
		})
	}
	t.Run("under load", func(t *testing.T) { p.in(t).failUnderLoad() })
}

// failUnderLoad kills the first server while many read, none of which may see
// an error.
func (p *pair) failUnderLoad() {
	const readers, calls = 8, 50
	db := p.openBoth(new(logText))
	var done, half sync.WaitGroup
	half.Add(readers)
	killed := make(chan struct{})
	for range readers {
		done.Go(func() {
			for i := range calls {
				if i == calls/2 {
					half.Done()
					<-killed
				}
				if _, err := db.Version(p.Context()); err != nil {
					p.Errorf("call %d: %v", i, err)
				}
			}
		})
	}
	half.Wait()
	p.a.Kill()
	close(killed)
	done.Wait()
	p.wantOn(db, 1)
	p.a.Start()
}

// While no host serves, each operation tries them all. The log says which host
// serves, so it is silent.
func TestNoLineWhileNoHostServes(t *testing.T) {
	log := new(logText)
	options := quick
	options.Logger = slog.New(slog.NewTextHandler(log, nil))
	db, err := Open("mysql://lars:x@"+unusedAddr(t)+","+unusedAddr(t)+"/lars_dns", options)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for range 3 {
		if _, err := db.Version(t.Context()); err == nil {
			t.Fatal("no host answers, and there is a version")
		}
	}
	if log.String() != "" {
		t.Errorf("the log has:\n%s", log)
	}
}

// One server that comes and goes: errors say so in bounded time, and nothing
// has to be opened again.
func TestOneHostThatComesBack(t *testing.T) {
	s := testdb.StartMariaDB(t)
	e := &env{T: t, dsn: s.DSN(), clock: &clock{now: 1_700_000_000}, bad: new(badRows)}
	e.migrated()
	db, err := Open(s.DSN(), quick)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	e.version(db)
	outages := []struct {
		name     string
		from, to func()
	}{
		{"stopped", s.Stop, s.Start},
		{"killed", s.Kill, s.Start},
		{"frozen", s.Freeze, s.Thaw},
	}
	for _, o := range outages {
		o.from()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		_, err := db.Version(ctx)
		switch {
		case err == nil:
			t.Errorf("%s: the server answers", o.name)
		case ctx.Err() != nil:
			t.Errorf("%s: the call has no deadline of its own", o.name)
		case strings.Contains(err.Error(), testdb.Password) || strings.Contains(err.Error(), "\n"):
			t.Errorf("%s: error %q has the password or more than one line", o.name, err)
		}
		cancel()
		o.to()
		e.version(db)
	}
}

func TestMySQLErrorsSayTheWayOut(t *testing.T) {
	number := func(n uint16) error { return hostErrors{&mysql.MySQLError{Number: n, Message: "x"}} }
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"refused", &net.OpError{Op: "dial", Err: errors.New("refused")}, "is the database up there?"},
		{"hung", context.DeadlineExceeded, "is the database up there?"},
		{"wrong password", number(1045), "look at user and password"},
		{"no right to the database", number(1044), "grant it"},
		{"no right to a table", number(1142), "grant it"},
		{"read-only", number(1290), "make it writable"},
		{"no majority", number(1047), "start the others"},
	}
	for _, tt := range tests {
		got := hintMySQL(source{}, tt.err)
		if !strings.HasPrefix(got.Error(), tt.err.Error()+"; ") || !strings.Contains(got.Error(), tt.want) {
			t.Errorf("%s: got %q, want %q after it", tt.name, got, tt.want)
		}
	}
}

func TestErrorsNameTheHostAndNotThePassword(t *testing.T) {
	s := testdb.MariaDB(t)
	closed := unusedAddr(t)
	const secret = "hunter2/@:%"
	tests := []struct{ name, user, hosts, want string }{
		{"refused", "lars", closed, closed},
		{"refused by two", "lars", closed + ",127.0.0.1:1", "127.0.0.1:1"},
		{"wrong password", testdb.User, s.Addr(), "Access denied"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dsn := "mysql://" + url.UserPassword(tt.user, secret).String() + "@" + tt.hosts + "/lars_dns"
			db, err := Open(dsn, quick)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			for what, err := range map[string]error{
				"version": second(db.Version(t.Context())),
				"check":   db.CheckSchema(t.Context(), ForAll),
				"migrate": db.Migrate(t.Context()),
				"status":  second(db.UpsertStatus(t.Context(), []route.CallStatus{status(1, 1, 1, 1)})),
			} {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("%s: got error %v, want one with %q", what, err, tt.want)
					continue
				}
				text := err.Error() + db.String()
				if strings.Contains(text, secret) || strings.Contains(text, "hunter2") || strings.Contains(text, "\n") {
					t.Errorf("%s: %q has the password or more than one line", what, text)
				}
			}
		})
	}
}

// unusedAddr returns an address on which no program listens.
func unusedAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// logText is a log to read.
type logText struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logText) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Reset()
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
