package main

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"time"
)

// The routes. Service i, from 0, is (1 + i/1000, 1 + i%1000). The last host of
// each service is its marked host: edits change its port, and nothing else, so
// a subscriber sees by the port which edit it got.
const (
	hostsPerService = 5
	cmdids          = 1000 // of each modid
	plainIP         = 10 << 24
	markedIP        = 11 << 24
	firstMark       = 1
)

// database holds routes. Owned by the main goroutine.
type database struct {
	dsn  string // for the programs
	pool *sql.DB
	mark int // of the last edit
	drop func()
}

func (db *database) close() {
	db.pool.Close()
	db.drop()
}

// fill inserts the hosts, so many per service, and sets the version.
func (db *database) fill(ctx context.Context, hosts, perService int) error {
	tx, err := db.pool.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	const rows = 5000 // of one statement: about 200 KiB
	for first := 0; first < hosts; first += rows {
		text := []byte(`INSERT INTO RouteData (modid, cmdid, serverip, serverport) VALUES `)
		for i := first; i < min(first+rows, hosts); i++ {
			if i > first {
				text = append(text, ',')
			}
			text = appendRow(text, i, perService)
		}
		if _, err := tx.ExecContext(ctx, string(text)); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, `UPDATE RouteVersion SET version = UNIX_TIMESTAMP() WHERE id = 1`); err != nil {
		return err
	}
	return tx.Commit()
}

// appendRow appends the row of host i as SQL.
func appendRow(b []byte, i, perService int) []byte {
	service, n := i/perService, i%perService
	ip, port := plainIP+i, 7000+n
	if n == perService-1 {
		ip, port = markedIP+service, firstMark
	}
	for j, v := range []int{1 + service/cmdids, 1 + service%cmdids, ip, port} {
		b = append(b, "(,,,"[j])
		b = strconv.AppendInt(b, int64(v), 10)
	}
	return append(b, ')')
}

// commit is when an edit was committed: just before COMMIT was sent, and when it
// returned.
type commit struct{ asked, done time.Time }

// edit changes the first services of modid 1 in one transaction, as every writer
// of routes does: take the next version, change the rows, announce the services
// that changed. The mark that it sets is the caller's to expect: db.mark + 1.
func (db *database) edit(ctx context.Context, services int) (commit, error) {
	conn, err := db.pool.Conn(ctx)
	if err != nil {
		return commit{}, err
	}
	defer conn.Close()
	db.mark++
	marked := fmt.Sprintf(`modid = 1 AND cmdid BETWEEN 1 AND %d AND serverip >= %d`, services, markedIP)
	_, err = conn.ExecContext(ctx, `BEGIN;
		SELECT version INTO @old FROM RouteVersion WHERE id = 1 FOR UPDATE;
		SET @new = GREATEST(@old + 1, UNIX_TIMESTAMP());
		UPDATE RouteData SET serverport = `+strconv.Itoa(db.mark)+` WHERE `+marked+`;
		INSERT INTO RouteChange (modid, cmdid, version) SELECT modid, cmdid, @new FROM RouteData WHERE `+marked+`;
		INSERT INTO RouteAudit (time, version, previous, who, action, modid, cmdid, details)
			SELECT UNIX_TIMESTAMP(), @new, @old, 'bench', 'set', modid, cmdid, '' FROM RouteData WHERE `+marked+`;
		UPDATE RouteVersion SET version = @new WHERE id = 1`)
	if err != nil {
		return commit{}, fmt.Errorf("edit %d services: %w", services, err)
	}
	c := commit{asked: time.Now()}
	_, err = conn.ExecContext(ctx, `COMMIT`)
	c.done = time.Now()
	return c, err
}

// turnBack lowers the version, which makes the service load everything again.
func (db *database) turnBack(ctx context.Context) error {
	_, err := db.pool.ExecContext(ctx, `UPDATE RouteVersion SET version = version - 1 WHERE id = 1`)
	return err
}
