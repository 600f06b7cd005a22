package config

import (
	"io"
	"log/slog"
)

// This file declares the sections that several programs share, so that a key
// has one meaning, one default and one range in all of them.

// LogConfig is the section [log].
type LogConfig struct {
	Level  string // debug, info, warn or error; the lowest level of the lines to write
	Format string // text or json
}

// BindLog declares the section [log].
func BindLog(s *Set) *LogConfig {
	c := new(LogConfig)
	s.Choice(&c.Level, "log", "level", "info", []string{"debug", "info", "warn", "error"}, "lowest level of the lines to write")
	s.Choice(&c.Format, "log", "format", "text", []string{"text", "json"}, "form of a line")
	return c
}

// Logger returns a logger that writes to w as the section says.
func (c *LogConfig) Logger(w io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo
	}
	opts := &slog.HandlerOptions{Level: level, ReplaceAttr: readable}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// StoreConfig is where the tables are: DSN, or else the MySQL fields if
// MySQLSet, or else the program's own default.
type StoreConfig struct {
	DSN Secret // of the section [store]

	// The section [mysql] of the original.
	Host     string // name or address
	Port     int    // 1..65535
	User     string
	Password Secret
	Database string

	set *Set
}

// BindStore declares the keys [store] dsn and all of [mysql].
func BindStore(s *Set) *StoreConfig {
	c := &StoreConfig{set: s}
	s.Secret(&c.DSN, "store", "dsn", "where the tables are: mysql://user:password@host:3306,host2:3306/lars_dns or sqlite:path; empty: [mysql]")
	s.String(&c.Host, "mysql", "db_host", "127.0.0.1", "host of the database, if [store] dsn is empty")
	s.Int(&c.Port, "mysql", "db_port", 3306, Between(1, 65535), "port of the database")
	s.String(&c.User, "mysql", "db_user", "root", "user to log in as")
	s.Secret(&c.Password, "mysql", "db_passwd", "password of that user")
	s.String(&c.Database, "mysql", "db_name", "lars_dns", "database that holds the tables")
	return c
}

// MySQLSet reports whether a source gave any key of [mysql]. It may be called
// after loading.
func (c *StoreConfig) MySQLSet() bool {
	for _, name := range c.set.names("mysql") {
		if c.set.IsSet("mysql", name) {
			return true
		}
	}
	return false
}
