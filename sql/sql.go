// Package sql holds the migrations of the store, a folder per dialect.
//
// A file is named NUMBER_what.sql and written for goose. A number means the
// same step in each dialect; a step that a dialect has no need for has no file
// there. Files that have been released never change: a new step is a new file.
//
//	f, err := sql.MySQL.Open("00001_tables.sql")
//	step := sql.Newest(sql.MySQL)
//
// MySQL ends a transaction at each change of a table. Its files therefore run
// without one, each statement may run twice, and a file holds at most one that
// MySQL (not MariaDB) refuses the second time, as its last.
//
// Migrations only add: programs of the release before, and C++ peers, go on
// beside the new tables. There is no way down and no need for one.
//
// The file systems are read-only and safe for concurrent use.
package sql

import (
	"embed"
	"io/fs"
	"strconv"
	"strings"
)

//go:embed mysql/*.sql sqlite/*.sql
var files embed.FS

// The migrations of each dialect.
var (
	MySQL  = folder("mysql")
	SQLite = folder("sqlite")
)

func folder(name string) fs.FS {
	sub, err := fs.Sub(files, name)
	if err != nil {
		panic(err) // only for a name that is no path
	}
	return sub
}

// Newest returns the number of the last migration of a dialect.
func Newest(dialect fs.FS) int64 {
	names, err := fs.Glob(dialect, "*.sql")
	if err != nil {
		panic(err) // only for a pattern that is malformed
	}
	newest := int64(0)
	for _, name := range names {
		number, _, _ := strings.Cut(name, "_")
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			panic("sql: the file " + name + " does not start with a number")
		}
		newest = max(newest, n)
	}
	return newest
}
