package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"lars.internal/route"
)

// maxKeys bounds the services that one statement asks for. With 1,000 at a time
// MariaDB's optimizer preferred to read the whole table.
const maxKeys = 200

// maxChanges bounds what Changed reads. Above that a Load costs less.
const maxChanges = 100_000

// keepChanges is for how many versions rows of RouteChange are kept at least: a
// week, since a version is about a second.
const keepChanges = 7 * 24 * 3600

const selectVersion = `SELECT version FROM RouteVersion WHERE id = 1`

// Version returns the version of the routes.
func (db *DB) Version(ctx context.Context) (uint64, error) {
	var version uint64
	err := db.attempt(ctx, db.options.QueryTimeout, "read version", func(ctx context.Context) error {
		var err error
		version, err = scanVersion(db.pool.QueryRowContext(ctx, selectVersion))
		return err
	})
	return version, err
}

// errNoVersionRow is what explain takes for missing tables.
var errNoVersionRow = errors.New("RouteVersion has no row with id 1")

func scanVersion(row *sql.Row) (version uint64, err error) {
	err = row.Scan(&version)
	if errors.Is(err, sql.ErrNoRows) {
		err = errNoVersionRow
	}
	return version, err
}

// Load calls yield for each host of each service, in no particular order, and
// returns the version of what it read: one state of the database. A host may
// come twice only where the database lacks the unique key. After an error the
// hosts that yield got are incomplete.
func (db *DB) Load(ctx context.Context, yield func(route.Key, route.Host)) (uint64, error) {
	var version uint64
	err := db.attempt(ctx, db.options.LoadTimeout, "load routes", func(ctx context.Context) error {
		var err error
		version, err = db.load(ctx, yield)
		return err
	})
	return version, err
}

func (db *DB) load(ctx context.Context, yield func(route.Key, route.Host)) (uint64, error) {
	tx, err := db.beginRead(ctx)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback()
	version, err := scanVersion(tx.QueryRowContext(ctx, selectVersion))
	if err != nil {
		return 0, err
	}
	rows, err := tx.QueryContext(ctx, selectHosts)
	if err != nil {
		return 0, err
	}
	yielded := false
	err = db.eachHost(rows, func(k route.Key, h route.Host) {
		yielded = true
		yield(k, h)
	})
	if err != nil && yielded {
		// A second try would yield everything again.
		err = unrepeatable{err}
	}
	return version, err
}

const selectHosts = `SELECT id, modid, cmdid, serverip, serverport FROM RouteData`

// eachHost calls yield for each row of selectHosts that names a host, reports
// the others, and closes rows.
func (db *DB) eachHost(rows *sql.Rows, yield func(route.Key, route.Host)) error {
	defer rows.Close()
	var r routeRow
	for rows.Next() {
		if err := r.scan(rows); err != nil {
			return err
		}
		key, host, err := r.host()
		if err != nil {
			db.skip(r.id, err)
			continue
		}
		yield(key, host)
	}
	return rows.Err()
}

// routeRow is a row of RouteData, whatever it holds.
type routeRow struct {
	id, modid, cmdid, ip, port int64
}

func (r *routeRow) scan(rows *sql.Rows) error {
	return rows.Scan(&r.id, &r.modid, &r.cmdid, &r.ip, &r.port)
}

// host returns what the row means, or why it means nothing.
func (r *routeRow) host() (route.Key, route.Host, error) {
	key, err := keyOf(r.modid, r.cmdid)
	if err != nil {
		return route.Key{}, route.Host{}, err
	}
	if r.ip < 0 || r.ip > math.MaxUint32 {
		return key, route.Host{}, fmt.Errorf("service %v: serverip %d is no IPv4 address", key, r.ip)
	}
	host, err := route.NewHost(uint32(r.ip), r.port)
	if err != nil {
		err = fmt.Errorf("service %v: %w", key, err)
	}
	return key, host, err
}

// keyOf returns the service of a row. The columns are unsigned and ids are
// signed: a C++ reader takes 4294967295 for -1, and so does this.
func keyOf(modid, cmdid int64) (route.Key, error) {
	if modid < 0 || modid > math.MaxUint32 || cmdid < 0 || cmdid > math.MaxUint32 {
		return route.Key{}, fmt.Errorf("service %d/%d: an id is outside 0..%d", modid, cmdid, uint32(math.MaxUint32))
	}
	return route.Key{Modid: int32(uint32(modid)), Cmdid: int32(uint32(cmdid))}, nil
}

// columns returns a service as RouteData and RouteChange hold it.
func columns(k route.Key) (modid, cmdid uint32) { return uint32(k.Modid), uint32(k.Cmdid) }

// Changed returns the services that edits with a version above after, up to
// upTo, have touched, in order. It fails with route.ErrHistoryGone if any may be
// missing; Load tells everything then.
//
// Nothing is consumed. A C++ dns beside us deletes rows of RouteChange that it
// has pushed; edits made through this package are found all the same, in
// their audit rows. An edit by a C++ writer leaves no audit row: that its
// change rows are gone shows in the audit row of the next edit, which names
// the version that it replaced, or in upTo itself. Two cases stay unseen until
// the next Load: two C++ edits between two calls, the rows of the first
// deleted and those of the second not; and a C++ edit that leaves the version at
// after, because another had the same second or because it sets it back, which
// hides an edit of ours in between too. The same holds for rows that somebody
// wrote by hand without a new version.
//
// after above upTo is route.ErrHistoryGone too: the version went backwards.
func (db *DB) Changed(ctx context.Context, after, upTo uint64) ([]route.Key, error) {
	if after == upTo {
		return nil, nil
	}
	what := fmt.Sprintf("read changes from version %d to %d", after, upTo)
	if after > upTo {
		return nil, fmt.Errorf("store: %s: %w", what, route.ErrHistoryGone)
	}
	var keys []route.Key
	err := db.attempt(ctx, db.options.QueryTimeout, what, func(ctx context.Context) error {
		h, err := db.history(ctx, after, upTo)
		if err != nil {
			return err
		}
		keys, err = h.services(after, upTo)
		return err
	})
	return keys, err
}

// history is what is on record of a range of versions.
type history struct {
	keys     []route.Key         // that were touched, with duplicates
	recorded map[uint64]struct{} // versions with at least one row
	replaced map[uint64]uint64   // versions with audit rows, and what each replaced
	cut      bool                // there was more than maxChanges
}

func (db *DB) history(ctx context.Context, after, upTo uint64) (*history, error) {
	rows, err := db.pool.QueryContext(ctx,
		`SELECT version, version, modid, cmdid FROM RouteChange WHERE version > ? AND version <= ?
		UNION ALL
		SELECT version, previous, modid, cmdid FROM RouteAudit WHERE version > ? AND version <= ?
		LIMIT ?`, after, upTo, after, upTo, maxChanges+1)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	h := &history{recorded: make(map[uint64]struct{}), replaced: make(map[uint64]uint64)}
	read := 0
	for ; rows.Next(); read++ {
		var version, previous uint64
		var modid, cmdid int64
		if err := rows.Scan(&version, &previous, &modid, &cmdid); err != nil {
			return nil, err
		}
		h.add(version, previous, modid, cmdid)
	}
	h.cut = read > maxChanges
	return h, rows.Err()
}

// add notes one row. One of RouteChange has itself for its predecessor.
func (h *history) add(version, previous uint64, modid, cmdid int64) {
	h.recorded[version] = struct{}{}
	if previous != version {
		h.replaced[version] = previous
	}
	// A change of an impossible service is one that nobody can ask for.
	if key, err := keyOf(modid, cmdid); err == nil {
		h.keys = append(h.keys, key)
	}
}

// services returns the services of the history if it has no gap.
func (h *history) services(after, upTo uint64) ([]route.Key, error) {
	if h.cut {
		return nil, fmt.Errorf("more than %d changes: %w", maxChanges, route.ErrHistoryGone)
	}
	if !h.unbroken(after, upTo) {
		if upTo-after > keepChanges {
			return nil, fmt.Errorf("some rows may be old enough to be removed: %w", route.ErrHistoryGone)
		}
		if gap := h.gap(after, upTo); gap != 0 {
			return nil, fmt.Errorf("version %d has no rows: %w", gap, route.ErrHistoryGone)
		}
	}
	slices.SortFunc(h.keys, route.Key.Compare)
	return slices.Compact(h.keys), nil
}

// unbroken reports whether audit rows lead from upTo all the way back to
// after. Then nothing is missing, however long ago after was.
func (h *history) unbroken(after, upTo uint64) bool {
	version := upTo
	for version > after {
		previous, ok := h.replaced[version]
		if !ok || previous >= version {
			return false
		}
		version = previous
	}
	return version == after
}

// gap returns a version that existed and has no rows, 0 if there is none.
func (h *history) gap(after, upTo uint64) uint64 {
	if _, ok := h.recorded[upTo]; !ok {
		return upTo
	}
	for _, version := range h.replaced {
		if _, ok := h.recorded[version]; !ok && version > after {
			return version
		}
	}
	return 0
}

// Hosts returns the hosts of services, in no particular order. Each key is in
// the result, with nil if the service has no hosts. Each service is of one
// state of the database; two services may be of two.
func (db *DB) Hosts(ctx context.Context, keys []route.Key) (map[route.Key][]route.Host, error) {
	services := make(map[route.Key][]route.Host, len(keys))
	for chunk := range slices.Chunk(keys, maxKeys) {
		err := db.attempt(ctx, db.options.QueryTimeout, fmt.Sprintf("read hosts of %d services", len(chunk)),
			func(ctx context.Context) error { return db.hostsOf(ctx, chunk, services) })
		if err != nil {
			return nil, err
		}
	}
	return services, nil
}

func (db *DB) hostsOf(ctx context.Context, keys []route.Key, services map[route.Key][]route.Host) error {
	for _, k := range keys {
		services[k] = nil // also what a failed try left
	}
	where, args := db.dialect.anyOf(keys)
	rows, err := db.pool.QueryContext(ctx, selectHosts+where, args...)
	if err != nil {
		return err
	}
	return db.eachHost(rows, func(k route.Key, h route.Host) {
		services[k] = append(services[k], h)
	})
}

// anyOf returns the condition that a row of RouteData is of one of the
// services. Both databases turn it into look-ups in the index route_host.
func (d *dialect) anyOf(keys []route.Key) (where string, args []any) {
	args = make([]any, 0, 2*len(keys))
	for _, k := range keys {
		modid, cmdid := columns(k)
		args = append(args, modid, cmdid)
	}
	return ` WHERE (modid, cmdid) IN (` + d.rowList + strings.Repeat(`, (?, ?)`, len(keys))[len(`, `):] + `)`, args
}
