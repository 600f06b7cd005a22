package debug

import (
	"log/slog"
	"net/netip"

	"github.com/prometheus/client_golang/prometheus"
)

// Config says where a Server listens and what it shows. The zero Config is
// turned off.
type Config struct {
	// Addr is the address to listen on, as in 127.0.0.1:7780 or localhost:0.
	// Empty or "off": none, the server does nothing. An address that is not
	// loopback shows all of it to everybody who can reach it.
	Addr string

	// Profiles says whether /debug/pprof/ is shown: "on", "off", or "auto" (also the
	// empty text): only on loopback. A profile costs CPU and exposes the process to
	// everybody who can reach the pages.
	Profiles string

	// Explicit says that an operator chose Addr. A port in use is an error then;
	// else it costs a warning and the server does without. Bind sets it by
	// itself.
	Explicit bool

	// AwaitPort makes the server wait for a port in use to be free, as that of a
	// process that this one replaces soon is.
	AwaitPort bool

	// Metrics are shown at /metrics, with those of the process. All have names of
	// their own.
	Metrics []prometheus.Collector

	// Program and Version are what lars_build_info shows.
	Program, Version string

	// Ready returns nil while the service can do its work, else the reason why
	// it cannot. Nil: always ready.
	Ready func() error

	// Remark is a line that /readyz says beside "ready", such as that the data
	// are stale; "" for none. Nil: none ever.
	Remark func() string

	// Log receives what changes in the server. Nil: nothing.
	Log *slog.Logger

	isSet func() bool // whether a source gave Addr; nil: see Explicit
}

// Set is the part of a *config.Set that Bind needs.
type Set interface {
	String(p *string, section, name, def, doc string)
	Choice(p *string, section, name, def string, choices []string, doc string)
	Name() string
	BuildVersion() string
	IsSet(section, name string) bool
}

// Bind declares the section [debug] with this default of addr and returns a Config
// that it fills. Load the set before New.
func Bind(set Set, defaultAddr string) *Config {
	c := &Config{Program: set.Name(), Version: set.BuildVersion()}
	set.String(&c.Addr, "debug", "addr", defaultAddr,
		"address of /metrics, /healthz, /readyz and /debug/pprof/; off: none")
	set.Choice(&c.Profiles, "debug", "pprof", "auto", []string{"auto", "on", "off"},
		"whether /debug/pprof/ is shown; auto: on loopback only")
	c.isSet = func() bool { return set.IsSet("debug", "addr") }
	return c
}

func (c *Config) off() bool { return c.Addr == "" || c.Addr == "off" }

func (c *Config) explicit() bool { return c.Explicit || c.isSet != nil && c.isSet() }

func isLoopback(a netip.AddrPort) bool { return a.Addr().Unmap().IsLoopback() }
