package store

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lars.internal/route"
)

// routed returns the route of a service as Load has it, and fails if RoutesOf has
// another one.
func (e *env) routed(db *DB, k route.Key) route.Route {
	e.Helper()
	loaded := e.load(db).Route(k)
	routes, err := db.RoutesOf(e.Context(), []route.Key{k})
	if err != nil {
		e.Fatal(err)
	}
	if diff := cmp.Diff(loaded, route.NewTable(0, routes).Route(k)); diff != "" {
		e.Errorf("RoutesOf differs (-Load +RoutesOf):\n%s", diff)
	}
	return loaded
}

func (e *env) detail(h route.Host, columns, values string) {
	e.exec(fmt.Sprintf(`INSERT INTO RouteHost (modid, cmdid, serverip, serverport, %s) VALUES (1, 2, %d, %d, %s)`,
		columns, h.IP, h.Port, values))
}

// What is known of a host comes with it from the tables, and settings with their
// service.
func TestDetailsAreRead(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		k, other := key(1, 2), key(4_000_000, -2)
		e.edit(db, add(k, host(1), host(2), host(3), host(4)), add(other, host(1)))
		e.detail(host(1), "weight, zone, note", "50, 'eu1', 'rack 7'")
		e.detail(host(2), "weight", "10000")
		e.detail(host(3), "zone, drained", "'Köln', 1") // a C++ writer has put it back
		e.detail(host(9), "weight, drained", "7, 1")    // drained
		e.detail(host(8), "weight", "7")                // left behind by a C++ writer
		e.exec(`INSERT INTO ServiceSetting (modid, cmdid, name, value) VALUES (1, 2, 'policy', 'adaptive'), (1, 2, 'evidence', '40'), (9, 9, 'ramp', '5s')`)

		want := route.Route{
			Hosts: []route.Endpoint{
				{Host: host(1), Weight: 50, Zone: "eu1"},
				{Host: host(2), Weight: 10_000},
				{Host: host(3), Weight: route.DefaultWeight, Zone: "Köln"},
				{Host: host(4), Weight: route.DefaultWeight},
			},
			Settings: []route.Setting{{Name: "evidence", Value: "40"}, {Name: "policy", Value: "adaptive"}},
		}
		if diff := cmp.Diff(want, e.routed(db, k)); diff != "" {
			e.Errorf("route (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(route.Of(host(1)), e.routed(db, other)); diff != "" {
			e.Errorf("route of a service without details (-want +got):\n%s", diff)
		}
		e.want("services", len(e.services(db)), 2)
		rows := 0 // of all three tables: who waits for them sees that they come
		into := make(route.Routes).Sink()
		into.Row = func() { rows++ }
		if _, err := db.Load(e.Context(), into); err != nil {
			e.Fatal(err)
		}
		e.want("rows read", rows, 5+5+3)
		e.want("rows that were skipped", db.BadRows(), uint64(0))
	})
}

// services returns the services of the table that Load makes.
func (e *env) services(db *DB) (keys []route.Key) {
	e.load(db).All(func(k route.Key, _ route.Route) bool {
		keys = append(keys, k)
		return true
	})
	return keys
}

// A value that agents do not take is skipped and named, and costs neither the host
// nor its other values.
func TestBadDetailsAreSkippedAndReported(t *testing.T) {
	long := strings.Repeat("z", route.MaxZone)
	eachDialect(t, func(e *env) {
		db := e.migrated()
		k := key(1, 2)
		e.edit(db, add(k, host(1), host(2), host(3), host(4), host(5)))
		e.detail(host(1), "weight, zone", "4294967295, 'eu1'")
		e.detail(host(2), "weight", "0")
		e.detail(host(3), "weight, zone", "7, '"+strings.Repeat("ö", route.MaxZone/2)+"'") // as long as a zone may be
		e.detail(host(4), "weight, zone", "8, '"+strings.Repeat("ö", route.MaxZone/2+1)+"'")
		skipped := []string{"RouteHost 1/2 10.0.0.1:7777: weight 4294967295", "RouteHost 1/2 10.0.0.2:7777: weight 0", "RouteHost 1/2 10.0.0.4:7777: zone"}
		if db.dialect == sqliteDialect { // MySQL takes only UTF-8
			e.detail(host(5), "weight, zone", "9, CAST(x'ff' AS TEXT)")
			skipped = append(skipped, "RouteHost 1/2 10.0.0.5:7777: zone")
		} else {
			e.detail(host(5), "weight", "9")
		}
		for i := range route.MaxSettings + 1 {
			e.exec(fmt.Sprintf(`INSERT INTO ServiceSetting (modid, cmdid, name, value) VALUES (1, 2, 'name %02d', '%s')`, i, long))
		}
		e.exec(`INSERT INTO ServiceSetting (modid, cmdid, name, value) VALUES (1, 3, 'ramp', '` + strings.Repeat("ö", route.MaxSetting/2+1) + `')`)
		skipped = append(skipped, "ServiceSetting 1/2 name 32: ", "ServiceSetting 1/3 ramp: ")

		r := e.load(db).Route(k)
		want := []route.Endpoint{
			{Host: host(1), Weight: route.DefaultWeight, Zone: "eu1"},
			{Host: host(2), Weight: route.DefaultWeight},
			{Host: host(3), Weight: 7, Zone: strings.Repeat("ö", route.MaxZone/2)},
			{Host: host(4), Weight: 8},
			{Host: host(5), Weight: 9},
		}
		if diff := cmp.Diff(want, r.Hosts); diff != "" {
			e.Errorf("hosts (-want +got):\n%s", diff)
		}
		e.want("settings", len(r.Settings), route.MaxSettings)
		e.want("rows that were skipped", db.BadRows(), uint64(len(skipped)))
		reasons := strings.Join(e.bad.reasons, "\n")
		for _, want := range skipped {
			if !strings.Contains(reasons, want) {
				e.Errorf("the reasons do not name %q:\n%s", want, reasons)
			}
		}
	})
}
