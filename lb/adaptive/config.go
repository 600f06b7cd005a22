package adaptive

import "time"

// Config says when the balancer ejects a host, when it takes one back, and how
// it shares calls between the rest. The zero value is not valid: start from
// DefaultConfig. The name in brackets is the key in section adaptive of the
// configuration file.
type Config struct {
	// Probe [probe] makes the balancer ask for TCP connects to hosts that are
	// suspected or ejected. Default on (tcp). Off: only failed calls tell that
	// a host is dead, about seven of them instead of one, and only calls find
	// out that it has healed.
	Probe bool

	// ProbeInterval [probe_interval] is the mean time between two probes of a
	// dead host; the first two come sooner, and after five minutes they become
	// rarer. Default 1 s. Higher: a healed host comes back later. Lower: more
	// connects to dead hosts.
	ProbeInterval time.Duration

	// ProbeTimeout [probe_timeout] is the time after which the caller calls a
	// probe silent, as long as it has no connect time of the host measured.
	// The balancer itself does not use it. Default 150 ms. Higher: a dark host
	// is found later. Lower: hosts that are far away look dark.
	ProbeTimeout time.Duration

	// StallMin [stall_min] is the least time without an answer after which a
	// host with calls in flight is suspected. Default 100 ms. Higher: a dark
	// host is found later. Lower: services with slow calls are probed more.
	StallMin time.Duration

	// Evidence [evidence] is the log-likelihood ratio, in nats, from which the
	// failures of a host eject it. Default 30: a host with 1 % random errors
	// is ejected 5.5e-8 times an hour at 333 calls/s, and one that fails all
	// calls after 7. Higher: bad hosts stay longer. Lower: good ones are
	// ejected by chance, 20 nats 20,000 times as often.
	Evidence float64

	// GrantedErrorRate [granted_error_rate] is the share of failures that is
	// never held against a host. Default 0.01. Higher: a host must be worse to
	// be ejected. Lower: less bad hosts are found, after more calls.
	GrantedErrorRate float64

	// BadErrorRate [bad_error_rate] is the share of failures of the bad spells
	// whose beginning is found best. Default 0.2. Higher: the window of a host
	// with few failures closes sooner. Lower: it remembers longer.
	BadErrorRate float64

	// MaxEjected [max_ejected] is the share of the hosts that are not dead
	// which failures alone may eject. Default 0.5. Higher: more bad hosts can
	// be out at a time. Lower: fewer, and the rest of them goes on failing. One
	// host may always be ejected, the last one in rotation never.
	MaxEjected float64

	// Doubtful [doubtful] is the number of failures in a row from which a host
	// in rotation is only measured, by one call in TestEvery. Default 3.
	// Higher: a hung host gets more calls. Lower: random failures take hosts
	// out of use for a second.
	Doubtful int

	// TestEvery [test_every] is the number of picks of the service for one
	// test of a bad host by a user's call. Default 1000, so testing costs
	// 0.1 %. Higher: less, and a healed host comes back later. Lower: the
	// reverse.
	TestEvery int

	// Ramp [ramp] is the time in which a host that came back reaches its full
	// share. Default 5 s. Higher: cold hosts get more time. Lower: a host that
	// is back takes its share sooner.
	Ramp time.Duration

	// RampMin [ramp_min] is the part of its share with which a ramp begins.
	// Default 0.1. Higher: more calls hit a cold host. Lower: fewer.
	RampMin float64

	// LatencyMemory [latency_memory] is the time constant of the mean latency;
	// a new latency never has less than 5 % of the weight. Default 10 s.
	// Higher: a steadier mean. Lower: hosts with few calls are judged by the
	// last ones.
	LatencyMemory time.Duration

	// Forget [forget] is the number of picks per host of the service after
	// which half of a latency is forgotten, while no call is in flight.
	// Default 8. Higher: a host that became fast again is found later. Lower:
	// a slow one is measured more often.
	Forget int

	// LoadLimit [load_limit] is how many times its share a live host is given
	// when hosts are missing and the rest is in distress; the calls above it
	// are refused. Default 2. Higher: fewer calls are refused, the live hosts
	// may be overloaded. Lower: more are refused. 0: none is ever refused.
	LoadLimit float64

	// Distress [distress] is the share of time-outs and of answers that tell
	// of overload, within a second, above which the live hosts are in
	// distress. Default 0.05. Higher: calls are refused later. Lower: sooner,
	// perhaps for nothing.
	Distress float64

	// Overprovision [overprovision] is how many times its share a local host
	// is given before calls go to other zones. Default 1.4. Higher: more calls
	// stay local, live local hosts get more. Lower: the reverse.
	Overprovision float64

	// Zone [zone] is the zone of this machine. Empty, the default: zones are
	// ignored. Set: the hosts of the zone are preferred, and a zone whose hosts
	// cannot carry its own callers stays overloaded.
	Zone string
}

// DefaultConfig returns the values that Lars is shipped with.
func DefaultConfig() Config {
	return Config{
		Probe:            true,
		ProbeInterval:    time.Second,
		ProbeTimeout:     150 * time.Millisecond,
		StallMin:         100 * time.Millisecond,
		Evidence:         30,
		GrantedErrorRate: 0.01,
		BadErrorRate:     0.2,
		MaxEjected:       0.5,
		Doubtful:         3,
		TestEvery:        1000,
		Ramp:             5 * time.Second,
		RampMin:          0.1,
		LatencyMemory:    10 * time.Second,
		Forget:           8,
		LoadLimit:        2,
		Distress:         0.05,
		Overprovision:    1.4,
	}
}
