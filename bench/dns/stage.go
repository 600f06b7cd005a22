package main

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"lars.internal/bench/measure"
)

const (
	// maxConn is the limit on connections that the route service runs with.
	maxConn = 20_000

	// descriptors is what this process and the service need each for the largest
	// audience.
	descriptors = 12_000

	// maxWait bounds every wait.
	maxWait = time.Minute
)

// stage is what all measurements stand on: the programs, in a temporary folder,
// and a database server. Owned by the main goroutine.
type stage struct {
	dir string
	db  *dbServer
}

func newStage(ctx context.Context, mysql string) (*stage, error) {
	if err := raiseDescriptors(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "lars-bench")
	if err != nil {
		return nil, err
	}
	s := &stage{dir: dir}
	if err := measure.BuildPrograms(dir, "lars-dns", "lars-agent", "lars"); err != nil {
		s.close()
		return nil, err
	}
	if s.db, err = newDBServer(ctx, mysql, dir+"/mariadb"); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// raiseDescriptors lets this process, and the ones that it starts, open as many
// descriptors as the largest audience needs.
func raiseDescriptors() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return os.NewSyscallError("getrlimit", err)
	}
	if limit.Cur >= descriptors {
		return nil
	}
	limit.Cur, limit.Max = descriptors, max(limit.Max, descriptors)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("raise the limit on descriptors: %w; run ulimit -n %d as root", err, descriptors)
	}
	return nil
}

func (s *stage) program(name string) string { return s.dir + "/" + name }

func (s *stage) version(ctx context.Context) (version string, err error) {
	err = s.db.pool.QueryRowContext(ctx, `SELECT VERSION()`).Scan(&version)
	return version, err
}

func (s *stage) close() {
	if s.db != nil {
		s.db.close()
	}
	os.RemoveAll(s.dir)
}

// database returns a fresh database with this many hosts, so many per service.
func (s *stage) database(ctx context.Context, hosts, perService int) (*database, error) {
	db, err := s.db.create(ctx)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, s.program("lars"), "db", "migrate")
	cmd.Env = append(os.Environ(), "LARS_STORE_DSN="+db.dsn)
	if text, err := cmd.CombinedOutput(); err != nil {
		db.close()
		return nil, fmt.Errorf("lars db migrate: %w: %s", err, strings.TrimSpace(string(text)))
	}
	if err := db.fill(ctx, hosts, perService); err != nil {
		db.close()
		return nil, fmt.Errorf("fill the database: %w", err)
	}
	return db, nil
}

// dnsServer is a running lars-dns.
type dnsServer struct {
	*measure.Process
	addr  netip.AddrPort
	pages string // host:port of its HTTP pages
}

// startDNS starts lars-dns with its defaults, but for maxConn and what env says.
func (s *stage) startDNS(db *database, env ...string) (*dnsServer, error) {
	addr, err := measure.FreePort()
	if err != nil {
		return nil, err
	}
	pages, err := measure.FreePort()
	if err != nil {
		return nil, err
	}
	p, err := measure.Start(append([]string{
		"LARS_STORE_DSN=" + db.dsn, "LARS_REACTOR_PORT=" + strconv.Itoa(int(addr.Port())),
		"LARS_REACTOR_MAXCONN=" + strconv.Itoa(maxConn), // the fleet has one address
		"LARS_REACTOR_MAX_PER_ADDRESS=0", "LARS_REACTOR_MAX_UNPROVEN_PER_ADDRESS=0",
		"LARS_DEBUG_ADDR=" + pages.String(), "LARS_LOG_LEVEL=error",
	}, env...), s.program("lars-dns"))
	if err != nil {
		return nil, err
	}
	return &dnsServer{Process: p, addr: addr, pages: pages.String()}, nil
}

// awaitReady waits until the service has loaded the routes.
func (d *dnsServer) awaitReady(ctx context.Context) error {
	return measure.Await(ctx, "lars-dns is ready", func() error {
		answer, err := http.Get("http://" + d.pages + "/readyz")
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("readiness: %s", answer.Status)
		}
		return nil
	})
}

// start fills a database and starts a ready lars-dns on it. stop ends both.
func (s *stage) start(ctx context.Context, hosts, perService int) (d *dnsServer, db *database, stop func(), err error) {
	if db, err = s.database(ctx, hosts, perService); err != nil {
		return nil, nil, nil, err
	}
	if d, err = s.startDNS(db); err != nil {
		db.close()
		return nil, nil, nil, err
	}
	stop = func() {
		d.Stop()
		db.close()
	}
	if err = d.awaitReady(ctx); err != nil {
		stop()
		return nil, nil, nil, err
	}
	return d, db, stop, nil
}

// pause waits for d. It returns an error if ctx was done before.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
