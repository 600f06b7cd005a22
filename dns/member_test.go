package dns_test

import (
	"context"
	"slices"
	"testing"

	"lars.internal/dns"
	"lars.internal/larspb"
	"lars.internal/route"
)

// edits are what an operator does to hosts and settings, one after the other,
// and what agents are told then.
var edits = []struct {
	name     string
	change   route.Change
	hosts    []route.Host // of an agent without a level
	weights  []uint32     // of an agent with one
	zone     string       // of the first
	settings int
}{
	{"add", route.Change{Action: route.Add, Hosts: []route.Host{h1, h2}}, []route.Host{h1, h2}, []uint32{100, 100}, "", 0},
	{"weight", alter(route.Attributes{Weight: ptr(uint32(50))}), []route.Host{h1, h2}, []uint32{50, 100}, "", 0},
	{"zone", alter(route.Attributes{Zone: ptr("eu1")}), []route.Host{h1, h2}, []uint32{50, 100}, "eu1", 0},
	{"setting", route.Change{Action: route.Configure, Settings: []route.Setting{{Name: "ramp", Value: "3s"}}}, []route.Host{h1, h2}, []uint32{50, 100}, "eu1", 1},
	{"drain", route.Change{Action: route.Drain, Hosts: []route.Host{h1}}, []route.Host{h2}, []uint32{100}, "", 1},
	{"undrain", route.Change{Action: route.Undrain, Hosts: []route.Host{h1}}, []route.Host{h1, h2}, []uint32{50, 100}, "eu1", 1},
	{"no setting", route.Change{Action: route.Unconfigure}, []route.Host{h1, h2}, []uint32{50, 100}, "eu1", 0},
	{"drain all", route.Change{Action: route.Drain, Hosts: []route.Host{h1, h2}}, nil, nil, "", 0},
}

func alter(a route.Attributes) route.Change {
	return route.Change{Action: route.Alter, Hosts: []route.Host{h1}, Attributes: a}
}

func ptr[T any](v T) *T { return &v }

// walk makes the edits. After each, agents of both kinds are pushed the route at
// once; look, if not nil, looks at the tables.
func walk(t *testing.T, in *instance, edit func(...route.Change), look func(t *testing.T, hosts []route.Host)) {
	p, cpp := dial(t, in), dial(t, in)
	p.meet(k12)
	p.route()
	cpp.ask(k12)
	cpp.expect(k12)
	for _, e := range edits {
		e.change.Key = k12
		edit(e.change)
		cpp.expect(k12, e.hosts...)
		r := p.route()
		if !slices.Equal(weightsOf(r), e.weights) || len(r.Settings) != e.settings || r.Removed != (e.hosts == nil) {
			t.Errorf("%s: pushed %v", e.name, r)
		}
		if len(r.Host) > 0 && r.Host[0].Zone != e.zone {
			t.Errorf("%s: zone %q, want %q", e.name, r.Host[0].Zone, e.zone)
		}
		if look != nil {
			look(t, e.hosts)
		}
	}
}

func weightsOf(r *larspb.GetRouteResponse) (weights []uint32) {
	for _, h := range r.Host {
		weight := uint32(route.DefaultWeight)
		if h.Weight != nil {
			weight = *h.Weight
		}
		weights = append(weights, weight)
	}
	return weights
}

// A full load never comes in between: what is pushed is what the edits recorded.
func rarely(c *dns.Config) { c.ReloadInterval = patience * 10 }

func TestMembersOnSQLite(t *testing.T) {
	bad := dns.NewBadRows(nil)
	db := openSQLite(t, bad)
	if err := db.Migrate(context.Background()); err != nil {
		t.Fatal(err)
	}
	in := startLoaded(t, db, func(c *dns.Config) { rarely(c); c.BadRows = bad })
	walk(t, in, func(changes ...route.Change) { editSQLite(t, db, changes...) }, nil)
}

// The readers of the C++ stack, which take the columns by position, see exactly the
// hosts that may be called. A drained host that its page inserts again is called
// with its weight.
func TestMembersBesideCppPeers(t *testing.T) {
	d := sharedDatabase(t)
	in := d.serveLoaded(rarely)
	walk(t, in, func(changes ...route.Change) { d.edit(changes...) }, d.cppReads)
	p := dial(t, in)
	p.meet(k12)
	p.route()
	d.cppAdd(k12, h1, d.version()+1)
	if r := p.route(); !slices.Equal(weightsOf(r), []uint32{50}) || r.Host[0].Zone != "eu1" || r.Removed {
		t.Errorf("pushed after a C++ page inserted a drained host: %v", r)
	}
	d.cppReads(t, []route.Host{h1})
}

// cppReads runs what a C++ dns reads its routes with.
func (d *database) cppReads(t *testing.T, want []route.Host) {
	t.Helper()
	rows, err := d.raw.QueryContext(t.Context(), `SELECT * FROM RouteData`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var hosts []route.Host
	for rows.Next() {
		var id, modid, cmdid, ip, port uint32
		if err := rows.Scan(&id, &modid, &cmdid, &ip, &port); err != nil {
			t.Fatal(err)
		}
		if modid != uint32(k12.Modid) || cmdid != uint32(k12.Cmdid) {
			t.Errorf("a row of service %d/%d", modid, cmdid)
		}
		hosts = append(hosts, route.Host{IP: ip, Port: uint16(port)})
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(hosts, route.Host.Compare)
	if !slices.Equal(hosts, want) {
		t.Errorf("a C++ dns reads %v, want %v", hosts, want)
	}
}
