package config_test

import (
	"errors"
	"strings"
	"testing"

	"lars.internal/internal/config"
)

func TestParse(t *testing.T) {
	file := write(t, "[reactor]\nport = 1\n[mysql]\ndb_name = f")
	for _, c := range []struct {
		name    string
		args    []string
		environ []string
		port    int
		db      string
	}{
		{"nothing", nil, nil, 7778, "lars_dns"},
		{"file", []string{"-config", file}, nil, 1, "f"},
		{"file, two dashes", []string{"--config=" + file}, nil, 1, "f"},
		{"environment over file", []string{"-config", file}, []string{"LARS_REACTOR_PORT=2"}, 2, "f"},
		{"flag over all", []string{"-reactor.port", "3", "-config", file}, []string{"LARS_REACTOR_PORT=2"}, 3, "f"},
		{"flag with equals sign", []string{"-mysql.db_name=x=y"}, nil, 7778, "x=y"},
		{"empty value", []string{"-mysql.db_name", ""}, nil, 7778, ""},
		{"last flag wins", []string{"-reactor.port=4", "-reactor.port=5"}, nil, 5, "lars_dns"},
	} {
		t.Run(c.name, func(t *testing.T) {
			set, v := smallSet()
			var out strings.Builder
			if err := config.Parse(set, c.args, c.environ, &out); err != nil {
				t.Fatal(err)
			}
			if v.Port != c.port || v.Name != c.db || out.Len() > 0 {
				t.Errorf("got %d, %q and output %q, want %d, %q and none", v.Port, v.Name, out.String(), c.port, c.db)
			}
		})
	}
}

func TestParseUsageErrors(t *testing.T) {
	for _, c := range []struct{ name, args, want string }{
		{"unknown flag", "-reactor.prot 1", "flag provided but not defined: -reactor.prot; lars-test -h lists the flags"},
		{"no value", "-reactor.port", "flag needs an argument: -reactor.port; lars-test -h lists the flags"},
		{"argument", "start", `unexpected argument "start", want flags only; lars-test -h lists the flags`},
		{"bad value", "-reactor.port x", `-reactor.port: got "x", want an integer 1..65535`},
	} {
		t.Run(c.name, func(t *testing.T) {
			set, _ := smallSet()
			err := config.Parse(set, strings.Fields(c.args), nil, new(strings.Builder))
			if err == nil || err.Error() != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
			var out strings.Builder
			config.Fail(&out, "lars-test", err)
			if config.ExitCode(err) != 2 || out.String() != "lars-test: "+c.want+"\n" {
				t.Errorf("exit code %d with %q, want 2 and the error", config.ExitCode(err), out.String())
			}
		})
	}
}

func TestFailNamesTheProgramInEachLine(t *testing.T) {
	set, _ := smallSet()
	err := config.Parse(set, []string{"-reactor.port", "x"}, []string{"LARS_LOADBALANCE_ERR_RATE=y"}, new(strings.Builder))
	var out strings.Builder
	config.Fail(&out, "lars-test", err)
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != 2 {
		t.Fatalf("got %q, want two lines", out.String())
	}
	for _, line := range lines {
		if !strings.HasPrefix(line, "lars-test: ") {
			t.Errorf("line %q does not begin with the program's name", line)
		}
	}
}

func TestVersion(t *testing.T) {
	set, _ := smallSet()
	set.Version = "v1.2.3"
	var out strings.Builder
	err := config.Parse(set, []string{"-version"}, nil, &out)
	if !errors.Is(err, config.ErrVersion) || config.ExitCode(err) != 0 || out.String() != "lars-test v1.2.3\n" {
		t.Errorf("got %v, %q", err, out.String())
	}
}

func TestHelpShowsEveryKey(t *testing.T) {
	set, _ := smallSet()
	config.BindLog(set)
	var out strings.Builder
	err := config.Parse(set, []string{"-h"}, []string{"LARS_MYSQL_DB_PASSWD=hunter2"}, &out)
	if !errors.Is(err, config.ErrHelp) || config.ExitCode(err) != 0 {
		t.Errorf("got %v", err)
	}
	var quiet strings.Builder
	config.Fail(&quiet, "lars-test", err)
	if quiet.Len() > 0 {
		t.Errorf("Fail printed %q for -h", quiet.String())
	}
	for _, k := range set.Keys() {
		for _, part := range []string{"\n[" + k.Section + "]\n", "\n  -" + k.Flag() + " ", k.Doc + "; " + k.Want, "(default "} {
			if !strings.Contains(out.String(), part) {
				t.Errorf("the help lacks %q", part)
			}
		}
	}
	if strings.Contains(out.String(), "hunter2") {
		t.Error("the help shows a secret")
	}
}
