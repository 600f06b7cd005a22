package e2e_test

import (
	"database/sql"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"lars.internal/internal/testdb"
	"lars.internal/route"
)

// cppTables are what the script of the C++ stack makes, and a service with a
// host twice, which its page does not prevent.
var cppTables = []string{
	`CREATE TABLE RouteData (id int(10) unsigned NOT NULL AUTO_INCREMENT, modid int(10) unsigned NOT NULL,
		cmdid int(10) unsigned NOT NULL, serverip int(10) unsigned NOT NULL, serverport int(10) unsigned NOT NULL,
		PRIMARY KEY (id)) ENGINE=InnoDB`,
	`CREATE TABLE RouteVersion (id int(10) unsigned NOT NULL AUTO_INCREMENT, version int(10) unsigned NOT NULL, PRIMARY KEY (id))`,
	`CREATE TABLE RouteChange (id int(10) unsigned NOT NULL AUTO_INCREMENT, modid int(10) unsigned NOT NULL,
		cmdid int(10) unsigned NOT NULL, version bigint(20) unsigned NOT NULL, PRIMARY KEY (id))`,
	`CREATE TABLE ServerCallStatus (modid int(11) NOT NULL, cmdid int(11) NOT NULL, ip int(11) unsigned NOT NULL,
		port int(11) unsigned NOT NULL, caller int(11) unsigned NOT NULL, succ_cnt int(11) NOT NULL, err_cnt int(11) NOT NULL,
		ts bigint(20) NOT NULL, overload char(1) NOT NULL, PRIMARY KEY (modid, cmdid, ip, port, caller)) ENGINE=InnoDB`,
	`INSERT INTO RouteVersion (version) VALUES (1600000000)`,
	`INSERT INTO RouteData (modid, cmdid, serverip, serverport) VALUES (1, 1, 167772161, 80), (1, 1, 167772161, 80), (1, 1, 167772162, 80)`,
}

// TestFinding58Migration walks the steps of docs/migration.md, forth and back, on
// a database of the C++ stack. Its agents, its page and its dns are played.
func TestFinding58Migration(t *testing.T) {
	server := testdb.MariaDB(t)
	db := server.DB()
	for _, statement := range cppTables {
		execSQL(t, db, statement)
	}
	w := bareWorld(t, build(t), server.DSN())

	// 1. The tables are adopted; C++ servers and the page go on with them.
	w.lars("db", "migrate")
	wantCppDNSReads(t, db, 2)
	pageEdit(t, db, route.Host{IP: 167772163, Port: 80})
	wantCppDNSReads(t, db, 3)
	if _, err := db.ExecContext(t.Context(), `INSERT INTO RouteData (modid, cmdid, serverip, serverport) VALUES (1, 1, 167772163, 80)`); err == nil {
		t.Error("the page stored a host twice")
	}

	// 2. The servers run beside those of the C++ stack. Agents of it that are
	// restarted with their address get routes and pushes.
	w.startDNS("-dns.reload_interval", "1s")
	w.startReporter()
	addr := fmt.Sprintf("127.0.0.1:%d", w.dnsPort)
	eventually(t, "lars-dns listens", func() bool { return listens(addr) })
	cpp := startCppAgent(t, addr)
	cpp.has(t, 3)
	pageEdit(t, db, route.Host{IP: 167772164, Port: 80})
	cpp.has(t, 4)
	execSQL(t, db, `DELETE FROM RouteChange WHERE version <= (SELECT version FROM RouteVersion WHERE id = 1)`) // a C++ dns
	w.lars("route", "add", "1/1", "10.0.0.5:80")
	cpp.has(t, 5)
	execSQL(t, db, `DELETE FROM RouteData WHERE serverip = 167772165`) // the page deletes without a record
	cpp.has(t, 4)

	drainsBesideCpp(t, w, db, cpp)

	// 3. An agent is replaced; its programs go on.
	w.startAgent()
	w.served(1, 1)
	first := netip.MustParseAddrPort("10.0.0.1:80")
	w.report(first, nil, "idle")
	w.reported(first, "called", func(r row) bool { return r.Succ > 0 })

	// Back again: nothing that was written here is in the way of C++ servers.
	w.lars("route", "accept")
	w.agent.stop(syscall.SIGTERM)
	w.dns.stop(syscall.SIGTERM)
	w.reporter.stop(syscall.SIGTERM)
	wantCppDNSReads(t, db, 4)
	pageEdit(t, db, route.Host{IP: 167772166, Port: 80})
	wantCppDNSReads(t, db, 5)
	execSQL(t, db, `INSERT INTO ServerCallStatus (modid, cmdid, ip, port, caller, succ_cnt, err_cnt, ts, overload)
		VALUES (1, 1, 167772161, 80, 1, 2, 3, ?, '0') ON DUPLICATE KEY UPDATE succ_cnt = 2, err_cnt = 3, ts = ?, overload = '0'`,
		time.Now().Unix(), time.Now().Unix())
}

// drainsBesideCpp: drained hosts are no hosts for C++ servers; the page may put
// one back.
func drainsBesideCpp(t *testing.T, w *world, db *sql.DB, cpp *cppAgent) {
	t.Helper()
	w.lars("host", "set", "1/1", "10.0.0.4:80", "--weight", "50")
	w.lars("host", "drain", "10.0.0.4", "10.0.0.3")
	cpp.has(t, 2)
	wantCppDNSReads(t, db, 2)
	w.lars("host", "undrain", "10.0.0.4")
	cpp.has(t, 3)
	pageEdit(t, db, route.Host{IP: 167772163, Port: 80})
	cpp.has(t, 4)
	wantCppDNSReads(t, db, 4)
}

func listens(addr string) bool {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// wantCppDNSReads runs the statements of the C++ dns, which takes the columns of
// RouteData by their position.
func wantCppDNSReads(t *testing.T, db *sql.DB, hosts int) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `SELECT * FROM RouteData`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil || !slices.Equal(columns[:5], []string{"id", "modid", "cmdid", "serverip", "serverport"}) {
		t.Errorf("RouteData has the columns %v, %v", columns, err)
	}
	n := 0
	for rows.Next() {
		n++
	}
	if err := rows.Err(); err != nil || n != hosts {
		t.Errorf("a C++ dns reads %d hosts, %v; want %d", n, err, hosts)
	}
	var version, changes int64
	if err := db.QueryRow(`SELECT version from RouteVersion WHERE id = 1`).Scan(&version); err != nil {
		t.Error(err)
	}
	if err := db.QueryRow(`SELECT COUNT(*) FROM (SELECT modid,cmdid FROM RouteChange WHERE version <= ?) changed`, version).Scan(&changes); err != nil {
		t.Error(err)
	}
}
