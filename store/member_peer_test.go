package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"lars.internal/internal/testdb"
	"lars.internal/route"
)

// What the page of the C++ stack does with a host.
func (e *env) pageDeletes(k route.Key, h route.Host) {
	e.Helper()
	e.exec(`DELETE FROM RouteData WHERE modid = ? AND cmdid = ? AND serverip = ? AND serverport = ?`, k.Modid, k.Cmdid, h.IP, h.Port)
}

func (e *env) pageInserts(k route.Key, h route.Host) {
	e.Helper()
	e.exec(`INSERT INTO RouteData (modid, cmdid, serverip, serverport) VALUES (?, ?, ?, ?)`, k.Modid, k.Cmdid, h.IP, h.Port)
	e.exec(`INSERT INTO RouteChange (modid, cmdid, version) VALUES (?, ?, ?)`, k.Modid, k.Cmdid, e.clock.read().Unix())
	e.exec(`UPDATE RouteVersion SET version = ? WHERE id = 1`, e.clock.read().Unix())
}

// The page deletes a host and leaves behind what is known of it. That means
// nothing, and goes with the next edit of the service.
func TestCppPageDeletesAHostWithAttributes(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		k := key(1, 2)
		e.edit(db, add(k, host(1), host(2)), alter(k, weight(50), host(1), host(2)))
		e.pageDeletes(k, host(1))
		e.wantService(db, route.Service{Key: k, Hosts: []route.Member{e1(host(2), 50)}})
		where, err := db.Where(e.Context(), host(1))
		if err != nil || len(where) != 0 {
			e.Errorf("the host is in %v, %v", where, err)
		}
		e.want("an edit that changes nothing", e.edit(db, add(k, host(2))).Changed, false)
		e.edit(db, add(k, host(1)))
		e.wantService(db, route.Service{Key: k, Hosts: []route.Member{route.MemberOf(host(1)), e1(host(2), 50)}})
		e.want("rows of RouteHost", e.number(`SELECT COUNT(*) FROM RouteHost`), int64(1))
	})
}

// The page puts a drained host back: it is called again, with its weight, until
// somebody drains it anew.
func TestCppPageInsertsADrainedHost(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		k := key(1, 2)
		e.edit(db, add(k, host(1), host(2)), alter(k, weight(50), host(1)), drain(k, host(1)))
		e.clock.set(e.clock.now + 10)
		e.pageInserts(k, host(1))
		back := route.Service{Key: k, Hosts: []route.Member{e1(host(1), 50), route.MemberOf(host(2))}}
		e.wantService(db, back)
		e.want("to undrain it", e.edit(db, undrain(k, host(1))).Changed, false)
		e.edit(db, drain(k, host(1)))
		back.Hosts[0].Drained = true
		e.wantService(db, back)
		// Another edit of the service leaves one truth.
		e.pageInserts(k, host(1))
		e.edit(db, add(k, host(3)))
		e.want("rows that say drained", e.number(`SELECT COUNT(*) FROM RouteHost WHERE drained = 1`), int64(0))
	})
}

// A C++ dns deletes the change rows that it has pushed. Drains and settings are
// found all the same.
func TestCppDNSDeletesTheChangesOfADrain(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		e.edit(db, add(key(1, 1), host(1)), add(key(1, 2), host(1)), add(key(1, 3), host(3)))
		before := e.look(db)
		e.edit(db, everywhere(route.Drain, host(1)))
		e.edit(db, configure(key(1, 3), "ramp", "5s"))
		e.exec(`DELETE FROM RouteChange WHERE version <= (SELECT version FROM RouteVersion WHERE id = 1)`)
		changes, err := db.Changed(e.Context(), before, e.look(db))
		if err != nil {
			e.Fatal(err)
		}
		if diff := cmp.Diff([]route.Key{key(1, 1), key(1, 2), key(1, 3)}, changes.Keys); diff != "" {
			e.Errorf("changed services (-want +got):\n%s", diff)
		}
	})
}

// Edits of other services sweep what was left behind, and nothing else.
func TestOrphansAreSweptInTime(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		var changes []route.Change
		for i := range int32(30) {
			k := key(i*i, 7*i)
			changes = append(changes, add(k, host(1), host(2), host(3)), alter(k, weight(50), host(1), host(2), host(3)), drain(k, host(3)))
		}
		e.edit(db, changes...)
		e.exec(`DELETE FROM RouteData WHERE serverip = ?`, host(1).IP)
		const orphans = `SELECT COUNT(*) FROM RouteHost h LEFT JOIN RouteData d ON d.modid = h.modid AND d.cmdid = h.cmdid
			AND d.serverip = h.serverip AND d.serverport = h.serverport WHERE h.drained = 0 AND d.id IS NULL`
		e.want("orphans", e.number(orphans), int64(30))
		for i := uint32(0); e.number(orphans) > 0; i++ {
			if i == 2000 {
				e.Fatalf("%d orphans after %d edits", e.number(orphans), i)
			}
			e.edit(db, set(key(-9, -9), host(i)))
		}
		e.want("rows that hosts need", e.number(`SELECT COUNT(*) FROM RouteHost`), int64(60))
	})
}

// Editors at once that change one service lose nothing of each other.
func TestConcurrentDrainsLoseNothing(t *testing.T) {
	const editors, rounds = 4, 10
	eachDialect(t, func(e *env) {
		first := e.migrated()
		k := key(1, 2)
		for n := range uint32(editors) {
			e.edit(first, add(k, host(n+1)))
		}
		var wg sync.WaitGroup
		for n := range uint32(editors) {
			db := e.open()
			wg.Go(func() {
				h := host(n + 1)
				for i := range uint32(rounds) {
					for _, c := range []route.Change{alter(k, weight(i+2), h), everywhere(route.Drain, h), undrain(k, h)} {
						r, err := db.EditRoutes(e.Context(), route.Edit{Who: fmt.Sprint(n), Changes: []route.Change{c}})
						if err != nil || !r.Changed {
							e.Errorf("editor %d: %+v, %v", n, r, err)
							return
						}
					}
				}
			})
		}
		wg.Wait()
		var want []route.Member
		for n := range uint32(editors) {
			want = append(want, e1(host(n+1), rounds+1))
		}
		e.wantService(first, route.Service{Key: k, Hosts: want})
	})
}

// Of two editors who had both looked, the second is told, with what is drained.
func TestSecondEditorSeesWhatIsDrained(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		k := key(1, 2)
		seen := e.edit(db, set(k, host(1), host(2))).Version
		e.edit(db, drain(k, host(1)))
		_, err := db.EditRoutes(e.Context(), route.Edit{Who: "bob", IfVersion: &seen, Changes: []route.Change{everywhere(route.Drain, host(2))}})
		conflict := new(*route.ConflictError)
		if !errors.As(err, conflict) {
			e.Fatalf("got error %v, want a conflict", err)
		}
		e.want("hosts in the conflict", len((*conflict).Services[0].Hosts), 2)
		e.want("first drained", (*conflict).Services[0].Hosts[0].Drained, true)
	})
}

// An edit with a broken commit is made once, drains too.
func TestBrokenCommitOfADrain(t *testing.T) {
	for name, pass := range map[string]bool{"made": true, "not made": false} {
		t.Run(name, func(t *testing.T) {
			s := testdb.MariaDB(t)
			e := &env{T: t, dsn: s.DSN(), raw: s.DB(), clock: &clock{now: now}, bad: new(badRows)}
			direct := e.migrated()
			k, l := key(1, 2), key(1, 3)
			e.edit(direct, add(k, host(1), host(2)), add(l, host(1)))
			c := newCutter(t, s, pass, func() { e.edit(direct, add(key(5, 5), host(5))) })
			options := quick
			options.Now = e.clock.read
			db, err := Open(c.dsn(), options)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { db.Close() })
			c.cuts.Store(1)
			r, err := db.EditRoutes(t.Context(), route.Edit{Who: "ann", Changes: []route.Change{everywhere(route.Drain, host(1))}})
			if err != nil || !r.Changed || len(r.Services) != 2 {
				t.Fatalf("result %+v, error %v", r, err)
			}
			e.want("audit rows of the drain", e.number(`SELECT COUNT(*) FROM RouteAudit WHERE action = 'drain'`), int64(2))
			e.wantService(direct, route.Service{Key: l, Hosts: []route.Member{e.member(host(1), 100, "", "", true)}})
		})
	}
}

// A restore brings back what is known of hosts, which are drained, and settings.
func TestRestoreOfMembersAndSettings(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		k, l := key(1, 2), key(3, 4)
		e.edit(db, add(k, host(1), host(2)), alter(k, weight(50), host(1)), drain(k, host(1)), configure(k, "ramp", "5s"), configure(l, "x", "y"))
		was := e.all(db)
		path := filepath.Join(e.TempDir(), "backup.db")
		if _, err := db.Backup(e.Context(), path); err != nil {
			e.Fatal(err)
		}
		e.edit(db, undrain(k, host(1)), alter(k, weight(1), host(1), host(2)), add(k, host(3)), configure(k, "ramp", "9s"),
			configure(k, "evidence", "1"), route.Change{Action: route.Unconfigure, Key: l}, configure(key(7, 7), "x", "y"))
		r, err := db.Restore(e.Context(), "ann", path)
		if err != nil {
			e.Fatal(err)
		}
		if diff := cmp.Diff(was, e.all(db)); diff != "" {
			e.Errorf("services (-was +restored):\n%s", diff)
		}
		e.want("services changed", len(r.Edit.Services), 3)
		if r, err = db.Restore(e.Context(), "ann", path); err != nil || r.Edit.Changed {
			e.Errorf("a second restore: %+v, %v", r, err)
		}
	})
}

func (e *env) all(db *DB) map[route.Key]route.Service {
	e.Helper()
	all, err := db.allServices(e.Context())
	if err != nil {
		e.Fatal(err)
	}
	return all
}

// Random edits, with a page of the C++ stack between them, do what route.Apply
// says; RouteData holds the callable hosts, and nothing else is called.
func TestRandomEditsAgainstApply(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lars.db")
	e := &env{T: t, dsn: "sqlite:" + path, clock: &clock{now: 1_700_000_000}, bad: new(badRows)}
	db := e.migrated()
	e.raw = db.pool
	number := int32(0)
	rapid.Check(t, func(r *rapid.T) {
		number++
		k := key(number, 1)
		model := route.Service{Key: k}
		for range rapid.IntRange(1, 12).Draw(r, "steps") {
			h := host(rapid.Uint32Range(1, 4).Draw(r, "host"))
			switch rapid.IntRange(0, 9).Draw(r, "who") {
			case 0:
				e.pageDeletes(k, h)
				model = e.touched(db, model, h, false)
			case 1:
				if !slices.Contains(model.Callable(), h) {
					e.pageInserts(k, h)
					model = e.touched(db, model, h, true)
				}
			default:
				c := drawChange(r, k, h)
				after, err := c.Apply(model)
				_, got := db.EditRoutes(e.Context(), route.Edit{Who: "me", Changes: []route.Change{c}})
				if (err == nil) != (got == nil) {
					r.Fatalf("%v: error %v, the model has %v", c, got, err)
				}
				if err == nil {
					model = after
				}
			}
			if diff := e.diffService(db, model); diff != "" {
				r.Fatalf("service %v (-want +got):\n%s", k, diff)
			}
		}
	})
}

// touched is what a model becomes when the page deletes a host or inserts one.
// What is known of the host stays in RouteHost: also of one that was deleted, or
// that was drained and put back.
func (e *env) touched(db *DB, model route.Service, h route.Host, inserted bool) route.Service {
	stored, err := db.dialect.readServices(e.Context(), db.pool, []route.Key{model.Key}, "")
	if err != nil {
		e.Fatal(err)
	}
	m := route.MemberOf(h)
	at := slices.IndexFunc(stored[model.Key].known, func(k route.Member) bool { return k.Host == h })
	if at >= 0 {
		m = stored[model.Key].known[at]
	}
	model.Hosts = slices.DeleteFunc(slices.Clone(model.Hosts), func(k route.Member) bool { return k.Host == h })
	if inserted || m.Drained {
		m.Drained = !inserted
		model.Hosts = append(model.Hosts, m)
		slices.SortFunc(model.Hosts, func(a, b route.Member) int { return a.Host.Compare(b.Host) })
	}
	return model
}

func drawChange(r *rapid.T, k route.Key, h route.Host) route.Change {
	c := route.Change{Key: k, Hosts: []route.Host{h}}
	c.Action = rapid.SampledFrom([]route.Action{route.Add, route.Set, route.Remove, route.Drain, route.Undrain,
		route.Alter, route.Configure, route.Unconfigure}).Draw(r, "action")
	switch c.Action {
	case route.Add, route.Set, route.Alter:
		if rapid.Bool().Draw(r, "attributes") {
			c.Attributes = route.Attributes{Weight: new(rapid.Uint32Range(0, 3).Draw(r, "weight")), Zone: new(rapid.SampledFrom([]string{"", "eu1"}).Draw(r, "zone"))}
		}
	case route.Configure, route.Unconfigure:
		c.Hosts = nil
		c.Settings = []route.Setting{{Name: rapid.SampledFrom([]string{"a", "b"}).Draw(r, "name"), Value: "v"}}
	}
	return c
}
