package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"lars.internal/route"
)

const (
	// maxChanges bounds what Changed reads. Above that a Load costs less.
	maxChanges = 100_000

	// keepChanges is for how many versions rows of RouteChange are kept at
	// least: a week, since a version is about a second.
	keepChanges = 7 * 24 * 3600

	// recentIDs is among how many of the newest ids a mark counts change rows.
	// The nodes of a cluster give out interleaved ids, so a row may come with
	// an id below the newest, by a few times the number of nodes. Higher costs
	// each look; 1,024 rows are counted in a fraction of a millisecond.
	recentIDs = 1024
)

// acceptAction is the action of an audit row by which an operator accepts the
// routes as they are.
const acceptAction = "accept"

// acceptDetails is the format of what it accepts.
const acceptDetails = "%d hosts as they are stored"

// selectMark reads a route.Mark in one statement, so it is of one state. The
// cast keeps MySQL from taking the difference of unsigned numbers for an error.
var selectMark = fmt.Sprintf(`SELECT version, (SELECT COALESCE(MAX(id), 0) FROM RouteChange),
	(SELECT COUNT(*) FROM RouteChange WHERE id > (SELECT CAST(MAX(id) AS SIGNED) - %d FROM RouteChange))
	FROM RouteVersion WHERE id = 1`, recentIDs)

// Look returns a mark of the record of edits. It costs the same however long
// the record is.
func (db *DB) Look(ctx context.Context) (route.Mark, error) {
	var mark route.Mark
	err := db.attempt(ctx, db.options.QueryTimeout, "look for edits", func(ctx context.Context) error {
		var err error
		mark, err = scanMark(db.pool.QueryRowContext(ctx, selectMark))
		return err
	})
	return mark, err
}

func scanMark(row *sql.Row) (m route.Mark, err error) {
	err = row.Scan(&m.Version, &m.Newest, &m.Rows)
	if errors.Is(err, sql.ErrNoRows) {
		err = errNoVersionRow
	}
	return m, err
}

// Changed returns what was recorded between two looks. It fails with
// route.ErrHistoryGone if services may be missing; then Load has everything.
// The services that are on record come with that error, too.
//
// Nothing is consumed. A C++ dns beside us deletes rows of RouteChange that it
// has pushed; edits made through this package are found all the same, in
// their audit rows. An edit by a C++ writer leaves no audit row: that its
// change rows are gone shows in the audit row of the next edit, which names
// the version that it replaced, or in the version itself. A C++ writer whose
// version is that of the edit before, or lower, is found by its change row.
//
// A change row whose version is above that of the routes belongs to a C++ edit
// that has not written its version yet. It counts when the version comes; if it
// is one of ours, a C++ writer has set the version back, and it counts at once.
//
// Unseen until the next Load stay: a C++ edit whose change row is deleted
// before the next look while the version is that of an edit on record; and rows
// of RouteData that were written without any record.
func (db *DB) Changed(ctx context.Context, after, upTo route.Mark) (route.Changes, error) {
	var changes route.Changes
	if after == upTo {
		return changes, nil
	}
	what := fmt.Sprintf("read changes from version %d to %d", after.Version, upTo.Version)
	err := db.attempt(ctx, db.options.QueryTimeout, what, func(ctx context.Context) error {
		h, err := db.history(ctx, after, upTo)
		if err != nil {
			return err
		}
		slices.SortFunc(h.keys, route.Key.Compare)
		changes = route.Changes{Keys: slices.Compact(h.keys), Accepted: h.accepted}
		return h.complete()
	})
	return changes, err
}

// history is what is on record between two marks.
type history struct {
	after, upTo route.Mark

	keys     []route.Key         // that were touched, with duplicates
	recorded map[uint64]struct{} // versions of the range with at least one row
	replaced map[uint64]uint64   // versions with audit rows, and what each replaced
	accepted route.Acceptance    // the newest
	cut      bool                // there was more than maxChanges

	// Of the change rows among the newest ids.
	recent    []changeRow
	kept      uint64 // how many of those that after counted are still there
	announced bool   // one has the version upTo
}

// changeRow is a row of RouteChange.
type changeRow struct {
	id, version  uint64
	modid, cmdid int64
}

func newHistory(after, upTo route.Mark) *history {
	return &history{after: after, upTo: upTo, recorded: make(map[uint64]struct{}), replaced: make(map[uint64]uint64)}
}

func (db *DB) history(ctx context.Context, after, upTo route.Mark) (*history, error) {
	h := newHistory(after, upTo)
	if upTo.Version > after.Version {
		if err := h.readVersions(ctx, db.pool); err != nil {
			return nil, err
		}
	}
	if err := db.readRecent(ctx, h); err != nil {
		return nil, err
	}
	return h, db.takeRecent(ctx, h)
}

// querier is a database, or a transaction on it.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// readVersions reads what is recorded under the versions of the range.
func (h *history) readVersions(ctx context.Context, from querier) error {
	after, upTo := h.after.Version, h.upTo.Version
	rows, err := from.QueryContext(ctx,
		`SELECT version, version, modid, cmdid, '', '' FROM RouteChange WHERE version > ? AND version <= ?
		UNION ALL
		SELECT version, previous, modid, cmdid, action, CASE WHEN action = '`+acceptAction+`' THEN details ELSE '' END
		FROM RouteAudit WHERE version > ? AND version <= ?
		LIMIT ?`, after, upTo, after, upTo, maxChanges+1)
	if err != nil {
		return err
	}
	defer rows.Close()
	read := 0
	for ; rows.Next(); read++ {
		var version, previous uint64
		var modid, cmdid int64
		var action, details string
		if err := rows.Scan(&version, &previous, &modid, &cmdid, &action, &details); err != nil {
			return err
		}
		h.record(version, previous)
		if action == acceptAction {
			h.accept(version, details) // it touches no service
		} else {
			h.touch(modid, cmdid)
		}
	}
	h.cut = read > maxChanges
	return rows.Err()
}

// record notes the version of one row. One of RouteChange has itself for its
// predecessor.
func (h *history) record(version, previous uint64) {
	h.recorded[version] = struct{}{}
	if previous != version {
		h.replaced[version] = previous
	}
}

// accept notes an acceptance. details begins with the number of hosts that it
// found.
func (h *history) accept(version uint64, details string) {
	if version < h.accepted.Version {
		return
	}
	h.accepted = route.Acceptance{Version: version}
	_, _ = fmt.Sscanf(details, acceptDetails, &h.accepted.Hosts) // 0: a row that no program of ours wrote
}

// touch notes a service. Ids that are out of range are left out: no agent can
// ask for them.
func (h *history) touch(modid, cmdid int64) {
	if key, err := keyOf(modid, cmdid); err == nil {
		h.keys = append(h.keys, key)
	}
}

// readRecent reads the change rows from the first id on that after counted.
func (db *DB) readRecent(ctx context.Context, h *history) error {
	from := h.after.Newest - min(h.after.Newest, recentIDs)
	rows, err := db.pool.QueryContext(ctx,
		`SELECT id, version, modid, cmdid FROM RouteChange WHERE id > ? AND id <= ? ORDER BY id LIMIT ?`,
		from, max(h.after.Newest, h.upTo.Newest), maxChanges+1)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var r changeRow
		if err := rows.Scan(&r.id, &r.version, &r.modid, &r.cmdid); err != nil {
			return err
		}
		h.recent = append(h.recent, r)
		if r.id <= h.after.Newest {
			h.kept++
		}
		h.announced = h.announced || r.version == h.upTo.Version
	}
	h.cut = h.cut || len(h.recent) > maxChanges
	return rows.Err()
}

// takeRecent notes the services of rows that have come since after: those with
// a newer id, and all if the number of the others is not what it was.
func (db *DB) takeRecent(ctx context.Context, h *history) error {
	var early []changeRow // above the version of the routes
	for _, r := range h.recent {
		switch isNew := r.id > h.after.Newest || h.kept != h.after.Rows; {
		case isNew && r.version > h.upTo.Version:
			early = append(early, r)
		case isNew:
			h.touch(r.modid, r.cmdid)
		}
	}
	if len(early) == 0 {
		return nil
	}
	ours, err := db.auditedAbove(ctx, h.upTo.Version)
	for _, r := range early {
		if _, ok := ours[r.version]; ok {
			h.touch(r.modid, r.cmdid)
		}
	}
	return err
}

// auditedAbove returns the versions above one that have audit rows.
func (db *DB) auditedAbove(ctx context.Context, version uint64) (map[uint64]struct{}, error) {
	rows, err := db.pool.QueryContext(ctx, `SELECT DISTINCT version FROM RouteAudit WHERE version > ? LIMIT ?`, version, maxChanges)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	versions := make(map[uint64]struct{})
	for rows.Next() {
		var v uint64
		if err := rows.Scan(&v); err != nil {
			return nil, err
		}
		versions[v] = struct{}{}
	}
	return versions, rows.Err()
}

// complete returns route.ErrHistoryGone with the reason if something may be
// missing in keys.
func (h *history) complete() error {
	after, upTo := h.after.Version, h.upTo.Version
	switch {
	case h.cut:
		return fmt.Errorf("more than %d changes: %w", maxChanges, route.ErrHistoryGone)
	case upTo < after:
		return h.completeBackwards()
	case upTo == after || h.unbroken():
		return nil
	case upTo-after > keepChanges:
		return fmt.Errorf("some rows may be old enough to be removed: %w", route.ErrHistoryGone)
	}
	if gap := h.gap(); gap != 0 {
		return fmt.Errorf("version %d has no rows: %w", gap, route.ErrHistoryGone)
	}
	return nil
}

// completeBackwards is complete where the version went back. An edit by the
// page of the C++ stack does that when the version runs ahead of the clock: it
// adds a change row with the version that it sets, and takes none away. A dump
// that is restored takes rows away, or has none of that version.
func (h *history) completeBackwards() error {
	if h.announced && h.kept == h.after.Rows {
		return nil
	}
	return fmt.Errorf("the version went back from %d to %d: %w", h.after.Version, h.upTo.Version, route.ErrHistoryGone)
}

// unbroken reports whether audit rows lead from upTo all the way back to
// after. Then nothing is missing, however long ago after was.
func (h *history) unbroken() bool {
	version := h.upTo.Version
	for version > h.after.Version {
		previous, ok := h.replaced[version]
		if !ok || previous >= version {
			return false
		}
		version = previous
	}
	return version == h.after.Version
}

// gap returns a version that existed and has no rows, 0 if there is none.
func (h *history) gap() uint64 {
	if _, ok := h.recorded[h.upTo.Version]; !ok {
		return h.upTo.Version
	}
	for _, version := range h.replaced {
		if _, ok := h.recorded[version]; !ok && version > h.after.Version {
			return version
		}
	}
	return 0
}
