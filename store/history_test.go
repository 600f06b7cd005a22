package store

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"lars.internal/route"
)

// cppEdit does what the page of the C++ stack does, in its three statements.
func (e *env) cppEdit(k route.Key, h route.Host, version int64) {
	e.Helper()
	modid, cmdid := columns(k)
	e.exec(`INSERT INTO RouteData (modid, cmdid, serverip, serverport) VALUES (?, ?, ?, ?)`, modid, cmdid, h.IP, h.Port)
	e.exec(`INSERT INTO RouteChange (modid, cmdid, version) VALUES (?, ?, ?)`, modid, cmdid, version)
	e.exec(`UPDATE RouteVersion SET version = ? WHERE id = 1`, version)
}

// cppDNS does what a C++ dns does when it has pushed.
func (e *env) cppDNS() {
	e.Helper()
	e.exec(`DELETE FROM RouteChange WHERE version <= (SELECT version FROM RouteVersion WHERE id = 1)`)
}

// now is the version from which TestChanged asks.
const now = 1_700_000_000

var keyA, keyB = key(1, 1), key(2, 2)

// changedTests say what Changed returns after some edits.
var changedTests = []struct {
	name   string
	do     func(e *env, db *DB)
	want   []route.Key
	reload bool
}{
	{name: "nothing", do: func(*env, *DB) {}},
	{
		name: "one edit",
		do:   func(e *env, db *DB) { e.edit(db, add(keyA, host(1))) },
		want: []route.Key{keyA},
	},
	{
		name: "edits of several services, in order and once each",
		do: func(e *env, db *DB) {
			e.edit(db, add(keyB, host(1)))
			e.edit(db, add(keyA, host(1)))
			e.edit(db, add(keyB, host(2)))
		},
		want: []route.Key{keyA, keyB},
	},
	{
		// With two of the original's dns services, one deletes the rows
		// before the other has seen them.
		name: "rows deleted by a C++ dns",
		do: func(e *env, db *DB) {
			e.edit(db, add(keyA, host(1)))
			e.cppDNS()
			e.edit(db, add(keyB, host(1)))
			e.cppDNS()
		},
		want: []route.Key{keyA, keyB},
	},
	{
		name: "a C++ editor",
		do:   func(e *env, db *DB) { e.cppEdit(keyA, host(1), now+5) },
		want: []route.Key{keyA},
	},
	{
		name: "a C++ editor between two edits",
		do: func(e *env, db *DB) {
			e.edit(db, add(keyB, host(1)))
			e.cppEdit(keyA, host(1), now+5)
			e.edit(db, add(keyB, host(2)))
		},
		want: []route.Key{keyA, keyB},
	},
	{
		name: "a C++ editor whose rows a C++ dns has deleted",
		do: func(e *env, db *DB) {
			e.cppEdit(keyA, host(1), now+5)
			e.cppDNS()
		},
		reload: true,
	},
	{
		name: "the same, hidden behind an edit",
		do: func(e *env, db *DB) {
			e.cppEdit(keyA, host(1), now+5)
			e.cppDNS()
			e.edit(db, add(keyB, host(2)))
		},
		reload: true,
	},
	{
		name:   "a version moved by hand",
		do:     func(e *env, db *DB) { e.exec(`UPDATE RouteVersion SET version = ?`, now+7) },
		reload: true,
	},
	{
		name:   "a version that went backwards",
		do:     func(e *env, db *DB) { e.exec(`UPDATE RouteVersion SET version = ?`, now-3600) },
		reload: true,
	},
	{
		// Our edits of a burst have run the version ahead of the clock, which
		// is what the page of the C++ stack sets it to.
		name: "a C++ editor whose version is behind ours",
		do:   func(e *env, db *DB) { e.cppEdit(keyA, host(1), now-3600) },
		want: []route.Key{keyA},
	},
	{
		name: "a C++ editor with the version of the edit before",
		do:   func(e *env, db *DB) { e.cppEdit(keyA, host(1), now) },
		want: []route.Key{keyA},
	},
	{
		name: "a C++ editor that sets the version back, which hides an edit of ours",
		do: func(e *env, db *DB) {
			e.edit(db, add(keyB, host(1)))
			e.cppEdit(keyA, host(1), now-1)
		},
		want: []route.Key{keyA, keyB},
	},
	{
		name: "a C++ editor that has not written its version yet",
		do: func(e *env, db *DB) {
			e.exec(`INSERT INTO RouteChange (modid, cmdid, version) VALUES (1, 1, ?)`, now+5)
		},
	},
	{
		// The dump is older than the newest change row that was seen.
		name: "a dump that is restored",
		do: func(e *env, db *DB) {
			e.exec(`DELETE FROM RouteChange`)
			e.exec(`INSERT INTO RouteChange (id, modid, cmdid, version) VALUES (1, 1, 1, ?)`, now-3600)
			e.exec(`UPDATE RouteVersion SET version = ?`, now-3600)
		},
		reload: true,
	},
	{
		// The nodes of a cluster give out interleaved ids.
		name: "a change row with an id below the newest",
		do: func(e *env, db *DB) {
			e.exec(`INSERT INTO RouteChange (id, modid, cmdid, version) VALUES (4, 1, 1, ?)`, now)
		},
		want: []route.Key{keyA, key(7, 7)},
	},
	{
		name:   "a cursor older than what is kept",
		do:     func(e *env, db *DB) { e.cppEdit(keyA, host(1), now+keepChanges+1) },
		reload: true,
	},
	{
		name: "a cursor as old as what is kept",
		do:   func(e *env, db *DB) { e.cppEdit(keyA, host(1), now+keepChanges) },
		want: []route.Key{keyA},
	},
	{
		// The audit rows prove that nothing happened in the meantime.
		name: "the first edit for a month",
		do: func(e *env, db *DB) {
			e.edit(db, add(keyB, host(1)))
			e.clock.set(now + 30*24*3600)
			e.edit(db, add(keyA, host(1)))
		},
		want: []route.Key{keyA, keyB},
	},
}

func TestChanged(t *testing.T) {
	for _, tt := range changedTests {
		t.Run(tt.name, func(t *testing.T) {
			eachDialect(t, func(e *env) {
				db := e.migrated()
				e.exec(`UPDATE RouteVersion SET version = ?`, now)
				e.exec(`INSERT INTO RouteChange (id, modid, cmdid, version) VALUES (3, 7, 7, ?), (5, 7, 7, ?)`, now-9, now)
				before := e.look(db)
				tt.do(e, db)
				got, err := db.Changed(e.Context(), before, e.look(db))
				if tt.reload {
					e.wantError(err, route.ErrHistoryGone)
					return
				}
				if err != nil {
					e.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, got.Keys); diff != "" {
					e.Errorf("services (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// An acceptance is a version of its own that touches no service. Others see it
// as one more link of the chain of edits.
func TestFinding17AcceptanceIsOnRecord(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		e.edit(db, add(keyA, host(1), host(2)))
		before := e.look(db)
		a, err := db.AcceptRoutes(e.Context(), "ann", "")
		if err != nil {
			e.Fatal(err)
		}
		e.want("version", e.version(db), a.Version)
		e.want("newer", a.Version > before.Version, true)
		e.want("hosts", a.Hosts, uint64(2))
		changes, err := db.Changed(e.Context(), before, e.look(db))
		if err != nil || changes.Accepted != a || len(changes.Keys) != 0 {
			e.Fatalf("changes are %v, %v; want an acceptance alone", changes, err)
		}
		e.edit(db, add(keyB, host(1)))
		changes, err = db.Changed(e.Context(), before, e.look(db))
		if err != nil || changes.Accepted != a || len(changes.Keys) != 1 {
			e.Fatalf("changes are %v, %v; want an acceptance and an edit", changes, err)
		}
		e.want("who", e.number(`SELECT COUNT(*) FROM RouteAudit WHERE who = 'ann' AND action = 'accept'`), int64(1))
		if _, err := db.AcceptRoutes(e.Context(), "", ""); err == nil {
			e.Error("nobody was taken for a name")
		}
	})
}

// A version that a C++ writer sets back is there to be seen, and the next edit
// goes on from it.
func TestVersionGoingBackwardsIsVisible(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		first := e.edit(db, add(key(1, 1), host(1))).Version
		e.cppEdit(key(1, 1), host(2), int64(first)-100)
		e.want("version", e.version(db), first-100)
		e.want("version of the load", e.load(db).Version(), first-100)
		e.clock.set(int64(first) - 1000)
		e.want("next version", e.edit(db, add(key(1, 1), host(3))).Version, first-99)
	})
}

func TestVersionAtTheEndOfItsColumn(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		e.exec(`UPDATE RouteVersion SET version = 4294967295`)
		_, err := db.EditRoutes(e.Context(), route.Edit{Who: "me", Changes: []route.Change{add(key(1, 2), host(1))}})
		if err == nil {
			e.Fatal("an edit got a version that does not fit")
		}
		e.want("rows", e.number(`SELECT COUNT(*) FROM RouteData`), int64(0))
	})
}

// Old rows go, a bounded number per edit; what Changed relies on stays.
func TestOldHistoryIsPruned(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		now := e.clock.now
		for i := range int64(10) {
			e.exec(`INSERT INTO RouteChange (modid, cmdid, version) VALUES (1, 1, ?)`, now-keepChanges-1-i)
			e.exec(`INSERT INTO RouteAudit (time, version, previous, who, action, modid, cmdid, details)
				VALUES (1, ?, 1, 'me', 'add', 1, 1, '')`, now-int64(db.keepAudit.versions)-1-i)
		}
		db.keepChanges.rows, db.keepAudit.rows = 1, 1
		e.exec(`INSERT INTO RouteChange (modid, cmdid, version) VALUES (1, 1, ?)`, now-keepChanges)
		e.edit(db, add(key(1, 1), host(1)))
		e.want("rows of RouteChange", e.number(`SELECT COUNT(*) FROM RouteChange`), int64(2))
		e.want("rows of RouteAudit", e.number(`SELECT COUNT(*) FROM RouteAudit`), int64(1))
	})
}

// follower keeps a copy of the routes the way a dns service does.
type follower struct {
	e     *env
	db    *DB
	mark  route.Mark
	table *route.Table
}

func (f *follower) poll() {
	f.e.Helper()
	mark := f.e.look(f.db)
	changes, err := f.db.Changed(f.e.Context(), f.mark, mark)
	f.mark = mark
	if errors.Is(err, route.ErrHistoryGone) {
		f.table = f.e.load(f.db)
		return
	}
	if err != nil {
		f.e.Fatal(err)
	}
	routes, err := f.db.RoutesOf(f.e.Context(), changes.Keys)
	if err != nil {
		f.e.Fatal(err)
	}
	f.table = f.table.With(mark.Version, routes)
}

// Whatever our editors, a C++ editor and a C++ dns do, a follower that polls
// has the routes of the database. It polls after each C++ edit, as it does
// outside of a test: what it may miss otherwise is in the doc of Changed.
func TestFollowerSeesEverything(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		rapid.Check(t, func(r *rapid.T) {
			f := &follower{e: e, db: db, mark: e.look(db), table: e.load(db)}
			steps := rapid.IntRange(1, 12).Draw(r, "steps")
			for range steps {
				k := key(int32(rapid.IntRange(1, 3).Draw(r, "modid")), 1)
				h := host(uint32(rapid.IntRange(1, 4).Draw(r, "host")))
				switch rapid.SampledFrom([]string{"add", "remove", "move", "c++ edit", "c++ dns", "poll"}).Draw(r, "step") {
				case "add":
					e.edit(db, add(k, h))
				case "remove":
					e.edit(db, remove(k, h))
				case "move":
					e.edit(db, remove(k, h), add(key(9, 9), h))
				case "c++ edit":
					e.edit(db, remove(k, h)) // or its insert fails on the key
					e.clock.set(int64(e.version(db)) + int64(rapid.IntRange(1, 3).Draw(r, "seconds")))
					e.cppEdit(k, h, e.clock.now)
					if rapid.Bool().Draw(r, "deleted before the poll") {
						e.cppDNS()
					}
					f.poll()
				case "c++ dns":
					e.cppDNS()
				case "poll":
					f.poll()
				}
			}
			f.poll()
			if diff := route.Diff(f.table, e.load(db)); len(diff) > 0 {
				r.Fatalf("the follower is wrong about %v", diff)
			}
		})
	})
}
