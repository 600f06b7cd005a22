package store

import (
	"database/sql"
	"math/rand/v2"
	"slices"
	"strings"

	"lars.internal/route"
)

const (
	// maxTerms bounds the conditions that one statement joins by OR. SQLite
	// takes at most 1,000.
	maxTerms = 100

	// maxSweep is at how many rows of RouteHost one edit looks for such as no
	// host needs. It costs an edit a millisecond or two.
	maxSweep = 500
)

// forget deletes what is known of hosts.
func (e *editor) forget(hosts []placement) error {
	for chunk := range slices.Chunk(hosts, maxTerms) {
		var args []any
		for _, p := range chunk {
			modid, cmdid := columns(p.key)
			args = append(args, modid, cmdid, p.host.IP, p.host.Port)
		}
		if err := e.exec(`DELETE FROM RouteHost WHERE `+anyOfThese(len(chunk), "modid", "cmdid", "serverip", "serverport"), args...); err != nil {
			return err
		}
	}
	return nil
}

// describe writes what is known of hosts, in the place of what was.
func (e *editor) describe(members []member) error {
	for chunk := range slices.Chunk(members, maxRows) {
		var args []any
		for _, m := range chunk {
			modid, cmdid := columns(m.key)
			drained := 0
			if m.Drained {
				drained = 1
			}
			args = append(args, modid, cmdid, m.Host.IP, m.Host.Port, m.Weight, m.Zone, m.Note, drained)
		}
		err := e.exec(`REPLACE INTO RouteHost (modid, cmdid, serverip, serverport, weight, zone, note, drained) VALUES `+
			tuples(len(chunk), 8), args...)
		if err != nil {
			return err
		}
	}
	return nil
}

// unset deletes settings, by their names.
func (e *editor) unset(settings []setting) error {
	for chunk := range slices.Chunk(settings, maxTerms) {
		var args []any
		for _, s := range chunk {
			modid, cmdid := columns(s.key)
			args = append(args, modid, cmdid, s.Name)
		}
		if err := e.exec(`DELETE FROM ServiceSetting WHERE `+anyOfThese(len(chunk), "modid", "cmdid", "name"), args...); err != nil {
			return err
		}
	}
	return nil
}

// set writes settings, in the place of what was.
func (e *editor) set(settings []setting) error {
	for chunk := range slices.Chunk(settings, maxRows) {
		var args []any
		for _, s := range chunk {
			modid, cmdid := columns(s.key)
			args = append(args, modid, cmdid, s.Name, s.Value)
		}
		err := e.exec(`REPLACE INTO ServiceSetting (modid, cmdid, name, value) VALUES `+tuples(len(chunk), 4), args...)
		if err != nil {
			return err
		}
	}
	return nil
}

// anyOfThese returns the condition that a row has one of n sets of values of
// these columns. Both databases look them up in a key that begins with them.
func anyOfThese(n int, columns ...string) string {
	one := `(` + strings.Join(columns, ` = ? AND `) + ` = ?)`
	return one + strings.Repeat(` OR `+one, n-1)
}

// expand replaces each change of hosts everywhere by one of each service that
// has them, callable or not. Editors that lock the version add no further one
// meanwhile.
func (e *editor) expand() error {
	var changes []route.Change
	for _, c := range e.edit.Changes {
		if !c.Everywhere {
			changes = append(changes, c)
			continue
		}
		places, err := placesOf(e.ctx, e.tx, c.Hosts)
		if err != nil {
			return err
		}
		for _, p := range places {
			changes = append(changes, route.Change{Action: c.Action, Key: p.key, Hosts: []route.Host{p.host}})
		}
	}
	e.edit.Changes = changes
	return nil
}

// sweep deletes a few rows of RouteHost that no host needs: writers that do not
// know the table leave them behind. It looks at the rows that follow a random
// one, so that in time it looks at all of them.
func (e *editor) sweep() error {
	modid, cmdid, err := e.randomService()
	if err != nil {
		return err
	}
	var orphans []placement
	take := func(rows *sql.Rows) error {
		var r routeRow
		if err := rows.Scan(&r.modid, &r.cmdid, &r.ip, &r.port); err != nil {
			return err
		}
		if key, host, err := r.host(); err == nil {
			orphans = append(orphans, placement{key, host})
		}
		return nil
	}
	err = each(e.ctx, e.tx, take, `SELECT h.modid, h.cmdid, h.serverip, h.serverport FROM
		(SELECT modid, cmdid, serverip, serverport, drained FROM RouteHost
			WHERE modid >= ? AND (modid > ? OR cmdid >= ?)
			ORDER BY modid, cmdid, serverip, serverport LIMIT ?) h
		LEFT JOIN RouteData d ON d.modid = h.modid AND d.cmdid = h.cmdid AND d.serverip = h.serverip AND d.serverport = h.serverport
		WHERE h.drained = 0 AND d.id IS NULL`, modid, modid, cmdid, maxSweep)
	if err != nil {
		return err
	}
	return e.forget(orphans)
}

// randomService returns a service from which to look at RouteHost: each that the
// table has may come.
func (e *editor) randomService() (modid, cmdid int64, err error) {
	from, err := e.between(`SELECT MIN(modid), MAX(modid) FROM RouteHost`)
	if err != nil {
		return 0, 0, err
	}
	var first sql.NullInt64
	if err := e.tx.QueryRowContext(e.ctx, `SELECT MIN(modid) FROM RouteHost WHERE modid >= ?`, from).Scan(&first); err != nil {
		return 0, 0, err
	}
	cmdid, err = e.between(`SELECT MIN(cmdid), MAX(cmdid) FROM RouteHost WHERE modid = ?`, first.Int64)
	return first.Int64, cmdid, err
}

// between returns a random number of the range that a query returns, 0 if there
// is none.
func (e *editor) between(query string, args ...any) (int64, error) {
	var low, high sql.NullInt64
	if err := e.tx.QueryRowContext(e.ctx, query, args...).Scan(&low, &high); err != nil || !low.Valid {
		return 0, err
	}
	return low.Int64 + rand.Int64N(high.Int64-low.Int64+1), nil
}
