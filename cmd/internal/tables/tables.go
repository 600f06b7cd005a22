// Package tables decides which database a program of Lars works on.
//
//	where := config.BindStore(set) // [store] dsn and [mysql]
//	... // load the set
//	db, err := tables.Open(where, store.Options{})
//	err = tables.Check(ctx, db, store.ForRoutes, log) // are the tables there?
//
// That is [store] dsn if it is given, else the section [mysql] if any of its keys
// is given, else a SQLite file of this user, the same for all programs:
// $XDG_DATA_HOME/lars/lars.db, without that variable /var/lib/lars/lars.db for
// root and ~/.local/share/lars/lars.db for others. The file is used only if it
// exists: otherwise a variable that is not set would send an edit of a fleet on
// another database into a new file. OpenOrMake, for `lars up`, makes it.
//
// The functions are safe for concurrent use. Making the tables is left to the
// command `lars db migrate`.
package tables

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"lars.internal/internal/config"
	"lars.internal/store"
)

// Open returns the database that c names, or the file of this user if c names
// none and the file exists. Like store.Open it does not ask the database anything.
func Open(c *config.StoreConfig, options store.Options) (*store.DB, error) {
	dsn := named(c)
	if dsn == "" {
		file, err := defaultFile()
		if err != nil {
			return nil, err
		}
		dsn = "sqlite:" + file
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("no database is named, and this user has no %s; name one with LARS_STORE_DSN, --dsn or [store] dsn, "+
				"or make that file: lars db migrate --dsn '%s'", file, dsn)
		}
	}
	return store.Open(dsn, options)
}

// OpenOrMake returns the database that c names, or the file of this user, whose
// folder it makes.
func OpenOrMake(c *config.StoreConfig, options store.Options) (*store.DB, error) {
	if named(c) != "" {
		return Open(c, options)
	}
	file, err := defaultFile()
	if err != nil {
		return nil, err
	}
	if err := makeFolder(file); err != nil {
		return nil, err
	}
	return store.Open("sqlite:"+file, options)
}

// OpenToMigrate is Open, but makes the folder of the file of this user if c names
// that file.
func OpenToMigrate(c *config.StoreConfig, options store.Options) (*store.DB, error) {
	db, err := Open(c, options)
	if err != nil || !IsDefault(db) {
		return db, err
	}
	file, err := defaultFile()
	if err == nil {
		err = makeFolder(file)
	}
	if err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

func makeFolder(file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("make the folder of the database: %w; or name another with LARS_STORE_DSN", err)
	}
	return nil
}

// IsDefault reports whether this database is the file of this user.
func IsDefault(db *store.DB) bool {
	file, err := defaultFile()
	return err == nil && db.String() == "sqlite:"+file
}

// named returns the DSN that the configuration names, or "".
func named(c *config.StoreConfig) string {
	if c.DSN == "" && c.MySQLSet() {
		return store.MySQLDSN(c.Host, c.Port, c.User, string(c.Password), c.Database)
	}
	return string(c.DSN)
}

func defaultFile() (string, error) {
	folder, err := dataFolder()
	if err != nil {
		return "", err
	}
	return filepath.Join(folder, "lars", "lars.db"), nil
}

func dataFolder() (string, error) {
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return dir, nil
	}
	if os.Geteuid() == 0 {
		return "/var/lib", nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", errors.New("no home folder for the database; name one with LARS_STORE_DSN=sqlite:FILE")
	}
	return filepath.Join(home, ".local", "share"), nil
}

// checkTime is how long Check waits for an answer, in which a healthy database
// answers many times over.
const checkTime = 3 * time.Second

// Check returns store.ErrNoSchema, with the command that makes the tables, when
// what a use needs is missing: waiting does not mend that. A database that cannot
// be asked costs a warning, since that may pass.
func Check(ctx context.Context, db *store.DB, use store.Use, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	err := db.CheckSchema(ctx, use)
	if err != nil && !errors.Is(err, store.ErrNoSchema) {
		log.Warn("the database cannot be used yet, going on without it", "error", err)
		return nil
	}
	return err
}
