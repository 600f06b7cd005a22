package testdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// ClusterSize is the number of nodes of a Cluster: the smallest that keeps a
// majority when one fails.
const ClusterSize = 3

// clusterTimeout bounds every wait for a cluster to be complete: far above the
// seconds in which a node copies the data of another.
const clusterTimeout = 90 * time.Second

// Cluster is one database on three MariaDB servers that replicate each other
// with Galera. Its nodes are numbered from 0.
//
// The methods that change the state of nodes belong to the goroutine of the
// test, since they end it when they fail.
type Cluster struct {
	// Immutable.
	t        testing.TB
	nodes    []*node
	database string
}

// StartCluster returns a fresh, empty database on a cluster of its own, which
// ends with the test. Since that takes its time, the test is skipped unless
// LARS_TEST_CLUSTER=1 is in the environment.
func StartCluster(t testing.TB) *Cluster {
	t.Helper()
	needCluster(t)
	c := &Cluster{t: t}
	t.Cleanup(func() { c.remove() })
	for i := range ClusterSize {
		n, err := newNode(i)
		if err != nil {
			t.Fatalf("testdb: node %d: %v", i, err)
		}
		c.nodes = append(c.nodes, n)
	}
	c.join()
	return c.For(t)
}

// For returns the cluster with a fresh, empty database for t, which is a test
// or a part of one. It repairs what earlier tests have left broken.
func (c *Cluster) For(t testing.TB) *Cluster {
	t.Helper()
	mine := &Cluster{t: t, nodes: c.nodes, database: fmt.Sprintf("lars_test_%d", databases.Add(1))}
	mine.Heal()
	db, err := mine.nodes[0].proc.open("")
	if err != nil {
		t.Fatalf("testdb: %v", err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "CREATE DATABASE "+mine.database); err != nil {
		t.Fatalf("testdb: create database %s: %v", mine.database, err)
	}
	return mine
}

// DSN returns the database in the form of [store] dsn, with nodes as its hosts
// in this order. None means all.
func (c *Cluster) DSN(nodes ...int) string {
	if len(nodes) == 0 {
		nodes = []int{0, 1, 2}
	}
	var hosts []string
	for _, i := range nodes {
		hosts = append(hosts, c.Addr(i))
	}
	u := url.URL{Scheme: "mysql", User: url.UserPassword(User, Password), Host: strings.Join(hosts, ","), Path: "/" + c.database}
	return u.String()
}

// Addr returns the address of a node, "127.0.0.1:PORT".
func (c *Cluster) Addr(i int) string { return c.nodes[i].proc.addr() }

// DB returns a plain handle on the database by way of one node, closed when
// the test ends.
func (c *Cluster) DB(i int) *sql.DB {
	c.t.Helper()
	db, err := c.nodes[i].proc.open(c.database)
	if err != nil {
		c.t.Fatalf("testdb: open %s: %v", c.database, err)
	}
	c.t.Cleanup(func() { db.Close() })
	return db
}

// Kill ends nodes at once, as a crash would.
func (c *Cluster) Kill(nodes ...int) { c.change("kill", (*process).kill, nodes) }

// Stop ends nodes in good order.
func (c *Cluster) Stop(nodes ...int) { c.change("stop", (*process).stop, nodes) }

// Freeze suspends nodes: the kernel still accepts connections for them, and
// nothing is ever answered.
func (c *Cluster) Freeze(nodes ...int) { c.change("freeze", (*process).freeze, nodes) }

// Thaw lets frozen nodes go on.
func (c *Cluster) Thaw(nodes ...int) { c.change("thaw", (*process).thaw, nodes) }

func (c *Cluster) change(what string, do func(*process) error, nodes []int) {
	c.t.Helper()
	for _, i := range nodes {
		if err := do(c.nodes[i].proc); err != nil {
			c.t.Fatalf("testdb: %s node %d: %v", what, i, err)
		}
	}
}

// Heal lets all nodes run again, whatever was done to them, and returns when
// they form one cluster and take writes.
func (c *Cluster) Heal() {
	c.t.Helper()
	errs := make([]error, len(c.nodes))
	var wg sync.WaitGroup
	for i, n := range c.nodes {
		wg.Go(func() { errs[i] = n.revive() })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		c.t.Fatalf("testdb: heal the cluster: %v", err)
	}
	c.awaitWhole()
}

// join makes a cluster of nodes that have never run.
func (c *Cluster) join() {
	c.t.Helper()
	var members []string
	for _, n := range c.nodes {
		members = append(members, n.groupAddr())
	}
	first := c.nodes[0]
	first.proc.extra = first.args(members, "--wsrep-new-cluster")
	if err := first.found(); err != nil {
		c.t.Fatalf("testdb: found a cluster: %v", err)
	}
	for _, n := range c.nodes {
		n.proc.extra = n.args(members, "--init-file=") // its accounts come with the data
	}
	c.Heal()
}

// awaitWhole waits until each node says that it sees all others and has their
// data.
func (c *Cluster) awaitWhole() {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), clusterTimeout)
	defer cancel()
	for i, n := range c.nodes {
		if err := n.awaitSynced(ctx); err != nil {
			c.t.Fatalf("testdb: node %d is not in the cluster: %v: %s", i, err, n.proc.logTail())
		}
	}
}

// remove kills all nodes. They go at once, not one after the other, so that
// none does work for the others' leaving.
func (c *Cluster) remove() {
	var wg sync.WaitGroup
	for _, n := range c.nodes {
		wg.Go(n.proc.remove)
	}
	wg.Wait()
}

// needCluster ends the test early when it is not meant to run, or cannot.
func needCluster(t testing.TB) {
	t.Helper()
	if os.Getenv("LARS_TEST_CLUSTER") != "1" {
		t.Skip("cluster tests skipped: they are slow; run them with make test-cluster")
	}
	needBinaries(t)
	_, err := provider()
	for _, name := range []string{"wsrep_sst_rsync", "rsync", "lsof", "ps"} {
		_, missing := find(name)
		err = errors.Join(err, missing)
	}
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("testdb: CI=true forbids skipping the cluster tests: %v", err)
	default:
		t.Skipf("cluster tests skipped: install galera-4, rsync, lsof and procps (%v)", err)
	}
}

// provider returns the library that makes a cluster of servers.
func provider() (string, error) {
	found, _ := filepath.Glob("/usr/lib*/galera*/libgalera_smm.so") // the pattern is a good one
	if len(found) == 0 {
		return "", errors.New("libgalera_smm.so is not installed")
	}
	return found[0], nil
}

// node is one server of a cluster.
type node struct {
	// Immutable after newNode.
	proc     *process
	number   int
	provider string
}

// newNode prepares a node: it has a folder and ports, and does not run.
func newNode(number int) (*node, error) {
	lib, err := provider()
	if err != nil {
		return nil, err
	}
	port, err := freePorts(nodePorts)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "lars-testdb-")
	if err != nil {
		return nil, fmt.Errorf("folder for a server: %w", err)
	}
	n := &node{proc: &process{dir: dir, port: port, account: account}, number: number, provider: lib}
	if err := errors.Join(os.Mkdir(n.proc.dataDir(), 0o700), n.giveAway()); err != nil {
		n.proc.remove()
		return nil, fmt.Errorf("folder for the data: %w", err)
	}
	return n, nil
}

// account is the user that runs the nodes when the test runs as root: the one
// that comes with the server's package. As root they could not copy data to
// each other: the daemon that receives it gives up root's rights, and then
// finds the folder closed.
const account = "mysql"

// giveAway makes the account of the node the owner of its files.
func (n *node) giveAway() error {
	if os.Geteuid() != 0 {
		return nil
	}
	owner, err := user.Lookup(n.proc.account)
	if err != nil {
		return err
	}
	uid, errUID := strconv.Atoi(owner.Uid)
	gid, errGID := strconv.Atoi(owner.Gid)
	if err := errors.Join(errUID, errGID); err != nil {
		return err
	}
	return filepath.WalkDir(n.proc.dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Chown(path, uid, gid))
	})
}

// The ports of a node, counted from that of its process.
const (
	groupPort  = 1 // replication
	replayPort = 2 // what a node missed, if little
	copyPort   = 3 // all data, for a node that missed much
	nodePorts  = 4
)

func (n *node) groupAddr() string { return n.addr(groupPort) }

func (n *node) addr(offset int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(n.proc.port+offset))
}

// args are the arguments that make a server a node.
// https://mariadb.com/kb/en/galera-cluster-system-variables/
func (n *node) args(members []string, more ...string) []string {
	options := []string{
		"base_host=127.0.0.1",
		"base_port=" + strconv.Itoa(n.proc.port+groupPort),
		"gmcast.listen_addr=tcp://" + n.groupAddr(),
		"ist.recv_addr=" + n.addr(replayPort),
		"gcache.size=32M",
	}
	return append([]string{
		"--binlog-format=ROW",
		"--innodb-autoinc-lock-mode=2",
		"--wsrep-on=ON",
		"--wsrep-provider=" + n.provider,
		"--wsrep-provider-options=" + strings.Join(options, ";"),
		"--wsrep-cluster-name=" + members[0], // so that no other takes us in
		"--wsrep-cluster-address=gcomm://" + strings.Join(members, ","),
		"--wsrep-node-name=node" + strconv.Itoa(n.number),
		"--wsrep-node-address=" + n.groupAddr(),
		"--wsrep-sst-method=rsync",
		"--wsrep-sst-receive-address=" + n.addr(copyPort),
	}, more...)
}

// found makes the first node of a cluster: the one that has data.
func (n *node) found() error {
	if err := errors.Join(n.proc.install(), n.giveAway()); err != nil {
		return err
	}
	return n.proc.start()
}

// revive makes a node run, whatever its state.
func (n *node) revive() error {
	if n.proc.server == nil {
		return n.proc.start()
	}
	return n.proc.thaw() // without effect on one that runs
}

// awaitSynced waits until the node takes reads and writes in a cluster of full
// size.
func (n *node) awaitSynced(ctx context.Context) error {
	db, err := n.proc.open("")
	if err != nil {
		return err
	}
	defer db.Close()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		err := n.checkSynced(ctx, db)
		if err == nil {
			return nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		}
	}
}

func (n *node) checkSynced(ctx context.Context, db *sql.DB) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	// A node that was frozen believes at first that nothing has happened. The
	// read waits for an answer of the others, which have noticed.
	if _, err := conn.ExecContext(ctx, "SET SESSION wsrep_sync_wait = 1"); err != nil {
		return err
	}
	if err := conn.QueryRowContext(ctx, "SELECT 1").Scan(new(int)); err != nil {
		return err
	}
	for name, want := range map[string]string{
		"wsrep_cluster_size":        strconv.Itoa(ClusterSize),
		"wsrep_local_state_comment": "Synced",
		"wsrep_ready":               "ON",
	} {
		var got string
		if err := conn.QueryRowContext(ctx, "SHOW STATUS LIKE '"+name+"'").Scan(&name, &got); err != nil {
			return fmt.Errorf("status %s: %w", name, err)
		}
		if got != want {
			return fmt.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	return nil
}

// freePorts returns the first of count consecutive ports of 127.0.0.1 on which
// nobody listens.
func freePorts(count int) (int, error) {
	for range 100 {
		port, err := freePort()
		if err != nil {
			return 0, err
		}
		if allFree(port, count) {
			return port, nil
		}
	}
	return 0, fmt.Errorf("found no %d free ports in a row", count)
}

func allFree(port, count int) bool {
	for i := range count {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port+i)))
		if err != nil {
			return false
		}
		l.Close()
	}
	return true
}
