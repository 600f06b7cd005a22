package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lars.internal/route"
)

// Short forms of changes of hosts and settings.
func drain(k route.Key, hosts ...route.Host) route.Change {
	return route.Change{Action: route.Drain, Key: k, Hosts: hosts}
}

func undrain(k route.Key, hosts ...route.Host) route.Change {
	return route.Change{Action: route.Undrain, Key: k, Hosts: hosts}
}

func alter(k route.Key, a route.Attributes, hosts ...route.Host) route.Change {
	return route.Change{Action: route.Alter, Key: k, Hosts: hosts, Attributes: a}
}

func everywhere(action route.Action, h route.Host) route.Change {
	return route.Change{Action: action, Hosts: []route.Host{h}, Everywhere: true}
}

func configure(k route.Key, name, value string) route.Change {
	return route.Change{Action: route.Configure, Key: k, Settings: []route.Setting{{Name: name, Value: value}}}
}

func weight(n uint32) route.Attributes { return route.Attributes{Weight: &n} }

// member returns a host as editors see it.
func (e *env) member(h route.Host, weight uint32, zone, note string, drained bool) route.Member {
	return route.Member{Endpoint: route.Endpoint{Host: h, Weight: weight, Zone: zone}, Note: note, Drained: drained}
}

// wantService compares a service with what an editor sees, and RouteData with the
// hosts that may be called.
func (e *env) wantService(db *DB, want route.Service) {
	e.Helper()
	if diff := e.diffService(db, want); diff != "" {
		e.Fatalf("service %v (-want +got):\n%s", want.Key, diff)
	}
}

func (e *env) diffService(db *DB, want route.Service) string {
	e.Helper()
	page, err := db.Routes(e.Context(), &want.Key, nil, 0)
	if err != nil {
		e.Fatal(err)
	}
	got := route.Service{Key: want.Key}
	if len(page) > 0 {
		got = page[0]
	}
	hosts, err := db.Hosts(e.Context(), []route.Key{want.Key})
	if err != nil {
		e.Fatal(err)
	}
	return cmp.Diff(want, got, cmpopts.EquateEmpty()) +
		cmp.Diff(want.Callable(), sortedHosts(hosts[want.Key]), cmpopts.EquateEmpty())
}

func sortedHosts(hosts []route.Host) []route.Host {
	slices.SortFunc(hosts, route.Host.Compare)
	return hosts
}

// What becomes of a service with three hosts, one of them drained, by each edit.
func TestEditsOfHostsAndSettings(t *testing.T) {
	k := key(1, 2)
	zone, note := "eu1", "rack 7"
	all := route.Attributes{Weight: new(uint32(50)), Zone: &zone, Note: &note}
	plain := func(n uint32) route.Member { return route.MemberOf(host(n)) }
	out := func(m route.Member) route.Member { m.Drained = true; return m }
	full := func(n uint32) route.Member {
		return route.Member{Endpoint: route.Endpoint{Host: host(n), Weight: 50, Zone: zone}, Note: note}
	}
	tests := []struct {
		name    string
		change  route.Change
		want    []route.Member
		details string // of the audit; empty: no change
	}{
		{"add with attributes", route.Change{Action: route.Add, Key: k, Hosts: []route.Host{host(4)}, Attributes: all},
			[]route.Member{plain(1), full(2), out(full(3)), full(4)}, `+10.0.0.4:7777 10.0.0.4:7777 weight=50 zone=eu1 note="rack 7"`},
		{"add a known one with attributes", route.Change{Action: route.Add, Key: k, Hosts: []route.Host{host(1)}, Attributes: weight(7)},
			[]route.Member{e1(host(1), 7), full(2), out(full(3))}, `10.0.0.1:7777 weight=7`},
		{"add a drained one", add(k, host(3)), []route.Member{plain(1), full(2), out(full(3))}, ""},
		{"add with weight 0", route.Change{Action: route.Add, Key: k, Hosts: []route.Host{host(4)}, Attributes: weight(0)},
			[]route.Member{plain(1), full(2), out(full(3)), out(plain(4))}, `+10.0.0.4:7777 drained 10.0.0.4:7777`},
		{"set keeps what stays", set(k, host(2), host(3)), []route.Member{full(2), out(full(3))}, `-10.0.0.1:7777`},
		{"set without the drained one", set(k, host(1), host(2)), []route.Member{plain(1), full(2)}, `-10.0.0.3:7777`},
		{"remove one with attributes", remove(k, host(2)), []route.Member{plain(1), out(full(3))}, `-10.0.0.2:7777`},
		{"remove a drained one", remove(k, host(3)), []route.Member{plain(1), full(2)}, `-10.0.0.3:7777`},
		{"remove all", remove(k), nil, `-10.0.0.1:7777 -10.0.0.2:7777 -10.0.0.3:7777 unset ramp`},
		{"drain", drain(k, host(2)), []route.Member{plain(1), out(full(2)), out(full(3))}, `drained 10.0.0.2:7777`},
		{"drain one without attributes", drain(k, host(1)), []route.Member{out(plain(1)), full(2), out(full(3))}, `drained 10.0.0.1:7777`},
		{"drain a drained one", drain(k, host(3)), []route.Member{plain(1), full(2), out(full(3))}, ""},
		{"drain the rest", drain(k, host(1), host(2)), []route.Member{out(plain(1)), out(full(2)), out(full(3))},
			`drained 10.0.0.1:7777 drained 10.0.0.2:7777`},
		{"drain a stranger", drain(k, host(9)), []route.Member{plain(1), full(2), out(full(3))}, ""},
		{"undrain", undrain(k, host(3), host(1)), []route.Member{plain(1), full(2), full(3)}, `undrained 10.0.0.3:7777`},
		{"weight 0", alter(k, weight(0), host(2)), []route.Member{plain(1), out(full(2)), out(full(3))}, `drained 10.0.0.2:7777`},
		{"weight of a drained one", alter(k, weight(70), host(3)),
			[]route.Member{plain(1), full(2), out(e3(host(3), 70, zone, note))}, `10.0.0.3:7777 weight=70`},
		{"back to the default", alter(k, route.Attributes{Weight: new(uint32(100)), Zone: new(""), Note: new("")}, host(2)),
			[]route.Member{plain(1), plain(2), out(full(3))}, `10.0.0.2:7777 weight=100 zone="" note=""`},
		{"the same again", alter(k, all, host(2)), []route.Member{plain(1), full(2), out(full(3))}, ""},
	}
	eachDialect(t, func(e *env) {
		db := e.migrated()
		for _, tt := range tests {
			e.edit(db, remove(k))
			e.edit(db, add(k, host(1), host(2), host(3)), alter(k, all, host(2), host(3)), drain(k, host(3)), configure(k, "ramp", "5s"))
			before := e.version(db)
			r := e.edit(db, tt.change)
			want := route.Service{Key: k, Hosts: tt.want, Settings: []route.Setting{{Name: "ramp", Value: "5s"}}}
			if tt.want == nil {
				want.Settings = nil
			}
			e.Log(tt.name)
			e.wantService(db, want)
			if diff := cmp.Diff([]route.Service{want}, r.After); diff != "" {
				e.Errorf("%s: result (-want +got):\n%s", tt.name, diff)
			}
			e.want("changed", r.Changed, tt.details != "")
			e.want("new version", r.Version > before, tt.details != "")
			if tt.details != "" {
				e.want("details", e.text(`SELECT details FROM RouteAudit ORDER BY id DESC LIMIT 1`), tt.details)
				e.want("announcements", e.number(`SELECT COUNT(*) FROM RouteChange WHERE version = ?`, r.Version), int64(1))
			}
			e.want("rows of RouteHost that say nothing", e.number(`SELECT COUNT(*) FROM RouteHost
				WHERE drained = 0 AND weight = 100 AND zone = '' AND note = ''`), int64(0))
		}
	})
}

func e1(h route.Host, weight uint32) route.Member { return e3(h, weight, "", "") }

func e3(h route.Host, weight uint32, zone, note string) route.Member {
	return route.Member{Endpoint: route.Endpoint{Host: h, Weight: weight, Zone: zone}, Note: note}
}

// text returns the one text of a query.
func (e *env) text(query string) string {
	e.Helper()
	var text string
	if err := e.raw.QueryRowContext(e.Context(), query).Scan(&text); err != nil {
		e.Fatalf("%s: %v", query, err)
	}
	return text
}

func TestEditsOfSettings(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		k := key(1, -2)
		want := func(settings ...route.Setting) {
			e.Helper()
			e.wantService(db, route.Service{Key: k, Settings: settings})
		}
		e.edit(db, configure(k, "ramp", "5s"), configure(k, "policy", "classic"))
		want(route.Setting{Name: "policy", Value: "classic"}, route.Setting{Name: "ramp", Value: "5s"})
		e.want("again", e.edit(db, configure(k, "ramp", "5s")).Changed, false)
		r := e.edit(db, configure(k, "ramp", "7s"), configure(k, "evidence", "30"), route.Change{
			Action: route.Unconfigure, Key: k, Settings: []route.Setting{{Name: "policy"}, {Name: "none"}}})
		want(route.Setting{Name: "evidence", Value: "30"}, route.Setting{Name: "ramp", Value: "7s"})
		e.want("announced", e.number(`SELECT COUNT(*) FROM RouteChange WHERE version = ? AND cmdid = 4294967294`, r.Version), int64(1))
		e.want("details", e.text(`SELECT details FROM RouteAudit ORDER BY id DESC LIMIT 1`), "set evidence=30 set ramp=7s unset policy")
		e.want("action", e.text(`SELECT action FROM RouteAudit ORDER BY id DESC LIMIT 1`), "unconfigure")
		e.edit(db, route.Change{Action: route.Unconfigure, Key: k})
		want()
	})
}

func TestEditsOfHostsThatCannotBe(t *testing.T) {
	k := key(1, 2)
	tests := []struct {
		name   string
		change route.Change
		want   string
	}{
		{"a host that is not there", alter(k, weight(5), host(9)), "service 1/2 has no host 10.0.0.9:7777; add it: lars route add 1/2 10.0.0.9:7777"},
		{"a weight", alter(k, weight(10_001), host(1)), "want 0 to 10000"},
		{"a long zone", alter(k, route.Attributes{Zone: new(strings.Repeat("z", 33))}, host(1)), "at most 32"},
		{"a zone with a space", alter(k, route.Attributes{Zone: new("e u")}, host(1)), "no spaces"},
		{"a zone that is not UTF-8", alter(k, route.Attributes{Zone: new("\xff")}, host(1)), "cannot be shown"},
		{"a long note", alter(k, route.Attributes{Note: new(strings.Repeat("n", 256))}, host(1)), "at most 255"},
		{"a note of two lines", alter(k, route.Attributes{Note: new("a\nb")}, host(1)), "cannot be shown"},
		{"a setting without a name", configure(k, "", "x"), "want a name"},
		{"a long value", configure(k, "x", strings.Repeat("v", 129)), "at most 128"},
		{"to add everywhere", everywhere(route.Add, host(1)), "not done everywhere"},
		{"no address", everywhere(route.Drain, route.Host{Port: 5}), "the address is zero"},
		{"no port", drain(k, route.Host{IP: 1}), "the port is outside"},
	}
	eachDialect(t, func(e *env) {
		db := e.migrated()
		version := e.edit(db, add(k, host(1))).Version
		for _, tt := range tests {
			_, err := db.EditRoutes(e.Context(), route.Edit{Who: "me", Changes: []route.Change{tt.change}})
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				e.Errorf("%s: got error %v, want one with %q", tt.name, err, tt.want)
			}
		}
		for i := range route.MaxSettings {
			e.edit(db, configure(key(9, 9), fmt.Sprint("key", i), "x"))
		}
		_, err := db.EditRoutes(e.Context(), route.Edit{Who: "me", Changes: []route.Change{configure(key(9, 9), "more", "x")}})
		if err == nil || !strings.Contains(err.Error(), "would have 33 settings, but 32 fit") {
			e.Errorf("too many settings: got error %v", err)
		}
		e.want("hosts", len(e.load(db).Route(k).Hosts), 1)
		e.want("edits", e.number(`SELECT COUNT(*) FROM RouteAudit WHERE modid = 1 AND version > ?`, version), int64(0))
	})
}

// Drained hosts count, so that no undrain fails for want of room.
func TestTheLargestServiceCountsDrainedHosts(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		hosts := make([]route.Host, route.MaxHosts)
		for i := range hosts {
			hosts[i] = host(uint32(i + 1))
		}
		k := key(1, 1)
		e.edit(db, set(k, hosts...), drain(k, hosts...))
		_, err := db.EditRoutes(e.Context(), route.Edit{Who: "me", Changes: []route.Change{add(k, host(5000))}})
		if err == nil || !strings.Contains(err.Error(), "would have 1000 hosts") {
			e.Errorf("one more: got error %v", err)
		}
		e.edit(db, undrain(k, hosts...))
		e.want("callable", e.number(`SELECT COUNT(*) FROM RouteData`), int64(route.MaxHosts))
		e.want("rows of RouteHost", e.number(`SELECT COUNT(*) FROM RouteHost`), int64(0))
	})
}

// A page is full as long as there are services, whatever rows lie between them.
// A service may have drained hosts alone, or settings alone.
func TestPagesOfServicesWithoutCallableHosts(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		e.edit(db, add(key(1, 1), host(1)), drain(key(1, 1), host(1)), configure(key(1, 2), "ramp", "5s"), add(key(1, 5), host(1)), add(key(2, 1), host(1)))
		for cmdid := range 3 { // rows that name no host, and one left behind
			e.exec(`INSERT INTO RouteData (modid, cmdid, serverip, serverport) VALUES (1, ?, 0, 0)`, 10+cmdid)
		}
		e.exec(`INSERT INTO RouteHost (modid, cmdid, serverip, serverport, weight) VALUES (1, 20, 5, 5, 7)`)
		var got []route.Key
		var after *route.Key
		for {
			page, err := db.Routes(e.Context(), nil, after, 2)
			if err != nil {
				e.Fatal(err)
			}
			for _, s := range page {
				got = append(got, s.Key)
			}
			if len(page) < 2 {
				break
			}
			after = &page[len(page)-1].Key
		}
		if diff := cmp.Diff([]route.Key{key(1, 1), key(1, 2), key(1, 5), key(2, 1)}, got); diff != "" {
			e.Errorf("services (-want +got):\n%s", diff)
		}
	})
}

// Rows that somebody wrote by hand are taken for what they can mean.
func TestRowsOfRouteHostByHand(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		k := key(1, 2)
		e.edit(db, add(k, host(1), host(2)))
		for n, weight := range map[uint32]int64{1: 0, 2: 20_000} {
			e.exec(`INSERT INTO RouteHost (modid, cmdid, serverip, serverport, weight, note) VALUES (1, 2, ?, 7777, ?, 'mine')`, host(n).IP, weight)
		}
		e.exec(`INSERT INTO RouteHost (modid, cmdid, serverip, serverport, drained) VALUES (1, 2, 0, 0, 1)`) // no host
		e.wantService(db, route.Service{Key: k, Hosts: []route.Member{e.member(host(1), 100, "", "mine", false), e.member(host(2), 100, "", "mine", false)}})
	})
}

// An edit that its check refuses leaves nothing.
func TestEditThatItsCheckRefuses(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		e.edit(db, configure(key(1, 2), "a", "1"))
		check := func(before, after route.Service) error {
			if len(before.Settings) == 1 && len(after.Settings) == 2 {
				return errors.New("too much together")
			}
			return nil
		}
		edit := route.Edit{Who: "me", Check: check, Changes: []route.Change{add(key(3, 4), host(1)), configure(key(1, 2), "b", "2")}}
		if _, err := db.EditRoutes(e.Context(), edit); err == nil || !strings.Contains(err.Error(), "service 1/2: too much together") {
			e.Errorf("got error %v", err)
		}
		e.wantService(db, route.Service{Key: key(1, 2), Settings: []route.Setting{{Name: "a", Value: "1"}}})
		e.wantService(db, route.Service{Key: key(3, 4)})
	})
}

// A host is drained in all services at once, and comes back to each with what is
// known of it there.
func TestDrainEverywhere(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		a, b, c, other := key(1, 1), key(1, 2), key(-1, 3), key(4, 4)
		second := route.Host{IP: host(1).IP, Port: 8888}
		e.edit(db, add(a, host(1), host(2)), alter(a, weight(50), host(1)), add(b, second), add(c, host(1)), drain(c, host(1)), add(other, host(2)))
		before := e.look(db)
		r := e.edit(db, everywhere(route.Drain, route.Host{IP: host(1).IP}))
		e.want("services changed", len(r.Services), 2)
		e.want("services with the host", len(r.After), 3)
		changes, err := db.Changed(e.Context(), before, e.look(db))
		if err != nil {
			e.Fatal(err)
		}
		if diff := cmp.Diff([]route.Key{a, b}, changes.Keys); diff != "" {
			e.Errorf("announced (-want +got):\n%s", diff)
		}
		e.wantService(db, route.Service{Key: a, Hosts: []route.Member{e.member(host(1), 50, "", "", true), route.MemberOf(host(2))}})
		where, err := db.Where(e.Context(), route.Host{IP: host(1).IP})
		if err != nil {
			e.Fatal(err)
		}
		want := []route.Service{
			{Key: c, Hosts: []route.Member{e.member(host(1), 100, "", "", true)}},
			{Key: a, Hosts: []route.Member{e.member(host(1), 50, "", "", true)}},
			{Key: b, Hosts: []route.Member{e.member(second, 100, "", "", true)}},
		}
		if diff := cmp.Diff(want, where); diff != "" {
			e.Errorf("where (-want +got):\n%s", diff)
		}
		r = e.edit(db, everywhere(route.Undrain, host(1))) // this port alone
		e.want("services undrained", len(r.Services), 2)
		e.wantService(db, route.Service{Key: b, Hosts: []route.Member{e.member(second, 100, "", "", true)}})
		e.wantService(db, route.Service{Key: a, Hosts: []route.Member{e.member(host(1), 50, "", "", false), route.MemberOf(host(2))}})
		r = e.edit(db, everywhere(route.Drain, host(77)))
		e.want("an unknown host", r.Changed || len(r.After) > 0, false)
	})
}

func TestDrainEverywhereOverAThousandServices(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		const services = 1000
		var changes []route.Change
		for i := range int32(services) {
			changes = append(changes, add(key(i, 1), host(1), host(2)))
		}
		e.edit(db, changes...)
		for _, action := range []route.Action{route.Drain, route.Undrain} {
			start := time.Now()
			r := e.edit(db, everywhere(action, host(1)))
			e.Logf("%v in %d services: %v", action, services, time.Since(start))
			e.want("services", len(r.Services), services)
			e.want("announcements", e.number(`SELECT COUNT(*) FROM RouteChange WHERE version = ?`, r.Version), int64(services))
			e.want("audit rows", e.number(`SELECT COUNT(*) FROM RouteAudit WHERE version = ?`, r.Version), int64(services))
			callable := int64(services)
			if action == route.Undrain {
				callable *= 2
			}
			e.want("callable", e.number(`SELECT COUNT(*) FROM RouteData`), callable)
		}
	})
}
