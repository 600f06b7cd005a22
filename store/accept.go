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
// that do not know it find a version under which no service changed.
func (db *DB) AcceptRoutes(ctx context.Context, who string) (route.Acceptance, error) {
	edit := route.Edit{Who: who}
	if err := validate(edit); err != nil {
		return route.Acceptance{}, fmt.Errorf("store: accept routes: %w", err)
	}
	var accepted route.Acceptance
	err := db.attempt(ctx, db.options.commitTimeout(), "accept routes", func(ctx context.Context) error {
		tx, err := db.pool.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		e := &editor{ctx: ctx, tx: tx, db: db, dialect: db.dialect, edit: edit, now: db.options.Now().Unix()}
		if accepted, err = e.accept(); err != nil {
			return err
		}
		return tx.Commit()
	})
	if err != nil {
		return route.Acceptance{}, err
	}
	return accepted, nil
}

func (e *editor) accept() (route.Acceptance, error) {
	var a route.Acceptance
	version, err := e.lockVersion()
	if err != nil {
		return a, err
	}
	if err := e.tx.QueryRowContext(e.ctx, `SELECT COUNT(*) FROM RouteData`).Scan(&a.Hosts); err != nil {
		return a, err
	}
	if a.Version, err = e.next(version); err != nil {
		return a, err
	}
	err = e.exec(`INSERT INTO RouteAudit (time, version, previous, who, action, modid, cmdid, details) VALUES (?, ?, ?, ?, ?, 0, 0, ?)`,
		e.now, a.Version, version, e.edit.Who, acceptAction, fmt.Sprintf(acceptDetails, a.Hosts))
	if err != nil {
		return a, err
	}
	return a, e.exec(`UPDATE RouteVersion SET version = ? WHERE id = 1`, a.Version)
}
