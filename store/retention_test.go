package store

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"lars.internal/route"
)

// twoYears is by how much a clock is wrong, in seconds.
const twoYears = 2 * 365 * 24 * 3600

// One edit from a clock two years ahead removed the audit of all the years
// before, and the change records with it.
func TestFinding25WrongClockRemovesNoHistory(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		const edits = 50
		for i := range uint32(edits) {
			e.edit(db, add(key(1, 1), host(i+1)))
		}
		e.clock.set(e.clock.now + twoYears)
		e.edit(db, add(key(1, 1), host(100)))
		e.edit(db, add(key(1, 1), host(101)))
		e.want("audit rows", e.number(`SELECT COUNT(*) FROM RouteAudit`), int64(edits+2))
		e.want("change rows", e.number(`SELECT COUNT(*) FROM RouteChange`), int64(edits+2))
	})
}

// Beyond the newest rows the age counts, from the oldest of them on.
func TestFinding25OldRowsGoWhenEnoughAreNewer(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		db.keepAudit = retention{rows: 3, versions: 100}
		start := e.clock.now
		for _, at := range []int64{0, 50, 1000, 1001, 1002, 1003} {
			e.clock.set(start + at)
			e.edit(db, add(key(1, 1), host(uint32(at+1))))
		}
		e.want("rows older than the newest three and 100 versions",
			e.number(`SELECT COUNT(*) FROM RouteAudit WHERE version < ?`, start+900), int64(0))
		e.want("audit rows", e.number(`SELECT COUNT(*) FROM RouteAudit`), int64(4))
	})
}

// A machine whose clock was years ahead moved the version, and with it all later
// ones, into the future without a word.
func TestFinding25ClockAheadOfTheDatabaseIsRefused(t *testing.T) {
	eachDialect(t, func(e *env) {
		db := e.migrated()
		e.clock.set(time.Now().Unix() + twoYears)
		_, err := db.EditRoutes(e.Context(), route.Edit{Who: "me", Changes: []route.Change{add(key(1, 1), host(1))}})
		if err == nil || !strings.Contains(err.Error(), "ahead of the database's") {
			e.Fatalf("got error %v, want one about the clock", err)
		}
		e.want("version", e.version(db), uint64(0))
		e.want("rows", e.number(`SELECT COUNT(*) FROM RouteData`), int64(0))
	})
}

// With one clock alone, nobody can say which of two times is wrong: a warning
// names both.
func TestFinding25OddVersionsAreNamed(t *testing.T) {
	tests := []struct {
		name    string
		version int64 // stored before the edit
		want    string
	}{
		{"the last edit was long ago", now - twoYears, "is the clock of this machine right?"},
		{"the last edit was years ahead", now + twoYears, "ahead of the clock"},
		{"a burst of edits", now + 20, ""},
		{"a month without edits", now - 30*24*3600, ""},
		{"the first edit", 0, ""},
	}
	eachDialect(t, func(e *env) {
		for _, tt := range tests {
			db, log := e.migrated(), new(logText)
			db.options.Logger = slog.New(slog.NewTextHandler(log, nil))
			e.exec(`UPDATE RouteVersion SET version = ?`, tt.version)
			e.edit(db, remove(key(1, 1)), set(key(1, 1), host(uint32(len(tt.name)))))
			switch got := log.String(); {
			case tt.want == "" && got != "":
				e.Errorf("%s: the log has %s", tt.name, got)
			case !strings.Contains(got, tt.want):
				e.Errorf("%s: the log has %q, want %q", tt.name, got, tt.want)
			}
		}
	})
}
