package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"lars.internal/route"
)

// Rows of RouteHost that say something of a host which may be called. One whose
// host is not in RouteData is that of a drained host, or was left behind by a
// writer that does not know the table: neither is looked at here. Where both
// are, RouteData wins, whatever drained says.
const selectDetails = `SELECT modid, cmdid, serverip, serverport, weight, zone FROM RouteHost`

// anyDetail leaves out the rows that say what is so without them.
const anyDetail = ` WHERE weight <> 100 OR zone <> ''`

// byHost is the order of the primary key, in which both databases read all rows
// without sorting.
const byHost = ` ORDER BY modid, cmdid, serverip, serverport`

// hostDetails is what RouteHost holds of hosts. A map from hosts would take longer
// to fill and to ask than the rows to read, if most hosts have one.
type hostDetails struct {
	db       *DB
	rows     []route.Endpoint // of one service after the other, each in order
	services map[route.Key]rowRange
	zones    map[string]string // each zone once: many hosts share it
}

// rowRange is the place of rows.
type rowRange struct{ begin, end int }

// add takes the next row, in the order of byHost.
func (d *hostDetails) add(key route.Key, e route.Endpoint) {
	at, ok := d.services[key]
	if !ok {
		at.begin = len(d.rows)
	}
	d.rows = append(d.rows, e)
	at.end = len(d.rows)
	d.services[key] = at
}

// endpoint returns a host that may be called with what is known of it.
func (d *hostDetails) endpoint(key route.Key, h route.Host) route.Endpoint {
	at := d.services[key]
	known := d.rows[at.begin:at.end]
	if i, ok := slices.BinarySearchFunc(known, h, func(e route.Endpoint, h route.Host) int { return e.Host.Compare(h) }); ok {
		return known[i]
	}
	return route.Endpoint{Host: h, Weight: route.DefaultWeight}
}

// details reads rows of RouteHost. A value that makes no sense is reported and
// left at its default; the rest of the row counts.
func (r *reader) details(ctx context.Context, where string, args ...any) (*hostDetails, error) {
	d := &hostDetails{db: r.db, services: make(map[route.Key]rowRange), zones: make(map[string]string)}
	var row routeRow
	var weight int64
	var zone sql.RawBytes
	err := r.each(ctx, selectDetails+where+byHost, args, func(rows *sql.Rows) error {
		if err := rows.Scan((*number)(&row.modid), (*number)(&row.cmdid), (*number)(&row.ip), (*number)(&row.port), (*number)(&weight), &zone); err != nil {
			return err
		}
		key, host, err := row.host()
		if err != nil {
			return nil // it belongs to no host that can be called
		}
		d.add(key, route.Endpoint{Host: host, Weight: d.weightOf(key, host, weight), Zone: d.zoneOf(key, host, zone)})
		return nil
	})
	return d, err
}

func (d *hostDetails) weightOf(key route.Key, host route.Host, weight int64) uint32 {
	if weight < 1 || weight > route.MaxWeight {
		d.skip(key, host, fmt.Sprintf("weight %d: want 1..%d; it counts as %d", weight, route.MaxWeight, route.DefaultWeight))
		return route.DefaultWeight
	}
	return uint32(weight)
}

func (d *hostDetails) zoneOf(key route.Key, host route.Host, zone []byte) string {
	if len(zone) > route.MaxZone || !utf8.Valid(zone) {
		d.skip(key, host, fmt.Sprintf("zone %q: want at most %d bytes of UTF-8; it counts as none", zone, route.MaxZone))
		return ""
	}
	shared, ok := d.zones[string(zone)]
	if !ok {
		shared = string(zone)
		d.zones[shared] = shared
	}
	return shared
}

func (d *hostDetails) skip(key route.Key, host route.Host, reason string) {
	d.db.skip("RouteHost", key.String()+" "+host.String(), reason)
}

// settings calls yield for each row of ServiceSetting that agents can take. A
// service has its first MaxSettings by name.
func (r *reader) settings(ctx context.Context, where string, args []any, yield func(route.Key, route.Setting)) error {
	var last route.Key
	n := 0
	return r.each(ctx, selectSettings+where+` ORDER BY modid, cmdid, name`, args, func(rows *sql.Rows) error {
		var modid, cmdid int64
		var s route.Setting
		if err := rows.Scan(&modid, &cmdid, &s.Name, &s.Value); err != nil {
			return err
		}
		key, err := keyOf(modid, cmdid)
		if err == nil {
			if key != last {
				last, n = key, 0
			}
			n++
			err = checkSetting(s, n)
		}
		if err != nil {
			r.db.skip("ServiceSetting", fmt.Sprintf("%d/%d %s", modid, cmdid, strings.ToValidUTF8(s.Name, "?")), err.Error())
			return nil
		}
		yield(key, s)
		return nil
	})
}

// checkSetting returns an error for a setting, the nth of its service, that
// agents do not take.
func checkSetting(s route.Setting, n int) error {
	switch {
	case n > route.MaxSettings:
		return fmt.Errorf("a service has at most %d settings", route.MaxSettings)
	case max(len(s.Name), len(s.Value)) > route.MaxSetting:
		return fmt.Errorf("a name and a value have at most %d bytes each", route.MaxSetting)
	case !utf8.ValidString(s.Name) || !utf8.ValidString(s.Value):
		return fmt.Errorf("name %q, value %q: want UTF-8", s.Name, s.Value)
	}
	return nil
}
