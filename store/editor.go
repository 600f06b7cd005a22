package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"lars.internal/route"
)

const (
	// maxRows bounds the rows of one statement.
	maxRows = 500

	// maxAhead is by how much, in seconds, a clock may be ahead of another
	// before something is said: of the database's, or of the version.
	maxAhead = 3600

	// longPause is the time without edits, in seconds, after which the next edit
	// logs that the version jumps: its clock may be wrong.
	longPause = 180 * 24 * 3600
)

// editor makes one try in one transaction. It is used once, by one goroutine.
type editor struct {
	// Immutable.
	ctx     context.Context // of the transaction
	tx      *sql.Tx
	db      *DB
	dialect *dialect
	now     int64 // Unix seconds

	unlimited bool // services may have more hosts than a frame holds

	edit route.Edit // after expand, each change names its service
}

// run makes the edit on top of a version, up to the commit.
func (e *editor) run(version uint64) (route.EditResult, error) {
	if err := e.expand(); err != nil {
		return route.EditResult{}, err
	}
	// Locked against writers that do not lock the version; these write RouteData
	// alone.
	stored, err := e.dialect.readServices(e.ctx, e.tx, editedKeys(e.edit), e.dialect.lockRows)
	if err != nil {
		return route.EditResult{}, err
	}
	if err := e.checkUnchanged(version, stored); err != nil {
		return route.EditResult{}, err
	}
	p, err := makePlan(e.edit, stored, e.unlimited)
	if err != nil {
		return route.EditResult{}, err
	}
	if len(p.touched) == 0 {
		return route.EditResult{Version: version, After: p.after}, nil
	}
	next, err := e.next(version)
	if err != nil {
		return route.EditResult{}, err
	}
	if err := e.write(p, version, next); err != nil {
		return route.EditResult{}, err
	}
	return route.EditResult{Version: next, Changed: true, Services: p.services, After: p.after}, nil
}

// lockVersion returns the version and keeps all other editors away until the
// transaction ends. It is the first statement, so what the next ones read is
// at least as new.
func (e *editor) lockVersion() (uint64, error) {
	return scanVersion(e.tx.QueryRowContext(e.ctx, selectVersion+e.dialect.lockRows))
}

// madeBefore returns the version that an edit with this ID has made, or 0. The
// transaction of a try that broke is over when this one has the lock.
func (e *editor) madeBefore() (version uint64, err error) {
	err = e.tx.QueryRowContext(e.ctx, `SELECT version FROM RouteAudit WHERE edit_id = ? LIMIT 1`, e.edit.ID).Scan(&version)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return version, err
}

// checkUnchanged fails with a conflict if a service of the edit has changed since
// the version that the editor has seen.
func (e *editor) checkUnchanged(version uint64, stored storedServices) error {
	if e.edit.IfVersion == nil || *e.edit.IfVersion == version {
		return nil
	}
	seen := *e.edit.IfVersion
	if seen < version {
		h := newHistory(route.Mark{Version: seen}, route.Mark{Version: version})
		if err := h.readVersions(e.ctx, e.tx); err != nil {
			return err
		}
		if h.complete() == nil && !intersect(h.keys, editedKeys(e.edit)) {
			return nil
		}
	}
	conflict := &route.ConflictError{Seen: seen, Version: version}
	for _, k := range editedKeys(e.edit) {
		conflict.Services = append(conflict.Services, stored[k].service(k))
	}
	return conflict
}

// next returns the version that follows one. A wrong clock would move all
// later versions into the future with it. It is therefore compared with the
// database's, and a jump that only one clock shows is logged.
func (e *editor) next(version uint64) (uint64, error) {
	var database int64
	if err := e.tx.QueryRowContext(e.ctx, `SELECT `+e.dialect.clock).Scan(&database); err != nil {
		return 0, err
	}
	if e.now > database+maxAhead {
		return 0, fmt.Errorf("the clock of this machine is %v ahead of the database's (%s): set the wrong one right",
			seconds(e.now-database), time.Unix(database, 0).UTC().Format(time.DateTime))
	}
	now := uint64(max(e.now, 0))
	next := max(version+1, now)
	switch log := e.db.options.Logger; {
	case next > math.MaxUint32:
		return 0, fmt.Errorf("version %d is the last that fits the table; set RouteVersion to the Unix time", version)
	case version > now+maxAhead:
		log.Warn("store: the version of the routes is ahead of the clock; if the clock is right, set RouteVersion to the Unix time",
			"version", version, "ahead", seconds(int64(version-now)))
	case version > 0 && now > version+longPause:
		log.Warn("store: the version of the routes jumps; is the clock of this machine right?",
			"from", version, "to", next, "jump", seconds(int64(next-version)))
	}
	return next, nil
}

func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }

// write stores a plan under its version.
func (e *editor) write(p *plan, version, next uint64) error {
	steps := []func() error{
		func() error { return e.removeRows("RouteData", p.remove) },
		func() error { return e.insertHosts(p.insert) },
		func() error { return e.forget(p.forget) },
		func() error { return e.describe(p.describe) },
		func() error { return e.unset(p.unset) },
		func() error { return e.set(p.set) },
		func() error { return e.announce(p.touched, next) },
		func() error { return e.audit(p.services, version, next) },
		func() error { return e.prune("RouteChange", e.db.keepChanges) },
		func() error { return e.prune("RouteAudit", e.db.keepAudit) },
		func() error { return e.sweep() },
		func() error { return e.exec(`UPDATE RouteVersion SET version = ? WHERE id = 1`, next) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (e *editor) insertHosts(hosts []placement) error {
	for chunk := range slices.Chunk(hosts, maxRows) {
		var args []any
		for _, p := range chunk {
			modid, cmdid := columns(p.key)
			args = append(args, modid, cmdid, p.host.IP, p.host.Port)
		}
		err := e.exec(`INSERT INTO RouteData (modid, cmdid, serverip, serverport) VALUES `+tuples(len(chunk), 4), args...)
		if err != nil {
			return err
		}
	}
	return nil
}

// announce records which services have changed, for C++ readers too.
func (e *editor) announce(keys []route.Key, version uint64) error {
	for chunk := range slices.Chunk(keys, maxRows) {
		var args []any
		for _, k := range chunk {
			modid, cmdid := columns(k)
			args = append(args, modid, cmdid, version)
		}
		err := e.exec(`INSERT INTO RouteChange (modid, cmdid, version) VALUES `+tuples(len(chunk), 3), args...)
		if err != nil {
			return err
		}
	}
	return nil
}

// audit records who did what. A chunk is small, since details may be long.
func (e *editor) audit(services []route.ServiceChange, version, next uint64) error {
	const rows = 20
	for chunk := range slices.Chunk(services, rows) {
		var args []any
		for _, s := range chunk {
			modid, cmdid := columns(s.Key)
			args = append(args, e.now, next, version, e.edit.Who, actionOn(e.edit, s.Key), modid, cmdid, details(s), e.edit.ID)
		}
		err := e.exec(`INSERT INTO RouteAudit (time, version, previous, who, action, modid, cmdid, details, edit_id) VALUES `+
			tuples(len(chunk), 9), args...)
		if err != nil {
			return err
		}
	}
	return nil
}

func (e *editor) removeRows(table string, ids []int64) error {
	for chunk := range slices.Chunk(ids, maxRows) {
		args := make([]any, len(chunk))
		for i, id := range chunk {
			args[i] = id
		}
		if err := e.exec(`DELETE FROM `+table+` WHERE id IN (?`+strings.Repeat(`, ?`, len(chunk)-1)+`)`, args...); err != nil {
			return err
		}
	}
	return nil
}

func (e *editor) exec(query string, args ...any) error {
	_, err := e.tx.ExecContext(e.ctx, query, args...)
	return err
}
