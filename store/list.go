package store

import (
	"context"
	"slices"

	"lars.internal/route"
)

// maxPage bounds what one call of Routes or Status returns.
const maxPage = 10_000

// Routes returns a page of services with their hosts in order: at most limit
// services (0 or above 10,000: 10,000), from the first after the service
// after, nil for the start. The order is of modid, then cmdid; negative ids
// come last. With a filter the page holds that service alone, if it has hosts.
func (db *DB) Routes(ctx context.Context, filter, after *route.Key, limit int) ([]route.Service, error) {
	keys := []route.Key{}
	if filter != nil {
		keys = append(keys, *filter)
	} else {
		err := db.attempt(ctx, db.options.QueryTimeout, "list services", func(ctx context.Context) (err error) {
			keys, err = db.servicesAfter(ctx, after, pageSize(limit))
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	hosts, err := db.Hosts(ctx, keys)
	if err != nil {
		return nil, err
	}
	page := make([]route.Service, 0, len(keys))
	for _, k := range keys {
		if len(hosts[k]) > 0 {
			slices.SortFunc(hosts[k], route.Host.Compare)
			page = append(page, route.Service{Key: k, Hosts: hosts[k]})
		}
	}
	return page, nil
}

func (db *DB) servicesAfter(ctx context.Context, after *route.Key, limit int) ([]route.Key, error) {
	where, args := "", []any{}
	if after != nil {
		modid, cmdid := columns(*after)
		// The first condition is implied, and what lets the index start there.
		where = ` WHERE modid >= ? AND (modid > ? OR cmdid > ?)`
		args = append(args, modid, modid, cmdid)
	}
	rows, err := db.pool.QueryContext(ctx, `SELECT DISTINCT modid, cmdid FROM RouteData`+where+
		` ORDER BY modid, cmdid LIMIT ?`, append(args, limit)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var keys []route.Key
	for rows.Next() {
		var modid, cmdid int64
		if err := rows.Scan(&modid, &cmdid); err != nil {
			return nil, err
		}
		if key, err := keyOf(modid, cmdid); err == nil {
			keys = append(keys, key)
		}
	}
	return keys, rows.Err()
}

func pageSize(limit int) int {
	if limit < 1 || limit > maxPage {
		return maxPage
	}
	return limit
}
