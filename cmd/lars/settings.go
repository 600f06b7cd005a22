package main

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"lars.internal/client"
	"lars.internal/cmd/internal/keys"
	"lars.internal/cmd/internal/process"
	"lars.internal/cmd/internal/tables"
	"lars.internal/internal/config"
	"lars.internal/store"
)

// settings are the flags that all commands have, and what follows from them.
// Owned by the main goroutine.
type settings struct {
	env process.Env

	file  string // -config
	agent string // --agent
	dsn   string // --dsn
}

func (s *settings) bind(root *cobra.Command) {
	f := root.PersistentFlags()
	f.StringVar(&s.file, "config", "", "configuration `FILE` of a server, read for [store], [mysql] and [agent]")
	f.StringVar(&s.agent, "agent", "", "`IP:PORT` of the agent, the first of its three ports (default: [agent] ip and port, LARS_AGENT_IP, LARS_AGENT_PORT, 127.0.0.1:8888)")
	f.StringVar(&s.dsn, "dsn", "", "`DSN` of the database, sqlite:FILE or mysql://USER:PASSWORD@HOST:3306/lars_dns (default: [store] dsn, LARS_STORE_DSN, [mysql], the SQLite file of this user if it exists)")
}

// load fills a set from the file and the environment.
func (s *settings) load(set *config.Set) error {
	keys.Share(set)
	if err := set.Load(config.Sources{File: s.file, Partial: true, Environ: s.env.Environ}); err != nil {
		return err
	}
	for _, w := range set.Warnings() {
		fmt.Fprintln(s.env.Stderr, "lars: "+w)
	}
	return nil
}

// opener is a function of package tables.
type opener func(*config.StoreConfig, store.Options) (*store.DB, error)

// openStore returns the database that flags, environment and file name. The
// caller closes it.
func (s *settings) openStore(open opener, options store.Options) (*store.DB, error) {
	set := config.NewSet("lars")
	where := config.BindStore(set)
	if err := s.load(set); err != nil {
		return nil, err
	}
	if s.dsn != "" {
		where.DSN = config.Secret(s.dsn)
		s.warnOfPassword("--dsn", s.dsn)
	}
	return open(where, options)
}

// warnOfPassword warns that other users of the machine see a DSN on the
// command line.
func (s *settings) warnOfPassword(name, dsn string) {
	if strings.Contains(dsn, "@") {
		fmt.Fprintf(s.env.Stderr, "lars: %s: every user of this machine can see the flags of a process; use LARS_STORE_DSN\n", name)
	}
}

// storeOptions are those of a command: the store's log goes to standard error.
func (s *settings) storeOptions(level slog.Level) store.Options {
	handler := slog.NewTextHandler(s.env.Stderr, &slog.HandlerOptions{Level: level})
	return store.Options{Logger: slog.New(handler)}
}

// withStore calls f with the database, after it has named it on standard error,
// so that the user sees which database is edited or listed.
func (s *settings) withStore(f func(*store.DB) error) error {
	return s.withStoreFrom(tables.Open, f)
}

func (s *settings) withStoreFrom(open opener, f func(*store.DB) error) error {
	db, err := s.openStore(open, s.storeOptions(slog.LevelWarn))
	if err != nil {
		return err
	}
	defer db.Close()
	fmt.Fprintf(s.env.Stderr, "lars: database %s\n", db)
	return f(db)
}

// openClient returns a client of the agent that flags, environment and file name.
// The caller closes it.
func (s *settings) openClient(c *cobra.Command) (*client.Client, error) {
	addr, err := s.agentAddr(c)
	if err != nil {
		return nil, err
	}
	return client.New(client.Config{Agent: addr})
}

func (s *settings) agentAddr(c *cobra.Command) (string, error) {
	var ip netip.Addr
	var port int
	set := config.NewSet("lars")
	set.Addr(&ip, "agent", "ip", netip.AddrFrom4([4]byte{127, 0, 0, 1}), "address of the agent")
	set.Int(&port, "agent", "port", 8888, config.Between(1, 65533), "first of the agent's three ports")
	if err := s.load(set); err != nil {
		return "", err
	}
	if s.agent == "" {
		return netip.AddrPortFrom(ip, uint16(port)).String(), nil
	}
	if !strings.Contains(s.agent, ":") {
		return net.JoinHostPort(s.agent, strconv.Itoa(port)), nil
	}
	if _, p, err := net.SplitHostPort(s.agent); err != nil || !isPort(p) {
		return "", usage(c, "--agent %q: want IP:PORT, for example 127.0.0.1:8888", s.agent)
	}
	return s.agent, nil
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

// printf writes to the command's output. It ignores a failed write: the reader of
// the output has ended then.
func (s *settings) printf(format string, args ...any) {
	fmt.Fprintf(s.env.Stdout, format, args...)
}
