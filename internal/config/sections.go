package config

import (
	"io"
	"log/slog"
	"net/netip"
)

// This file declares the sections that several programs share, so that a key
// has one meaning, one default and one range in all of them.

// LogConfig is the section [log].
type LogConfig struct {
	Level  string // debug, info, warn or error; the least grave lines to write
	Format string // text or json
}

// BindLog declares the section [log].
func BindLog(s *Set) *LogConfig {
	c := new(LogConfig)
	s.Choice(&c.Level, "log", "level", "info", []string{"debug", "info", "warn", "error"}, "least grave lines to write")
	s.Choice(&c.Format, "log", "format", "text", []string{"text", "json"}, "form of a line")
	return c
}

// Logger returns a logger that writes to w as the section says.
func (c *LogConfig) Logger(w io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo
	}
	opts := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// ReactorConfig is the section [reactor] of a TCP service.
type ReactorConfig struct {
	MaxConn int        // connections at most, 1..1000000
	Threads int        // event loops, 1..256
	IP      netip.Addr // address to listen on
	Port    int        // port to listen on, 0..65535; 0 takes a free one
}

// BindReactor declares the section [reactor] with this default port.
func BindReactor(s *Set, port int) *ReactorConfig {
	c := new(ReactorConfig)
	s.Int(&c.MaxConn, "reactor", "maxConn", 1024, Between(1, 1_000_000), "connections at most")
	s.Int(&c.Threads, "reactor", "threadNum", 5, Between(1, 256), "event loops that serve connections")
	s.Addr(&c.IP, "reactor", "ip", netip.AddrFrom4([4]byte{127, 0, 0, 1}), "address to listen on")
	s.Int(&c.Port, "reactor", "port", port, Between(0, 65535), "port to listen on, 0 takes a free one")
	return c
}

// AddrPort returns the address to listen on.
func (c *ReactorConfig) AddrPort() netip.AddrPort {
	return netip.AddrPortFrom(c.IP, uint16(c.Port))
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

// AccessConfig is the section [access]: who may connect to a service.
type AccessConfig struct {
	Allow  []netip.Prefix // networks that may connect; empty: all
	Secret Secret         // what a peer has to prove that it knows; empty: nothing
}

// BindAccess declares the section [access].
func BindAccess(s *Set) *AccessConfig {
	c := new(AccessConfig)
	s.Prefixes(&c.Allow, "access", "allow", nil, "networks that may connect; empty: all")
	s.Secret(&c.Secret, "access", "secret", "what a peer has to know; empty: nothing")
	return c
}
