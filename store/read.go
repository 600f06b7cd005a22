package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"lars.internal/route"
)

// maxKeys bounds the services that one statement asks for. With 1,000 at a time
// MariaDB's optimizer preferred to read all of the table.
const maxKeys = 200

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

// Load hands each host and each setting of each service to a sink, in no
// particular order, and returns the mark of what it read: one state of the
// database. A host may come twice only where the database lacks the unique key.
// After an error what the sink got is incomplete.
func (db *DB) Load(ctx context.Context, into route.Sink) (route.Mark, error) {
	var mark route.Mark
	err := db.attempt(ctx, db.options.LoadTimeout, "load routes", func(ctx context.Context) error {
		var err error
		mark, err = db.load(ctx, into)
		return err
	})
	return mark, err
}

func (db *DB) load(ctx context.Context, into route.Sink) (route.Mark, error) {
	tx, err := db.beginRead(ctx)
	if err != nil {
		return route.Mark{}, err
	}
	defer tx.Rollback()
	mark, err := scanMark(tx.QueryRowContext(ctx, selectMark))
	if err != nil {
		return route.Mark{}, err
	}
	// RouteData is read last and by itself: a join would look up each of its rows
	// in RouteHost, which is small or empty for most.
	r := db.reader(tx, into.Row)
	known, err := r.details(ctx, anyDetail)
	if err != nil {
		return route.Mark{}, err
	}
	handed := false
	err = r.settings(ctx, "", nil, func(k route.Key, s route.Setting) {
		handed = true
		into.Setting(k, s)
	})
	if err == nil {
		err = r.hosts(ctx, "", nil, func(k route.Key, h route.Host) {
			handed = true
			into.Host(k, known.endpoint(k, h))
		})
	}
	if err != nil && handed {
		// A second try would hand over everything again.
		err = unrepeatable{err}
	}
	return mark, err
}

// reader reads rows of routes. What makes no sense is reported and skipped.
type reader struct {
	db   *DB
	from querier
	row  func() // is called after each row
}

// reader returns one whose row may be nil.
func (db *DB) reader(from querier, row func()) *reader {
	if row == nil {
		row = func() {}
	}
	return &reader{db: db, from: from, row: row}
}

// each calls take for each row of a query.
func (r *reader) each(ctx context.Context, query string, args []any, take func(*sql.Rows) error) error {
	return each(ctx, r.from, func(rows *sql.Rows) error {
		err := take(rows)
		r.row()
		return err
	}, query, args...)
}

const selectHosts = `SELECT id, modid, cmdid, serverip, serverport FROM RouteData`

// hosts calls yield for each row of RouteData that names a host.
func (r *reader) hosts(ctx context.Context, where string, args []any, yield func(route.Key, route.Host)) error {
	var row routeRow
	return r.each(ctx, selectHosts+where, args, func(rows *sql.Rows) error {
		if err := row.scan(rows); err != nil {
			return err
		}
		key, host, err := row.host()
		if err != nil {
			r.db.skip("RouteData", strconv.FormatInt(row.id, 10), err.Error())
			return nil
		}
		yield(key, host)
		return nil
	})
}

// routeRow is a row of RouteData, whatever it holds.
type routeRow struct {
	id, modid, cmdid, ip, port int64
}

func (r *routeRow) scan(rows *sql.Rows) error {
	return rows.Scan((*number)(&r.id), (*number)(&r.modid), (*number)(&r.cmdid), (*number)(&r.ip), (*number)(&r.port))
}

// number is an integer of a row. Package database/sql sets an int64 by
// reflection, which is a tenth of the cost of a row.
type number int64

// Scan implements sql.Scanner.
func (n *number) Scan(src any) error {
	if v, ok := src.(int64); ok {
		*n = number(v)
		return nil
	}
	var v sql.NullInt64
	if err := v.Scan(src); err != nil {
		return err
	}
	if !v.Valid {
		return errors.New("NULL is no integer")
	}
	*n = number(v.Int64)
	return nil
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

// RoutesOf returns the routes of services. Each key is in the result, with nothing
// if the service has no hosts and no settings. Each service is of one state of
// the database; two services may be of two.
func (db *DB) RoutesOf(ctx context.Context, keys []route.Key) (map[route.Key]route.Route, error) {
	all := make(route.Routes, len(keys))
	for chunk := range slices.Chunk(keys, maxKeys) {
		err := db.attempt(ctx, db.options.QueryTimeout, fmt.Sprintf("read routes of %d services", len(chunk)),
			func(ctx context.Context) error { return db.routesOf(ctx, chunk, all) })
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (db *DB) routesOf(ctx context.Context, keys []route.Key, all route.Routes) error {
	for _, k := range keys {
		all[k] = route.Route{} // also what a failed try left
	}
	tx, err := db.beginRead(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	where, args := db.dialect.anyOf(keys)
	r := db.reader(tx, nil)
	known, err := r.details(ctx, where, args...)
	if err != nil {
		return err
	}
	if err := r.settings(ctx, where, args, all.AddSetting); err != nil {
		return err
	}
	return r.hosts(ctx, where, args, func(k route.Key, h route.Host) { all.AddHost(k, known.endpoint(k, h)) })
}

func (db *DB) hostsOf(ctx context.Context, keys []route.Key, services map[route.Key][]route.Host) error {
	for _, k := range keys {
		services[k] = nil // also what a failed try left
	}
	where, args := db.dialect.anyOf(keys)
	return db.reader(db.pool, nil).hosts(ctx, where, args, func(k route.Key, h route.Host) { services[k] = append(services[k], h) })
}

// anyOf returns the condition that a row is of one of the services. Both
// databases turn it into look-ups in an index that begins with them.
func (d *dialect) anyOf(keys []route.Key) (where string, args []any) {
	args = make([]any, 0, 2*len(keys))
	for _, k := range keys {
		modid, cmdid := columns(k)
		args = append(args, modid, cmdid)
	}
	return ` WHERE (modid, cmdid) IN (` + d.rowList + strings.Repeat(`, (?, ?)`, len(keys))[len(`, `):] + `)`, args
}
