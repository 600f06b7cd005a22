package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"lars.internal/route"
)

// Where returns the services that have a host, callable or drained, each with
// that host alone; port 0 stands for every port of its address. They are in
// order.
func (db *DB) Where(ctx context.Context, host route.Host) ([]route.Service, error) {
	var found []route.Service
	err := db.attempt(ctx, db.options.LoadTimeout, fmt.Sprintf("look for host %v", host), func(ctx context.Context) (err error) {
		found, err = db.where(ctx, host)
		return err
	})
	return found, err
}

func (db *DB) where(ctx context.Context, host route.Host) ([]route.Service, error) {
	tx, err := db.beginRead(ctx)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback()
	places, err := placesOf(ctx, tx, []route.Host{host})
	if err != nil {
		return nil, err
	}
	keys := make([]route.Key, len(places))
	for i, p := range places {
		keys[i] = p.key
	}
	keys = slices.Compact(keys)
	stored, err := db.dialect.readServices(ctx, tx, keys, "")
	if err != nil {
		return nil, err
	}
	found := make([]route.Service, len(keys))
	for i, k := range keys {
		s := stored[k].service(k)
		s.Hosts = slices.DeleteFunc(s.Hosts, func(m route.Member) bool {
			return m.Host.IP != host.IP || host.Port != 0 && m.Host.Port != host.Port
		})
		found[i] = s
	}
	return found, nil
}

// placesOf returns where hosts are, in order, each once; port 0 stands for every
// port of an address. RouteData has no key that begins with the address: its key
// is read from end to end, which takes MariaDB a second for a million hosts.
func placesOf(ctx context.Context, from querier, hosts []route.Host) ([]placement, error) {
	var places []placement
	take := func(rows *sql.Rows) error {
		var r routeRow
		if err := rows.Scan(&r.modid, &r.cmdid, &r.ip, &r.port); err != nil {
			return err
		}
		if key, host, err := r.host(); err == nil {
			places = append(places, placement{key, host})
		}
		return nil
	}
	for _, h := range hosts {
		const columns = `SELECT modid, cmdid, serverip, serverport FROM `
		where, args := ` WHERE serverip = ?`, []any{h.IP}
		if h.Port != 0 {
			where, args = where+` AND serverport = ?`, append(args, h.Port)
		}
		if err := each(ctx, from, take, columns+`RouteData`+where, args...); err != nil {
			return nil, err
		}
		if err := each(ctx, from, take, columns+`RouteHost`+where+` AND drained = 1`, args...); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(places, comparePlacements)
	return slices.Compact(places), nil
}

func comparePlacements(a, b placement) int {
	if order := a.key.Compare(b.key); order != 0 {
		return order
	}
	return a.host.Compare(b.host)
}
