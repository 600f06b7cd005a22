package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lars.internal/route"
)

func TestLoadAndHostsReadWhatEditsWrote(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		// Services with negative ids are services like any other.
		a, b, none := key(1, 2), key(-1, -2147483648), key(3, 3)
		e.edit(db, add(a, host(1), host(2)), add(b, host(3)))
		table := e.load(db)
		e.want("version", table.Version(), e.version(db))
		if diff := cmp.Diff([]route.Host{host(1), host(2)}, route.HostsOf(table.Route(a).Hosts)); diff != "" {
			e.Error(diff)
		}
		if diff := cmp.Diff([]route.Host{host(3)}, route.HostsOf(table.Route(b).Hosts)); diff != "" {
			e.Error(diff)
		}
		hosts, err := db.Hosts(e.Context(), []route.Key{a, b, none})
		if err != nil {
			e.Fatal(err)
		}
		slices.SortFunc(hosts[a], route.Host.Compare)
		want := map[route.Key][]route.Host{a: {host(1), host(2)}, b: {host(3)}, none: nil}
		if diff := cmp.Diff(want, hosts); diff != "" {
			e.Errorf("hosts (-want +got):\n%s", diff)
		}
	})
}

func TestManyServicesInOneEditAndOneQuestion(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		const services = 1100
		var changes []route.Change
		var keys []route.Key
		for i := range int32(services) {
			changes = append(changes, add(key(i, -i), host(uint32(i)), host(uint32(i+1))))
			keys = append(keys, key(i, -i))
		}
		before := e.look(db)
		r := e.edit(db, changes...)
		e.want("services touched", len(r.Services), services)
		e.want("announcements", e.number(`SELECT COUNT(*) FROM RouteChange WHERE version = ?`, r.Version), int64(services))
		hosts, err := db.Hosts(e.Context(), keys)
		if err != nil {
			e.Fatal(err)
		}
		for _, k := range keys {
			e.want("hosts of "+k.String(), len(hosts[k]), 2)
		}
		changed, err := db.Changed(e.Context(), before, e.look(db))
		if err != nil {
			e.Fatal(err)
		}
		e.want("changed services", len(changed.Keys), services)
	})
}

// A row that makes no sense is skipped, counted and named; it never keeps the
// others from being served.
func TestBadRowsAreSkippedAndReported(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		k := key(1, 2)
		e.edit(db, add(k, host(1)))
		for _, row := range [][2]int64{{0x0A000002, 0}, {0x0A000002, 70000}, {0, 80}} {
			e.exec(`INSERT INTO RouteData (modid, cmdid, serverip, serverport) VALUES (1, 2, ?, ?)`, row[0], row[1])
		}
		if diff := cmp.Diff([]route.Host{host(1)}, route.HostsOf(e.load(db).Route(k).Hosts)); diff != "" {
			e.Error(diff)
		}
		e.want("rows counted", db.BadRows(), uint64(3))
		reasons := strings.Join(e.bad.reasons, "\n")
		for _, want := range []string{"service 1/2", "10.0.0.2:0", "10.0.0.2:70000", "0.0.0.0:80"} {
			if !strings.Contains(reasons, want) {
				e.Errorf("the reasons do not name %q:\n%s", want, reasons)
			}
		}
		hosts, err := db.Hosts(e.Context(), []route.Key{k})
		if err != nil {
			e.Fatal(err)
		}
		e.want("hosts", len(hosts[k]), 1)
		e.want("rows counted", db.BadRows(), uint64(6))
		// Set replaces all of the service, invalid rows included.
		e.want("set changes", e.edit(db, set(k, host(1))).Changed, true)
		e.want("rows", e.number(`SELECT COUNT(*) FROM RouteData`), int64(1))
	})
}

func TestEditActions(t *testing.T) {
	k := key(1, 2)
	tests := []struct {
		name    string
		before  []route.Host
		change  route.Change
		after   []route.Host
		changed bool
	}{
		{"add to a new service", nil, add(k, host(1)), []route.Host{host(1)}, true},
		{"add a second", []route.Host{host(1)}, add(k, host(2)), []route.Host{host(1), host(2)}, true},
		{"add a known one", []route.Host{host(1)}, add(k, host(1)), []route.Host{host(1)}, false},
		{"set", []route.Host{host(1), host(2)}, set(k, host(2), host(3)), []route.Host{host(2), host(3)}, true},
		{"set as it is", []route.Host{host(1)}, set(k, host(1)), []route.Host{host(1)}, false},
		{"set to nothing", []route.Host{host(1)}, set(k), nil, true},
		{"remove one", []route.Host{host(1), host(2)}, remove(k, host(1)), []route.Host{host(2)}, true},
		{"remove a stranger", []route.Host{host(1)}, remove(k, host(9)), []route.Host{host(1)}, false},
		{"remove the service", []route.Host{host(1), host(2)}, remove(k), nil, true},
		{"remove no service", nil, remove(k), nil, false},
	}
	eachDialect(t, func(e *env) {
		db := e.migrated()
		for _, tt := range tests {
			e.edit(db, set(k, tt.before...))
			before := e.version(db)
			r := e.edit(db, tt.change)
			if diff := cmp.Diff(tt.after, route.HostsOf(e.load(db).Route(k).Hosts)); diff != "" {
				e.Errorf("%s: hosts (-want +got):\n%s", tt.name, diff)
			}
			e.want(tt.name+": changed", r.Changed, tt.changed)
			e.want(tt.name+": version in the result", r.Version, e.version(db))
			e.want(tt.name+": new version", r.Version > before, tt.changed)
		}
	})
}

// The original's page writes no change when it deletes a host, so nobody is
// told.
func TestEveryEditIsAnnounced(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		k := key(1, 2)
		for _, c := range []route.Change{add(k, host(1), host(2)), remove(k, host(1)), set(k, host(3)), remove(k)} {
			r := e.edit(db, c)
			e.want("rows of RouteChange", e.number(
				`SELECT COUNT(*) FROM RouteChange WHERE modid = 1 AND cmdid = 2 AND version = ?`, r.Version), int64(1))
			e.want("RouteVersion", e.number(selectVersion), int64(r.Version))
		}
	})
}

// The original announces only the service that a host moved to.
func TestMovingAHostAnnouncesBothServices(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		from, to := key(1, 1), key(1, 2)
		e.edit(db, add(from, host(1), host(2)))
		before := e.look(db)
		r := e.edit(db, remove(from, host(1)), add(to, host(1)))
		want := []route.ServiceChange{
			{Key: from, Removed: []route.Host{host(1)}},
			{Key: to, Added: []route.Host{host(1)}},
		}
		if diff := cmp.Diff(want, r.Services); diff != "" {
			e.Errorf("result (-want +got):\n%s", diff)
		}
		changes, err := db.Changed(e.Context(), before, e.look(db))
		if err != nil {
			e.Fatal(err)
		}
		if diff := cmp.Diff([]route.Key{from, to}, changes.Keys); diff != "" {
			e.Errorf("announced (-want +got):\n%s", diff)
		}
	})
}

// The original's version is the Unix second, so of two edits within one the
// second is never seen.
func TestTwoEditsInOneSecondHaveTwoVersions(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		now := uint64(e.clock.now)
		e.want("first", e.edit(db, add(key(1, 1), host(1))).Version, now)
		e.want("second", e.edit(db, add(key(1, 1), host(2))).Version, now+1)
		e.clock.set(int64(now) - 3600) // a clock that was set back
		e.want("third", e.edit(db, add(key(1, 1), host(3))).Version, now+2)
		e.clock.set(int64(now) + 3600)
		e.want("fourth", e.edit(db, add(key(1, 1), host(4))).Version, now+3600)
	})
}

func TestAuditSaysWhoDidWhat(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		first := e.edit(db, add(key(1, -1), host(1)))
		second, err := db.EditRoutes(e.Context(), route.Edit{Who: "Zoë", Changes: []route.Change{set(key(1, -1), host(2))}})
		if err != nil {
			e.Fatal(err)
		}
		type row struct {
			Time              int64
			Version, Previous uint64
			Who, Action       string
			Modid, Cmdid      uint32
			Details           string
		}
		var got row
		err = e.raw.QueryRow(`SELECT time, version, previous, who, action, modid, cmdid, details FROM RouteAudit
			ORDER BY id DESC LIMIT 1`).Scan(&got.Time, &got.Version, &got.Previous, &got.Who, &got.Action, &got.Modid, &got.Cmdid, &got.Details)
		if err != nil {
			e.Fatal(err)
		}
		want := row{e.clock.now, second.Version, first.Version, "Zoë", "set", 1, 4294967295, "+10.0.0.2:7777 -10.0.0.1:7777"}
		if diff := cmp.Diff(want, got); diff != "" {
			e.Errorf("audit (-want +got):\n%s", diff)
		}
	})
}

func TestEditsThatCannotBe(t *testing.T) {
	tooMany := make([]route.Host, route.MaxHosts+1)
	for i := range tooMany {
		tooMany[i] = host(uint32(i))
	}
	tests := []struct {
		name string
		edit route.Edit
		want string
	}{
		{"nobody", route.Edit{Changes: []route.Change{add(key(1, 2), host(1))}}, "who"},
		{"long name", route.Edit{Who: strings.Repeat("x", 256)}, "who"},
		{"no action", route.Edit{Who: "me", Changes: []route.Change{{Key: key(1, 2)}}}, "none of add, set and remove"},
		{"no address", route.Edit{Who: "me", Changes: []route.Change{add(key(1, 2), route.Host{Port: 80})}}, "the address is zero"},
		{"no port", route.Edit{Who: "me", Changes: []route.Change{add(key(1, 2), route.Host{IP: 1})}}, "the port is outside"},
		{"too many", route.Edit{Who: "me", Changes: []route.Change{set(key(1, 2), tooMany...)}}, "1000 hosts, but 999 fit one frame"},
	}
	eachDialect(t, func(e *env) {
		db := e.migrated()
		for _, tt := range tests {
			_, err := db.EditRoutes(e.Context(), tt.edit)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				e.Errorf("%s: got error %v, want one with %q", tt.name, err, tt.want)
			}
		}
		e.want("rows", e.number(`SELECT COUNT(*) FROM RouteData`), int64(0))
		e.want("version", e.version(db), uint64(0))
	})
}

// The largest route goes in and out. A service that a C++ editor made larger can
// be removed, and the audit row is cut to what fits.
func TestTheLargestService(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		hosts := make([]route.Host, route.MaxHosts)
		for i := range hosts {
			hosts[i] = host(uint32(i + 1))
		}
		e.edit(db, set(key(1, 2), hosts...))
		if diff := cmp.Diff(hosts, route.HostsOf(e.load(db).Route(key(1, 2)).Hosts)); diff != "" {
			e.Error("the hosts differ")
		}
		const more = 4000
		for i := range uint32(more) {
			h := host(route.MaxHosts + 1 + i)
			e.exec(`INSERT INTO RouteData (modid, cmdid, serverip, serverport) VALUES (1, 2, ?, ?)`, h.IP, h.Port)
		}
		r := e.edit(db, remove(key(1, 2)))
		e.want("hosts removed", len(r.Services[0].Removed), route.MaxHosts+more)
		e.want("cut details", e.number(`SELECT COUNT(*) FROM RouteAudit WHERE details LIKE '% more'`), int64(1))
	})
}

// The original edits in three statements without a transaction: editors at
// once lose each other's changes and versions.
func TestConcurrentEditorsLoseNothing(t *testing.T) {
	const editors, edits = 6, 20
	eachDialect(t, func(e *env) {
		e.migrated()
		var mu sync.Mutex // guards versions
		versions := make(map[uint64]int)
		var wg sync.WaitGroup
		for n := range editors {
			db := e.open() // as a process of its own would
			wg.Go(func() {
				for i := range edits {
					// All add to one service, in which they could lose each other.
					h := host(uint32(n*edits + i + 1))
					r, err := db.EditRoutes(e.Context(), route.Edit{Who: fmt.Sprint(n), Changes: []route.Change{add(key(1, 2), h)}})
					if err != nil {
						e.Error(err)
						return
					}
					mu.Lock()
					versions[r.Version]++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		e.want("distinct versions", len(versions), editors*edits)
		db := e.open()
		e.want("hosts", len(e.load(db).Route(key(1, 2)).Hosts), editors*edits)
		broken := e.number(`SELECT COUNT(*) FROM RouteAudit a JOIN RouteAudit b ON b.id = a.id + 1 WHERE b.previous <> a.version`)
		e.want("edits that did not follow the one before", broken, int64(0))
		changes, err := db.Changed(e.Context(), route.Mark{Version: 1_699_999_999}, e.look(db))
		if err != nil || len(changes.Keys) != 1 {
			e.Fatalf("changed: %v, %v", changes, err)
		}
	})
}

func TestRoutesPages(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		order := []route.Key{key(1, 1), key(1, 2), key(1, -1), key(2, 0), key(-5, 1)}
		for _, k := range order {
			e.edit(db, add(k, host(2), host(1)))
		}
		var got []route.Key
		var after *route.Key
		for {
			page, err := db.Routes(e.Context(), nil, after, 2)
			if err != nil {
				e.Fatal(err)
			}
			for _, s := range page {
				got = append(got, s.Key)
				if diff := cmp.Diff([]route.Host{host(1), host(2)}, s.Callable()); diff != "" {
					e.Fatal(diff)
				}
			}
			if len(page) < 2 {
				break
			}
			after = &page[len(page)-1].Key
		}
		if diff := cmp.Diff(order, got); diff != "" {
			e.Errorf("services (-want +got):\n%s", diff)
		}
		one, err := db.Routes(e.Context(), &order[2], nil, 0)
		if err != nil || len(one) != 1 || one[0].Key != order[2] {
			e.Errorf("filter: %v, %v", one, err)
		}
		none, err := db.Routes(e.Context(), &route.Key{Modid: 9}, nil, 0)
		if err != nil || len(none) != 0 {
			e.Errorf("filter for an unknown service: %v, %v", none, err)
		}
	})
}

// The indexes serve the questions that are asked all the time: what such a
// question costs must not grow with the table.
func TestQuestionsUseIndexes(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		var changes []route.Change
		for i := range int32(3000) {
			changes = append(changes, add(key(i, 1), host(1), host(2)), alter(key(i, 1), weight(50), host(2)))
		}
		e.edit(db, append(changes, drain(key(7, 1), host(1)))...)
		where, args := db.dialect.anyOf([]route.Key{key(7, 1), key(8, 1), key(2000, 1)})
		plans := map[string]string{
			"route_host":     explainPlan(e, selectHosts+where, args...),
			"host_address":   explainPlan(e, `SELECT modid FROM RouteHost WHERE serverip = ? AND drained = 1`, host(1).IP),
			"change_version": explainPlan(e, `SELECT id FROM RouteChange WHERE version < ? ORDER BY version LIMIT 1000`, 5),
			"status_time":    explainPlan(e, `SELECT ts FROM ServerCallStatus ORDER BY ts DESC LIMIT 10`),
		}
		for index, plan := range plans {
			if !strings.Contains(plan, index) {
				e.Errorf("the plan does not use %s:\n%s", index, plan)
			}
		}
	})
}

func explainPlan(e *env, query string, args ...any) string {
	e.Helper()
	explain := "EXPLAIN "
	if strings.HasPrefix(e.dsn, "sqlite") {
		explain = "EXPLAIN QUERY PLAN "
	}
	rows, err := e.raw.Query(explain+query, args...)
	if err != nil {
		e.Fatal(err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		e.Fatal(err)
	}
	var plan strings.Builder
	for rows.Next() {
		cells := make([]any, len(names))
		for i := range cells {
			cells[i] = new(any)
		}
		if err := rows.Scan(cells...); err != nil {
			e.Fatal(err)
		}
		for i, name := range names {
			if name == "possible_keys" {
				continue
			}
			v := *cells[i].(*any)
			if b, ok := v.([]byte); ok {
				v = string(b)
			}
			fmt.Fprintf(&plan, "%s=%v ", name, v)
		}
		plan.WriteByte('\n')
	}
	return plan.String()
}

func TestOperationsEndWithTheirContext(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		holder, err := e.open().pool.BeginTx(e.Context(), nil)
		if err != nil {
			e.Fatal(err)
		}
		defer holder.Rollback()
		if _, err := holder.Exec(`UPDATE RouteVersion SET version = 5 WHERE id = 1`); err != nil {
			e.Fatal(err)
		}
		db.options.QueryTimeout /= 300 // each try gives up after 100 ms
		_, err = db.EditRoutes(e.Context(), route.Edit{Who: "me", Changes: []route.Change{add(key(1, 2), host(1))}})
		if err == nil {
			e.Fatal("an edit went through while another held the lock")
		}
		if errors.Is(err, ErrNoSchema) || !strings.HasPrefix(err.Error(), "store: edit routes: ") {
			e.Errorf("error %v", err)
		}
	})
}
