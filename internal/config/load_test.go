package config_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lars.internal/internal/config"
)

// small has a key of most kinds and keeps what it read.
type small struct {
	Port   int
	Rate   float64
	Name   string
	Secret config.Secret
}

func smallSet() (*config.Set, *small) {
	set, v := config.NewSet("lars-test"), new(small)
	set.Int(&v.Port, "reactor", "port", 7778, config.Between(1, 65535), "port to listen on")
	set.Int(new(int), "reactor", "maxConn", 1024, config.Between(1, 1000000), "connections")
	set.Float(&v.Rate, "loadbalance", "err_rate", 0.1, config.Between(0.0, 1.0), "rate")
	set.String(&v.Name, "mysql", "db_name", "lars_dns", "database")
	set.Secret(&v.Secret, "mysql", "db_passwd", "password")
	set.Alias("balance", "loadbalance")
	return set, v
}

// The original reads a bad number as 0 and crashes on a key before any section.
func TestBadFileIsAnswered(t *testing.T) {
	for _, c := range []struct{ name, file, want string }{
		{"not a number", "[reactor]\nport = x", `FILE:2: [reactor] port: got "x", want an integer 1..65535`},
		{"empty number", "[reactor]\nport =", `FILE:2: [reactor] port: got "", want an integer 1..65535`},
		{"number with a tail", "[reactor]\nport = 80a", `FILE:2: [reactor] port: got "80a", want an integer 1..65535`},
		{"below the range", "[reactor]\n\n; c\nport = 0", `FILE:4: [reactor] port: got "0", want an integer 1..65535`},
		{"above the range", "[reactor]\nport = 65536", `FILE:2: [reactor] port: got "65536", want an integer 1..65535`},
		{"beyond int", "[reactor]\nport = 99999999999999999999", `FILE:2: [reactor] port: got "99999999999999999999", want an integer 1..65535`},
		{"rate above 1", "[loadbalance]\nerr_rate = 1.5", `FILE:2: [loadbalance] err_rate: got "1.5", want a number 0..1`},
		{"rate NaN", "[loadbalance]\nerr_rate = NaN", `FILE:2: [loadbalance] err_rate: got "NaN", want a number 0..1`},
		{"other case", "[reactor]\nmaxconn = 1", `FILE:2: [reactor] maxconn: unknown key, did you mean maxConn?`},
		{"typing error", "[mysql]\ndb_pasword = s3", `FILE:2: [mysql] db_pasword: unknown key, did you mean db_passwd?`},
		{"unknown key", "[reactor]\ntimeout = 1", `FILE:2: [reactor] timeout: unknown key, want one of maxConn, port`},
		{"unknown section", "[web]\nport = 1", `FILE:1: [web]: unknown section, want one of balance, loadbalance, mysql, reactor`},
		{"misspelt section", "[reacter]", `FILE:1: [reacter]: unknown section, did you mean reactor?`},
		{"the parser's own section", "[DEFAULT]\nport = 1", `FILE:1: [DEFAULT]: unknown section, want one of balance, loadbalance, mysql, reactor`},
		{"key before a section", "port = 1\n[reactor]", `FILE:1: key port comes before any section, want [section] above it`},
		{"key twice", "[reactor]\nport = 1\nmaxConn = 1\nport = 2", `FILE:4: [reactor] port: given before in line 2, want it once`},
		{"key twice by alias", "[balance]\nerr_rate = 0\n[loadbalance]\nerr_rate = 1", `FILE:4: [loadbalance] err_rate: given before in line 2, want it once`},
		{"no delimiter", "[mysql]\ndb_passwd s3cret", `FILE:2: not understood, want [section], key = value, or a comment after ';'`},
		{"no key", "[mysql]\n= s3cret", `FILE:2: not understood, want [section], key = value, or a comment after ';'`},
		{"open section", "[mysql", `FILE:1: not understood, want [section], key = value, or a comment after ';'`},
		{"empty section", "[]", `FILE:1: not understood, want [section], key = value, or a comment after ';'`},
		{"text after a section", "[mysql] x", `FILE:1: not understood, want [section], key = value, or a comment after ';'`},
		{"open quote", "[mysql]\ndb_name = \"x\nport = 1", "FILE:2: a quote that opens the value is not closed\nFILE:3: [mysql] port: unknown key, want one of db_name, db_passwd, db_passwd_file"},
		{"text after a quote", "[mysql]\ndb_name = \"s3\"cret", "FILE:2: text after the quote that closes the value, want a comment after ';' or nothing"},
		{"several", "[reactor]\nport = x\nmaxConn = y", "FILE:2: [reactor] port: got \"x\", want an integer 1..65535\nFILE:3: [reactor] maxConn: got \"y\", want an integer 1..1000000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			set, _ := smallSet()
			path := write(t, c.file)
			err := set.Load(config.Sources{File: path})
			if want := strings.ReplaceAll(c.want, "FILE", path); err == nil || err.Error() != want {
				t.Errorf("got\n%v\nwant\n%s", err, want)
			}
			if config.ExitCode(err) != 1 {
				t.Errorf("exit code %d, want 1", config.ExitCode(err))
			}
		})
	}
}

func TestAtMostTenFindings(t *testing.T) {
	var file strings.Builder
	for i := range 13 {
		fmt.Fprintf(&file, "[s%d]\n", i)
	}
	set, _ := smallSet()
	err := set.Load(config.Sources{File: write(t, file.String())})
	if err == nil {
		t.Fatal("no error")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 11 || lines[10] != "and 3 more" {
		t.Errorf("got\n%v\nwant ten lines and one that counts the rest", err)
	}
}

func TestFileForms(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"plain", "= abc", "abc"},
		{"no blanks", "=abc", "abc"},
		{"many blanks", "  \t=\t  abc \t", "abc"},
		{"empty", "=", ""},
		{"inner blanks", "= a b", "a b"},
		{"comment", "= abc ; why", "abc"},
		{"comment after a tab", "= abc\t# why", "abc"},
		{"two comments", "= abc ; one # two", "abc"},
		{"comment alone", "= ; none", ""},
		{"password with marks", "= a#b;c", "a#b;c"},
		{"password that starts with a mark", "=#b", "#b"},
		{"delimiters inside", "= u:p@h?x=1&y=2", "u:p@h?x=1&y=2"},
		{"reference of the parser", "= %(db_passwd)s", "%(db_passwd)s"},
		{"backslash at the end", `= abc\`, `abc\`},
		{"quoted", `= "a ; b # c"`, "a ; b # c"},
		{"quoted, then a comment", `= "a ; b" ; c`, "a ; b"},
		{"quote inside quotes", `= "a\"b"`, `a"b`},
		{"single quotes are part of it", "= 'a'", "'a'"},
		{"a mark at the start, quoted", `= "#a;b"`, "#a;b"},
		{"blanks in quotes", `= " a "`, " a "},
		{"backquoted", "= `a ; \"b`", `a ; "b`},
		{"carriage return", "= abc\r", "abc"},
	} {
		t.Run(c.name, func(t *testing.T) {
			set, v := smallSet()
			text := "\uFEFF[ mysql ] ; heading\n\n; a comment\n  db_name" + c.value + "\n# end\n[reactor]\nport = 5\n"
			if err := set.Load(config.Sources{File: write(t, text)}); err != nil {
				t.Fatal(err)
			}
			if v.Name != c.want || v.Port != 5 {
				t.Errorf("got %q and port %d, want %q and 5", v.Name, v.Port, c.want)
			}
		})
	}
}

func TestSectionMayRepeat(t *testing.T) {
	set, v := smallSet()
	if err := set.Load(config.Sources{File: write(t, "[reactor]\nmaxConn=1\n[mysql]\n[reactor]\nport=9")}); err != nil {
		t.Fatal(err)
	}
	if v.Port != 9 {
		t.Errorf("port: got %d", v.Port)
	}
}

func TestLaterSourceWins(t *testing.T) {
	file := "[reactor]\nport = 1"
	environ := []string{"LARS_REACTOR_PORT=2", "LARS_SIBLINGS_KEY=x", "LARS_", "PATH=/bin", "odd"}
	flags := map[string]string{"reactor.port": "3"}
	for _, c := range []struct {
		name string
		src  config.Sources
		want int
		set  bool
	}{
		{"default", config.Sources{}, 7778, false},
		{"file", config.Sources{File: write(t, file)}, 1, true},
		{"environment", config.Sources{File: write(t, file), Environ: environ}, 2, true},
		{"empty variable", config.Sources{File: write(t, file), Environ: []string{"LARS_REACTOR_PORT="}}, 1, true},
		{"empty variable alone", config.Sources{Environ: []string{"LARS_REACTOR_PORT="}}, 7778, false},
		{"flag", config.Sources{File: write(t, file), Environ: environ, Flags: flags}, 3, true},
		{"the default itself", config.Sources{Environ: []string{"LARS_REACTOR_PORT=7778"}}, 7778, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			set, v := smallSet()
			set.KnowAlso("LARS_SIBLINGS_KEY")
			if err := set.Load(c.src); err != nil {
				t.Fatal(err)
			}
			if v.Port != c.want || set.IsSet("reactor", "port") != c.set {
				t.Errorf("got %d, set %v, want %d, %v", v.Port, set.IsSet("reactor", "port"), c.want, c.set)
			}
			if set.IsSet("mysql", "db_name") {
				t.Error("a key that nobody gave is set")
			}
		})
	}
}

func TestOrigin(t *testing.T) {
	file := write(t, "[balance]\n\nerr_rate = 0.2")
	for _, c := range []struct {
		name    string
		src     config.Sources
		place   string
		changed bool
	}{
		{"default", config.Sources{}, "", false},
		{"file", config.Sources{File: file}, file + ":3: [balance] err_rate", true},
		{"environment", config.Sources{Environ: []string{"LARS_LOADBALANCE_ERR_RATE=0.3"}}, "LARS_LOADBALANCE_ERR_RATE", true},
		{"flag", config.Sources{Flags: map[string]string{"loadbalance.err_rate": "0.3"}}, "-loadbalance.err_rate", true},
		{"the default in other words", config.Sources{Environ: []string{"LARS_LOADBALANCE_ERR_RATE=.10"}}, "LARS_LOADBALANCE_ERR_RATE", false},
		{"back to the default", config.Sources{File: file, Environ: []string{"LARS_LOADBALANCE_ERR_RATE=0.1"}}, "LARS_LOADBALANCE_ERR_RATE", false},
	} {
		set, _ := smallSet()
		if err := set.Load(c.src); err != nil {
			t.Fatal(err)
		}
		if place, changed := set.Origin("loadbalance", "err_rate"); place != c.place || changed != c.changed {
			t.Errorf("%s: %q, changed %v; want %q, %v", c.name, place, changed, c.place, c.changed)
		}
	}
}

func TestBadEnvironmentAndFlags(t *testing.T) {
	set, _ := smallSet()
	err := set.Load(config.Sources{Environ: []string{"LARS_REACTOR_PORT=x"}})
	if want := `LARS_REACTOR_PORT: got "x", want an integer 1..65535`; err == nil || err.Error() != want || errors.Is(err, config.ErrUsage) {
		t.Errorf("got %v, want %s, which is no usage error", err, want)
	}
	err = set.Load(config.Sources{Flags: map[string]string{"reactor.port": "x", "a.b": "c"}})
	want := "-reactor.port: got \"x\", want an integer 1..65535\n-a.b: unknown flag"
	if err == nil || err.Error() != want || !errors.Is(err, config.ErrUsage) {
		t.Errorf("got %v, want %s, which is a usage error", err, want)
	}
}

func TestPartialSkipsWhatItDoesNotKnow(t *testing.T) {
	set, v := smallSet()
	path := write(t, "[web]\nport = 1\n[reactor]\nthreadNum = 5\nport = 9")
	if err := set.Load(config.Sources{File: path, Partial: true}); err != nil || v.Port != 9 {
		t.Errorf("got %v and port %d, want 9", err, v.Port)
	}
	path = write(t, "[reactor]\nport = x")
	if err := set.Load(config.Sources{File: path, Partial: true}); err == nil {
		t.Error("a bad value of a known key passed")
	}
}

func TestUnreadableFile(t *testing.T) {
	large := write(t, strings.Repeat("; comment\n", 1<<17))
	for _, c := range []struct{ name, path, contains string }{
		{"missing", filepath.Join(t.TempDir(), "none.conf"), "no such file"},
		{"a folder", t.TempDir(), "is a directory"},
		{"too large", large, "not a configuration file"},
		{"not a text", write(t, "[reactor]\n\x1b[2J = 1"), "not a configuration file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			set, _ := smallSet()
			err := set.Load(config.Sources{File: c.path})
			if err == nil || !strings.Contains(err.Error(), c.contains) || !strings.Contains(err.Error(), c.path) {
				t.Errorf("got %v, want %q and the path", err, c.contains)
			}
		})
	}
}

func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob("../../conf/*.conf")
	if err != nil || len(files) != 3 {
		f.Fatalf("shipped files: %v %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add("[a\n]=\"\n```\n[[x]]\n\"\"\"y\"\"\"=z\n- = 1\n")
	f.Fuzz(func(t *testing.T, text string) {
		set, v := smallSet()
		path := write(t, text)
		if err := set.Load(config.Sources{File: path}); err != nil {
			if len(strings.Split(err.Error(), "\n")) > 11 {
				t.Errorf("more than eleven lines: %v", err)
			}
			return
		}
		if v.Port < 1 || v.Port > 65535 || !(v.Rate >= 0 && v.Rate <= 1) {
			t.Errorf("out of range: %+v", v)
		}
	})
}
