package store

import (
	"context"
	"database/sql"
	"math"
	"slices"

	"lars.internal/route"
)

// storedService is what the tables hold of a service.
type storedService struct {
	rows     []storedRow    // of RouteData
	known    []route.Member // of RouteHost, as its rows are
	settings []route.Setting
}

// storedRow is a row of RouteData that belongs to a service. valid is false
// for a row that names no host.
type storedRow struct {
	id    int64
	host  route.Host
	valid bool
}

// service returns what the rows mean. A row of RouteHost without one of RouteData
// is a drained host, or was left behind by a writer that does not know the table
// and means nothing. Where both are, RouteData wins: such a writer has put a
// drained host back.
func (s *storedService) service(key route.Key) route.Service {
	members := make(map[route.Host]route.Member, len(s.rows)+len(s.known))
	for _, r := range s.rows {
		if r.valid {
			members[r.host] = route.MemberOf(r.host)
		}
	}
	for _, m := range s.known {
		_, callable := members[m.Host]
		if !callable && !m.Drained {
			continue
		}
		m.Drained = !callable
		if m.Weight < 1 || m.Weight > route.MaxWeight { // written by hand
			m.Weight = route.DefaultWeight
		}
		members[m.Host] = m
	}
	service := route.Service{Key: key, Settings: slices.Clone(s.settings)}
	for _, m := range members {
		service.Hosts = append(service.Hosts, m)
	}
	slices.SortFunc(service.Hosts, func(a, b route.Member) int { return a.Host.Compare(b.Host) })
	return service
}

// storedServices is what the tables hold of services. Each that was asked for is
// in it.
type storedServices map[route.Key]*storedService

// readServices returns what the tables hold of services. lock ends the SELECT of
// RouteData.
func (d *dialect) readServices(ctx context.Context, from querier, keys []route.Key, lock string) (storedServices, error) {
	s := make(storedServices, len(keys))
	for _, k := range keys {
		s[k] = new(storedService)
	}
	for chunk := range slices.Chunk(keys, maxKeys) {
		where, args := d.anyOf(chunk)
		for _, q := range []struct {
			query string
			take  func(*sql.Rows) error
		}{
			{selectHosts + where + lock, s.takeRow},
			{selectKnown + where, s.takeKnown},
			{selectSettings + where + ` ORDER BY name`, s.takeSetting},
		} {
			if err := each(ctx, from, q.take, q.query, args...); err != nil {
				return nil, err
			}
		}
	}
	return s, nil
}

const (
	selectKnown    = `SELECT modid, cmdid, serverip, serverport, weight, zone, note, drained FROM RouteHost`
	selectSettings = `SELECT modid, cmdid, name, value FROM ServiceSetting`
)

// each calls take for each row of a query.
func each(ctx context.Context, from querier, take func(*sql.Rows) error, query string, args ...any) error {
	rows, err := from.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := take(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (s storedServices) takeRow(rows *sql.Rows) error {
	var r routeRow
	if err := r.scan(rows); err != nil {
		return err
	}
	key, host, err := r.host()
	if of := s[key]; of != nil {
		of.rows = append(of.rows, storedRow{id: r.id, host: host, valid: err == nil})
	}
	return nil
}

func (s storedServices) takeKnown(rows *sql.Rows) error {
	var r routeRow
	var m route.Member
	var weight, drained int64
	if err := rows.Scan(&r.modid, &r.cmdid, &r.ip, &r.port, &weight, &m.Zone, &m.Note, &drained); err != nil {
		return err
	}
	key, host, err := r.host()
	if of := s[key]; of != nil && err == nil { // a row that names no host says nothing of one
		m.Host, m.Weight, m.Drained = host, uint32(min(max(weight, 0), math.MaxUint32)), drained != 0
		of.known = append(of.known, m)
	}
	return nil
}

func (s storedServices) takeSetting(rows *sql.Rows) error {
	var modid, cmdid int64
	var set route.Setting
	if err := rows.Scan(&modid, &cmdid, &set.Name, &set.Value); err != nil {
		return err
	}
	if key, err := keyOf(modid, cmdid); err == nil && s[key] != nil {
		s[key].settings = append(s[key].settings, set)
	}
	return nil
}
