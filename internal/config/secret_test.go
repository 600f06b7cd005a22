package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lars.internal/internal/config"
)

// secretFile writes a file with these permissions.
func secretFile(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// A password could stand in a configuration file, a variable or a flag alone, so it
// could not come from where secrets are kept.
func TestFinding45SecretFromAFile(t *testing.T) {
	path := secretFile(t, "from file\n", 0o600)
	credentials := t.TempDir()
	if err := os.WriteFile(filepath.Join(credentials, "mysql.db_passwd"), []byte("credential"), 0o400); err != nil {
		t.Fatal(err)
	}
	file := func(text string) string { return write(t, "[mysql]\n"+text) }
	env := func(pairs ...string) []string { return append(pairs, "CREDENTIALS_DIRECTORY="+credentials) }
	for _, c := range []struct {
		name string
		src  config.Sources
		want string
	}{
		{"credential", config.Sources{Environ: env()}, "credential"},
		{"credential for an empty key", config.Sources{File: file("db_passwd =\ndb_passwd_file ="), Environ: env()}, "credential"},
		{"no credential of this name", config.Sources{Environ: []string{"CREDENTIALS_DIRECTORY=" + t.TempDir()}}, ""},
		{"file over credential", config.Sources{File: file("db_passwd = abc"), Environ: env()}, "abc"},
		{"file of a file", config.Sources{File: file("db_passwd_file = " + path + "\ndb_passwd ="), Environ: env()}, "from file"},
		{"environment over file of a file", config.Sources{File: file("db_passwd_file = " + path), Environ: env("LARS_MYSQL_DB_PASSWD=e")}, "e"},
		{"file of the environment over file", config.Sources{File: file("db_passwd = abc"), Environ: env("LARS_MYSQL_DB_PASSWD_FILE=" + path)}, "from file"},
		{"flag", config.Sources{Environ: env("LARS_MYSQL_DB_PASSWD=e"), Flags: map[string]string{"mysql.db_passwd_file": path}}, "from file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			set, v := smallSet()
			if err := set.Load(c.src); err != nil || string(v.Secret) != c.want {
				t.Errorf("got %q, %v, want %q", string(v.Secret), err, c.want)
			}
			if set.IsSet("mysql", "db_passwd") != (c.want != "") {
				t.Error("IsSet does not follow")
			}
		})
	}
}

func TestFinding45BadSecretFile(t *testing.T) {
	for _, c := range []struct{ name, path, want string }{
		{"missing", "/nowhere/secret", "[mysql] db_passwd_file: open /nowhere/secret: no such file or directory"},
		{"empty", secretFile(t, "\n", 0o600), "want one line of text"},
		{"two lines", secretFile(t, "one\ntwo\n", 0o600), "want one line of text"},
		{"too long", secretFile(t, strings.Repeat("x", 70_000), 0o600), "want one line of text"},
	} {
		set, _ := smallSet()
		err := set.Load(config.Sources{Environ: []string{"LARS_MYSQL_DB_PASSWD_FILE=" + c.path}})
		if !strings.Contains(errorText(err), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
	set, _ := smallSet()
	err := set.Load(config.Sources{Environ: []string{"LARS_MYSQL_DB_PASSWD_FILE=/x", "LARS_MYSQL_DB_PASSWD=y"}})
	if want := "[mysql] db_passwd and db_passwd_file are both given, want one of them"; errorText(err) != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// A password that every user of the machine can read was once taken without a word.
func TestFinding45ExposedPasswordWarns(t *testing.T) {
	open := write(t, "[mysql]\ndb_passwd = hunter2")
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		src  config.Sources
		want string // in the only warning; "": no warning
	}{
		{"flag", config.Sources{Flags: map[string]string{"mysql.db_passwd": "hunter2"}}, "-mysql.db_passwd: every user"},
		{"open file", config.Sources{File: open}, "holds [mysql] db_passwd and can be read by every user"},
		{"open file, overridden", config.Sources{File: open, Environ: []string{"LARS_MYSQL_DB_PASSWD=x"}}, ""},
		{"closed file", config.Sources{File: write(t, "[mysql]\ndb_passwd = hunter2")}, ""},
		{"environment", config.Sources{Environ: []string{"LARS_MYSQL_DB_PASSWD=hunter2"}}, ""},
		{"open file of the secret", config.Sources{Flags: map[string]string{"mysql.db_passwd_file": secretFile(t, "hunter2", 0o644)}}, "db_passwd_file: "},
		{"DSN with a password", config.Sources{Flags: map[string]string{"store.dsn": "mysql://u:hunter2@h/d"}}, "-store.dsn: every user"},
		{"DSN without one", config.Sources{Flags: map[string]string{"store.dsn": "sqlite:/x"}}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			set, _ := smallSet()
			set.Secret(new(config.Secret), "store", "dsn", "database")
			if err := set.Load(c.src); err != nil {
				t.Fatal(err)
			}
			text := strings.Join(set.Warnings(), "\n")
			if (text == "") != (c.want == "") || !strings.Contains(text, c.want) || strings.Contains(text, "\n") || strings.Contains(text, "hunter2") {
				t.Errorf("warnings are %q, want one with %q", text, c.want)
			}
		})
	}
}

// A password that begins with # or ; was once empty without a word, and only the
// database's refusal hinted at it.
func TestFinding31EmptyPasswordBeforeACommentWarns(t *testing.T) {
	for _, c := range []struct {
		value, want string
		warns       bool
	}{
		{"= #hunter2", "", true},
		{"= ; hunter2", "", true},
		{"=", "", false},
		{`= "#hunter2"`, "#hunter2", false},
		{"= `;hunter2`", ";hunter2", false},
		{"=#hunter2", "#hunter2", false},
		{"= hunter2 ; why", "hunter2", false},
		{`= ""`, "", false},
	} {
		set, v := smallSet()
		if err := set.Load(config.Sources{File: write(t, "[mysql]\ndb_passwd "+c.value)}); err != nil {
			t.Fatal(err)
		}
		text := strings.Join(set.Warnings(), "\n")
		if string(v.Secret) != c.want || (text != "") != c.warns || c.warns && !strings.Contains(text, ":2: [mysql] db_passwd is empty") {
			t.Errorf("%s: got %q with the warnings %q", c.value, string(v.Secret), text)
		}
		if strings.Contains(text, "hunter2") {
			t.Errorf("%s: the warning shows the password", c.value)
		}
	}
}
