package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/go-sql-driver/mysql"

	"lars.internal/bench/measure"
)

// dbServer is a MySQL or MariaDB server, a private one or one that runs already.
type dbServer struct {
	url     *url.URL         // without a database
	pool    *sql.DB          // outside of any database
	process *measure.Process // nil: somebody else's server
	created int
}

// newDBServer opens the server that dsn names, or starts one in dir.
func newDBServer(ctx context.Context, dsn, dir string) (*dbServer, error) {
	s := new(dbServer)
	if dsn == "" {
		if err := s.start(dir); err != nil {
			s.close()
			return nil, fmt.Errorf("start a private MariaDB: %w", err)
		}
	} else {
		u, err := url.Parse(dsn)
		if err != nil || u.Scheme != "mysql" || u.User == nil || u.Path != "" && u.Path != "/" {
			return nil, errors.New("-mysql: want mysql://USER:PASSWORD@HOST:PORT without a database: the databases are made and dropped")
		}
		s.url = u
	}
	s.pool = s.open("")
	if err := measure.Await(ctx, "connect to the database server", func() error { return s.pool.PingContext(ctx) }); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// start installs and starts a server that reads no configuration of the machine.
// A commit does not wait for the disk: that is the disk's figure, not ours. The
// buffers hold the largest table.
func (s *dbServer) start(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	args := []string{
		"--no-defaults", // has to be the first
		"--datadir=" + dir + "/data",
		"--innodb-flush-log-at-trx-commit=2",
		"--innodb-buffer-pool-size=512M",
		"--innodb-log-file-size=256M",
	}
	if os.Geteuid() == 0 {
		args = append(args, "--user=root")
	}
	if err := install(args); err != nil {
		return err
	}
	account := "CREATE USER IF NOT EXISTS bench@'127.0.0.1' IDENTIFIED BY 'bench';\nGRANT ALL ON *.* TO bench@'127.0.0.1';\n"
	if err := os.WriteFile(dir+"/init.sql", []byte(account), 0o600); err != nil {
		return err
	}
	addr, err := measure.FreePort()
	if err != nil {
		return err
	}
	s.url = &url.URL{Scheme: "mysql", User: url.UserPassword("bench", "bench"), Host: addr.String()}
	s.process, err = measure.Start(nil, found("mariadbd"), append(args,
		"--bind-address=127.0.0.1", fmt.Sprintf("--port=%d", addr.Port()), "--socket=s",
		"--init-file="+dir+"/init.sql", "--log-error="+dir+"/log", "--table-open-cache=200",
		"--skip-name-resolve", "--skip-log-bin", "--performance-schema=off")...)
	return err
}

func install(args []string) error {
	args = append(args[:len(args):len(args)], "--skip-test-db", "--auth-root-authentication-method=socket")
	text, err := exec.Command(found("mariadb-install-db"), args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("mariadb-install-db: %w; install mariadb-server: %.500s", err, text)
	}
	return nil
}

// found looks for a program also where servers are kept, which is not in the
// PATH of all users.
func found(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	return filepath.Join("/usr/sbin", name)
}

func (s *dbServer) close() {
	if s.pool != nil {
		s.pool.Close()
	}
	if s.process != nil {
		s.process.Stop()
	}
}

// open returns a handle on a database, "" for none.
func (s *dbServer) open(name string) *sql.DB {
	cfg := mysql.NewConfig()
	cfg.User = s.url.User.Username()
	cfg.Passwd, _ = s.url.User.Password()
	cfg.Net, cfg.Addr, cfg.DBName = "tcp", s.url.Host, name
	cfg.MultiStatements = true // an edit is one round trip and a commit
	cfg.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		panic(err) // a plain address and no parameters: nothing to be wrong
	}
	return sql.OpenDB(connector)
}

// create makes an empty database.
func (s *dbServer) create(ctx context.Context) (*database, error) {
	s.created++
	name := fmt.Sprintf("lars_bench_%d_%d", os.Getpid(), s.created)
	if _, err := s.pool.ExecContext(ctx, "CREATE DATABASE "+name); err != nil {
		return nil, err
	}
	return &database{
		dsn:  s.url.JoinPath(name).String(),
		pool: s.open(name),
		mark: firstMark,
		drop: func() { s.pool.Exec("DROP DATABASE " + name) }, // without the caller's ctx, which may be done
	}, nil
}
