package dns_test

import (
	"database/sql"
	"strings"
	"testing"
	"time"

	"lars.internal/dns"
	"lars.internal/route"
	"lars.internal/store"
)

// session returns a connection to the database that stays the same.
func (d *database) session() *sql.Conn {
	d.t.Helper()
	conn, err := d.raw.Conn(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { conn.Close() })
	return conn
}

func (d *database) on(conn *sql.Conn, query string, args ...any) {
	d.t.Helper()
	if _, err := conn.ExecContext(d.t.Context(), query, args...); err != nil {
		d.t.Fatalf("%s: %v", query, err)
	}
}

// waiting returns how many sessions of this database wait for a lock on a
// table.
func (d *database) waiting() int64 {
	d.t.Helper()
	return d.number(`SELECT COUNT(*) FROM information_schema.PROCESSLIST
		WHERE DB = ? AND STATE LIKE 'Waiting for table%lock'`, d.Database())
}

// lockTables makes every other session that wants these tables wait, until
// this one unlocks them.
func (d *database) lockTables(tables ...string) *sql.Conn {
	d.t.Helper()
	conn := d.session()
	d.on(conn, `LOCK TABLES `+strings.Join(tables, ` WRITE, `)+` WRITE`)
	return conn
}

// A query that takes its time is no failure, and nobody waits for it but the
// news.
func TestDatabaseSlow(t *testing.T) {
	d := sharedDatabase(t)
	d.edit(set(k12, h1))
	in := d.serveLoaded(func(c *dns.Config) { c.QueryTimeout = time.Minute })
	p := dial(t, in)
	lock := d.lockTables("RouteVersion", "RouteData", "RouteChange")
	eventually(t, "a look at the version waits", func() bool { return d.waiting() > 0 })
	p.ask(k12)
	p.expect(k12, h1)
	d.on(lock, `INSERT INTO RouteData (modid, cmdid, serverip, serverport) VALUES (1, 2, ?, ?)`, h2.IP, h2.Port)
	d.on(lock, `INSERT INTO RouteChange (modid, cmdid, version) SELECT 1, 2, version + 1 FROM RouteVersion`)
	d.on(lock, `UPDATE RouteVersion SET version = version + 1`)
	p.ask(k12)
	p.expect(k12, h1)
	d.on(lock, `UNLOCK TABLES`)
	p.expect(k12, h1, h2)
	in.awaitMetric(t, "lars_dns_poll_errors_total", "0")
}

// Each query is given up after the timeout, and tried again.
func TestDatabaseTooSlow(t *testing.T) {
	for _, table := range []string{"RouteVersion", "RouteChange", "RouteData"} {
		t.Run(table, func(t *testing.T) {
			d := sharedDatabase(t)
			d.edit(set(k12, h1))
			in := d.serveLoaded(func(c *dns.Config) { c.QueryTimeout = 500 * time.Millisecond })
			p := dial(t, in)
			next := d.version() + 1
			d.announce(k12, next)
			lock := d.lockTables(table)
			if table != "RouteVersion" {
				d.setVersion(next) // or nobody looks into the table
			}
			in.awaitGrowth(t, "lars_dns_poll_errors_total", 2)
			p.ask(k12)
			p.expect(k12, h1)
			d.on(lock, `UNLOCK TABLES`)
			d.edit(set(k12, h2))
			p.expect(k12, h2)
			in.awaitRecovery(t, "dns: store")
		})
	}
}

// A transaction that holds the version row keeps editors waiting, not the
// service.
func TestDatabaseRowLocked(t *testing.T) {
	d := sharedDatabase(t)
	d.edit(set(k12, h1))
	in := d.serveLoaded(nil)
	p := dial(t, in)
	p.ask(k12)
	p.expect(k12, h1)
	lock := d.session()
	d.on(lock, `BEGIN`)
	d.on(lock, `UPDATE RouteVersion SET version = version + 1`)
	edited := make(chan error, 1)
	go func() {
		_, err := d.editor.EditRoutes(t.Context(), route.Edit{Who: "test", Changes: []route.Change{set(k12, h2)}})
		edited <- err
	}()
	eventually(t, "the edit waits", func() bool {
		// INNODB_TRX would not do: it is renewed only when nobody has looked at
		// it for a tenth of a second.
		return d.number(`SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS
			WHERE VARIABLE_NAME = 'INNODB_ROW_LOCK_CURRENT_WAITS'`) > 0
	})
	in.awaitPolls(t)
	p.expectSilence()
	d.on(lock, `ROLLBACK`)
	p.expect(k12, h2)
	if err := <-edited; err != nil {
		t.Error(err)
	}
	in.awaitMetric(t, "lars_dns_poll_errors_total", "0")
}

// asPlainUser returns the database for a user who may do everything with it,
// but not write when the server is read-only.
func (d *database) asPlainUser() *database {
	d.t.Helper()
	d.exec(`CREATE USER plain@'%' IDENTIFIED BY 'x'`)
	d.exec(`GRANT ALL ON ` + d.Database() + `.* TO plain@'%'`)
	plain := d.in(d.t)
	plain.dsn = "mysql://plain:x@" + d.Addr() + "/" + d.Database()
	return plain
}

// A database that takes no writes serves reads on, and tells an editor what is
// wrong.
func TestDatabaseReadOnly(t *testing.T) {
	d := ownDatabase(t)
	d.edit(set(k12, h1))
	plain := d.asPlainUser()
	editor := plain.open(store.Options{QueryTimeout: patience})
	change := route.Edit{Who: "test", Changes: []route.Change{set(k12, h2)}}
	in := plain.serveLoaded(soon)
	p := dial(t, in)
	p.ask(k12)
	p.expect(k12, h1)

	d.exec(`SET GLOBAL read_only = 1`)
	_, err := editor.EditRoutes(t.Context(), change)
	if err == nil || !strings.Contains(err.Error(), "--read-only") || !strings.Contains(err.Error(), "make it writable") {
		t.Errorf("an edit says %v, want that the database is read-only and what to do", err)
	}
	in.awaitPolls(t)
	p.ask(k12)
	p.expect(k12, h1)
	d.edit(set(k12, h3)) // what comes by replication, say
	p.expect(k12, h3)

	d.exec(`SET GLOBAL read_only = 0`)
	if _, err := editor.EditRoutes(t.Context(), change); err != nil {
		t.Error(err)
	}
	p.expect(k12, h2)
	if up := in.metric(t, "lars_dns_store_up"); up != "1" {
		t.Errorf("store_up is %s, and every read went well", up)
	}
}

// A table goes away in mid-run: one line says which command makes it, and
// answers go on. What the routes are after the command is what the table holds.
func TestDatabaseTableMissing(t *testing.T) {
	for _, tt := range []struct {
		table   string
		provoke string // what makes the service look into it
		reload  time.Duration
		left    []route.Host // of the service when the table is back
	}{
		{"RouteVersion", ``, time.Hour, []route.Host{h1}},
		{"RouteChange", `UPDATE RouteVersion SET version = version + 1`, time.Hour, []route.Host{h1}},
		{"RouteAudit", `UPDATE RouteVersion SET version = version + 1`, time.Hour, []route.Host{h1}},
		{"RouteData", ``, 50 * time.Millisecond, nil},
	} {
		t.Run(tt.table, func(t *testing.T) {
			d := sharedDatabase(t)
			d.edit(set(k12, h1))
			in := d.serveLoaded(func(c *dns.Config) { c.ReloadInterval = tt.reload })
			p := dial(t, in)
			p.ask(k12)
			p.expect(k12, h1)

			d.exec(`DROP TABLE ` + tt.table)
			if tt.provoke != "" {
				d.exec(tt.provoke)
			}
			eventually(t, "it is missed", func() bool { return in.log.count("lars db migrate --dsn") > 0 })
			for range 3 {
				failures := func() int {
					return in.value(t, "lars_dns_poll_errors_total") + in.value(t, "lars_dns_load_errors_total")
				}
				n := failures()
				eventually(t, "it is missed again", func() bool { return failures() > n })
			}
			if n := in.log.count("lars db migrate --dsn"); n != 1 {
				t.Errorf("%d lines about it, want 1", n)
			}
			p.ask(k12)
			p.expect(k12, h1)

			d.migrate()
			in.awaitRecovery(t, "dns: store")
			in.awaitRecovery(t, "dns: reload of all routes")
			d.edit(add(k12, h2))
			p.expectFinally(k12, append(tt.left, h2)...)
		})
	}
}

// A row that makes no sense is skipped, counted and named once, and costs the
// others nothing.
func TestDatabaseBadRows(t *testing.T) {
	d := sharedDatabase(t)
	d.edit(set(k12, h1))
	insert := func(key route.Key, ip uint32, port int) {
		d.exec(`INSERT INTO RouteData (modid, cmdid, serverip, serverport) VALUES (?, ?, ?, ?)`, key.Modid, key.Cmdid, ip, port)
	}
	insert(k12, h1.IP, 0)
	insert(k12, h1.IP, 70000)
	insert(k13, 0, 7777)
	in := d.serveLoaded(nil)
	p := dial(t, in)
	p.ask(k12, k13)
	p.expect(k12, h1)
	p.expect(k13)
	in.awaitMetric(t, "lars_dns_bad_rows_total", "3")

	d.edit(add(k12, h2), add(k13, h3))
	p.expectBoth(answer{k12, []route.Host{h1, h2}}, answer{k13, []route.Host{h3}})
	insert(k13, 0, 7778)
	d.edit(remove(k13, h3))
	p.expect(k13)
	in.awaitMetric(t, "lars_dns_bad_rows_total", "8") // all three again, then the two of k13
	if n := in.log.count("row of RouteData skipped"); n != 4 {
		t.Errorf("%d lines, want one for each of the 4 rows", n)
	}
	for _, reason := range []string{":0: the port", ":70000: the port", "0.0.0.0:7777: the address is zero"} {
		if n := in.log.count(reason); n != 1 {
			t.Errorf("%d lines with %q, want 1", n, reason)
		}
	}
}
