package store

import (
	"context"
	"database/sql"
	"fmt"

	"lars.internal/route"
)

// replace makes routes, settings and names those of another database, by one
// edit. An edit of one of these services that comes in between is a conflict.
func (db *DB) replace(ctx context.Context, who string, from *DB) (route.EditResult, error) {
	version, err := db.Version(ctx) // read first, so that it is never newer than the services
	if err != nil {
		return route.EditResult{}, err
	}
	have, err := db.allServices(ctx)
	if err != nil {
		return route.EditResult{}, err
	}
	want, err := from.allServices(ctx)
	if err != nil {
		return route.EditResult{}, err
	}
	edit := route.Edit{Who: who, IfVersion: &version}
	for key, h := range have {
		w, wanted := want[key]
		if !wanted {
			w.Key = key
		}
		edit.Changes = append(edit.Changes, route.Steps(h, w)...)
	}
	for key, w := range want {
		if _, had := have[key]; !had {
			edit.Changes = append(edit.Changes, route.Steps(route.Service{Key: key}, w)...)
		}
	}
	names := func(ctx context.Context, tx *sql.Tx) error { return replaceNames(ctx, from, tx) }
	return db.editRoutes(ctx, edit, extras{unlimited: true, also: names})
}

// allServices returns all services.
func (db *DB) allServices(ctx context.Context) (map[route.Key]route.Service, error) {
	all := make(map[route.Key]route.Service)
	var after *route.Key
	for {
		page, err := db.Routes(ctx, nil, after, maxPage)
		if err != nil {
			return nil, err
		}
		for _, s := range page {
			all[s.Key] = s
		}
		if len(page) < maxPage {
			return all, nil
		}
		after = &page[len(page)-1].Key
	}
}

// replaceNames makes the names of services those of another database, in a
// transaction of the edit that replaces the routes.
func replaceNames(ctx context.Context, from *DB, target *sql.Tx) error {
	source, closeSource, err := from.beginLong(ctx, &from.dialect.read)
	if err != nil {
		return err
	}
	defer closeSource()
	j := &copying{ctx: ctx, source: source, target: target}
	for _, t := range copyTables {
		if t.name != "ModIDConfig" && t.name != "CmdIDConfig" {
			continue
		}
		if _, err := target.ExecContext(ctx, `DELETE FROM `+t.name); err != nil {
			return err
		}
		if _, err := j.copy(t); err != nil {
			return fmt.Errorf("table %s: %w", t.name, err)
		}
	}
	return nil
}
