package store

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lars.internal/internal/testdb"
	"lars.internal/route"
)

// Of two editors who had both looked, the last won without a word.
func TestFinding27SecondOfTwoEditorsIsTold(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		k := key(1, 2)
		seen := e.edit(db, set(k, host(1))).Version
		e.edit(db, set(key(9, 9), host(9))) // another service is no conflict
		edit := func(who string, h route.Host) error {
			_, err := db.EditRoutes(e.Context(), route.Edit{Who: who, Changes: []route.Change{set(k, h)}, IfVersion: &seen})
			return err
		}
		if err := edit("ann", host(2)); err != nil {
			e.Fatal(err)
		}
		err := edit("bob", host(3))
		var conflict *route.ConflictError
		if !errors.As(err, &conflict) {
			e.Fatalf("got error %v, want a conflict", err)
		}
		want := &route.ConflictError{Seen: seen, Version: seen + 2, Services: []route.Service{{Key: k, Hosts: []route.Member{route.MemberOf(host(2))}}}}
		if diff := cmp.Diff(want, conflict); diff != "" {
			e.Errorf("conflict (-want +got):\n%s", diff)
		}
		if !strings.Contains(err.Error(), "1/2 has 10.0.0.2:7777") {
			e.Errorf("the error does not show what is there: %v", err)
		}
		seen = conflict.Version
		if err := edit("bob", host(3)); err != nil {
			e.Errorf("after a look: %v", err)
		}
	})
}

// What cannot be compared any more is a conflict too.
func TestEditIfAVersionThatIsNotOnRecord(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		e.edit(db, set(key(1, 2), host(1)))
		for name, seen := range map[string]uint64{"long ago": 5, "in the future": 4_000_000_000} {
			_, err := db.EditRoutes(e.Context(), route.Edit{Who: "ann", IfVersion: &seen, Changes: []route.Change{set(key(1, 2), host(2))}})
			if !errors.As(err, new(*route.ConflictError)) {
				e.Errorf("%s: got error %v, want a conflict", name, err)
			}
		}
	})
}

// An edit with the ID of one that was made is not made again, whatever has
// happened since.
func TestFinding27EditWithAnIDIsMadeOnce(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		edit := route.Edit{Who: "ann", ID: "once", Changes: []route.Change{add(key(1, 2), host(1))}}
		first, err := db.EditRoutes(e.Context(), edit)
		if err != nil || !first.Changed {
			e.Fatalf("first: %+v, %v", first, err)
		}
		e.edit(db, remove(key(1, 2)))
		again, err := db.EditRoutes(e.Context(), edit)
		if err != nil {
			e.Fatal(err)
		}
		if diff := cmp.Diff(route.EditResult{Version: first.Version, Repeated: true}, again); diff != "" {
			e.Errorf("result (-want +got):\n%s", diff)
		}
		e.want("hosts", len(e.load(db).Route(key(1, 2)).Hosts), 0)
	})
}

// brokenCommit makes an edit that adds host 1 to 1/2 through a connection that
// breaks at its commit, which the server gets or not. meanwhile is called between
// the break and what follows.
func brokenCommit(t *testing.T, pass, stayDown bool, meanwhile func(e *env, db *DB)) (*env, route.EditResult, error) {
	t.Helper()
	return brokenEdit(t, pass, stayDown, route.Edit{Who: "ann", Changes: []route.Change{add(key(1, 2), host(1))}}, meanwhile)
}

// brokenEdit is brokenCommit with another edit.
func brokenEdit(t *testing.T, pass, stayDown bool, edit route.Edit, meanwhile func(e *env, db *DB)) (*env, route.EditResult, error) {
	t.Helper()
	e, db := broken(t, pass, stayDown, meanwhile)
	r, err := db.EditRoutes(t.Context(), edit)
	return e, r, err
}

// broken returns a database of which the connection breaks at the next commit.
func broken(t *testing.T, pass, stayDown bool, meanwhile func(e *env, db *DB)) (*env, *DB) {
	t.Helper()
	s := testdb.MariaDB(t)
	e := &env{T: t, dsn: s.DSN(), raw: s.DB(), clock: &clock{now: now}, bad: new(badRows)}
	direct := e.migrated()
	var c *cutter
	c = newCutter(t, s, pass, func() {
		c.down.Store(stayDown)
		if meanwhile != nil {
			meanwhile(e, direct)
		}
	})
	options := quick
	options.Now = e.clock.read
	db, err := Open(c.dsn(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	c.cuts.Store(1)
	return e, db
}

// An acceptance whose commit broke was recorded twice, and nothing said whether it
// was recorded at all when the database stayed away.
func TestAcceptanceIsRecordedOnce(t *testing.T) {
	e, db := broken(t, true, false, nil)
	a, err := db.AcceptRoutes(t.Context(), "ann", "")
	if err != nil || a != (route.Acceptance{Version: now}) {
		t.Fatalf("got %+v, %v", a, err)
	}
	e.want("records", e.number(`SELECT COUNT(*) FROM RouteAudit`), int64(1))

	e, db = broken(t, true, true, nil)
	_, err = db.AcceptRoutes(t.Context(), "ann", "")
	var unknown *route.UnknownEditError
	if !errors.As(err, &unknown) || !strings.Contains(err.Error(), "accept routes") {
		t.Fatalf("got error %v", err)
	}
	a, err = e.open().AcceptRoutes(t.Context(), "ann", unknown.ID)
	if err != nil || a != (route.Acceptance{Version: now, Repeated: true}) {
		t.Errorf("repeated: got %+v, %v", a, err)
	}
	e.want("records", e.number(`SELECT COUNT(*) FROM RouteAudit`), int64(1))
}

// An edit whose commit broke was made again: if somebody else had undone it in
// between, their edit was undone.
func TestFinding27BrokenCommitIsRepeatedExactly(t *testing.T) {
	t.Run("made, and undone by another", func(t *testing.T) {
		e, r, err := brokenCommit(t, true, false, func(e *env, db *DB) { e.edit(db, remove(key(1, 2))) })
		if err != nil {
			t.Fatal(err)
		}
		want := []route.ServiceChange{{Key: key(1, 2), Added: []route.Host{host(1)}}}
		if diff := cmp.Diff(want, r.Services); diff != "" || !r.Changed || r.Version != now {
			t.Errorf("result %+v", r)
		}
		e.want("edits", e.number(`SELECT COUNT(*) FROM RouteAudit`), int64(2))
		e.want("hosts", e.number(`SELECT COUNT(*) FROM RouteData`), int64(0))
	})
	t.Run("made", func(t *testing.T) {
		e, r, err := brokenCommit(t, true, false, nil)
		if err != nil || !r.Changed {
			t.Fatalf("result %+v, error %v", r, err)
		}
		e.want("edits", e.number(`SELECT COUNT(*) FROM RouteAudit`), int64(1))
	})
	t.Run("not made", func(t *testing.T) {
		e, r, err := brokenCommit(t, false, false, nil)
		if err != nil || !r.Changed {
			t.Fatalf("result %+v, error %v", r, err)
		}
		e.want("edits", e.number(`SELECT COUNT(*) FROM RouteAudit`), int64(1))
	})
}

// An edit on a database that broke away said "context deadline exceeded", and not
// whether it was made.
func TestFinding32OutcomeThatIsNotKnown(t *testing.T) {
	for name, pass := range map[string]bool{"the commit arrived": true, "it did not": false} {
		t.Run(name, func(t *testing.T) {
			e, _, err := brokenCommit(t, pass, true, nil)
			var unknown *route.UnknownEditError
			if !errors.As(err, &unknown) || !strings.Contains(err.Error(), "not known whether the edit was made") ||
				!strings.Contains(err.Error(), unknown.ID) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("got error %v", err)
			}
			// What it names as a remedy.
			db := e.open()
			r, err := db.EditRoutes(t.Context(), route.Edit{Who: "ann", ID: unknown.ID, Changes: []route.Change{add(key(1, 2), host(1))}})
			if err != nil {
				t.Fatal(err)
			}
			e.want("made before", r.Repeated, pass)
			e.want("edits", e.number(`SELECT COUNT(*) FROM RouteAudit`), int64(1))
			e.want("hosts", len(e.load(db).Route(key(1, 2)).Hosts), 1)
		})
	}
}

// Once a look has shown that the broken commit did not arrive, the outcome is known.
func TestFinding32OutcomeThatBecomesKnown(t *testing.T) {
	edit := route.Edit{Who: "ann", IfVersion: new(uint64), Changes: []route.Change{add(key(1, 2), host(1))}}
	_, _, err := brokenEdit(t, false, false, edit, func(e *env, db *DB) { e.edit(db, add(key(1, 2), host(2))) })
	if !errors.As(err, new(*route.ConflictError)) || errors.As(err, new(*route.UnknownEditError)) {
		t.Errorf("got error %v, want the conflict with the other edit", err)
	}
}

func TestFinding32EditThatWasNotMadeSaysSo(t *testing.T) {
	s := testdb.StartMariaDB(t)
	e := &env{T: t, dsn: s.DSN(), clock: &clock{now: now}, bad: new(badRows)}
	e.migrated()
	db, err := Open(s.DSN(), quick)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	e.version(db)
	for name, outage := range map[string][2]func(){"hanging": {s.Freeze, s.Thaw}, "killed": {s.Kill, s.Start}} {
		outage[0]()
		_, err := db.EditRoutes(t.Context(), route.Edit{Who: "ann", Changes: []route.Change{add(key(1, 2), host(1))}})
		outage[1]()
		if err == nil || !strings.HasSuffix(err.Error(), "; the edit was not made") {
			t.Errorf("%s: got error %v", name, err)
		}
	}
	e.want("version", e.version(db), uint64(0))
}

// What a broken commit of a copy left was not said. A second run is right in any
// case.
func TestCopyWhoseCommitBreaks(t *testing.T) {
	from := &env{T: t, dsn: "sqlite:" + filepath.Join(t.TempDir(), "from.db"), clock: &clock{now: now}, bad: new(badRows)}
	source := from.migrated()
	from.edit(source, add(key(1, 2), host(1)))
	for name, pass := range map[string]bool{"the commit arrived": true, "it did not": false} {
		t.Run(name, func(t *testing.T) {
			e, db := broken(t, pass, false, nil)
			_, err := Copy(t.Context(), source, db)
			if err == nil || !strings.Contains(err.Error(), "not known whether it was copied") {
				t.Errorf("got error %v", err)
			}
			_, err = Copy(t.Context(), source, db)
			e.want("copied before", errors.Is(err, ErrNotEmpty), pass)
			e.want("hosts", len(e.load(db).Route(key(1, 2)).Hosts), 1)
		})
	}
}

// The same for a restore into a database that holds something.
func TestRestoreWhoseCommitBreaks(t *testing.T) {
	from := &env{T: t, dsn: "sqlite:" + filepath.Join(t.TempDir(), "from.db"), clock: &clock{now: now}, bad: new(badRows)}
	source := from.migrated()
	from.edit(source, add(key(1, 2), host(1)))
	backup := filepath.Join(t.TempDir(), "backup.db")
	if _, err := source.Backup(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	for name, pass := range map[string]bool{"the commit arrived": true, "it did not": false} {
		t.Run(name, func(t *testing.T) {
			e, db := broken(t, pass, true, nil)
			direct := e.open()
			e.edit(direct, add(key(3, 4), host(3)))
			_, err := db.Restore(t.Context(), "ann", backup)
			if err == nil || !strings.Contains(err.Error(), "not known whether it was restored") || strings.Contains(err.Error(), " id ") {
				t.Errorf("got error %v", err)
			}
			r, err := direct.Restore(t.Context(), "ann", backup)
			if err != nil {
				t.Fatal(err)
			}
			e.want("restored now", r.Edit.Changed, !pass)
			e.want("hosts", e.number(`SELECT COUNT(*) FROM RouteData`), int64(1))
			e.want("hosts of 1/2", len(e.load(direct).Route(key(1, 2)).Hosts), 1)
		})
	}
}
