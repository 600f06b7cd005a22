package config_test

import (
	"strings"
	"testing"

	"lars.internal/internal/config"
)

func TestLogger(t *testing.T) {
	for _, c := range []struct{ name, level, format, want string }{
		{"defaults", "info", "text", "level=INFO msg=b\n"},
		{"json", "info", "json", `"level":"INFO","msg":"b"}` + "\n"},
		{"all", "debug", "text", "msg=b\n"},
		{"errors alone", "error", "text", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			set := config.NewSet("lars-test")
			cfg := config.BindLog(set)
			if err := set.Load(config.Sources{Flags: map[string]string{"log.level": c.level, "log.format": c.format}}); err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			log := cfg.Logger(&out)
			log.Debug("a")
			log.Info("b")
			if !strings.HasSuffix(out.String(), c.want) || c.want == "" && out.Len() > 0 {
				t.Errorf("got %q, want the end %q", out.String(), c.want)
			}
			if strings.Contains(out.String(), "msg=a") != (c.level == "debug") {
				t.Errorf("got %q at level %s", out.String(), c.level)
			}
		})
	}
}

func TestUnknownLogLevel(t *testing.T) {
	set := config.NewSet("lars-test")
	config.BindLog(set)
	err := set.Load(config.Sources{Environ: []string{"LARS_LOG_LEVEL=trace"}})
	if want := `LARS_LOG_LEVEL: got "trace", want one of debug, info, warn, error`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestStoreTellsWhoChoseMySQL(t *testing.T) {
	for _, c := range []struct {
		name    string
		environ []string
		want    bool
	}{
		{"nothing", nil, false},
		{"dsn alone", []string{"LARS_STORE_DSN=sqlite:x"}, false},
		{"one key", []string{"LARS_MYSQL_DB_HOST=127.0.0.1"}, true},
	} {
		set := config.NewSet("lars-test")
		store := config.BindStore(set)
		if err := set.Load(config.Sources{Environ: c.environ}); err != nil {
			t.Fatal(err)
		}
		if store.MySQLSet() != c.want {
			t.Errorf("%s: got %v, want %v", c.name, store.MySQLSet(), c.want)
		}
	}
}
