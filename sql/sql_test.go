package sql

import (
	"io/fs"
	"testing"
)

// A number means the same step in each dialect, and the newest step is of
// both: it is what a program asks a database for.
func TestDialectsHaveTheSameSteps(t *testing.T) {
	if m, s := Newest(MySQL), Newest(SQLite); m != s || m == 0 {
		t.Errorf("newest step: MySQL %d, SQLite %d", m, s)
	}
	names, err := fs.Glob(SQLite, "*.sql")
	if err != nil || len(names) == 0 {
		t.Fatalf("files %v, error %v", names, err)
	}
	for _, name := range names {
		if _, err := fs.Stat(MySQL, name); err != nil {
			t.Errorf("%s is a step of SQLite alone", name)
		}
	}
}
