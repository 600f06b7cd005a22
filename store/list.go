package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"

	"lars.internal/route"
)

// maxPage bounds what one call of Routes or Status returns.
const maxPage = 10_000

// Routes returns a page of services with their hosts in order, drained ones too,
// and their settings: at most limit services (0 or above 10,000: 10,000), from
// the first after the service after, nil for the start. The order is of modid,
// then cmdid; negative ids come last. With a filter the page holds that service
// alone, if it has hosts or settings. A page is of one state of the database.
func (db *DB) Routes(ctx context.Context, filter, after *route.Key, limit int) ([]route.Service, error) {
	var page []route.Service
	err := db.attempt(ctx, db.options.QueryTimeout, "list services", func(ctx context.Context) error {
		tx, err := db.beginRead(ctx)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		if filter != nil {
			page, err = db.services(ctx, tx, []route.Key{*filter})
		} else {
			page, err = db.page(ctx, tx, after, pageSize(limit))
		}
		return err
	})
	return page, err
}

// ServicesOf returns those of the services that have hosts or settings, as Routes
// does, in the order of keys.
func (db *DB) ServicesOf(ctx context.Context, keys []route.Key) ([]route.Service, error) {
	var services []route.Service
	what := fmt.Sprintf("read %d services", len(keys))
	err := db.attempt(ctx, db.options.QueryTimeout, what, func(ctx context.Context) error {
		tx, err := db.beginRead(ctx)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		services, err = db.services(ctx, tx, keys)
		return err
	})
	return services, err
}

// page returns limit services unless there are no more. Of some services nothing
// is left but rows that mean nothing.
func (db *DB) page(ctx context.Context, tx *sql.Tx, after *route.Key, limit int) ([]route.Service, error) {
	page := make([]route.Service, 0, limit)
	for len(page) < limit {
		keys, err := servicesAfter(ctx, tx, after, limit-len(page))
		if err != nil || len(keys) == 0 {
			return page, err
		}
		services, err := db.services(ctx, tx, keys)
		if err != nil {
			return nil, err
		}
		page, after = append(page, services...), &keys[len(keys)-1]
	}
	return page, nil
}

// services returns those of the services that have hosts or settings.
func (db *DB) services(ctx context.Context, from querier, keys []route.Key) ([]route.Service, error) {
	stored, err := db.dialect.readServices(ctx, from, keys, "")
	if err != nil {
		return nil, err
	}
	services := make([]route.Service, 0, len(keys))
	for _, k := range keys {
		if s := stored[k].service(k); len(s.Hosts) > 0 || len(s.Settings) > 0 {
			services = append(services, s)
		}
	}
	return services, nil
}

// servicesAfter returns the next services of which some table has rows, at most
// limit.
func servicesAfter(ctx context.Context, from querier, after *route.Key, limit int) ([]route.Key, error) {
	where, args := "WHERE 1 = 1", []any{}
	if after != nil {
		modid, cmdid := columns(*after)
		// The first condition is implied, and what lets the index start there.
		where = `WHERE modid >= ? AND (modid > ? OR cmdid > ?)`
		args = append(args, modid, modid, cmdid)
	}
	args = append(args, limit)
	var keys []route.Key
	take := func(rows *sql.Rows) error {
		var modid, cmdid int64
		if err := rows.Scan(&modid, &cmdid); err != nil {
			return err
		}
		if key, err := keyOf(modid, cmdid); err == nil {
			keys = append(keys, key)
		}
		return nil
	}
	for _, table := range []string{`RouteData ` + where, `RouteHost ` + where + ` AND drained = 1`, `ServiceSetting ` + where} {
		err := each(ctx, from, take, `SELECT DISTINCT modid, cmdid FROM `+table+` ORDER BY modid, cmdid LIMIT ?`, args...)
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(keys, compareColumns)
	keys = slices.Compact(keys)
	return keys[:min(len(keys), limit)], nil
}

// compareColumns orders services as the tables do, negative ids last.
func compareColumns(a, b route.Key) int {
	amod, acmd := columns(a)
	bmod, bcmd := columns(b)
	return cmp.Or(cmp.Compare(amod, bmod), cmp.Compare(acmd, bcmd))
}

func pageSize(limit int) int {
	if limit < 1 || limit > maxPage {
		return maxPage
	}
	return limit
}
