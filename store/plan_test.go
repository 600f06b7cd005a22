package store

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lars.internal/route"
)

func TestMakePlan(t *testing.T) {
	a, b := key(1, 1), key(1, 2)
	row := func(id int64, n uint32) storedRow { return storedRow{id: id, host: host(n), valid: true} }
	broken := storedRow{id: 99}
	tests := []struct {
		name    string
		stored  storedServices
		changes []route.Change
		want    plan
	}{
		{name: "nothing to do"},
		{
			name:    "add",
			stored:  storedServices{a: {rows: []storedRow{row(1, 1)}}},
			changes: []route.Change{add(a, host(2), host(1))},
			want: plan{
				insert: []placement{{a, host(2)}}, touched: []route.Key{a},
				services: []route.ServiceChange{{Key: a, Added: []route.Host{host(2)}}},
			},
		},
		{
			name:    "changes that cancel each other",
			stored:  storedServices{a: {rows: []storedRow{row(1, 1)}}},
			changes: []route.Change{remove(a), add(a, host(1)), add(b, host(2)), remove(b)},
		},
		{
			name:    "changes of one service apply in order",
			stored:  storedServices{a: {rows: []storedRow{row(1, 1), row(2, 2)}}},
			changes: []route.Change{set(a, host(3)), add(a, host(1))},
			want: plan{
				remove: []int64{2}, insert: []placement{{a, host(3)}}, touched: []route.Key{a},
				services: []route.ServiceChange{{Key: a, Added: []route.Host{host(3)}, Removed: []route.Host{host(2)}}},
			},
		},
		{
			name:    "services in order, whatever the order of the changes",
			changes: []route.Change{add(b, host(1)), add(a, host(1))},
			want: plan{
				insert: []placement{{a, host(1)}, {b, host(1)}}, touched: []route.Key{a, b},
				services: []route.ServiceChange{{Key: a, Added: []route.Host{host(1)}}, {Key: b, Added: []route.Host{host(1)}}},
			},
		},
		{
			name:    "to add leaves rows that name no host alone",
			stored:  storedServices{a: {rows: []storedRow{broken, row(1, 1)}}},
			changes: []route.Change{add(a, host(1)), remove(a, host(5))},
		},
		{
			name:    "to remove the service removes them",
			stored:  storedServices{a: {rows: []storedRow{broken}}},
			changes: []route.Change{remove(a)},
			want:    plan{remove: []int64{99}, touched: []route.Key{a}, services: []route.ServiceChange{{Key: a}}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := makePlan(route.Edit{Who: "me", Changes: tt.changes}, tt.stored, false)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&tt.want, got, cmp.AllowUnexported(plan{}, placement{}), cmpopts.IgnoreFields(plan{}, "after")); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
		})
	}
}

// A C++ editor may have put more hosts into a service than we would. Such a
// service can still shrink.
func TestMakePlanLimit(t *testing.T) {
	var rows []storedRow
	for i := range route.MaxHosts + 5 {
		rows = append(rows, storedRow{id: int64(i), host: host(uint32(i + 1)), valid: true})
	}
	stored := storedServices{key(1, 1): {rows: rows}}
	if _, err := makePlan(route.Edit{Changes: []route.Change{remove(key(1, 1), host(1))}}, stored, false); err != nil {
		t.Errorf("remove one: %v", err)
	}
	if _, err := makePlan(route.Edit{Changes: []route.Change{add(key(1, 1), host(0))}}, stored, false); err == nil {
		t.Error("one more was added")
	}
}

func TestDetails(t *testing.T) {
	many := make([]route.Host, 9000)
	for i := range many {
		many[i] = host(uint32(i))
	}
	short := details(route.ServiceChange{Added: []route.Host{host(1)}, Removed: []route.Host{host(2), host(3)}})
	if want := "+10.0.0.1:7777 -10.0.0.2:7777 -10.0.0.3:7777"; short != want {
		t.Errorf("got %q, want %q", short, want)
	}
	long := details(route.ServiceChange{Added: many})
	if len(long) > 65_535 || !strings.HasSuffix(long, " more") {
		t.Errorf("%d bytes, ending in %q", len(long), long[len(long)-20:])
	}
}

// An edit that left a service with more hosts than a frame holds was stored, and
// the agents got the route without the rest.
func TestFinding22TooManyHostsAreRefused(t *testing.T) {
	many := make([]route.Host, route.MaxHosts)
	for i := range many {
		many[i] = host(uint32(i + 1))
	}
	eachDialect(t, func(e *env) {
		db := e.migrated()
		e.edit(db, set(key(1, 1), many...))
		_, err := db.EditRoutes(e.Context(), route.Edit{Who: "me", Changes: []route.Change{add(key(1, 1), host(0))}})
		if err == nil || !strings.Contains(err.Error(), "service 1/1 would have 1000 hosts, but 999 fit one frame") {
			e.Errorf("one more: got error %v", err)
		}
		e.want("hosts", e.number(`SELECT COUNT(*) FROM RouteData`), int64(route.MaxHosts))
	})
}
