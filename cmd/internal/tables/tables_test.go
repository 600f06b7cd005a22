package tables

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lars.internal/internal/config"
	"lars.internal/store"
)

// load returns the store section as these sources give it.
func load(t *testing.T, src config.Sources) *config.StoreConfig {
	t.Helper()
	set := config.NewSet("test")
	c := config.BindStore(set)
	if err := set.Load(src); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestOpenChoosesTheDatabase(t *testing.T) {
	home := t.TempDir()
	t.Setenv("XDG_DATA_HOME", home)
	file := filepath.Join(home, "lars", "lars.db")
	cases := []struct {
		name string
		env  []string
		want string
	}{
		{"nothing is given", nil, "sqlite:" + file},
		{"a DSN", []string{"LARS_STORE_DSN=sqlite:/tmp/other.db"}, "sqlite:/tmp/other.db"},
		{"one key of mysql", []string{"LARS_MYSQL_DB_HOST=db1"}, "mysql://root@db1:3306/lars_dns"},
		{"the DSN wins over mysql", []string{"LARS_MYSQL_DB_HOST=db1", "LARS_STORE_DSN=sqlite:/tmp/other.db"}, "sqlite:/tmp/other.db"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			db, err := OpenOrMake(load(t, config.Sources{Environ: c.env}), store.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if got := db.String(); got != c.want {
				t.Errorf("database is %s, want %s", got, c.want)
			}
			if got := IsDefault(db); got != (c.env == nil) {
				t.Errorf("IsDefault is %v", got)
			}
		})
	}
}

func TestOpenOrMakeMakesThePrivateFolder(t *testing.T) {
	home := t.TempDir()
	t.Setenv("XDG_DATA_HOME", home)
	db, err := OpenOrMake(load(t, config.Sources{}), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	info, err := os.Stat(filepath.Join(home, "lars"))
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o700 {
		t.Errorf("folder has mode %o, want 700", got)
	}
}

// With LARS_STORE_DSN unset, an edit went into a new file of the user while the
// fleet ran on another database.
func TestFinding28NoDatabaseIsMadeByMistake(t *testing.T) {
	home := t.TempDir()
	t.Setenv("XDG_DATA_HOME", home)
	file := filepath.Join(home, "lars", "lars.db")
	_, err := Open(load(t, config.Sources{}), store.Options{})
	if err == nil || !strings.Contains(err.Error(), "no database is named") || !strings.Contains(err.Error(), "--dsn 'sqlite:"+file+"'") {
		t.Fatalf("got error %v, want one that says how to name a database", err)
	}
	if _, err := os.Stat(filepath.Dir(file)); err == nil {
		t.Error("the folder was made")
	}
	// The command that it names makes the folder.
	db, err := OpenToMigrate(load(t, config.Sources{Environ: []string{"LARS_STORE_DSN=sqlite:" + file}}), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	again, err := Open(load(t, config.Sources{}), store.Options{})
	if err != nil {
		t.Fatalf("with the file: %v", err)
	}
	again.Close()
}
