package store

import (
	"context"
	"fmt"

	"lars.internal/route"
)

// AcceptRoutes records, under a new version, that an operator accepts the routes
// as they are stored, however they came there. A dns service that holds back a
// load takes the next one then. The record is an audit row, which every reader
// of the database sees beside the edits, with the rights that it has; readers
// that do not know it find a version under which no service changed. It is made
// once for each id, "" for none, and its errors mean what those of EditRoutes do.
func (db *DB) AcceptRoutes(ctx context.Context, who, id string) (route.Acceptance, error) {
	var tries []route.Acceptance
	accept := func(e *editor, version uint64) (route.EditResult, error) {
		a, err := e.accept(version)
		tries = append(tries, a)
		return route.EditResult{Version: a.Version, Changed: true}, err
	}
	r, err := db.editRoutes(ctx, route.Edit{Who: who, ID: id}, extras{what: "accept routes", instead: accept})
	if err != nil {
		return route.Acceptance{}, err
	}
	for _, a := range tries {
		if a.Version == r.Version {
			return a, nil
		}
	}
	return route.Acceptance{Version: r.Version, Repeated: true}, nil
}

// accept records the acceptance on top of a version.
func (e *editor) accept(version uint64) (a route.Acceptance, err error) {
	if err := e.tx.QueryRowContext(e.ctx, `SELECT COUNT(*) FROM RouteData`).Scan(&a.Hosts); err != nil {
		return a, err
	}
	if a.Version, err = e.next(version); err != nil {
		return a, err
	}
	err = e.exec(`INSERT INTO RouteAudit (time, version, previous, who, action, modid, cmdid, details, edit_id) VALUES (?, ?, ?, ?, ?, 0, 0, ?, ?)`,
		e.now, a.Version, version, e.edit.Who, acceptAction, fmt.Sprintf(acceptDetails, a.Hosts), e.edit.ID)
	if err != nil {
		return a, err
	}
	return a, e.exec(`UPDATE RouteVersion SET version = ? WHERE id = 1`, a.Version)
}
