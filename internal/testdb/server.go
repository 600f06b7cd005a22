package testdb

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

// The account that every server has, with all rights. The password holds the
// characters that a DSN must escape.
const (
	User     = "lars"
	Password = "s3cr:t/@?#%&"
)

// maxWait bounds every wait for a server: far above the second that a start
// takes, so that only a server that will never answer reaches it.
const maxWait = 60 * time.Second

// Server is one database on a MariaDB server.
type Server struct {
	t        testing.TB
	proc     *process
	database string
	shared   bool // the server has other users: its state is not ours
}

var (
	sharedMu   sync.Mutex // guards sharedProc
	sharedProc *process

	databases atomic.Uint64 // numbers the databases of this binary
)

// Main runs the tests of a binary, stops the shared server and exits. It is
// all that a TestMain needs.
func Main(m *testing.M) {
	code := m.Run()
	sharedMu.Lock()
	defer sharedMu.Unlock()
	if sharedProc != nil {
		sharedProc.remove()
	}
	os.Exit(code)
}

// MariaDB returns a fresh, empty database on the shared server, which it
// starts if need be. The database is dropped when the test ends.
func MariaDB(t testing.TB) *Server {
	t.Helper()
	needBinaries(t)
	sharedMu.Lock()
	defer sharedMu.Unlock()
	if sharedProc == nil {
		p, err := newProcess()
		if err != nil {
			t.Fatalf("testdb: %v", err)
		}
		sharedProc = p
	}
	s := &Server{t: t, proc: sharedProc, shared: true}
	s.create()
	t.Cleanup(s.drop)
	return s
}

// StartMariaDB returns a fresh, empty database on a server of its own, which
// ends with the test.
func StartMariaDB(t testing.TB) *Server {
	t.Helper()
	needBinaries(t)
	p, err := newProcess()
	if err != nil {
		t.Fatalf("testdb: %v", err)
	}
	t.Cleanup(p.remove)
	s := &Server{t: t, proc: p}
	s.create()
	return s
}

// DSN returns the database in the form of [store] dsn.
func (s *Server) DSN() string {
	u := url.URL{Scheme: "mysql", User: url.UserPassword(User, Password), Host: s.Addr(), Path: "/" + s.database}
	return u.String()
}

// Addr returns the server's address, "127.0.0.1:PORT". It stays the same over
// Stop and Start.
func (s *Server) Addr() string { return s.proc.addr() }

// Database returns the name of the database.
func (s *Server) Database() string { return s.database }

// DB returns a plain handle on the database, closed when the test ends.
func (s *Server) DB() *sql.DB {
	s.t.Helper()
	db, err := s.proc.open(s.database)
	if err != nil {
		s.t.Fatalf("testdb: open %s: %v", s.database, err)
	}
	s.t.Cleanup(func() { db.Close() })
	return db
}

// Stop ends the server in good order.
func (s *Server) Stop() { s.change("stop", s.proc.stop) }

// Start starts a server again that was stopped or killed, with its data.
func (s *Server) Start() { s.change("start", s.proc.start) }

// Kill ends the server at once, as a crash would.
func (s *Server) Kill() { s.change("kill", s.proc.kill) }

// Freeze suspends the server: the kernel still accepts connections for it,
// and nothing is ever answered.
func (s *Server) Freeze() { s.change("freeze", s.proc.freeze) }

// Thaw lets a frozen server go on.
func (s *Server) Thaw() { s.change("thaw", s.proc.thaw) }

func (s *Server) change(what string, do func() error) {
	s.t.Helper()
	if s.shared {
		s.t.Fatalf("testdb: %s the shared server: other tests use it; take one from StartMariaDB", what)
	}
	if err := do(); err != nil {
		s.t.Fatalf("testdb: %s: %v", what, err)
	}
}

func (s *Server) create() {
	s.t.Helper()
	s.database = fmt.Sprintf("lars_test_%d", databases.Add(1))
	if err := s.exec("CREATE DATABASE " + s.database); err != nil {
		s.t.Fatalf("testdb: create database %s: %v", s.database, err)
	}
}

func (s *Server) drop() {
	if err := s.exec("DROP DATABASE " + s.database); err != nil {
		s.t.Errorf("testdb: drop database %s: %v", s.database, err)
	}
}

// exec runs one statement outside of any database.
func (s *Server) exec(query string) error {
	db, err := s.proc.open("")
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), maxWait)
	defer cancel()
	_, err = db.ExecContext(ctx, query)
	return err
}

// open returns a handle on a database of the server, "" for none.
func (p *process) open(database string) (*sql.DB, error) {
	cfg := mysql.NewConfig()
	cfg.User, cfg.Passwd, cfg.Net, cfg.Addr, cfg.DBName = User, Password, "tcp", p.addr(), database
	cfg.Timeout = maxWait
	cfg.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}
